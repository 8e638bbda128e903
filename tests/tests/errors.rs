//! No error name without a test that provokes it over a bus.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;
use std::process::Command;

use client::card::CardPaymentProxy;
use client::printer::PrinterProxy;
use futures_util::future::join_all;
use sim_terminal::Part;
use smartpos_tests::{Bench, error_name, option, text, until, within};

/// Each name of `org.smartpos.Error`, and the test that provokes it: its file and its name.
const PROVOKED: [(&str, &str, &str); 12] = [
    ("InvalidArgument", "api.rs", "malformed_input_is_refused_by_name_and_begins_nothing"),
    ("NotPermitted", "api.rs", "apps_can_reach_neither_card_payments_nor_what_they_were_not_granted"),
    ("Throttled", "errors.rs", "an_app_with_too_many_print_jobs_is_throttled_until_some_end"),
    ("Busy", "api.rs", "a_second_sale_while_one_runs_is_told_that_the_terminal_is_busy"),
    ("NotFound", "api.rs", "apps_can_reach_neither_card_payments_nor_what_they_were_not_granted"),
    ("NotClaimed", "card.rs", "a_payment_takes_the_slot_from_a_claim_and_gets_its_card"),
    ("WrongState", "errors.rs", "a_module_without_keys_or_silent_or_absent_is_told_apart"),
    ("NotSupported", "errors.rs", "a_service_that_the_acquirer_does_not_offer_is_not_supported"),
    ("LimitExceeded", "errors.rs", "what_is_over_a_limit_is_refused_and_the_card_over_its_own_is_declined"),
    ("DeviceGone", "errors.rs", "a_module_without_keys_or_silent_or_absent_is_told_apart"),
    ("Timeout", "errors.rs", "a_module_without_keys_or_silent_or_absent_is_told_apart"),
    ("Internal", "errors.rs", "a_spool_that_cannot_be_written_is_an_internal_error_and_heals"),
];

#[test]
fn every_error_name_has_its_test() {
    let published = include_str!("../../crates/service/src/error.rs");
    let names: Vec<&str> =
        published.lines().filter_map(|line| line.trim().strip_suffix("(String),")).collect();
    assert_eq!(names, PROVOKED.map(|(name, ..)| name));
    for (name, file, test) in PROVOKED {
        let text = match file {
            "api.rs" => include_str!("api.rs"),
            "card.rs" => include_str!("card.rs"),
            _ => include_str!("errors.rs"),
        };
        let body =
            text.split(&format!("async fn {test}(")).nth(1).and_then(|rest| rest.split("\n}\n").next());
        let body = body.unwrap_or_else(|| panic!("{file} has no test {test}"));
        assert!(body.contains(&format!("{name}\"")), "{test} does not look for {name}");
    }
}

#[tokio::test]
async fn an_app_with_too_many_print_jobs_is_throttled_until_some_end() {
    let bench = Bench::start().await;
    let bus = bench.terminal.app_bus().await.unwrap();
    let printer = client::proxy::<PrinterProxy>(&bus).await.unwrap();
    let document = vec![("text", option("text", "one of many"))];
    bench.sim("paper out").await;
    let print = async |number: u32| printer.print(&document, &format!("job-{number}"), HashMap::new()).await;
    for number in 0..32 {
        print(number).await.unwrap();
    }
    assert_eq!(error_name(print(32).await), "Throttled");
    // One that is known already is no further job.
    print(0).await.unwrap();
    bench.sim("paper load").await;
    until("a place in the queue", async || print(32).await.is_ok()).await;
}

#[tokio::test]
async fn an_app_with_too_many_calls_in_flight_is_throttled_until_some_end() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    // The daemon finds all of them waiting when it goes on. The bus itself allows 128.
    signal(&bench, Part::Paymentd, "STOP");
    let calls = join_all((0..100).map(|_| shop.payment.get_transaction("unknown")));
    let go_on = async {
        // The bus answers in order: it has passed all calls on by then.
        zbus::fdo::DBusProxy::new(&shop.bus).await.unwrap().get_id().await.unwrap();
        signal(&bench, Part::Paymentd, "CONT");
    };
    let (answers, ()) = within("all answers", futures_util::future::join(calls, go_on)).await;
    let names: Vec<String> = answers.into_iter().map(error_name).collect();
    let count = |name: &str| names.iter().filter(|other| *other == name).count();
    assert!(count("Throttled") > 0 && count("NotFound") >= 16, "{} throttled", count("Throttled"));
    assert_eq!(count("Throttled") + count("NotFound"), 100);
    assert_eq!(error_name(shop.payment.get_transaction("unknown").await), "NotFound");
}

/// Sends a signal to a part, such as `STOP`.
fn signal(bench: &Bench, part: Part, name: &str) {
    let pid = bench.terminal.pid(part).expect("it runs").to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
}

#[tokio::test]
async fn a_module_without_keys_or_silent_or_absent_is_told_apart() {
    let mut bench = Bench::start().await;
    // In place of paymentd, whom alone cardd answers.
    bench.terminal.kill(Part::Paymentd).await.unwrap();
    let bus = bench.terminal.system_bus().await.unwrap();
    bus.request_name("org.smartpos.Payment").await.unwrap();
    let card = client::proxy::<CardPaymentProxy>(&bus).await.unwrap();
    bench.module_is("ready").await;
    assert_eq!(error_name(card.mac("mak", b"unsigned").await), "WrongState");
    signal(&bench, Part::Module, "STOP");
    assert_eq!(error_name(within("the time limit", card.mac("mak", b"unheard")).await), "Timeout");
    signal(&bench, Part::Module, "CONT");
    bench.terminal.kill(Part::Module).await.unwrap();
    bench.module_is("absent").await;
    assert_eq!(error_name(card.mac("mak", b"unheard").await), "DeviceGone");
}

#[tokio::test]
async fn a_service_that_the_acquirer_does_not_offer_is_not_supported() {
    let mut bench = Bench::start().await;
    let shipped = include_str!("../../config/hosts/unionpay-direct.toml");
    let without: String = shipped
        .lines()
        .filter(|line| !line.starts_with("balance "))
        .map(|line| format!("{line}\n"))
        .collect();
    let config = bench.folder().join("config");
    std::fs::create_dir_all(config.join("hosts")).unwrap();
    std::fs::write(config.join("hosts/small.toml"), without).unwrap();
    std::fs::write(config.join("paymentd.toml.d/small.toml"), "[host]\nprofile = \"small\"\n").unwrap();
    bench.kill_and_restart(Part::Paymentd).await;
    let shop = bench.shop().await;
    let asked = shop.payment.start_balance_inquiry("asked", HashMap::new()).await;
    assert_eq!(error_name(asked), "NotSupported");
    assert_eq!(error_name(shop.payment.get_transaction("asked").await), "NotFound");
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_and_the_card_over_its_own_is_declined() {
    let limits = "[limits.sale]\ntransaction = 1000\nday = 1500\ncard_day = 1200\n";
    let bench = Bench::start_with(&[("paymentd", limits)]).await;
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    let sell = |amount, key| shop.payment.start_sale(amount, "CNY", key, HashMap::new());
    assert_eq!(error_name(sell(1001, "one").await), "LimitExceeded");
    assert_eq!(shop.sell(900, "first").await.0, "approved");
    assert_eq!(error_name(sell(601, "day").await), "LimitExceeded");
    let (outcome, declined) = shop.sell(301, "card").await;
    assert_eq!((outcome.as_str(), text(&declined, "host")), ("declined", "none"), "{declined:?}");
    assert!(text(&declined, "reason").contains("card_day"), "{declined:?}");
    assert_eq!(shop.sell(300, "last").await.0, "approved");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_spool_that_cannot_be_written_is_an_internal_error_and_heals() {
    let bench = Bench::start().await;
    let bus = bench.terminal.app_bus().await.unwrap();
    let printer = client::proxy::<PrinterProxy>(&bus).await.unwrap();
    let document = vec![("text", option("text", "to be kept"))];
    let print = async || printer.print(&document, "kept", HashMap::new()).await;
    let spool = bench.terminal.layout().state(Part::Printerd).join("spool");
    let aside = spool.with_extension("aside");
    std::fs::rename(&spool, &aside).unwrap();
    assert_eq!(error_name(print().await), "Internal");
    std::fs::rename(&aside, &spool).unwrap();
    print().await.expect("the disk is back");
}
