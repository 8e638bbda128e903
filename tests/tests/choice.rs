//! The customer chooses among a card's applications (EMV Book 1 clause 12.4).

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::HashMap;

use smartpos_tests::{Bench, Sale, Shop, error_name, option, text};

const CREDIT: &str = "A000000333010102";
const DEBIT: &str = "A000000333010101";

/// A sale whose customer is asked.
async fn begin(shop: &Shop, key: &str) -> Sale {
    let options = option("choose_application", true);
    shop.follow(key, shop.payment.start_sale(1234, "CNY", key, options)).await.expect("it starts")
}

#[tokio::test]
async fn the_customer_pays_with_the_application_that_was_chosen_and_gets_the_money_back_on_it() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    bench.insert("two-applications").await;
    let mut sale = begin(&shop, "chosen").await;
    let names = sale.reached_with("choose-application").await;
    let names = Vec::<String>::try_from(names["applications"].try_clone().unwrap()).unwrap();
    assert_eq!(names, ["UNIONPAY DEBIT", "UNIONPAY CREDIT"]);
    assert_eq!(sale.proxy.applications().await.unwrap(), names, "for who comes later");
    let again = shop.payment.start_sale(1234, "CNY", "chosen", HashMap::new()).await;
    assert_eq!(again.unwrap(), shop.path("chosen"), "the same key, from one who shows no choice");
    assert_eq!(error_name(sale.proxy.choose_application(2).await), "InvalidArgument");
    sale.proxy.choose_application(1).await.unwrap();
    assert_eq!(error_name(sale.proxy.choose_application(0).await), "WrongState", "it was chosen already");
    sale.reached("pin").await;
    bench.sim("pin 123456").await;
    let (outcome, result) = sale.completed().await;
    assert_eq!((outcome.as_str(), text(&result, "aid")), ("approved", CREDIT), "{result:?}");

    let refund = shop.payment.start_void("chosen", "back", option("choose_application", true));
    let mut refund = shop.follow("back", refund).await.unwrap();
    refund.reached("choose-application").await;
    refund.proxy.choose_application(1).await.unwrap();
    let (outcome, result) = refund.completed().await;
    assert_eq!((outcome.as_str(), text(&result, "aid")), ("approved", CREDIT), "{result:?}");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_card_that_wants_its_application_confirmed_is_taken_only_where_somebody_confirms_it() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    bench.insert("wants-confirmation").await;
    let (outcome, result) = shop.sell(1234, "unasked").await;
    assert_eq!(outcome, "failed");
    assert!(text(&result, "reason").contains("choose_application"), "{result:?}");

    let mut sale = begin(&shop, "confirmed").await;
    sale.reached("choose-application").await;
    sale.proxy.choose_application(0).await.unwrap();
    sale.reached("pin").await;
    bench.sim("pin 123456").await;
    let (outcome, result) = sale.completed().await;
    assert_eq!((outcome.as_str(), text(&result, "aid")), ("approved", DEBIT), "{result:?}");
}

#[tokio::test]
async fn who_is_asked_can_leave_take_the_card_away_or_say_nothing() {
    let bench = Bench::start_with(&[("cardd", "choice_timeout_s = 2")]).await;
    let shop = bench.shop().await;
    bench.insert("two-applications").await;
    let mut silent = begin(&shop, "silent").await;
    let (outcome, result) = silent.completed().await;
    assert_eq!(outcome, "cancelled");
    assert!(text(&result, "reason").contains("in time"), "{result:?}");
    assert_eq!(error_name(silent.proxy.choose_application(0).await), "WrongState", "it has ended");

    let mut left = begin(&shop, "left").await;
    left.reached("choose-application").await;
    left.proxy.cancel().await.unwrap();
    assert_eq!(left.completed().await.0, "cancelled");

    let mut pulled = begin(&shop, "pulled").await;
    pulled.reached("choose-application").await;
    bench.sim("card remove").await;
    let (outcome, result) = pulled.completed().await;
    assert_eq!((outcome.as_str(), text(&result, "reason")), ("failed", "the card was removed"));
}
