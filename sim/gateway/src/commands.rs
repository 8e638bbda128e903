//! What `simctl` can tell the gateway: `qr …`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sim_control::Reply;

use crate::host::Gateway;
use crate::rules::{Rule, User};

/// Carries out one command.
pub fn run(gateway: &mut Gateway, words: &[String]) -> Reply {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["qr", "ledger"] => match serde_json::to_value(gateway.ledger.entries()) {
            Ok(data) => Reply::ok(gateway.ledger.table()).with_data(data),
            Err(error) => Reply::refused(error.to_string()),
        },
        ["qr", "status"] => status(gateway),
        ["qr", "user", user @ ..] => match User::parse(user) {
            Ok(user) => {
                gateway.user = user;
                status(gateway)
            }
            Err(problem) => Reply::refused(problem),
        },
        ["qr", "code", wallet] => match gateway.customer_code(wallet, now()) {
            Some(code) => Reply::ok(code.clone()).with_data(code.into()),
            None => Reply::refused(format!("there is no wallet `{wallet}` in config/wallets.toml")),
        },
        ["qr", "pay", code] => match gateway.scan(code, now()) {
            Ok(order) => Reply::ok(format!("order {order} is paid")),
            Err(problem) => Reply::refused(problem),
        },
        ["qr", "refund", order] => give_back(gateway, order, None),
        ["qr", "refund", order, amount] => match amount.parse() {
            Ok(amount) => give_back(gateway, order, Some(amount)),
            Err(_) => Reply::refused("the amount is a number of minor units"),
        },
        ["qr", "truthful"] => {
            (gateway.rules, gateway.user) = Default::default();
            status(gateway)
        }
        ["qr", "once", rule @ ..] | ["qr", "rule", "once", rule @ ..] => set(gateway, rule, true),
        ["qr", "rule", rule @ ..] => set(gateway, rule, false),
        _ => Reply::refused(
            "the QR gateway takes: qr ledger; qr status; qr code WALLET; qr pay CODE; qr refund ORDER [AMOUNT]; \
             qr user pays|declines|waits [40s]; qr rule|once [OPERATION] RULE; qr truthful",
        ),
    }
}

fn give_back(gateway: &mut Gateway, order: &str, amount: Option<u64>) -> Reply {
    match gateway.give_back(order, amount, now()) {
        Ok(amount) => Reply::ok(format!("{amount} of order {order} are given back")),
        Err(problem) => Reply::refused(problem),
    }
}

fn set(gateway: &mut Gateway, words: &[&str], once: bool) -> Reply {
    match Rule::parse(words) {
        Ok((operation, rule)) => {
            match once {
                true => gateway.rules.add_once(operation, rule),
                false => gateway.rules.set(operation, rule),
            }
            status(gateway)
        }
        Err(problem) => Reply::refused(problem),
    }
}

fn status(gateway: &Gateway) -> Reply {
    let (rules, user) = (gateway.rules.describe(), format!("{:?}", gateway.user));
    let entries = gateway.ledger.entries().len();
    let data = serde_json::json!({ "rules": rules, "user": user, "entries": entries });
    Reply::ok(format!("{rules}; customers: {user}; ledger: {entries} entries")).with_data(data)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
