//! A host whose answers are authentic and wrong in one data element, or lack it: the terminal goes on, and both sides agree.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;

use sim_terminal::Part;
use smartpos_tests::{Bench, Shop, until};

/// What the host alone knows, and a terminal has to believe of an authentic answer.
const ITS_OWN: [u8; 3] = [37, 38, 39];

/// Each element of an answer, missing and changed.
fn damages(elements: &[u8]) -> Vec<(u8, &'static str)> {
    let both = elements.iter().flat_map(|number| [(*number, "missing"), (*number, "changed")]);
    both.filter(|(number, damage)| *damage == "missing" || !ITS_OWN.contains(number)).collect()
}

async fn bench() -> (Bench, Shop) {
    let bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    (bench, shop)
}

async fn sale(shop: &Shop, key: &str) -> String {
    shop.sell(1234, key).await.0
}

#[tokio::test]
async fn the_answer_to_a_sale_may_lack_any_element_or_have_it_wrong() {
    let (bench, shop) = bench().await;
    assert_eq!(sale(&shop, "first").await, "approved", "{}", bench.logs());
    for (number, damage) in damages(&[3, 4, 11, 12, 13, 32, 37, 38, 39, 41, 42, 49, 55, 60]) {
        bench.sim(&format!("host once 0200 wrong {number} {damage}")).await;
        let outcome = sale(&shop, &format!("{number}-{damage}")).await;
        assert!(
            ["approved", "declined", "reversed"].contains(&outcome.as_str()),
            "{number} {damage}: {outcome}"
        );
    }
    assert_eq!(sale(&shop, "last").await, "approved", "{}", bench.logs());
    bench.settle_and_compare().await;
    assert!(!bench.logs().contains("panicked"), "{}", bench.logs());
}

#[tokio::test]
async fn the_answer_to_a_sign_on_may_lack_any_element_or_have_it_wrong() {
    let (bench, shop) = bench().await;
    for (number, damage) in damages(&[11, 12, 13, 32, 37, 39, 41, 42, 60, 62]) {
        bench.sim("host restart").await;
        bench.sim(&format!("host once 0800 wrong {number} {damage}")).await;
        // Without keys nothing is sold; the next one signs on again.
        let _ = sale(&shop, &format!("{number}-{damage}")).await;
        let mut sold = false;
        for attempt in 1..=2 {
            sold = sold || sale(&shop, &format!("{number}-{damage}-{attempt}")).await == "approved";
        }
        assert!(sold, "{number} {damage}: {}", bench.logs());
    }
    bench.settle_and_compare().await;
    assert!(!bench.logs().contains("panicked"), "{}", bench.logs());
}

#[tokio::test]
async fn the_answers_to_a_reversal_and_to_a_settlement_may_lack_an_element_or_have_it_wrong() {
    let (mut bench, shop) = bench().await;
    for (number, damage) in [(11, "changed"), (39, "missing"), (41, "missing"), (60, "missing")] {
        bench.sim(&format!("host script 0200 wrong mac; 0400 wrong {number} {damage}")).await;
        assert_eq!(sale(&shop, &format!("{number}-{damage}")).await, "reversed", "{}", bench.logs());
        until("the reversal", async || shop.payment.pending_reversals().await == Ok(0)).await;
    }
    assert_eq!(sale(&shop, "stands").await, "approved", "{}", bench.logs());
    for (number, damage) in [(48, "missing"), (48, "changed"), (39, "missing")] {
        bench.sim(&format!("host script 0500 wrong {number} {damage}; 0320 wrong {number} {damage}")).await;
        let key = format!("close-{number}-{damage}");
        let closing = shop.payment.start_settlement(&key, HashMap::new());
        let (outcome, result) = shop.run(&key, closing).await;
        assert!(["approved", "declined"].contains(&outcome.as_str()), "{number} {damage}: {result:?}");
    }
    bench.kill_and_restart(Part::Paymentd).await;
    bench.settle_and_compare().await;
    assert!(!bench.logs().contains("panicked"), "{}", bench.logs());
}
