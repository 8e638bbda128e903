//! Sales by cards that verify a PIN themselves, through the production daemons.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use smartpos_tests::{Bench, Shop, text};

/// Byte 3 of the TVR: PIN try limit exceeded.
const TRY_LIMIT_EXCEEDED: u8 = 0x20;

async fn insert(bench: &Bench, card: &str, pins: &[&str]) {
    let _ = bench.terminal.simctl(&["card", "remove"]).await;
    let _ = bench.terminal.simctl(&["pin", "clear"]).await;
    bench.sim(&format!("card insert {card}")).await;
    for pin in pins {
        bench.sim(&format!("pin {pin}")).await;
    }
}

/// Sells, which is approved: how the cardholder was verified, DE 22, and byte 3 of the TVR.
async fn sell(bench: &Bench, shop: &Shop, key: &str) -> (String, String, u8) {
    let (outcome, result) = shop.sell(5000, key).await;
    assert_eq!(outcome, "approved", "{key}: {result:?}\n{}", bench.logs());
    let tvr = hex::decode(text(&result, "tvr")).unwrap();
    (text(&result, "cvm").to_owned(), text(&result, "entry_mode").to_owned(), *tvr.get(2).unwrap())
}

#[tokio::test]
async fn a_pin_that_the_card_finds_right_is_on_the_receipt_and_not_in_the_message() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    insert(&bench, "offline-pin-enciphered", &["1234"]).await;
    let (cvm, entry_mode, ..) = sell(&bench, &shop, "order-1").await;
    assert_eq!((cvm.as_str(), entry_mode.as_str()), ("offline-pin", "052"));
    bench.settle_and_compare().await;
    let paper = bench.terminal.layout().paper().join("receipt-0001.txt");
    smartpos_tests::until("the receipt", async || paper.exists()).await;
    let receipt = std::fs::read_to_string(paper).unwrap();
    assert!(receipt.contains("PIN VERIFIED"), "{receipt}");
}

#[tokio::test]
async fn each_card_verifies_its_pin_in_its_way() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    let none: &[&str] = &[];
    for (card, pins, cvm, tvr) in [
        ("offline-pin", &["1234"][..], "offline-pin", 0),
        ("offline-pin-own-key", &["1234"], "offline-pin", 0),
        ("offline-pin-enciphered", &["4321", "1234"], "offline-pin", 0),
        ("offline-pin", &["4321", "43210", "432100"], "signature", TRY_LIMIT_EXCEEDED),
        ("offline-pin-and-signature", &["1234"], "offline-pin-and-signature", 0),
        ("offline-pin-last-try", &["1234"], "offline-pin", 0),
        ("offline-pin-last-try", &["4321"], "signature", TRY_LIMIT_EXCEEDED),
        ("offline-pin-blocked", none, "signature", TRY_LIMIT_EXCEEDED),
    ] {
        insert(&bench, card, pins).await;
        let key = format!("{card}-{}", pins.concat());
        let (found, entry_mode, byte) = sell(&bench, &shop, &key).await;
        assert_eq!((found.as_str(), entry_mode.as_str(), byte), (cvm, "052", tvr), "{key}");
    }
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_card_that_is_blocked_in_one_sale_is_not_asked_for_its_pin_in_the_next() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    insert(&bench, "offline-pin", &["4321", "4321", "4321"]).await;
    for key in ["order-1", "order-2"] {
        // The second time nothing is typed any more.
        let (cvm, _, byte) = sell(&bench, &shop, key).await;
        assert_eq!((cvm.as_str(), byte), ("signature", TRY_LIMIT_EXCEEDED), "{key}");
    }
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_card_that_is_pulled_while_its_pin_is_typed_ends_the_sale_and_the_entry() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    insert(&bench, "offline-pin", &[]).await;
    let mut sale = shop.start(5000, "order-1").await.unwrap();
    sale.reached("pin").await;
    let asks = async || bench.sim("module status").await.data["pin_pad_asks"] == true;
    smartpos_tests::until("the PIN pad to ask", asks).await;
    bench.sim("card remove").await;
    let (outcome, result) = sale.completed().await;
    assert_eq!((outcome.as_str(), text(&result, "reason")), ("failed", "the card was removed"));
    assert!(!asks().await, "the pad asks on for a card that is gone");
    // The customer tries again, with one wrong PIN.
    insert(&bench, "offline-pin", &["4321", "1234"]).await;
    assert_eq!(sell(&bench, &shop, "order-2").await.0, "offline-pin");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_cancelled_pin_calls_the_sale_off_and_nobody_typing_does_too() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    for deed in ["cancel", "timeout"] {
        insert(&bench, "offline-pin", &["4321", deed]).await;
        let (outcome, result) = shop.sell(5000, deed).await;
        assert_eq!(outcome, "cancelled", "{result:?}");
    }
    assert_eq!(bench.sim("ledger").await.data.as_array().map(Vec::len), Some(0), "the host was not asked");
}
