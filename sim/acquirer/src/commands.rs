//! What `simctl` can tell the acquirer: `host …` and `ledger`.

use iso8583::Mti;
use sim_control::Reply;

use crate::host::{Acquirer, REVERSAL, SALE, SIGN_ON};
use crate::rules::Rule;

/// Carries out one command.
pub fn run(acquirer: &mut Acquirer, words: &[String]) -> Reply {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ledger"] => match serde_json::to_value(acquirer.ledger.entries()) {
            Ok(data) => Reply::ok(acquirer.ledger.table()).with_data(data),
            Err(error) => Reply::refused(error.to_string()),
        },
        ["host", "status"] => status(acquirer),
        ["host", "once", rule @ ..] => set(acquirer, rule, true),
        ["host", "rule", rule @ ..] | ["host", rule @ ..] => set(acquirer, rule, false),
        _ => {
            Reply::refused("the acquirer takes: ledger; host status; host [once|rule] [0200|0400|0800] RULE")
        }
    }
}

fn set(acquirer: &mut Acquirer, words: &[&str], once: bool) -> Reply {
    let (mti, words) = match words {
        ["0200", rule @ ..] => (SALE, rule),
        ["0400", rule @ ..] => (REVERSAL, rule),
        ["0800", rule @ ..] => (SIGN_ON, rule),
        rule => (SALE, rule),
    };
    match Rule::parse(words) {
        Ok(rule) => {
            add(acquirer, mti, rule, once);
            Reply::ok(acquirer.rules.describe())
        }
        Err(problem) => Reply::refused(problem),
    }
}

fn add(acquirer: &mut Acquirer, mti: Mti, rule: Rule, once: bool) {
    if once { acquirer.rules.add_once(mti, rule) } else { acquirer.rules.set(mti, rule) }
}

fn status(acquirer: &Acquirer) -> Reply {
    let mut terminals: Vec<&String> = acquirer.sessions.keys().collect();
    terminals.sort();
    let entries = acquirer.ledger.entries().len();
    let text = format!("{}; signed on: {terminals:?}; ledger: {entries} entries", acquirer.rules.describe());
    let data = serde_json::json!({
        "rules": acquirer.rules.describe(), "signed_on": terminals, "entries": entries,
    });
    Reply::ok(text).with_data(data)
}
