//! Sales by each kind of card and answer, through the production daemons.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use smartpos_tests::{Bench, text};

#[tokio::test]
async fn a_card_sale_is_approved_printed_and_booked_by_the_host() {
    let bench = Bench::start().await;
    bench.insert("unionpay-debit-pin").await;
    let shop = bench.shop().await;
    let mut sale = shop.start(1234, "order-1").await.unwrap();
    sale.reached("pin").await;
    sale.reached("host").await;
    let (outcome, result) = sale.completed().await;
    assert_eq!(outcome, "approved", "{result:?}\n{}", bench.logs());
    assert_eq!(text(&result, "cvm"), "online-pin");
    assert!(text(&result, "masked_pan").contains('*'));
    let ledger = bench.sim("ledger").await.data;
    assert_eq!(ledger[0]["amount"], 1234);
    assert_eq!(ledger[0]["approval"], text(&result, "approval"));
    bench.settle_and_compare().await;
    let paper = bench.terminal.layout().paper().join("receipt-0001.txt");
    smartpos_tests::until("the receipt", async || paper.exists()).await;
    let receipt = std::fs::read_to_string(paper).unwrap();
    for line in ["12.34", "消费", text(&result, "masked_pan"), text(&result, "cryptogram")] {
        assert!(receipt.contains(line), "`{line}` is not on the receipt:\n{receipt}");
    }
    bench.terminal.stop().await.expect("every part ends with success");
}

#[tokio::test]
async fn each_card_ends_as_it_has_to() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    let cards = [
        ("unionpay-credit", "approved"),
        ("visa", "approved"),
        ("mastercard", "approved"),
        ("t0-exchange", "approved"),
        ("no-pse", "approved"),
        ("cda", "approved"),
        ("cda-wrong-first", "declined"),
        ("cda-wrong-second", "reversed"),
        ("declined", "declined"),
        ("expired", "declined"),
        ("insufficient", "declined"),
        ("declines-second", "reversed"),
        ("refuses-arpc", "reversed"),
        ("chip-mute", "failed"),
        ("blocked-card", "failed"),
        ("removed-early", "failed"),
    ];
    for (card, expected) in cards {
        bench.insert(card).await;
        let (outcome, result) = shop.sell(5000, card).await;
        assert_eq!(outcome, expected, "{card}: {result:?}\n{}", bench.logs());
        assert_eq!(text(&result, "outcome"), expected);
        assert_eq!(text(&result, "reason").is_empty(), expected == "approved", "{card}: {result:?}");
        let _ = bench.terminal.simctl(&["card", "remove"]).await;
    }
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_wrong_pin_is_declined_by_the_host() {
    let bench = Bench::start().await;
    bench.sim("card insert unionpay-debit-pin").await;
    bench.sim("pin 654321").await;
    let (outcome, result) = bench.shop().await.sell(1234, "order-1").await;
    assert_eq!((outcome.as_str(), text(&result, "response_code")), ("declined", "55"), "{result:?}");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn the_app_can_call_a_sale_off_until_the_host_is_asked() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    let mut sale = shop.start(1234, "no-card").await.unwrap();
    sale.reached("insert-card").await;
    assert!(sale.proxy.cancellable().await.unwrap());
    sale.proxy.cancel().await.unwrap();
    assert_eq!(sale.completed().await.0, "cancelled");

    bench.sim("card insert unionpay-debit-pin").await;
    let mut sale = shop.start(1234, "no-pin").await.unwrap();
    sale.reached("pin").await;
    sale.proxy.cancel().await.unwrap();
    assert_eq!(sale.completed().await.0, "cancelled");

    bench.sim("host once late 300ms").await;
    bench.sim("pin 123456").await;
    let mut sale = shop.start(1234, "too-late").await.unwrap();
    sale.reached("host").await;
    assert!(!sale.proxy.cancellable().await.unwrap());
    sale.proxy.cancel().await.unwrap();
    assert_eq!(sale.completed().await.0, "approved", "what the host approved stands\n{}", bench.logs());
    assert_eq!(smartpos_tests::error_name(sale.proxy.cancel().await), "WrongState");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn an_app_that_vanishes_before_the_host_is_asked_calls_its_sale_off() {
    let bench = Bench::start().await;
    let leaving = bench.shop().await;
    let mut sale = leaving.start(1234, "order-1").await.unwrap();
    sale.reached("insert-card").await;
    drop(sale);
    drop(leaving);
    let shop = bench.shop().await;
    // Listing follows nothing: whoever follows a sale keeps it from being called off.
    smartpos_tests::until("the sale to be called off", async || {
        let filter = smartpos_tests::option("outcome", "cancelled");
        let (found, _) = shop.payment.list_transactions(filter, "", 1).await.unwrap();
        found.iter().any(|entry| text(entry, "key") == "order-1")
    })
    .await;
}
