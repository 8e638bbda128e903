//! What is over a limit waits for a supervisor, where the owner's configuration says so.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;

use client::get;
use client::payment::TransactionProxy;
use sim_terminal::Part;
use smartpos_tests::{Bench, Sale, Shop, error_name, option, text, until};

const LIMITS: &str = "
    [limits.sale]
    transaction = 1000
    over_limit = 'supervisor'
    [limits.cash]
    transaction = 1000
    over_limit = 'supervisor'
    [limits.settlement]
    per_hour = 0
    over_limit = 'supervisor'
    [limits.refund]
    transaction = 1000
";

/// Drop-ins with these limits, where whoever runs the tests is the operator `li` with these permissions. All daemons run under
/// the same uid here: for printerd, paymentd is that operator.
fn drop_ins(permissions: &str) -> [(&'static str, String); 2] {
    let uid = std::fs::metadata("/proc/self").unwrap().uid();
    let crew = format!(
        "[roles]\nrole = [\"printer.print\", {permissions}]\n[operators.li]\nuid = {uid}\nroles = [\"role\"]\n"
    );
    [("smartpos", crew), ("paymentd", LIMITS.to_owned())]
}

async fn bench(drop_ins: &[(&'static str, String)]) -> Bench {
    let drop_ins: Vec<(&str, &str)> = drop_ins.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let bench = Bench::start_with(&drop_ins).await;
    bench.insert("unionpay-credit").await;
    bench
}

async fn operator(bench: &Bench) -> Shop {
    Shop::new(bench.terminal.system_bus().await.unwrap(), "operator").await
}

/// The transaction as the operator sees it.
async fn seen(operator: &Shop, key: &str) -> TransactionProxy<'static> {
    let path = operator.payment.get_transaction(key).await.unwrap();
    client::proxy_at(&operator.bus, path).await.unwrap()
}

/// A sale by the app that waits for a supervisor.
async fn waiting(shop: &Shop, key: &str) -> Sale {
    let mut sale = shop.start(1001, key).await.unwrap();
    sale.reached("approval").await;
    sale
}

async fn is_host_untouched(bench: &Bench) -> bool {
    bench.sim("ledger").await.data.as_array().unwrap().is_empty()
}

#[tokio::test]
async fn a_supervisor_approves_what_is_over_a_limit_and_is_named_in_result_journal_and_receipt() {
    let bench = bench(&drop_ins("\"payment.approve\", \"payment.read\", \"device.status\"")).await;
    let (shop, operator) = (bench.shop().await, operator(&bench).await);
    let mut sale = waiting(&shop, "sale").await;
    assert_eq!(sale.proxy.state().await.unwrap(), "approval");
    assert_eq!(sale.proxy.progress().await.unwrap(), "approval");
    let (listed, _) = operator.payment.list_transactions(option("state", "approval"), "", 10).await.unwrap();
    assert_eq!(text(&listed[0], "key"), "sale");
    assert!(text(&listed[0], "over_limit").contains("limits.sale.transaction"), "{listed:?}");
    assert!(is_host_untouched(&bench).await);

    assert_eq!(error_name(sale.proxy.approve().await), "NotPermitted", "an app never approves its own");
    let supervisor = seen(&operator, "sale").await;
    assert_eq!(error_name(supervisor.deny(&"x".repeat(65)).await), "InvalidArgument");
    supervisor.approve().await.unwrap();
    let (outcome, result) = sale.completed().await;
    assert_eq!((outcome.as_str(), text(&result, "approver")), ("approved", "li"), "{result:?}");
    assert_eq!(error_name(supervisor.approve().await), "WrongState");
    assert_eq!(error_name(supervisor.deny("").await), "WrongState");

    let events = operator.payment.read_journal(0, 100).await.unwrap();
    assert!(
        events.iter().any(|event| event.3 == r#"{"event":"supervisor-approved","by":"li"}"#),
        "{events:?}"
    );
    let paper = bench.terminal.layout().paper().join("receipt-0001.txt");
    until("the receipt", async || paper.exists()).await;
    let receipt = std::fs::read_to_string(paper).unwrap();
    assert!(receipt.lines().any(|line| line.contains("APPROVED BY") && line.ends_with("li")), "{receipt}");

    // What the owner did not give to a supervisor is refused as ever.
    let refund = shop.payment.start_refund(1001, "CNY", "", "refund", HashMap::new()).await;
    assert_eq!(error_name(refund), "LimitExceeded");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn what_is_denied_called_off_left_waiting_or_interrupted_by_a_restart_never_reaches_the_host() {
    let mut drop_ins = drop_ins("\"payment.approve\", \"payment.read\", \"device.status\"");
    drop_ins[1].1.push_str("[approval]\ntimeout_s = 2\n");
    let mut bench = bench(&drop_ins).await;
    let (shop, operator) = (bench.shop().await, operator(&bench).await);

    let mut denied = waiting(&shop, "denied").await;
    seen(&operator, "denied").await.deny("ask the boss").await.unwrap();
    let (outcome, result) = denied.completed().await;
    assert_eq!((outcome.as_str(), text(&result, "reason")), ("declined", "li denied it: ask the boss"));

    let mut cancelled = waiting(&shop, "cancelled").await;
    assert!(cancelled.proxy.cancellable().await.unwrap());
    cancelled.proxy.cancel().await.unwrap();
    assert_eq!(cancelled.completed().await.0, "cancelled");

    let (outcome, result) = waiting(&shop, "expired").await.completed().await;
    assert_eq!(outcome, "declined");
    assert!(text(&result, "reason").contains("2 s") && !result.contains_key("approver"), "{result:?}");

    let _ = waiting(&shop, "interrupted").await;
    bench.kill_and_restart(Part::Paymentd).await;
    let result = seen(&operator, "interrupted").await.get_result().await.unwrap();
    assert_eq!((text(&result, "outcome"), text(&result, "host")), ("declined", "none"), "{result:?}");
    assert!(is_host_untouched(&bench).await);
    assert_eq!(shop.sell(1000, "within").await.0, "approved", "{}", bench.logs());
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn cash_and_a_settlement_wait_too_and_count_once_they_are_approved() {
    let bench = bench(&drop_ins("\"payment.approve\", \"payment.read\", \"device.status\"")).await;
    let (shop, operator) = (bench.shop().await, operator(&bench).await);
    let pay = &shop.payment;
    for (key, approve) in [("denied", false), ("cash", true)] {
        let mut cash = shop.follow(key, pay.record_cash(1001, "CNY", key, HashMap::new())).await.unwrap();
        let supervisor = seen(&operator, key).await;
        until("the wait", async || supervisor.progress().await.is_ok_and(|step| step == "approval")).await;
        match approve {
            true => supervisor.approve().await.unwrap(),
            false => supervisor.deny("").await.unwrap(),
        }
        assert_eq!(cash.completed().await.0, if approve { "approved" } else { "declined" });
    }
    let totals = format!("{:?}", pay.get_totals().await.unwrap().get("services").unwrap());
    assert!(totals.contains("cash") && totals.contains("1001"), "{totals}");
    let mut closing = shop.follow("close", pay.start_settlement("close", HashMap::new())).await.unwrap();
    closing.reached("approval").await;
    seen(&operator, "close").await.approve().await.unwrap();
    let (outcome, closed) = closing.completed().await;
    assert_eq!((outcome.as_str(), get::<bool>(&closed, "balanced")), ("approved", Some(true)), "{closed:?}");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn an_operator_may_only_what_their_roles_say() {
    let bench = bench(&drop_ins("\"payment.start\", \"payment.read\"")).await;
    let (shop, operator) = (bench.shop().await, operator(&bench).await);
    let mut sale = waiting(&shop, "sale").await;
    let cashier = seen(&operator, "sale").await;
    assert_eq!(error_name(cashier.approve().await), "NotPermitted");
    assert_eq!(error_name(cashier.deny("").await), "NotPermitted");
    sale.proxy.cancel().await.unwrap();
    sale.completed().await;
    let pay = &operator.payment;
    assert_eq!(error_name(pay.start_void("sale", "void", HashMap::new()).await), "NotPermitted");
    assert_eq!(error_name(pay.start_refund(1, "CNY", "", "back", HashMap::new()).await), "NotPermitted");
    assert_eq!(error_name(pay.start_settlement("close", HashMap::new()).await), "NotPermitted");
    assert_eq!(operator.sell(1000, "allowed").await.0, "approved");
}

#[tokio::test]
async fn a_card_over_its_limit_waits_in_the_slot_for_a_supervisor_or_is_declined() {
    let mut drop_ins = drop_ins("\"payment.approve\", \"payment.read\", \"device.status\"");
    drop_ins[1].1 =
        "[limits.sale]\ntransaction = 1500\ncard_day = 1000\nover_limit = 'supervisor'\n".to_owned();
    let mut bench = bench(&drop_ins).await;
    let (shop, operator) = (bench.shop().await, operator(&bench).await);
    assert_eq!(shop.sell(900, "within").await.0, "approved");
    let over = async |key: &str| {
        let mut sale = shop.start(200, key).await.unwrap();
        sale.reached("approval").await;
        sale
    };
    let mut sale = over("over").await;
    let supervisor = seen(&operator, "over").await;
    let (listed, _) = operator.payment.list_transactions(option("state", "approval"), "", 10).await.unwrap();
    assert!(text(&listed[0], "over_limit").starts_with("limits.sale.card_day"), "{listed:?}");
    assert!(!text(&listed[0], "masked_pan").is_empty() && text(&listed[0], "host") == "none", "{listed:?}");
    supervisor.approve().await.unwrap();
    let (outcome, result) = sale.completed().await;
    assert_eq!((outcome.as_str(), text(&result, "approver")), ("approved", "li"), "{result:?}");

    let mut denied = over("denied").await;
    seen(&operator, "denied").await.deny("enough").await.unwrap();
    let (outcome, result) = denied.completed().await;
    assert_eq!((outcome.as_str(), text(&result, "host")), ("declined", "none"), "{result:?}");

    // Each limit is asked about by itself.
    let mut twice = shop.start(1600, "twice").await.unwrap();
    twice.reached("approval").await;
    seen(&operator, "twice").await.approve().await.unwrap();
    twice.reached("card-read").await;
    twice.reached("approval").await;
    assert_eq!(twice.proxy.state().await.unwrap(), "approval");
    seen(&operator, "twice").await.approve().await.unwrap();
    assert_eq!(twice.completed().await.0, "approved", "{}", bench.logs());

    let mut left = over("left").await;
    bench.sim("card remove").await;
    let (outcome, result) = left.completed().await;
    assert_eq!((outcome.as_str(), text(&result, "host")), ("failed", "none"), "{result:?}");
    bench.insert("unionpay-credit").await;

    let _ = over("interrupted").await;
    bench.kill_and_restart(Part::Paymentd).await;
    let result = seen(&operator, "interrupted").await.get_result().await.unwrap();
    assert_eq!((text(&result, "outcome"), text(&result, "host")), ("declined", "none"), "{result:?}");
    bench.settle_and_compare().await;
}
