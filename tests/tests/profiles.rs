//! Each shipped dialect of a host, from the sign-on to the settlement, against a host that speaks it strictly.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;

use client::get;
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

#[tokio::test]
async fn a_day_of_business_with_tdes() {
    a_day_of_business("unionpay-direct").await;
}

#[tokio::test]
async fn a_day_of_business_with_sm4() {
    a_day_of_business("unionpay-direct-sm4").await;
}
