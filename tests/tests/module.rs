//! The secure module on another line, tampered with, and killed in the middle of a sale.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::fs;

use client::card::CardKeysProxy;
use sim_terminal::{ModuleLine, Part};
use smartpos_tests::{Bench, error_name, text, until};

const CARD: &str = "unionpay-debit-pin";

/// The names of the keys that the module holds.
async fn keys(bench: &Bench) -> Vec<String> {
    let status = bench.sim("module status").await.data;
    let keys = status.get("keys").and_then(serde_json::Value::as_array).unwrap();
    keys.iter().map(|key| key.as_str().unwrap().to_string()).collect()
}

#[tokio::test]
async fn a_module_on_a_serial_line_sells_also_after_either_end_was_killed() {
    let mut bench = Bench::start_as(&[], |terminal| terminal.module_line(ModuleLine::Pty)).await;
    let shop = bench.shop().await;
    for (key, killed) in [("first", None), ("second", Some(Part::Cardd)), ("third", Some(Part::Module))] {
        if let Some(part) = killed {
            bench.kill_and_restart(part).await;
        }
        bench.module_is("ready").await;
        let _ = bench.terminal.simctl(&["card", "remove"]).await;
        bench.insert(CARD).await;
        let (outcome, result) = shop.sell(1234, key).await;
        assert_eq!(outcome, "approved", "{key}: {result:?}\n{}", bench.logs());
        assert_eq!(text(&result, "cvm"), "online-pin");
    }
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_line_that_is_open_at_both_ends_sells_and_one_that_is_at_one_end_is_told_with_what_to_do() {
    let bench = Bench::start_as(&[], |terminal| terminal.open_line()).await;
    bench.insert(CARD).await;
    let (outcome, result) = bench.shop().await.sell(1234, "open").await;
    assert_eq!(outcome, "approved", "{result:?}\n{}", bench.logs());

    let bench = Bench::start_with(&[("cardd", "protected_line = false\n")]).await;
    until("cardd to say why there is no module", async || {
        let log = fs::read_to_string(bench.terminal.layout().log(Part::Cardd)).unwrap();
        log.contains("`protected_line` in cardd.toml")
    })
    .await;
    bench.module_is("absent").await;
}

#[tokio::test]
async fn a_module_tampered_with_during_a_sale_loses_its_keys_and_sells_again_once_serviced() {
    let bench = Bench::start().await;
    bench.sim(&format!("card insert {CARD}")).await;
    let shop = bench.shop().await;
    let mut sale = shop.start(1234, "tampered").await.unwrap();
    sale.reached("pin").await;
    assert_eq!(keys(&bench).await, ["tmk", "tmk-sm4", "pik", "mak", "tdk", "token", "store", "dukpt"]);
    bench.sim("module tamper").await;
    let (outcome, result) = sale.completed().await;
    assert_eq!(outcome, "failed", "{result:?}");
    assert!(text(&result, "reason").contains("tamper"), "{result:?}");
    bench.module_is("tampered").await;
    assert!(keys(&bench).await.is_empty());
    let (outcome, result) = shop.sell(1234, "without-keys").await;
    assert_eq!(outcome, "failed", "{result:?}");
    assert!(bench.sim("ledger").await.data.as_array().unwrap().is_empty());

    bench.sim("module reset").await;
    bench.module_is("ready").await;
    assert_eq!(keys(&bench).await, ["tmk", "tmk-sm4", "token", "store", "dukpt"]);
    bench.sim("pin 123456").await;
    let (outcome, result) = shop.sell(1234, "serviced").await;
    assert_eq!(outcome, "approved", "{result:?}\n{}", bench.logs());
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_module_that_was_tampered_with_says_so_after_each_start_until_it_is_serviced() {
    let mut bench = Bench::start().await;
    bench.module_is("ready").await;
    bench.sim("module tamper").await;
    bench.module_is("tampered").await;
    for part in [Part::Module, Part::Cardd] {
        bench.kill_and_restart(part).await;
        bench.module_is("tampered").await;
        assert!(keys(&bench).await.is_empty());
    }
    let bus = bench.terminal.system_bus().await.unwrap();
    let refused = client::proxy::<CardKeysProxy>(&bus).await.unwrap().list_keys().await;
    assert_eq!(error_name(refused), "DeviceGone");
    bench.sim("module reset").await;
    bench.module_is("ready").await;
}

#[tokio::test]
async fn keys_that_were_loaded_sell_after_the_module_was_killed_without_another_sign_on() {
    let mut bench = Bench::start().await;
    bench.insert(CARD).await;
    let shop = bench.shop().await;
    assert_eq!(shop.sell(1234, "before").await.0, "approved", "{}", bench.logs());
    let loaded = keys(&bench).await;
    assert!(loaded.iter().any(|name| name == "pik"), "{loaded:?}");
    bench.kill_and_restart(Part::Module).await;
    bench.module_is("ready").await;
    assert_eq!(keys(&bench).await, loaded);
    bench.insert(CARD).await;
    assert_eq!(shop.sell(1234, "after").await.0, "approved", "{}", bench.logs());
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn custodians_whose_module_is_tampered_with_are_told_and_no_key_is_there() {
    let bench = Bench::start().await;
    bench.module_is("ready").await;
    let bus = bench.terminal.system_bus().await.unwrap();
    let keys = client::proxy::<CardKeysProxy>(&bus).await.unwrap();
    keys.begin_key_entry("kbpk", "aes", 256, 2).await.unwrap();
    bench.sim(&format!("component 111111 {}", "0123456789ABCDEF".repeat(4))).await;
    bench.sim("module tamper").await;
    bench.module_is("tampered").await;
    assert_eq!(error_name(keys.key_entry().await), "DeviceGone");
    let late = bench.terminal.simctl(&["component", "222222", &"11".repeat(32)]).await;
    assert!(late.is_err(), "{late:?}");
}

#[tokio::test]
async fn a_module_tampered_with_while_the_host_answers_leaves_ledgers_that_agree() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    bench.module_is("ready").await;
    bench.sim(&format!("card insert {CARD}")).await;
    bench.sim("pin 123456").await;
    bench.sim("host once late 500ms").await;
    let mut sale = shop.start(1100, "tampered").await.unwrap();
    sale.reached("host").await;
    bench.sim("module tamper").await;
    let (outcome, result) = sale.completed().await;
    assert_eq!(outcome, "reversed", "{result:?}\n{}", bench.logs());
    bench.module_is("tampered").await;
    bench.sim("module reset").await;
    bench.module_is("ready").await;
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_module_killed_during_a_sale_leaves_ledgers_that_agree() {
    let mut bench = Bench::start().await;
    let shop = bench.shop().await;
    for (step, expected) in [("pin", "failed"), ("host", "reversed")] {
        bench.module_is("ready").await;
        bench.sim(&format!("card insert {CARD}")).await;
        if step == "host" {
            bench.sim("pin 123456").await;
            bench.sim("host once late 300ms").await;
        }
        let mut sale = shop.start(1100, step).await.unwrap();
        sale.reached(step).await;
        bench.kill_and_restart(Part::Module).await;
        let (outcome, result) = sale.completed().await;
        assert_eq!(outcome, expected, "{step}: {result:?}\n{}", bench.logs());
        bench.module_is("ready").await;
        bench.settle_and_compare().await;
    }
}
