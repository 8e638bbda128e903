//! The D-Bus API as a caller meets it: bad input, keys, callers, errors.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;

use client::card::CardPaymentProxy;
use client::payment::TransactionProxy;
use sim_terminal::Part;
use smartpos_tests::{Bench, Shop, error_name, option, text};
use zbus::Variant;

type Options<'a> = HashMap<&'a str, Variant<'a>>;

#[tokio::test]
async fn malformed_input_is_refused_by_name_and_begins_nothing() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    let long = "k".repeat(65);
    let cases: Vec<(u64, &str, &str, Options<'_>, &str)> = vec![
        (0, "CNY", "k", Options::new(), "amount"),
        (1_000_000_000_000, "CNY", "k", Options::new(), "amount"),
        (u64::MAX, "CNY", "k", Options::new(), "amount"),
        (1, "", "k", Options::new(), "currency"),
        (1, "cny", "k", Options::new(), "currency"),
        (1, "人民币", "k", Options::new(), "currency"),
        (1, "USD", "k", Options::new(), "currency"),
        (1, "CNY", "", Options::new(), "key"),
        (1, "CNY", "two words", Options::new(), "key"),
        (1, "CNY", &long, Options::new(), "key"),
        (1, "CNY", "k", option("ordr", "7"), "options.ordr"),
        (1, "CNY", "k", option("order", 7u32), "options.order"),
        (1, "CNY", "k", option("order", "x".repeat(33)), "options.order"),
        (1, "CNY", "k", option("print", "yes"), "options.print"),
    ];
    for (amount, currency, key, options, name) in cases {
        let answer = shop.payment.start_sale(amount, currency, key, options).await;
        let Err(zbus::Error::MethodError(error, Some(message), _)) = &answer else {
            panic!("{name}: {answer:?}")
        };
        assert_eq!(error.as_str(), "org.smartpos.Error.InvalidArgument");
        assert!(message.starts_with(&format!("{name}:")), "{message}");
    }
    let (page, next) = shop.payment.list_transactions(Options::new(), "", 100).await.unwrap();
    assert!(page.is_empty() && next.is_empty());
}

#[tokio::test]
async fn the_same_key_gives_the_same_transaction_while_it_runs_after_it_ended_and_after_a_restart() {
    let mut bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    bench.sim("host once late 300ms").await;
    let shop = bench.shop().await;
    let mut sale = shop.start(1234, "order-1").await.unwrap();
    let path = shop.path("order-1");
    sale.reached("host").await;
    let again = async || shop.payment.start_sale(1234, "CNY", "order-1", Options::new()).await.unwrap();
    assert_eq!(again().await, path);
    assert_eq!(sale.completed().await.0, "approved");
    assert_eq!(again().await, path);
    bench.kill_and_restart(Part::Paymentd).await;
    assert_eq!(again().await, path);
    assert_eq!(shop.payment.get_transaction("order-1").await.unwrap(), path);
    let proxy = client::proxy_at::<TransactionProxy>(&shop.bus, path).await.unwrap();
    assert_eq!(text(&proxy.get_result().await.unwrap(), "outcome"), "approved");
    assert_eq!(proxy.state().await.unwrap(), "final");
    // The key belongs to that sale alone.
    let other = shop.payment.start_sale(1235, "CNY", "order-1", Options::new()).await;
    assert_eq!(error_name(other), "InvalidArgument");
    assert_eq!(bench.sim("ledger").await.data.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_second_sale_while_one_runs_is_told_that_the_terminal_is_busy() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    let mut sale = shop.start(1234, "first").await.unwrap();
    sale.reached("insert-card").await;
    assert_eq!(shop.payment.state().await.unwrap(), "busy");
    assert_eq!(error_name(shop.payment.start_sale(1, "CNY", "second", Options::new()).await), "Busy");
    sale.proxy.cancel().await.unwrap();
    sale.completed().await;
    assert_eq!(shop.payment.state().await.unwrap(), "ready");
}

#[tokio::test]
async fn apps_can_reach_neither_card_payments_nor_what_they_were_not_granted() {
    let grants = "[apps.\"dev.example.shop\"]\npermissions = [\"payment.read\"]\n";
    let bench = Bench::start_with(&[("smartpos", grants)]).await;
    let shop = bench.shop().await;
    assert_eq!(error_name(shop.payment.start_sale(1, "CNY", "k", Options::new()).await), "NotPermitted");
    assert_eq!(error_name(shop.payment.get_transaction("k").await), "NotFound");
    // The journal holds everybody's: it is for the operator, and nobody can be granted it.
    assert_eq!(error_name(shop.payment.get_journal_head().await), "NotPermitted");
    assert_eq!(error_name(shop.payment.read_journal(0, 1).await), "NotPermitted");
    // On the app bus there is no such interface; on the system bus it is paymentd's alone.
    let buses = [bench.terminal.app_bus().await.unwrap(), bench.terminal.system_bus().await.unwrap()];
    for (bus, expected) in buses.iter().zip(["org.freedesktop.DBus.Error.UnknownInterface", "NotPermitted"]) {
        let card = client::proxy::<CardPaymentProxy>(bus).await.unwrap();
        assert_eq!(error_name(card.mac("mak", b"pay me").await), expected);
        assert_eq!(error_name(card.start(1, "CNY", "261122120000", 1, Options::new()).await), expected);
    }
}

#[tokio::test]
async fn pages_of_the_journal_are_complete_and_in_order_and_the_operator_sees_all() {
    let bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    for number in 0..5 {
        shop.sell(100 + number, &format!("order-{number}")).await;
    }
    let operator = Shop::new(bench.terminal.system_bus().await.unwrap(), "operator").await;
    operator.sell(900, "own").await;
    let mut keys = Vec::new();
    let mut cursor = String::new();
    loop {
        let (page, next) = operator.payment.list_transactions(Options::new(), &cursor, 2).await.unwrap();
        keys.extend(page.iter().map(|entry| text(entry, "key").to_string()));
        if next.is_empty() {
            break;
        }
        cursor = next;
    }
    assert_eq!(keys, ["own", "order-4", "order-3", "order-2", "order-1", "order-0"]);
    let (own, _) = shop.payment.list_transactions(option("outcome", "approved"), "", 100).await.unwrap();
    assert_eq!(own.len(), 5, "an app does not see the operator's");
    for (filter, cursor, limit) in [
        (option("state", "lost"), "", 1),
        (option("colour", "red"), "", 1),
        (Options::new(), "x", 1),
        (Options::new(), "", 0),
    ] {
        let refused = shop.payment.list_transactions(filter, cursor, limit).await;
        assert_eq!(error_name(refused), "InvalidArgument");
    }
}

#[tokio::test]
async fn a_terminal_without_its_secure_module_refuses_and_stays_up() {
    let mut bench = Bench::start().await;
    bench.terminal.kill(Part::Module).await.unwrap();
    let shop = bench.shop().await;
    let (outcome, result) = shop.sell(1234, "no-module").await;
    assert_eq!(outcome, "failed", "{result:?}");
    assert!(!text(&result, "reason").is_empty());
    bench.terminal.restart(Part::Module).await.unwrap();
    bench.sim("card insert unionpay-credit").await;
    let again =
        async || shop.sell(1234, &format!("again-{}", bench.folder().display()).replace('/', "")).await;
    bench.module_is("ready").await;
    assert_eq!(again().await.0, "approved", "{}", bench.logs());
}

#[tokio::test]
async fn a_host_whose_certificate_does_not_chain_is_not_spoken_to() {
    let mut bench = Bench::start().await;
    let other = Bench::start().await;
    let root = std::fs::read(other.terminal.layout().pki().join("root-ca.pem")).unwrap();
    let credentials = bench.terminal.layout().credentials(Part::Paymentd);
    std::fs::write(credentials.join("host-root-ca.pem"), root).unwrap();
    bench.kill_and_restart(Part::Paymentd).await;
    bench.sim("card insert unionpay-credit").await;
    let (outcome, result) = bench.shop().await.sell(1234, "order-1").await;
    assert_eq!(outcome, "failed", "{result:?}");
    assert!(text(&result, "reason").contains("certificate"), "{result:?}");
    assert!(bench.sim("ledger").await.data.as_array().unwrap().is_empty());
}

#[tokio::test]
async fn looking_up_many_old_sales_leaves_the_running_one_alone() {
    let bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    for number in 0..40 {
        shop.sell(1, &format!("old-{number}")).await;
    }
    bench.sim("card remove").await;
    let mut sale = shop.start(1234, "running").await.unwrap();
    sale.reached("insert-card").await;
    for number in 0..40 {
        shop.payment.get_transaction(&format!("old-{number}")).await.unwrap();
    }
    assert_eq!(shop.payment.state().await.unwrap(), "busy");
    assert_eq!(error_name(shop.payment.start_sale(1, "CNY", "second", Options::new()).await), "Busy");
    sale.proxy.cancel().await.unwrap();
    assert_eq!(sale.completed().await.0, "cancelled");
}
