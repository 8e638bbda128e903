//! The line to the acquirer: which address is called, which connection is kept, and whose answer is believed.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::fs;

use client::payment::PaymentProxy;
use sim_terminal::Part;
use smartpos_tests::{Bench, text, until};
use tokio::net::TcpListener;

const PROFILE: &str = include_str!("../../config/hosts/unionpay-direct.toml");

/// A terminal whose host profile differs from the shipped one in these lines.
async fn with_profile(changes: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::start().await;
    let mut profile = PROFILE.to_string();
    for (from, to) in changes {
        assert!(profile.contains(from), "the shipped profile says `{from}` no longer");
        profile = profile.replacen(from, to, 1);
    }
    let hosts = bench.folder().join("config/hosts");
    fs::create_dir_all(&hosts).unwrap();
    fs::write(hosts.join("unionpay-direct.toml"), profile).unwrap();
    bench.terminal.restart(Part::Paymentd).await.expect("paymentd takes the profile");
    bench.sim("card insert unionpay-credit").await;
    bench
}

/// A terminal that keeps its connection open, and waits for it.
async fn persistent(changes: &[(&str, &str)]) -> Bench {
    let kept = [("persistent = false", "persistent = true"), ("retry_s = [1,", "retry_s = [0,")];
    let bench = with_profile(&[&kept, changes].concat()).await;
    until("a connection", async || connections(&bench).await == 1).await;
    bench
}

/// How many connections the host has seen.
async fn connections(bench: &Bench) -> u64 {
    bench.sim("host status").await.data.get("connections").and_then(|count| count.as_u64()).unwrap()
}

fn log(bench: &Bench, part: Part) -> String {
    fs::read_to_string(bench.terminal.layout().log(part)).unwrap()
}

#[tokio::test]
async fn a_kept_connection_serves_one_transaction_after_the_other() {
    let bench = persistent(&[]).await;
    let shop = bench.shop().await;
    for key in ["first", "second", "third"] {
        assert_eq!(shop.sell(700, key).await.0, "approved", "{}", bench.logs());
    }
    assert_eq!(connections(&bench).await, 1);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn without_a_kept_connection_each_exchange_has_its_own_and_an_idle_terminal_has_none() {
    let bench = with_profile(&[]).await;
    let shop = bench.shop().await;
    assert_eq!(connections(&bench).await, 0);
    assert_eq!(shop.sell(700, "first").await.0, "approved");
    // The sign-on's, and the sale's.
    assert_eq!(connections(&bench).await, 2);
}

#[tokio::test]
async fn a_kept_connection_that_the_host_closed_is_made_again_and_no_request_is_lost_on_it() {
    let bench = persistent(&[]).await;
    let shop = bench.shop().await;
    for round in 1..=3 {
        assert_eq!(shop.sell(700, &format!("sale-{round}")).await.0, "approved");
        // Working keys are gone, too: the first answer says so, and the sale after it signs on.
        bench.sim("host restart").await;
        until("a new connection", async || connections(&bench).await == 1 + round).await;
        let (outcome, result) = shop.sell(700, &format!("without-keys-{round}")).await;
        assert_eq!((outcome.as_str(), text(&result, "reason").contains("authentic")), ("reversed", true));
    }
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_quiet_connection_is_tested_with_an_echo_and_one_that_does_not_answer_it_is_given_up() {
    let bench = persistent(&[("after_s = 60", "after_s = 1"), ("connect_s = 10", "connect_s = 1")]).await;
    until("two echoes", async || log(&bench, Part::Acquirer).matches("0820 STAN").count() >= 2).await;
    assert_eq!(connections(&bench).await, 1);
    bench.sim("host once 0820 silent").await;
    until("another connection", async || connections(&bench).await == 2).await;
    assert!(log(&bench, Part::Paymentd).contains("does not answer an echo"));
    assert_eq!(bench.shop().await.sell(700, "sale").await.0, "approved");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn an_address_that_refuses_and_one_that_fails_at_tls_are_passed_over() {
    // Nobody listens on the first, and the second hangs up on whoever says hello.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = nobody.local_addr().unwrap();
    drop(nobody);
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let failing = plain.local_addr().unwrap();
    tokio::spawn(async move { while plain.accept().await.is_ok() {} });

    let mut bench = with_profile(&[]).await;
    let host = bench.terminal.address(Part::Acquirer).unwrap();
    let drop_in =
        format!("[host]\naddress = \"{refusing}\"\nfurther_addresses = [\"{failing}\", \"{host}\"]\n");
    fs::write(bench.folder().join("config/paymentd.toml.d/9.toml"), drop_in).unwrap();
    bench.terminal.restart(Part::Paymentd).await.unwrap();
    let shop = bench.shop().await;
    for key in ["first", "second"] {
        assert_eq!(shop.sell(700, key).await.0, "approved", "{}", bench.logs());
    }
    // It remembers which one answered: the others were called once, for the sign-on.
    assert_eq!(log(&bench, Part::Paymentd).matches(&format!("{host} answered")).count(), 1);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_late_answer_is_not_taken_for_that_to_the_next_request() {
    let bench = persistent(&[]).await;
    let shop = bench.shop().await;
    bench.sim("host once late 2s").await;
    assert_eq!(shop.sell(700, "late").await.0, "reversed");
    let (outcome, result) = shop.sell(800, "next").await;
    assert_eq!(outcome, "approved", "{result:?}\n{}", bench.logs());
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_duplicate_answer_is_dropped_and_the_next_sale_has_its_own() {
    let bench = persistent(&[]).await;
    let shop = bench.shop().await;
    bench.sim("host once repeat").await;
    let (first, answered) = shop.sell(700, "repeated").await;
    let (second, next) = shop.sell(800, "next").await;
    assert_eq!((first.as_str(), second.as_str()), ("approved", "approved"), "{}", bench.logs());
    assert_ne!(text(&answered, "reference"), text(&next, "reference"));
    assert!(log(&bench, Part::Paymentd).contains("dropped a 0210"), "{}", bench.logs());
    assert_eq!(connections(&bench).await, 1);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn an_answer_to_another_stan_is_dropped_and_our_own_is_taken() {
    let bench = with_profile(&[]).await;
    let shop = bench.shop().await;
    bench.sim("host once stray").await;
    let (outcome, result) = shop.sell(700, "stray").await;
    assert_eq!(outcome, "approved", "{result:?}\n{}", bench.logs());
    assert!(log(&bench, Part::Paymentd).contains("dropped a 0210"), "{}", bench.logs());
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn an_approval_after_the_reversal_changes_nothing() {
    let bench = persistent(&[]).await;
    let shop = bench.shop().await;
    bench.sim("host once after reversal").await;
    let (outcome, result) = shop.sell(700, "too-late").await;
    assert_eq!(outcome, "reversed", "{result:?}");
    until("the approval to come, and be dropped", async || {
        log(&bench, Part::Paymentd).contains("dropped a 0210")
    })
    .await;
    assert_eq!(shop.sell(800, "next").await.0, "approved", "{}", bench.logs());
    bench.settle_and_compare().await;
    let ledger = bench.sim("ledger").await.data;
    let first = ledger.as_array().unwrap().iter().find(|entry| entry["amount"] == 700).unwrap();
    assert_eq!(first["state"], "reversed", "{ledger}");
}

#[tokio::test]
async fn a_host_whose_clock_is_far_from_ours_is_told_to_the_operator() {
    let bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    let bus = bench.terminal.system_bus().await.unwrap();
    let payment = PaymentProxy::new(&bus).await.unwrap();
    assert_eq!(payment.warnings().await.unwrap(), [""; 0]);
    bench.sim("host once 0800 wrong clock").await;
    assert_eq!(shop.sell(700, "first").await.0, "approved");
    let warnings = payment.warnings().await.unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("minutes apart")), "{warnings:?}");
}

#[tokio::test]
async fn the_clock_of_a_host_that_is_only_echoed_is_looked_at_too_and_a_warning_goes_when_it_is_right_again()
{
    let bench = persistent(&[("after_s = 60", "after_s = 1")]).await;
    let bus = bench.terminal.system_bus().await.unwrap();
    let payment = client::proxy::<PaymentProxy>(&bus).await.unwrap();
    bench.sim("host 0820 wrong clock").await;
    let told =
        async || payment.warnings().await.unwrap().iter().any(|warning| warning.contains("minutes apart"));
    until("a warning", &told).await;
    bench.sim("host 0820 approve").await;
    until("none", async || !told().await).await;
}
