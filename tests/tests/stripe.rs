//! Cards that are swiped: without a chip, with one, and with one that fails.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;

use client::get;
use sim_terminal::Part;
use smartpos_tests::{Bench, Sale, Shop, text};
use zbus::Variant;

const CNY: &str = "CNY";
/// A card without a chip, whose holder signs.
const CREDIT: &str = "card swipe stripe-only";
/// One whose holder enters a PIN.
const DEBIT: &str = "card swipe stripe-track-2";
const FALLBACK: (&str, &str) = ("cardd", "[stripe]\nfallback = true\n");

fn none() -> HashMap<&'static str, Variant<'static>> {
    HashMap::new()
}

/// Begins a sale that waits for a card.
async fn wait_for_card(shop: &Shop, amount: u64, key: &str) -> Sale {
    let mut sale = shop.start(amount, key).await.unwrap();
    sale.reached("insert-card").await;
    sale
}

/// Follows what `call` asks for, and swipes `card` when it waits for one.
async fn swiped(
    bench: &Bench,
    shop: &Shop,
    key: &str,
    call: impl Future<Output = zbus::Result<zbus::OwnedObjectPath>>,
    card: &str,
) -> (String, client::Dictionary) {
    let mut followed = shop.follow(key, call).await.unwrap();
    followed.reached("insert-card").await;
    bench.sim(card).await;
    followed.completed().await
}

/// Sales, a void, refunds, a pre-authorisation and its completion, a reversal, and the settlement: all by stripe.
async fn a_day_of_swiped_cards(profile: &str) {
    let bench = Bench::start_as(&[], |terminal| terminal.host_profile(profile)).await;
    let shop = bench.shop().await;
    let pay = &shop.payment;
    let expect = |wanted: &str, (outcome, result): (String, client::Dictionary)| {
        assert_eq!(outcome, wanted, "{profile}: {result:?}\n{}", bench.logs());
        result
    };
    let sell = async |amount, key: &str, card: &str| {
        let call = pay.start_sale(amount, CNY, key, none());
        swiped(&bench, &shop, key, call, card).await
    };
    let sale = expect("approved", sell(3000, "sale", CREDIT).await);
    assert_eq!((text(&sale, "entry_mode"), text(&sale, "cvm")), ("022", "signature"));
    assert_eq!(text(&sale, "masked_pan"), "625094******0803");
    assert!(!sale.contains_key("aid") || text(&sale, "aid").is_empty(), "{sale:?}");
    bench.sim("pin 123456").await;
    let sale = expect("approved", sell(700, "with-pin", DEBIT).await);
    assert_eq!((text(&sale, "entry_mode"), text(&sale, "cvm")), ("021", "online-pin"));
    bench.sim("pin 654321").await;
    let wrong = expect("declined", sell(700, "wrong-pin", DEBIT).await);
    assert_eq!(text(&wrong, "response_code"), "55", "{wrong:?}");

    let refund = pay.start_refund(1000, CNY, "sale", "refund", none());
    expect("approved", swiped(&bench, &shop, "refund", refund, CREDIT).await);
    let other = pay.start_refund(1, CNY, "sale", "other", none());
    let other = expect("declined", swiped(&bench, &shop, "other", other, DEBIT).await);
    assert!(text(&other, "reason").contains("not the card of the original"), "{other:?}");
    let void = pay.start_void("with-pin", "void", none());
    expect("approved", swiped(&bench, &shop, "void", void, DEBIT).await);

    let held = pay.start_preauthorisation(900, CNY, "held", none());
    expect("approved", swiped(&bench, &shop, "held", held, CREDIT).await);
    let taken = pay.start_completion(850, "held", "taken", none());
    expect("approved", swiped(&bench, &shop, "taken", taken, CREDIT).await);
    bench.sim("host once late 20s").await;
    expect("reversed", sell(800, "late", CREDIT).await);
    bench.settle_and_compare().await;

    let closed = expect("approved", shop.run("close", pay.start_settlement("close", none())).await);
    assert_eq!(get::<bool>(&closed, "balanced"), Some(true), "{closed:?}");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_day_of_swiped_cards_with_unionpay() {
    a_day_of_swiped_cards("unionpay-direct").await;
}

#[tokio::test]
async fn a_day_of_swiped_cards_in_ascii() {
    a_day_of_swiped_cards("iso8583-1987-ascii").await;
}

#[tokio::test]
async fn a_day_of_swiped_cards_under_dukpt() {
    a_day_of_swiped_cards("p2pe-dukpt").await;
}

#[tokio::test]
async fn a_card_whose_chip_is_good_pays_by_it_and_one_whose_chip_is_mute_falls_back() {
    let bench = Bench::start_with(&[FALLBACK]).await;
    let shop = bench.shop().await;
    let mut sale = wait_for_card(&shop, 1200, "good-chip").await;
    bench.sim("card swipe unionpay-credit").await;
    sale.reached("use-chip").await;
    bench.sim("card insert unionpay-credit").await;
    let (outcome, result) = sale.completed().await;
    assert_eq!((outcome.as_str(), text(&result, "entry_mode")), ("approved", "052"), "{result:?}");
    bench.sim("card remove").await;

    let mut sale = wait_for_card(&shop, 1300, "mute-chip").await;
    bench.sim("card insert chip-mute").await;
    sale.reached("swipe-card").await;
    bench.sim("card remove").await;
    bench.sim("card swipe chip-mute").await;
    let (outcome, result) = sale.completed().await;
    assert_eq!(
        (outcome.as_str(), text(&result, "entry_mode")),
        ("approved", "802"),
        "{result:?}\n{}",
        bench.logs()
    );
    bench.settle_and_compare().await;
    let paper = bench.terminal.layout().paper().join("receipt-0002.txt");
    smartpos_tests::until("the receipt", async || paper.exists()).await;
    let receipt = std::fs::read_to_string(paper).unwrap();
    assert!(receipt.contains("刷卡 FALLBACK"), "{receipt}");
}

#[tokio::test]
async fn without_the_owners_word_there_is_no_fallback_and_without_the_stripe_nothing_is_read() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    let mut sale = wait_for_card(&shop, 1300, "mute-chip").await;
    bench.sim("card insert chip-mute").await;
    assert_eq!(sale.completed().await.0, "failed");

    let bench = Bench::start_with(&[("cardd", "[stripe]\naccepted = false\n")]).await;
    let shop = bench.shop().await;
    let mut sale = wait_for_card(&shop, 1300, "swiped").await;
    let reply = bench.sim(CREDIT).await;
    assert!(reply.text.contains("nobody waits"), "{}", reply.text);
    sale.proxy.cancel().await.unwrap();
    assert_eq!(sale.completed().await.0, "cancelled");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_swipe_counts_once_while_it_is_waited_for_and_when_it_can_be_read() {
    let mut bench = Bench::start().await;
    let shop = bench.shop().await;
    let nobody = async |bench: &Bench| bench.sim(CREDIT).await.text.contains("nobody waits");
    assert!(nobody(&bench).await, "nothing was begun");
    let mut sale = wait_for_card(&shop, 100, "damaged").await;
    bench.sim("card swipe stripe-damaged").await;
    sale.reached("swipe-again").await;
    bench.sim(DEBIT).await;
    sale.reached("pin").await;
    assert!(nobody(&bench).await, "a second swipe");
    bench.sim("pin 123456").await;
    let (outcome, result) = sale.completed().await;
    assert_eq!(outcome, "approved", "{result:?}");
    assert!(text(&result, "masked_pan").starts_with("621799"), "the first card pays: {result:?}");
    assert!(nobody(&bench).await, "it has ended");

    // Called off, and by a module that restarts.
    let mut sale = wait_for_card(&shop, 100, "called-off").await;
    sale.proxy.cancel().await.unwrap();
    assert_eq!(sale.completed().await.0, "cancelled");
    assert!(nobody(&bench).await, "it was called off");
    let mut sale = wait_for_card(&shop, 100, "restart").await;
    bench.kill_and_restart(Part::Module).await;
    assert_eq!(sale.completed().await.0, "failed");
    bench.module_is("ready").await;
    assert!(nobody(&bench).await, "the module has forgotten it");
    bench.settle_and_compare().await;
}
