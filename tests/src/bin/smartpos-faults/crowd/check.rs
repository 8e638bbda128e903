//! What has to hold when the crowd has gone.

use std::collections::BTreeSet;

use client::payment::PaymentProxy;
use serde_json::Value;
use smartpos_tests::{Bench, check_chain, text};

use super::Counts;
use super::app::App;
use crate::case::within;

/// The most events that the service gives at once.
const PAGE: u32 = 100;

/// Checks all of it; how many sales had which outcome.
pub(super) async fn all(bench: &Bench, apps: &mut [App]) -> Result<Counts, String> {
    let bus = bench.terminal.system_bus().await.map_err(|error| error.to_string())?;
    let operator = PaymentProxy::new(&bus).await.map_err(|error| error.to_string())?;
    rest(&operator).await?;
    let mut expected = BTreeSet::new();
    let mut counts = Counts::new();
    for app in &mut *apps {
        for (order, outcome) in outcomes(app).await? {
            *counts.entry(word(&outcome)).or_default() += 1;
            expected.insert((app.owner.clone(), app.key(order)));
        }
    }
    nothing_else(bench, &expected).await?;
    one_at_a_time(&operator).await?;
    let disagreements = bench.terminal.disagreements().await.map_err(|error| error.to_string())?;
    if let Some(first) = disagreements.first() {
        return Err(format!("terminal and host disagree in {} places: {first}", disagreements.len()));
    }
    check_chain(&operator).await?;
    for app in apps {
        let key = format!("{}-afterwards", app.key(0));
        let (outcome, result) = app.shop.sell(1, &key).await;
        if outcome != "approved" {
            return Err(format!("a terminal at rest did not sell: {outcome}: {}", text(&result, "reason")));
        }
    }
    Ok(counts)
}

/// A crowd in which something never happened has shown nothing of it.
pub(super) fn happened(counts: &Counts, requests: u32) -> Result<(), String> {
    const ALL: [&str; 10] = [
        "approved",
        "cancelled",
        "reversed",
        "busy",
        "asked again",
        "tapped twice",
        "vanished",
        "cancels",
        "asked with another amount",
        "daemons killed",
    ];
    let missing = ALL.iter().find(|what| !counts.contains_key(*what));
    match missing {
        Some(what) if requests >= 1000 => Err(format!("in all of the crowd nothing was ever {what}")),
        _ => Ok(()),
    }
}

/// Waits until no transaction runs and the host has acknowledged all reversals.
async fn rest(operator: &PaymentProxy<'_>) -> Result<(), String> {
    within("the terminal to settle", async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
        while !operator.state().await.is_ok_and(|state| state == "ready") {
            ticks.tick().await;
        }
    })
    .await
}

/// How each sale of the app ended that was begun; each that was promised is there, with the outcome that was told.
async fn outcomes(app: &mut App) -> Result<Vec<(u32, String)>, String> {
    let mut outcomes = Vec::new();
    for (order, known) in app.known.clone() {
        let key = app.key(order);
        let found = app.look_up(order).await.map_err(|error| format!("{key}: {error}"))?;
        let Some(result) = found else {
            match known.accepted {
                true => return Err(format!("{key} was accepted, and is not there")),
                false => continue,
            }
        };
        if !known.accepted && !known.doubtful {
            return Err(format!("{key} was refused as Busy, and is there"));
        }
        if text(&result, "state") != "final" {
            return Err(format!("{key} is `{}` for ever", text(&result, "state")));
        }
        let outcome = text(&result, "outcome").to_owned();
        app.told(order, outcome.clone())?;
        outcomes.push((order, outcome));
    }
    Ok(outcomes)
}

/// The journal lists what the apps know of, each once, and nothing else.
async fn nothing_else(bench: &Bench, expected: &BTreeSet<(String, String)>) -> Result<(), String> {
    let listed = bench.terminal.journal().await.map_err(|error| error.to_string())?;
    let found: BTreeSet<(String, String)> =
        listed.iter().map(|one| (text(one, "owner").to_owned(), text(one, "key").to_owned())).collect();
    match found.symmetric_difference(expected).next() {
        Some((owner, key)) => Err(format!("{key} of {owner} is in one of the journal and its app's memory")),
        None => Ok(()),
    }
}

/// In the order of the events, no transaction begins before the one before it has ended.
async fn one_at_a_time(operator: &PaymentProxy<'_>) -> Result<(), String> {
    let (mut after, mut open) = (0, None);
    loop {
        let page = operator.read_journal(after, PAGE).await.map_err(|error| error.to_string())?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.0;
        for (id, transaction, _, body, _) in &page {
            let body: Value = serde_json::from_str(body).map_err(|error| format!("event {id}: {error}"))?;
            match body.get("event").and_then(Value::as_str) {
                Some("created") => {
                    if let Some(other) = open.replace(*transaction) {
                        return Err(format!("transaction {transaction} began while {other} was open"));
                    }
                }
                Some("finished") => open = None,
                _ => {}
            }
        }
    }
}

fn word(outcome: &str) -> &'static str {
    const WORDS: [&str; 5] = ["approved", "declined", "cancelled", "failed", "reversed"];
    WORDS.into_iter().find(|word| *word == outcome).unwrap_or("of another outcome")
}
