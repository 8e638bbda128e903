//! Issuer scripts: the host is told what became of them, until it has answered, and books it once.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;

use sim_terminal::Part;
use smartpos_tests::{Bench, Shop, text, until};

/// What stands in the ledger: high digit 2, carried out, or 1, failed at its first command; then what the script is called.
const CARRIED_OUT: &str = "2053435231";
const FAILED: &str = "1153435231";

async fn bench() -> (Bench, Shop) {
    let bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    (bench, shop)
}

async fn told(bench: &Bench) -> Vec<String> {
    let ledger = bench.sim("ledger").await.data;
    let lines = ledger.as_array().unwrap().iter();
    lines
        .map(|line| line["script"].as_str().unwrap().to_string())
        .filter(|script| !script.is_empty())
        .collect()
}

#[tokio::test]
async fn the_host_is_told_what_became_of_a_script_and_a_sale_stands_whatever_that_was() {
    let (bench, shop) = bench().await;
    for (key, how) in [("right", "right"), ("wrong", "wrong")] {
        bench.sim(&format!("host issuer script {how}")).await;
        let (outcome, result) = shop.sell(1234, key).await;
        assert_eq!(outcome, "approved", "{result:?}\n{}", bench.logs());
    }
    bench.settle_and_compare().await;
    assert_eq!(told(&bench).await, [CARRIED_OUT, FAILED]);
    let (_, plain) = shop.sell(1234, "plain").await;
    assert_eq!(text(&plain, "script"), "");
}

#[tokio::test]
async fn results_are_told_again_until_they_are_answered_and_no_sale_waits_for_that() {
    let (mut bench, shop) = bench().await;
    bench.sim("host issuer script right").await;
    bench.sim("host script 0620 silent; 0620 decline 96").await;
    assert_eq!(shop.sell(1234, "scripted").await.0, "approved");
    assert_eq!(shop.sell(1000, "next").await.0, "approved", "{}", bench.logs());
    bench.kill_and_restart(Part::Paymentd).await;
    bench.settle_and_compare().await;
    assert_eq!(told(&bench).await, [CARRIED_OUT]);
    // What is closed meanwhile is told all the same.
    bench.sim("host issuer script right").await;
    bench.sim("host once 0620 drop after").await;
    let shop = bench.shop().await;
    assert_eq!(shop.sell(1234, "last").await.0, "approved");
    let (outcome, _) = shop.run("close", shop.payment.start_settlement("close", HashMap::new())).await;
    assert_eq!(outcome, "approved");
    bench.settle_and_compare().await;
    assert_eq!(told(&bench).await.len(), 2);
}

#[tokio::test]
async fn a_host_that_does_not_want_to_know_is_not_asked_for_ever() {
    let (bench, shop) = bench().await;
    bench.sim("host issuer script right").await;
    bench.sim("host once 0620 decline 12").await;
    assert_eq!(shop.sell(1234, "scripted").await.0, "approved");
    until("an answer", async || shop.payment.untold_scripts().await == Ok(0)).await;
    let path = shop.payment.get_transaction("scripted").await.unwrap();
    let sale = client::proxy_at::<client::payment::TransactionProxy>(&shop.bus, path).await.unwrap();
    assert_eq!(text(&sale.get_result().await.unwrap(), "script"), "refused");
}
