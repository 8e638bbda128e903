//! What `simctl` can tell the acquirer: `host …` and `ledger`.

use sim_control::Reply;

use crate::host::Acquirer;
use crate::ledger::{self, Entry};
use crate::parameters;
use crate::rules::Rule;
use crate::scripts::Sealed;

const HELP: &str = "the acquirer takes: ledger; ledger batch NUMBER; host status; host restart; \
                    host [once|rule] [0100|0200|0220|0320|0400|0500|0620|0800|0820] RULE; host script RULE; RULE; …; host capk|application|terminal|parameters …; host issuer script right|wrong";

/// Carries out one command.
pub fn run(acquirer: &mut Acquirer, words: &[String]) -> Reply {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["host", rest @ ..] if parameters::are_meant(rest) => match acquirer.parameters.command(rest) {
            Ok(done) => Reply::ok(done),
            Err(problem) => Reply::refused(problem),
        },
        ["ledger"] => ledger(acquirer, |_| true),
        ["ledger", "batch", batch] => ledger(acquirer, |entry| entry.batch == *batch),
        ["host", "issuer", "script", how] => match Sealed::parse(how) {
            Ok(sealed) => {
                acquirer.script = Some(sealed);
                Reply::ok("the next answer to a card has a script for it")
            }
            Err(problem) => Reply::refused(problem),
        },
        ["host", "status"] => status(acquirer),
        ["host", "restart"] => {
            acquirer.restart();
            Reply::ok("the host has started anew; connections and working keys are gone, the ledger is not")
        }
        ["host", "script", script @ ..] => match Rule::parse_script(&script.join(" ")) {
            Ok(rules) => {
                rules.into_iter().for_each(|(target, rule)| acquirer.rules.add_once(target, rule));
                Reply::ok(acquirer.rules.describe())
            }
            Err(problem) => Reply::refused(problem),
        },
        ["host", "once", rule @ ..] => set(acquirer, rule, true),
        ["host", "rule", rule @ ..] | ["host", rule @ ..] => set(acquirer, rule, false),
        _ => Reply::refused(HELP),
    }
}

fn ledger(acquirer: &Acquirer, wanted: impl Fn(&Entry) -> bool) -> Reply {
    let entries: Vec<&Entry> = acquirer.ledger.entries().iter().filter(|entry| wanted(entry)).collect();
    match serde_json::to_value(&entries) {
        Ok(data) => Reply::ok(ledger::table(&entries)).with_data(data),
        Err(error) => Reply::refused(error.to_string()),
    }
}

fn set(acquirer: &mut Acquirer, words: &[&str], once: bool) -> Reply {
    match Rule::parse_for(words) {
        Ok((target, rule)) => {
            if once {
                acquirer.rules.add_once(target, rule);
            } else {
                acquirer.rules.set(target, rule);
            }
            Reply::ok(acquirer.rules.describe())
        }
        Err(problem) => Reply::refused(problem),
    }
}

fn status(acquirer: &Acquirer) -> Reply {
    let mut terminals: Vec<&String> = acquirer.sessions.keys().collect();
    terminals.sort();
    let entries = acquirer.ledger.entries().len();
    let (rules, connections) = (acquirer.rules.describe(), acquirer.connections);
    let text = format!(
        "{rules}; signed on: {terminals:?}; ledger: {entries} entries; {connections} connections so far"
    );
    let data = serde_json::json!({
        "rules": rules, "signed_on": terminals, "entries": entries, "connections": connections,
    });
    Reply::ok(text).with_data(data)
}
