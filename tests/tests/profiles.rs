//! Each shipped dialect of a host, from the sign-on to the settlement, against a host that speaks it strictly.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;

use client::get;
use sim_terminal::Part;
use smartpos_tests::{Bench, text};

/// A sale with a PIN, one without, a void, a refund, a reversal of an answer with a wrong MAC, and the settlement.
async fn a_day_of_business(profile: &str) {
    let bench = Bench::start_as(&[], |terminal| terminal.host_profile(profile)).await;
    let shop = bench.shop().await;
    let pay = &shop.payment;
    let expect = |wanted: &str, (outcome, result): (String, client::Dictionary)| {
        assert_eq!(outcome, wanted, "{profile}: {result:?}\n{}", bench.logs());
        result
    };

    bench.insert("unionpay-debit-pin").await;
    let sale = expect("approved", shop.sell(1234, "with-pin").await);
    assert_eq!(text(&sale, "cvm"), "online-pin");
    bench.sim("pin 654321").await;
    let wrong = expect("declined", shop.sell(1234, "wrong-pin").await);
    assert_eq!(text(&wrong, "response_code"), "55", "the host read the PIN, and it is another one");
    bench.sim("card remove").await;

    bench.insert("unionpay-credit").await;
    expect("approved", shop.sell(5000, "sale").await);
    expect("approved", shop.sell(2000, "mistake").await);
    expect("approved", shop.run("void", pay.start_void("mistake", "void", HashMap::new())).await);
    let refund = pay.start_refund(1000, "CNY", "sale", "refund", HashMap::new());
    expect("approved", shop.run("refund", refund).await);

    bench.sim("host once wrong mac").await;
    let doubtful = expect("reversed", shop.sell(700, "doubtful").await);
    assert!(text(&doubtful, "reason").contains("not authentic"), "{doubtful:?}");
    bench.settle_and_compare().await;

    let closed = expect("approved", shop.run("close", pay.start_settlement("close", HashMap::new())).await);
    assert_eq!(get::<bool>(&closed, "balanced"), Some(true), "{closed:?}");
    assert_eq!(get::<u64>(&closed, "debit_amount"), Some(6234));
    assert_eq!(get::<u64>(&closed, "credit_amount"), Some(1000));
    bench.settle_and_compare().await;
}

/// What the days above have not: an original that is held, raised, taken in part, and given back; and a batch that the host
/// has uploaded to it.
async fn a_reservation_and_an_upload(profile: &str) {
    let bench = Bench::start_as(&[], |terminal| terminal.host_profile(profile)).await;
    let shop = bench.shop().await;
    let pay = &shop.payment;
    let none = HashMap::new;
    bench.insert("unionpay-credit").await;
    let held = pay.start_preauthorisation(1000, "CNY", "hold", none());
    let raised = pay.start_increment(200, "hold", "raise", none());
    let taken = pay.start_completion(1380, "hold", "take", none());
    let returned = pay.start_void("take", "return", none());
    let cancelled = pay.start_cancellation("hold", "let-go", none());
    for (key, outcome) in [
        ("hold", shop.run("hold", held).await),
        ("raise", shop.run("raise", raised).await),
        ("take", shop.run("take", taken).await),
        ("return", shop.run("return", returned).await),
        ("let-go", shop.run("let-go", cancelled).await),
        ("balance", shop.run("balance", pay.start_balance_inquiry("balance", none())).await),
    ] {
        assert_eq!(outcome.0, "approved", "{profile}: {key}: {:?}\n{}", outcome.1, bench.logs());
    }
    bench.sim("host once late 20s").await;
    assert_eq!(shop.sell(300, "late").await.0, "reversed");
    assert_eq!(shop.sell(800, "sale").await.0, "approved");
    bench.settle_and_compare().await;

    bench.sim("host once 0500 unbalanced").await;
    let (outcome, closed) = shop.run("close", pay.start_settlement("close", none())).await;
    assert_eq!(outcome, "approved", "{profile}: {closed:?}\n{}", bench.logs());
    assert_eq!(get::<bool>(&closed, "balanced"), Some(false), "{closed:?}");
    assert_eq!(get::<u32>(&closed, "uploaded"), Some(1), "{closed:?}");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_day_of_business_in_ascii_with_macs_by_x9_19() {
    a_day_of_business("iso8583-1987-ascii").await;
}

#[tokio::test]
async fn a_reservation_and_an_upload_in_ascii() {
    a_reservation_and_an_upload("iso8583-1987-ascii").await;
}

#[tokio::test]
async fn a_day_of_business_with_a_key_for_each_message() {
    a_day_of_business("p2pe-dukpt").await;
}

#[tokio::test]
async fn a_reservation_and_an_upload_with_a_key_for_each_message() {
    a_reservation_and_an_upload("p2pe-dukpt").await;
}

/// The module restarts from its file alone, as after a power cut: the host has seen what it gave before.
#[tokio::test]
async fn no_restart_of_the_module_repeats_a_key_and_a_host_that_saw_one_says_so() {
    let mut bench = Bench::start_as(&[], |terminal| terminal.host_profile("p2pe-dukpt")).await;
    let shop = bench.shop().await;
    bench.insert("unionpay-credit").await;
    assert_eq!(shop.sell(100, "before").await.0, "approved");
    let forgotten = std::fs::read(bench.terminal.layout().module_store()).unwrap();
    bench.kill_and_restart(Part::Module).await;
    bench.module_is("ready").await;
    bench.insert("unionpay-credit").await;
    assert_eq!(shop.sell(200, "after").await.0, "approved", "{}", bench.logs());

    // A module that forgot, against the rules: what it makes is refused, and the doubt undone as soon as it has caught up.
    bench.terminal.kill(Part::Module).await.unwrap();
    std::fs::write(bench.terminal.layout().module_store(), forgotten).unwrap();
    bench.terminal.restart(Part::Module).await.unwrap();
    bench.module_is("ready").await;
    bench.insert("unionpay-credit").await;
    let (outcome, refused) = shop.sell(300, "again").await;
    assert_eq!(outcome, "reversed", "{refused:?}\n{}", bench.logs());
    let ledger = bench.sim("ledger").await.text;
    assert!(ledger.contains("the key serial number was there already"), "{ledger}");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_day_of_business_with_tdes() {
    a_day_of_business("unionpay-direct").await;
}

#[tokio::test]
async fn a_day_of_business_with_sm4() {
    a_day_of_business("unionpay-direct-sm4").await;
}

#[tokio::test]
async fn a_host_with_a_key_for_each_message_that_would_take_stored_sales_is_refused_at_the_start() {
    let shipped = include_str!("../../config/hosts/p2pe-dukpt.toml");
    let offline = "[offline]\nunreachable = true\nagain = []\nadvice = { mti = \"0220\", processing_code = \"000000\", \
                   condition_code = \"00\", card = \"full\" }\n\n[settlement]\n";
    let profile = shipped.replacen("[settlement]\n", offline, 1);
    assert_ne!(profile, shipped, "the shipped profile has changed");
    let mut bench = Bench::start_as(&[], |terminal| terminal.host_profile("p2pe-dukpt")).await;
    let hosts = bench.folder().join("config/hosts");
    std::fs::create_dir_all(&hosts).unwrap();
    std::fs::write(hosts.join("p2pe-dukpt.toml"), profile).unwrap();
    assert!(bench.terminal.restart(Part::Paymentd).await.is_err());
    assert!(bench.logs().contains("not under DUKPT; leave [offline] out"), "{}", bench.logs());
}
