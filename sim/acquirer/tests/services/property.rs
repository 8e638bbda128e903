//! Any requests and reversals in any order: what the ledger derives is what a plain second reckoning says.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sim_acquirer::history::Totals;
use sim_acquirer::ledger::{Entry, State};
use sim_acquirer::service::Service;

use super::desk::Desk;
use crate::terminal::{Named, Sale};

/// What a terminal that has lost its mind does next.
#[derive(Debug, Clone)]
enum Step {
    /// Asks for something new, or by what an earlier transaction is the original of.
    Ask { service: usize, original: usize, amount: u64 },
    /// Reverses an earlier request, or one that it has not sent.
    Reverse { request: usize },
    /// Sends an earlier request again.
    Repeat { request: usize },
}

const SERVICES: [&str; 10] = [
    "sale",
    "void",
    "refund",
    "tip-adjustment",
    "preauthorisation",
    "increment",
    "preauthorisation-cancel",
    "completion",
    "completion-void",
    "balance",
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..10_usize, any::<usize>(), 1..4_u64)
            .prop_map(|(service, original, amount)| Step::Ask { service, original, amount }),
        2 => any::<usize>().prop_map(|request| Step::Reverse { request }),
        1 => any::<usize>().prop_map(|request| Step::Repeat { request }),
    ]
}

/// What is approved, by STAN.
type Approved = BTreeMap<String, Entry>;

fn is_undone(approved: &Approved, stan: &str) -> bool {
    use Service::{CompletionVoid, PreauthorisationCancel, Void};
    successors(approved, stan)
        .any(|one| [Void, CompletionVoid, PreauthorisationCancel].contains(&one.service))
}

fn successors<'a>(approved: &'a Approved, stan: &'a str) -> impl Iterator<Item = &'a Entry> {
    approved.values().filter(move |one| one.original.as_ref().is_some_and(|original| original.stan == stan))
}

/// What is owed and what the batch comes to, reckoned from nothing but the list of approvals.
fn reckon(approved: &Approved) -> (i64, Totals) {
    let (mut owed, mut totals) = (0, Totals::default());
    for (stan, entry) in approved.iter().filter(|(stan, _)| !is_undone(approved, stan)) {
        let amount = i64::try_from(entry.amount).unwrap();
        let mut count = |sum: fn(&mut Totals) -> &mut sim_acquirer::history::Sum| {
            sum(&mut totals).amount += entry.amount;
            sum(&mut totals).count += 1;
        };
        match entry.service {
            Service::Sale | Service::TipAdjustment | Service::Completion => {
                owed += amount;
                count(|totals| &mut totals.debit);
            }
            Service::Refund => {
                owed -= amount;
                count(|totals| &mut totals.credit);
            }
            Service::Preauthorisation | Service::Increment => {
                let root = entry.original.as_ref().map_or(stan.as_str(), |original| original.stan.as_str());
                let is_completed = successors(approved, root)
                    .any(|one| one.service == Service::Completion && !is_undone(approved, &one.stan));
                if !is_completed && !is_undone(approved, root) {
                    owed += amount;
                }
            }
            _ => {}
        }
    }
    (owed, totals)
}

fn check(desk: &Desk) -> Result<(), TestCaseError> {
    let booked = desk.entries().iter().filter(|entry| entry.state == State::Approved);
    let approved: Approved = booked.map(|entry| (entry.stan.clone(), entry.clone())).collect();
    let (owed, totals) = reckon(&approved);
    prop_assert_eq!(desk.owed(), owed);
    prop_assert_eq!(desk.acquirer.ledger.totals(crate::terminal::TERMINAL, "000001"), totals);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_derived_is_consistent_whatever_comes_and_also_after_a_restart(
        steps in proptest::collection::vec(step(), 1..50),
    ) {
        let mut desk = Desk::open();
        let mut requests: Vec<Sale> = Vec::new();
        let mut answered: Vec<(Named, u64)> = Vec::new();
        for (stan, step) in (1..).zip(steps) {
            let pick = |index: usize| requests.get(index % requests.len().max(1)).cloned();
            match step {
                Step::Ask { service, original, amount } => {
                    let original = answered.get(original % answered.len().max(1));
                    let request = match (SERVICES[service], original) {
                        (service @ ("sale" | "preauthorisation" | "balance"), _) => {
                            Sale { service, ..Sale::of("unionpay-credit", stan, amount) }
                        }
                        ("refund", None) => Sale { service: "refund", ..Sale::of("unionpay-credit", stan, amount) },
                        (_, None) => continue,
                        // Amounts that fit are more interesting than those that don't.
                        (service, Some((named, whole))) => Sale::follow(service, named, stan, match amount {
                            1 => 1,
                            _ => *whole,
                        }),
                    };
                    let request = Sale { amount: if request.service == "balance" { 0 } else { request.amount }, ..request };
                    let answer = desk.ask(&request);
                    if answer.code() == "00" && request.service != "balance" {
                        answered.push((Named::read(&request, &answer), request.amount));
                    }
                    requests.push(request);
                }
                Step::Reverse { request } => {
                    let ahead = Sale::of("unionpay-credit", 1000 + stan, 2);
                    let request = pick(request).filter(|one| one.service != "balance").unwrap_or(ahead);
                    let message = request.pack_reversal(desk.keys(), request.amount);
                    let code = desk.exchange(&message).code().to_owned();
                    prop_assert!(["00", "25", "12"].contains(&code.as_str()), "{}", code);
                }
                Step::Repeat { request } => {
                    if let Some(request) = pick(request) {
                        let before = desk.owed();
                        desk.ask(&request);
                        prop_assert!(desk.owed() == before || desk.entries().last().is_some_and(|one| one.code == "00"));
                    }
                }
            }
            check(&desk)?;
        }
        let owed = desk.owed();
        let desk = desk.reopen();
        prop_assert_eq!(desk.owed(), owed);
        check(&desk)?;
    }
}
