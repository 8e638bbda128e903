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
        if service == Service::Settlement {
            for loss in ["approve", "silent", "drop before", "drop after", "wrong mac"] {
                faults.push(Fault::Host(format!("0500 unbalanced; 0320 {loss}")));
            }
        }
    }
    faults.into_iter().map(|fault| Case { service, fault }).collect()
}
