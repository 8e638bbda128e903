//! All cases: for each service, each point that its run passes × what can go wrong there, and each thing that a host or
//! the line to it can do to each of its messages.

use crate::case::{Case, Fault, Report};
use crate::clock::{JUMPS, Jump};
use crate::service::Service;

/// What the power leaves of unsynced writes is tried this often at each point.
const POWER_VARIANTS: u64 = 2;

/// What can become of a request and its answer.
const RULES: [&str; 18] = [
    "approve",
    "decline 51",
    "silent",
    "late 900ms",
    "wrong mac",
    "wrong stan",
    "wrong amount",
    "wrong mti",
    "wrong terminal",
    "wrong truncated",
    "wrong oversized",
    "wrong garbage",
    "repeat",
    "drop before",
    "drop after",
    "restart before",
    "restart after",
    "stray",
];

/// What can become of a request to the QR gateway and its answer.
const GATEWAY_RULES: [&str; 12] = [
    "truthful",
    "silent",
    "late 900ms",
    "garbage",
    "wrong signature",
    "replay",
    "repeat",
    "twice",
    "drop before",
    "drop after",
    "restart before",
    "restart after",
];

/// What customers do, besides paying at once.
const USERS: [&str; 3] = ["declines", "waits", "waits 100ms"];

/// What can go wrong between the terminal and the QR gateway: rules for one message each, after what customers do.
fn at_gateway(service: Service, operation: &str) -> Vec<Fault> {
    let mut rules: Vec<String> =
        GATEWAY_RULES.iter().map(|rule| format!("once {operation} {rule}")).collect();
    if service.is_reversed() {
        rules.extend(USERS.map(|user| format!("user {user}")));
        // Whether the customer pays or waits: the answer is lost, and so are those to the queries; then something happens
        // to the cancel, or the customer confirms after all.
        for rule in GATEWAY_RULES {
            rules.push(format!("once {operation} drop after; rule query silent; once cancel {rule}"));
            rules.push(format!("user waits; rule query {rule}; once cancel drop before"));
            rules.push(format!("once {operation} drop before; rule query drop before; once cancel {rule}"));
            rules.push(format!("user waits 400ms; once query {rule}; once cancel silent"));
        }
    } else {
        // The first answer is lost, and so may be the next one.
        for rule in GATEWAY_RULES {
            rules.push(format!("once {operation} drop after; once {operation} {rule}"));
            rules.push(format!("once {operation} silent; once {operation} {rule}"));
        }
    }
    rules.into_iter().map(Fault::Gateway).collect()
}

/// The cases of a service whose run without a fault was `faultless`.
pub(crate) fn cases(service: Service, faultless: &Report) -> Vec<Case> {
    let mut faults = Vec::new();
    for point in &faultless.points {
        faults.push(Fault::Kill(point.clone()));
        faults.extend((0..POWER_VARIANTS).map(|variant| Fault::Power(point.clone(), variant)));
        if point.call == "pwrite64" {
            faults.push(Fault::Full(point.clone()));
        }
        if matches!(point.call.as_str(), "pwrite64" | "fsync" | "fdatasync") {
            faults.push(Fault::Broken(point.clone()));
        }
    }
    for steps in 0..=faultless.steps {
        faults.extend(JUMPS.map(|(offset, _)| Fault::Clock(Jump { steps, offset })));
    }
    if let Some(request) = service.request() {
        faults.extend(RULES.map(|rule| Fault::Host(format!("{request} {rule}"))));
        if service.is_reversed() {
            // The answer is lost, and then something happens to the reversal.
            for loss in ["silent", "drop after"] {
                faults.extend(RULES.map(|rule| Fault::Host(format!("{request} {loss}; 0400 {rule}"))));
            }
            faults.push(Fault::Host(format!("{request} after reversal")));
        }
        if matches!(service, Service::OfflineSale | Service::ScriptSale) {
            // The answer is lost, and then something happens to the next one.
            for loss in ["silent", "drop after"] {
                faults.extend(RULES.map(|rule| Fault::Host(format!("{request} {loss}; {request} {rule}"))));
            }
        }
        if service == Service::Settlement {
            // A certificate, then the end; where the sums differ a transaction whose certificate was refused is between them.
            let refused = "0500 unbalanced; 0320 decline 12; ";
            for before in
                ["", "0320 approve; ", "0500 unbalanced; ", "0500 unbalanced; 0320 approve; ", refused]
            {
                faults.extend(RULES.map(|rule| Fault::Host(format!("{before}0320 {rule}"))));
            }
        }
    }
    if let Some(operation) = service.operation() {
        faults.extend(at_gateway(service, operation));
    }
    if service == Service::UnansweredSale {
        // Each takes as long as a supervisor is waited for.
        faults.retain(|fault| matches!(fault, Fault::Kill(_)));
    }
    faults.into_iter().map(|fault| Case { service, fault }).collect()
}
