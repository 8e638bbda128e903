//! Whether the terminal's journal and the QR gateway's ledger tell the same story.
//!
//! Payments are matched by the order's number. One that stands is paid there with the same amount, currency, wallet and
//! reference, and the refunds that stand are the refunds that were given, each with its number and amount. One that was voided,
//! reversed or declined holds no money there. An order that the journal does not know holds none either.

use std::collections::{BTreeMap, BTreeSet};

use client::{Dictionary, get};
use serde::Deserialize;

use crate::compare::Disagreement;
use crate::error::{Error, Result};

/// What one side has of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// What keeps it from being compared: it is not settled yet.
    open: Option<String>,
    /// `None` where no money was taken, or all of it given back by cancelling.
    paid: Option<Paid>,
    /// Numbers and amounts in minor units, of what was given back.
    refunds: BTreeSet<(String, u64)>,
}

/// Money that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Paid {
    /// In minor units.
    amount: u64,
    currency: String,
    wallet: String,
    reference: String,
}

/// Orders by their numbers.
pub(crate) type Orders = BTreeMap<String, Order>;

/// The services that go through the QR gateway.
const SERVICES: [&str; 4] = ["code-payment", "merchant-code", "code-void", "code-refund"];

/// Whether a transaction went, or was to go, through the QR gateway.
pub(crate) fn is_by_code(transaction: &Dictionary) -> bool {
    get::<&str>(transaction, "type").is_some_and(|service| SERVICES.contains(&service))
}

/// Reads what `org.smartpos.Payment1` lists.
///
/// # Errors
/// When a transaction lacks its amount.
pub(crate) fn from_journal(transactions: &[Dictionary]) -> Result<Orders> {
    let mut orders = Orders::new();
    let mut voided = BTreeSet::new();
    for transaction in transactions {
        let text = |key: &str| get::<&str>(transaction, key).unwrap_or_default().to_owned();
        let number = text("gateway_order");
        // It was never sent.
        if number.is_empty() && text("state") == "final" {
            continue;
        }
        let order = orders.entry(number.clone()).or_default();
        if text("state") != "final" || text("reversal") == "pending" {
            let (service, state, key) = (text("type"), text("state"), text("key"));
            order.open = Some(format!("the terminal is not done: `{key}`, a {service}, is {state}"));
            continue;
        }
        if text("outcome") != "approved" {
            continue;
        }
        let lacks = || Error::Records("a transaction of the journal has no `amount`".to_owned());
        let amount = get(transaction, "amount").ok_or_else(lacks)?;
        match text("type").as_str() {
            "code-refund" => {
                order.refunds.insert((text("gateway_refund"), amount));
            }
            "code-void" => {
                voided.insert(number);
            }
            _ => {
                let (currency, wallet, reference) = (text("currency"), text("wallet"), text("reference"));
                order.paid = Some(Paid { amount, currency, wallet, reference });
            }
        }
    }
    for number in voided {
        orders.entry(number).or_default().paid = None;
    }
    Ok(orders)
}

#[derive(Deserialize)]
struct Line {
    order: String,
    amount: u64,
    currency: String,
    wallet: Option<String>,
    reference: Option<String>,
    state: State,
    refunds: Vec<Refund>,
}

#[derive(Deserialize)]
struct Refund {
    refund: String,
    amount: u64,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum State {
    Pending,
    Paid,
    Failed,
    Closed,
    Refused,
}

/// Reads the data of `simctl qr ledger`.
///
/// # Errors
/// When it is no array of ledger entries.
pub(crate) fn from_ledger(data: &serde_json::Value) -> Result<Orders> {
    let lines = Vec::<Line>::deserialize(data)
        .map_err(|error| Error::Records(format!("the gateway's ledger can't be understood: {error}")))?;
    // A request that was refused is in the ledger beside the order that it was about.
    let booked = lines.into_iter().filter(|line| line.state != State::Refused);
    Ok(booked.map(|line| (line.order.clone(), Order::from(line))).collect())
}

impl From<Line> for Order {
    fn from(line: Line) -> Order {
        let Line { amount, currency, wallet, reference, state, refunds, .. } = line;
        let (wallet, reference) = (wallet.unwrap_or_default(), reference.unwrap_or_default());
        Order {
            open: (state == State::Pending).then(|| "the gateway waits for the customer".to_owned()),
            paid: (state == State::Paid).then_some(Paid { amount, currency, wallet, reference }),
            refunds: refunds.into_iter().map(|refund| (refund.refund, refund.amount)).collect(),
        }
    }
}

/// All on which `journal` and `ledger` differ; nothing when they agree.
pub(crate) fn compare(journal: &Orders, ledger: &Orders) -> Vec<Disagreement> {
    let numbers: BTreeSet<&String> = journal.keys().chain(ledger.keys()).collect();
    let nothing = Order::default();
    let differ = |number: &&String| {
        let ours = journal.get(*number).unwrap_or(&nothing);
        let theirs = ledger.get(*number).unwrap_or(&nothing);
        let problem = match (&ours.open, &theirs.open) {
            (Some(open), _) | (None, Some(open)) => open.clone(),
            (None, None) if ours == theirs => return None,
            (None, None) => format!("the terminal has {ours:?}, the gateway {theirs:?}"),
        };
        Some(Disagreement { number: None, problem: format!("order {number}: {problem}") })
    };
    numbers.iter().filter_map(differ).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(state: &str, refunds: &str) -> serde_json::Value {
        let text = format!(
            r#"[{{"order": "j-1", "amount": 1234, "currency": "CNY", "wallet": "alipay", "reference": "QR1",
                 "state": "{state}", "refunds": [{refunds}]}}]"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn transaction(service: &str, outcome: &str, amount: u64) -> Dictionary {
        let texts = [
            ("type", service),
            ("state", "final"),
            ("outcome", outcome),
            ("gateway_order", "j-1"),
            ("gateway_refund", if service == "code-refund" { "j-2" } else { "" }),
            ("currency", "CNY"),
            ("wallet", "alipay"),
            ("reference", "QR1"),
        ];
        let texts = texts.map(|(key, text)| (key.to_owned(), zbus::Variant::from(text)));
        let amount = ("amount".to_owned(), zbus::Variant::from(amount));
        let all = texts.into_iter().chain([amount]);
        all.map(|(key, value)| (key, value.try_into_owned().unwrap())).collect()
    }

    fn disagreements(journal: &[Dictionary], ledger: &serde_json::Value) -> usize {
        compare(&from_journal(journal).unwrap(), &from_ledger(ledger).unwrap()).len()
    }

    #[test]
    fn money_that_only_one_side_has_or_gave_back_is_a_disagreement() {
        let paid = transaction("code-payment", "approved", 1234);
        let void = transaction("code-void", "approved", 1234);
        let refund = transaction("code-refund", "approved", 300);
        let reversed = transaction("merchant-code", "reversed", 1234);
        let given = r#"{"refund": "j-2", "amount": 300}"#;
        for (journal, ledger, differ) in [
            (vec![paid.clone()], entry("paid", ""), 0),
            (vec![paid.clone(), refund.clone()], entry("paid", given), 0),
            (vec![paid.clone(), void.clone()], entry("closed", ""), 0),
            (vec![reversed.clone()], entry("closed", ""), 0),
            (vec![reversed.clone()], serde_json::json!([]), 0),
            (vec![], entry("refused", ""), 0),
            (vec![], entry("paid", ""), 1),
            (vec![reversed.clone()], entry("paid", ""), 1),
            (vec![reversed], entry("pending", ""), 1),
            (vec![paid.clone()], entry("closed", ""), 1),
            (vec![paid.clone()], entry("paid", given), 1),
            (vec![paid.clone(), refund], entry("paid", ""), 1),
            (vec![paid.clone(), void], entry("paid", ""), 1),
            (vec![transaction("code-payment", "approved", 1235)], entry("paid", ""), 1),
        ] {
            assert_eq!(disagreements(&journal, &ledger), differ, "{journal:?} {ledger}");
        }
    }
}
