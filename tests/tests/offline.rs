//! Store-and-forward: sales that card and terminal approve without the host, and the advices that tell it.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;

use client::get;
use client::payment::PaymentProxy;
use sim_terminal::Part;
use smartpos_tests::{Bench, Shop, allow_offline, error_name, option, text, until};

/// How much may wait.
const LIMITS: &str = "[offline]\ncount = 2\nsum = 9000\nage_h = 24\n";
/// The floor limit: below it the host need not be asked.
const FLOOR: u64 = 6000;

/// A terminal that may approve offline, with a card that does up to 100.00.
async fn bench() -> (Bench, Shop) {
    let mut bench = Bench::start_with(&[("paymentd", LIMITS)]).await;
    allow_offline(&mut bench, &[("floor_limit = 0", &format!("floor_limit = {FLOOR}"))]).await;
    bench.sim("card insert approves-offline").await;
    let shop = Shop::new(bench.terminal.system_bus().await.unwrap(), "operator").await;
    (bench, shop)
}

async fn away(bench: &mut Bench) {
    bench.terminal.kill(Part::Acquirer).await.unwrap();
}

async fn back(bench: &mut Bench) {
    bench.terminal.restart(Part::Acquirer).await.unwrap();
}

async fn all_told(payment: &PaymentProxy<'_>) {
    until("the host to know of all sales", async || payment.stored_sales().await == Ok(0)).await;
}

async fn advice(shop: &Shop, key: &str) -> (String, String) {
    let proxy = shop.payment.get_transaction(key).await.unwrap();
    let sale = client::proxy_at::<client::payment::TransactionProxy>(&shop.bus, proxy).await.unwrap();
    let result = sale.get_result().await.unwrap();
    (text(&result, "advice").to_string(), text(&result, "host").to_string())
}

async fn totals(shop: &Shop) -> (u32, u64) {
    let totals = shop.payment.get_totals().await.unwrap();
    (get(&totals, "debit_count").unwrap(), get(&totals, "debit_amount").unwrap())
}

#[tokio::test]
async fn a_sale_below_the_floor_limit_is_approved_by_the_card_and_the_host_is_told() {
    let (bench, shop) = bench().await;
    let (outcome, result) = shop.sell(5000, "small").await;
    assert_eq!(outcome, "approved", "{result:?}\n{}", bench.logs());
    assert!(["stored", "sent", "acknowledged"].contains(&text(&result, "advice")), "{result:?}");
    all_told(&shop.payment).await;
    assert_eq!(advice(&shop, "small").await, ("acknowledged".to_string(), "approved".to_string()));
    // At the floor limit the host is asked.
    let (outcome, result) = shop.sell(FLOOR, "large").await;
    assert_eq!((outcome.as_str(), text(&result, "advice")), ("approved", ""), "{result:?}");
    let ledger = bench.sim("ledger").await.data;
    assert_eq!((ledger[0]["mti"].as_str(), ledger[1]["mti"].as_str()), (Some("0220"), Some("0200")));
    assert_eq!(totals(&shop).await, (2, 5000 + FLOOR));
    let (outcome, result) = shop.run("undo", shop.payment.start_void("small", "undo", HashMap::new())).await;
    assert_eq!((outcome.as_str(), text(&result, "type")), ("approved", "void"), "{result:?}");
    bench.settle_and_compare().await;
    let paper = bench.terminal.layout().paper().join("receipt-0001.txt");
    until("the receipt", async || paper.exists()).await;
    let receipt = std::fs::read_to_string(paper).unwrap();
    assert!(receipt.contains("APPROVED OFFLINE") && receipt.contains("50.00"), "{receipt}");
}

#[tokio::test]
async fn sales_wait_for_a_host_that_is_away_within_limits_and_come_before_everything_else() {
    let (mut bench, shop) = bench().await;
    away(&mut bench).await;
    for key in ["first", "second"] {
        let (outcome, result) = shop.sell(3000, key).await;
        assert_eq!(outcome, "approved", "{result:?}\n{}", bench.logs());
    }
    assert_eq!(shop.payment.stored_sales().await, Ok(2));
    let warnings = shop.payment.warnings().await.unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("2 offline sales of 60.00 CNY")), "{warnings:?}");
    assert_eq!(shop.sell(1000, "one-too-many").await.0, "failed", "the limit of their number");
    let refund = shop.payment.start_refund(1, "CNY", "first", "refund", HashMap::new()).await;
    assert_eq!(error_name(refund), "WrongState", "the host knows of nothing to refund");
    // A restart forgets nothing.
    bench.kill_and_restart(Part::Paymentd).await;
    let shop = Shop::new(shop.bus.clone(), "operator").await;
    back(&mut bench).await;
    let (outcome, result) = shop.sell(8000, "online").await;
    assert_eq!(outcome, "approved", "{result:?}\n{}", bench.logs());
    let ledger = bench.sim("ledger").await.data;
    let booked: Vec<_> = ledger.as_array().unwrap().iter().map(|entry| entry["amount"].as_u64()).collect();
    assert_eq!(booked, [Some(3000), Some(3000), Some(8000)]);
    let (outcome, closed) = shop.run("close", shop.payment.start_settlement("close", HashMap::new())).await;
    assert_eq!((outcome.as_str(), get::<bool>(&closed, "balanced")), ("approved", Some(true)), "{closed:?}");
    assert_eq!((get(&closed, "debit_count"), get(&closed, "debit_amount")), (Some(3_u32), Some(14_000_u64)));
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_void_of_what_the_host_was_not_told_never_goes_there() {
    let (mut bench, shop) = bench().await;
    away(&mut bench).await;
    assert_eq!(shop.sell(3000, "sale").await.0, "approved");
    let tried = advice(&shop, "sale").await;
    assert_eq!(tried, ("stored".to_string(), "none".to_string()), "nothing left for a host that is away");
    let (outcome, result) = shop.run("undo", shop.payment.start_void("sale", "undo", HashMap::new())).await;
    assert_eq!((outcome.as_str(), text(&result, "type")), ("approved", "offline-void"), "{result:?}");
    assert_eq!(advice(&shop, "sale").await, ("withdrawn".to_string(), "none".to_string()));
    assert_eq!((totals(&shop).await, shop.payment.stored_sales().await), ((0, 0), Ok(0)));
    let again = shop.payment.start_void("sale", "again", HashMap::new()).await;
    assert_eq!(error_name(again), "WrongState");
    back(&mut bench).await;
    assert_eq!(shop.sell(8000, "online").await.0, "approved", "{}", bench.logs());
    assert_eq!(bench.sim("ledger").await.data.as_array().map(Vec::len), Some(1));
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn an_advice_is_repeated_until_it_is_answered_and_booked_once() {
    let (bench, shop) = bench().await;
    for rule in ["0220 silent", "0220 drop after", "0220 wrong mac", "0220 decline 91"] {
        bench.sim(&format!("host once {rule}")).await;
    }
    assert_eq!(shop.sell(3000, "sale").await.0, "approved");
    // What may have been sent can't be taken back without the host.
    until("the first advice", async || advice(&shop, "sale").await.0 == "sent").await;
    let void = shop.payment.start_void("sale", "undo", HashMap::new()).await;
    assert_eq!(error_name(void), "WrongState");
    all_told(&shop.payment).await;
    assert_eq!(bench.sim("ledger").await.data.as_array().map(Vec::len), Some(1), "{}", bench.logs());
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_receipt_that_has_to_wait_for_the_printer_forgets_nothing_that_the_host_said() {
    let (mut bench, shop) = bench().await;
    bench.terminal.kill(Part::Printerd).await.unwrap();
    assert_eq!(shop.sell(3000, "sale").await.0, "approved");
    all_told(&shop.payment).await;
    bench.terminal.restart(Part::Printerd).await.unwrap();
    until("the receipt", async || {
        let path = shop.payment.get_transaction("sale").await.unwrap();
        let sale = client::proxy_at::<client::payment::TransactionProxy>(&shop.bus, path).await.unwrap();
        !text(&sale.get_result().await.unwrap(), "receipt_job").is_empty()
    })
    .await;
    assert_eq!(advice(&shop, "sale").await, ("acknowledged".to_string(), "approved".to_string()));
    assert_eq!(shop.payment.stored_sales().await, Ok(0));
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_sale_that_the_host_refuses_afterwards_is_told_and_counts_nowhere() {
    let (bench, shop) = bench().await;
    bench.sim("host once 0220 decline 05").await;
    assert_eq!(shop.sell(3000, "sale").await.0, "approved");
    all_told(&shop.payment).await;
    assert_eq!(advice(&shop, "sale").await, ("refused".to_string(), "declined".to_string()));
    let warnings = shop.payment.warnings().await.unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("refused 1 offline sales")), "{warnings:?}");
    assert_eq!(totals(&shop).await, (0, 0));
    let (_, closed) = shop.run("close", shop.payment.start_settlement("close", HashMap::new())).await;
    assert_eq!(get::<bool>(&closed, "balanced"), Some(true), "{closed:?}");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_card_that_wants_a_host_which_is_away_may_approve_itself() {
    let mut bench = Bench::start_with(&[("paymentd", LIMITS)]).await;
    // Each sale is selected for the host by chance, and no default action code is against an approval without it.
    let changes = [
        ("floor_limit = 0", "floor_limit = 6000"),
        ("random_target_percent = 0", "random_target_percent = 99"),
        ("random_max_percent = 0", "random_max_percent = 99"),
        ("tac_default = \"DC4000F800\"", "tac_default = \"DC4000A800\""),
    ];
    allow_offline(&mut bench, &changes).await;
    bench.sim("card insert approves-offline").await;
    let shop = bench.shop().await;
    let (outcome, result) = shop.sell(3000, "online").await;
    assert_eq!((outcome.as_str(), text(&result, "advice")), ("approved", ""), "{result:?}");
    away(&mut bench).await;
    let (outcome, result) = shop.sell(3000, "offline").await;
    assert_eq!((outcome.as_str(), text(&result, "advice")), ("approved", "stored"), "{result:?}");
    // A card that approves nothing by itself.
    bench.sim("card remove").await;
    bench.sim("card insert unionpay-credit").await;
    assert_eq!(shop.sell(3000, "refused").await.0, "failed");
    back(&mut bench).await;
    all_told(&shop.payment).await;
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn the_shipped_terminal_is_online_only_and_instalments_always_are() {
    let bench = Bench::start().await;
    bench.sim("card insert approves-offline").await;
    let (outcome, result) = bench.shop().await.sell(100, "shipped").await;
    assert_eq!((outcome.as_str(), text(&result, "advice")), ("approved", ""), "{result:?}");
    bench.settle_and_compare().await;
    let (bench, shop) = self::bench().await;
    let plan = shop.payment.start_sale(1200, "CNY", "plan", option("instalments", 12_u32));
    let (outcome, result) = shop.run("plan", plan).await;
    assert_eq!((outcome.as_str(), text(&result, "advice")), ("approved", ""), "{result:?}");
    bench.settle_and_compare().await;
}
