//! Mail and telephone orders: the card is not there, and its number is keyed at the module's pad.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;

use client::card::CardProxy;
use client::get;
use sim_terminal::Part;
use smartpos_tests::{Bench, Shop, error_name, option, text, until};
use zbus::Variant;

const CNY: &str = "CNY";
const TAKEN: &str = "[moto]\nenabled = true\n[moto.limits]\ntransaction = 5000\nday = 9000\n";

fn none() -> HashMap<&'static str, Variant<'static>> {
    HashMap::new()
}

fn moto() -> HashMap<&'static str, Variant<'static>> {
    option("moto", true)
}

async fn sell(shop: &Shop, amount: u64, key: &str) -> (String, client::Dictionary) {
    shop.run(key, shop.payment.start_sale(amount, CNY, key, moto())).await
}

/// Two sales, a void, a linked and an unlinked refund, a reversal, a wrong security code and none, and the settlement.
async fn a_day_at_the_telephone(profile: &str) {
    let bench = Bench::start_as(&[("paymentd", TAKEN)], |terminal| terminal.host_profile(profile)).await;
    let shop = bench.shop().await;
    let pay = &shop.payment;
    let expect = |wanted: &str, (outcome, result): (String, client::Dictionary)| {
        assert_eq!(outcome, wanted, "{profile}: {result:?}\n{}", bench.logs());
        result
    };
    bench.sim("key visa").await;
    let sale = expect("approved", sell(&shop, 3000, "sale").await);
    assert_eq!((text(&sale, "entry_mode"), text(&sale, "cvm")), ("012", "none"));
    assert_eq!((text(&sale, "masked_pan"), get::<bool>(&sale, "moto")), ("411111******0039", Some(true)));
    assert!(!sale.contains_key("aid"), "{sale:?}");

    bench.sim("key visa").await;
    let refund = pay.start_refund(1000, CNY, "sale", "refund", none());
    expect("approved", shop.run("refund", refund).await);
    bench.sim("key mastercard").await;
    let other =
        expect("declined", shop.run("other", pay.start_refund(1, CNY, "sale", "other", none())).await);
    assert!(text(&other, "reason").contains("not the card of the original"), "{other:?}");

    bench.sim("key visa -").await;
    expect("approved", sell(&shop, 700, "no-code").await);
    bench.sim("key visa").await;
    expect("approved", shop.run("void", pay.start_void("no-code", "void", none())).await);
    bench.sim("key visa 999").await;
    let wrong = expect("declined", sell(&shop, 700, "wrong-code").await);
    assert_eq!(text(&wrong, "response_code"), "05", "{wrong:?}");
    bench.sim("key mastercard").await;
    expect("approved", shop.run("free", pay.start_refund(200, CNY, "", "free", moto())).await);

    bench.sim("host once late 20s").await;
    bench.sim("key visa").await;
    expect("reversed", sell(&shop, 800, "late").await);
    bench.settle_and_compare().await;

    let closed = expect("approved", shop.run("close", pay.start_settlement("close", none())).await);
    assert_eq!(get::<bool>(&closed, "balanced"), Some(true), "{closed:?}");
    assert_eq!(
        (get::<u64>(&closed, "debit_amount"), get::<u64>(&closed, "credit_amount")),
        (Some(3000), Some(1200))
    );
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_day_at_the_telephone_with_unionpay() {
    a_day_at_the_telephone("unionpay-direct").await;
}

#[tokio::test]
async fn a_day_at_the_telephone_with_sm4() {
    a_day_at_the_telephone("unionpay-direct-sm4").await;
}

#[tokio::test]
async fn a_day_at_the_telephone_in_ascii() {
    a_day_at_the_telephone("iso8583-1987-ascii").await;
}

#[tokio::test]
async fn orders_are_refused_where_owner_or_acquirer_takes_none_and_over_limits_of_their_own() {
    let bench = Bench::start().await;
    let pay = bench.shop().await.payment;
    assert_eq!(error_name(pay.start_sale(100, CNY, "sale", moto()).await), "NotSupported");

    let bench = Bench::start_as(&[("paymentd", TAKEN)], |terminal| terminal.host_profile("p2pe-dukpt")).await;
    let pay = bench.shop().await.payment;
    assert_eq!(error_name(pay.start_sale(100, CNY, "sale", moto()).await), "NotSupported");

    let bench = Bench::start_with(&[("paymentd", TAKEN)]).await;
    let shop = bench.shop().await;
    let pay = &shop.payment;
    assert_eq!(error_name(pay.start_sale(5001, CNY, "big", moto()).await), "LimitExceeded");
    for _ in 0..2 {
        bench.sim("key visa").await;
    }
    assert_eq!(sell(&shop, 5000, "first").await.0, "approved");
    assert_eq!(error_name(pay.start_sale(4001, CNY, "sum", moto()).await), "LimitExceeded");
    bench.insert("unionpay-credit").await;
    assert_eq!(shop.sell(6000, "card").await.0, "approved", "a card that is there has other limits");
    let twice = HashMap::from([("moto", true.into()), ("instalments", 3_u32.into())]);
    assert_eq!(error_name(pay.start_sale(300, CNY, "plan", twice).await), "InvalidArgument");
    let linked = pay.start_refund(300, CNY, "card", "linked", moto()).await;
    assert_eq!(error_name(linked), "InvalidArgument");
    let tip = pay.start_tip_adjustment("first", 100, "tip", none()).await;
    assert_eq!(error_name(tip), "NotSupported", "no tip comes afterwards");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn an_app_without_the_permission_takes_no_orders() {
    use std::os::unix::fs::MetadataExt as _;
    let uid = std::fs::metadata("/proc/self").unwrap().uid();
    let crew = format!(
        "[roles]\nrole = [\"payment.start\", \"printer.print\"]\n[operators.li]\nuid = {uid}\nroles = [\"role\"]\n"
    );
    let bench = Bench::start_with(&[("paymentd", TAKEN), ("smartpos", &crew)]).await;
    let operator = Shop::new(bench.terminal.system_bus().await.unwrap(), "operator").await;
    let refused = operator.payment.start_sale(100, CNY, "sale", moto()).await;
    assert_eq!(error_name(refused), "NotPermitted");
}

#[tokio::test]
async fn an_order_ends_with_its_entry_and_leaves_the_pad_free() {
    let mut bench = Bench::start_with(&[("paymentd", TAKEN)]).await;
    let shop = bench.shop().await;
    // Called off while the pad asks, at the pad, and by a module that restarts.
    let mut sale = shop.follow("one", shop.payment.start_sale(100, CNY, "one", moto())).await.unwrap();
    sale.reached("key-card").await;
    sale.proxy.cancel().await.unwrap();
    assert_eq!(sale.completed().await.0, "cancelled");
    bench.sim("pin cancel").await;
    assert_eq!(sell(&shop, 100, "two").await.0, "cancelled");
    let mut sale = shop.follow("three", shop.payment.start_sale(100, CNY, "three", moto())).await.unwrap();
    sale.reached("key-card").await;
    bench.kill_and_restart(Part::Module).await;
    assert_eq!(sale.completed().await.0, "failed");

    // A number with a wrong check digit, and a thirteenth month, are typed again.
    let card = client::proxy::<CardProxy>(&bench.terminal.system_bus().await.unwrap()).await.unwrap();
    until("the module to be ready", async || card.module_state().await.is_ok_and(|now| now == "ready")).await;
    let mut sale = shop.follow("four", shop.payment.start_sale(100, CNY, "four", moto())).await.unwrap();
    for digits in ["4111110000000038", "4111110000000039", "1349", "1249", "039"] {
        bench.sim(&format!("pin {digits}")).await;
    }
    let (outcome, result) = sale.completed().await;
    assert_eq!(outcome, "approved", "{result:?}\n{}", bench.logs());
    bench.settle_and_compare().await;
}
