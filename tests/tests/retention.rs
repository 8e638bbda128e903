//! What is older than the owner wants to keep is dropped once it is settled and sealed, and the rest still verifies.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;

use client::payment::PaymentProxy;
use smartpos_tests::{Bench, Shop, error_name, until};

async fn cash(shop: &Shop, key: &str) {
    let options = HashMap::from([("print", false.into())]);
    shop.payment.record_cash(200, "CNY", key, options).await.expect("it is recorded");
}

#[tokio::test]
async fn a_settled_day_is_forgotten_when_its_time_has_come_and_an_open_one_is_not() {
    let config = "[journal]\nseal_events = 1\nkeep_days = 1\n";
    let bench = Bench::start_as(&[("paymentd", config)], |terminal| terminal.movable_clock()).await;
    let clock = bench.terminal.clock();
    clock.set("+0").unwrap();
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    assert_eq!(shop.sell(1234, "settled").await.0, "approved", "{}", bench.logs());
    let closing = shop.payment.start_settlement("close", HashMap::new());
    assert_eq!(shop.run("close", closing).await.0, "approved");
    // What is open is dropped with no seal that covers it.
    let bus = bench.terminal.system_bus().await.unwrap();
    let operator: PaymentProxy = client::proxy(&bus).await.unwrap();
    until("the batch to be sealed", async || {
        let (events, seals) = (operator.read_journal(0, 100).await, operator.read_seals(0, 100).await);
        let last = events.ok().and_then(|events| Some(events.last()?.0));
        last.is_some() && seals.ok().and_then(|seals| Some(seals.last()?.0)) == last
    })
    .await;
    cash(&shop, "open").await;

    clock.set("+3d").unwrap();
    // At rest what came is sealed, and what is old goes.
    cash(&shop, "today").await;
    let known = async |key| shop.payment.get_transaction(key).await;
    until("the old day to go", async || known("settled").await.is_err()).await;
    assert_eq!(error_name(known("settled").await), "NotFound");
    for key in ["open", "today"] {
        known(key).await.unwrap_or_else(|error| panic!("{key}: {error}"));
    }
}
