//! What keeps the secure module well: its self-tests, its clock, and new firmware.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use client::card::{CardKeysProxy, CardModuleProxy, CardProxy};
use smartpos_tests::{Bench, error_name, text, until};

/// Signs an image of firmware, and has the operator update the module with it.
async fn update(bench: &Bench, number: &str, version: &str) -> (bool, String, String) {
    let image: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
    fs::write(bench.folder().join("image"), image).unwrap();
    let (made, _, err) = bench.run("smartpos-sim-vendor", &[number, version, "image", "update"]).await;
    assert!(made, "{err}");
    bench.run("posctl", &["module", "update", "update"]).await
}

#[tokio::test]
async fn a_module_that_fails_a_self_test_sells_nothing_until_it_passes() {
    let bench = Bench::start().await;
    bench.module_is("ready").await;
    let (success, out, err) = bench.run("posctl", &["module", "self-test"]).await;
    assert!(success && out.contains("aes") && !out.contains("FAILED"), "{out}{err}");
    let (success, out, err) = bench.run("posctl", &["module", "status"]).await;
    assert!(success && out.contains("ready"), "{out}{err}");
    bench.sim("module fail aes").await;
    let (success, out, _) = bench.run("posctl", &["module", "self-test"]).await;
    assert!(!success && out.contains("FAILED"), "{out}");
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    let (outcome, result) = shop.sell(1234, "failing").await;
    assert_eq!(outcome, "failed", "{result:?}");
    assert!(text(&result, "reason").contains("self-test"), "{result:?}");
    bench.sim("module fail none").await;
    assert!(bench.run("posctl", &["module", "self-test"]).await.0);
    assert_eq!(shop.sell(1234, "well").await.0, "approved", "{}", bench.logs());
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn firmware_that_the_vendor_signed_runs_with_the_keys_that_were_there_and_an_older_one_is_refused() {
    let bench = Bench::start().await;
    bench.insert("unionpay-credit").await;
    let shop = bench.shop().await;
    assert_eq!(shop.sell(1234, "before").await.0, "approved", "{}", bench.logs());
    let bus = bench.terminal.system_bus().await.unwrap();
    let keys = client::proxy::<CardKeysProxy>(&bus).await.unwrap();
    let loaded = keys.list_keys().await.unwrap();
    let (success, _, err) = update(&bench, "5", "2.0-test").await;
    assert!(success, "{err}\n{}", bench.logs());
    let card = client::proxy::<CardProxy>(&bus).await.unwrap();
    until("the new firmware", async || card.module().await.is_ok_and(|name| name.contains("2.0-test"))).await;
    bench.module_is("ready").await;
    assert_eq!(keys.list_keys().await.unwrap(), loaded);
    assert_eq!(shop.sell(1234, "after").await.0, "approved", "{}", bench.logs());
    for number in ["5", "4"] {
        let (success, _, err) = update(&bench, number, "1.9-test").await;
        assert!(!success && err.contains("not newer"), "{err}");
    }
    let mut forged = fs::read(bench.folder().join("update")).unwrap();
    if let Some(byte) = forged.get_mut(60) {
        *byte ^= 1;
    }
    fs::write(bench.folder().join("forged"), forged).unwrap();
    let (success, _, err) = bench.run("posctl", &["module", "update", "forged"]).await;
    assert!(!success && err.contains("not signed"), "{err}");
    let (success, _, err) = bench.run("posctl", &["module", "update", "image"]).await;
    assert!(!success && err.contains("no update"), "{err}");
    assert!(bench.logs().contains("updated the secure card module's firmware"), "who does it is recorded");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn no_update_begins_while_a_transaction_goes_on_whether_a_card_has_power_or_not() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    let mut sale = shop.start(1234, "order-1").await.unwrap();
    for (step, then) in [("insert-card", "card insert unionpay-debit-pin"), ("pin", "pin 123456")] {
        sale.reached(step).await;
        let (success, _, err) = update(&bench, "5", "2.0").await;
        assert!(!success && err.contains("a card transaction"), "{step}: {err}");
        bench.sim(then).await;
    }
    assert_eq!(sale.completed().await.0, "approved", "{}", bench.logs());
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn who_may_not_update_the_module_looks_at_it_at_most() {
    let uid = fs::metadata("/proc/self").unwrap().uid();
    let crew = |permissions: &str| {
        format!("[roles]\nrole = [{permissions}]\n[operators.ann]\nuid = {uid}\nroles = [\"role\"]\n")
    };
    for (permissions, looks, updates) in [
        ("\"device.status\", \"keys.load\"", true, false),
        ("\"device.status\", \"module.update\"", true, true),
        ("\"payment.start\"", false, false),
    ] {
        let bench = Bench::start_with(&[("smartpos", &crew(permissions))]).await;
        let bus = bench.terminal.system_bus().await.unwrap();
        let module = client::proxy::<CardModuleProxy>(&bus).await.unwrap();
        if looks {
            bench.module_is("ready").await;
        }
        assert_eq!(module.self_test().await.is_ok(), looks, "{permissions}");
        assert_eq!(module.clock().await.is_ok(), looks, "{permissions}");
        let expected = if updates { "InvalidArgument" } else { "NotPermitted" };
        assert_eq!(error_name(module.begin_update(b"none").await), expected, "{permissions}");
        assert_eq!(error_name(module.update_data(0, b"none").await), expected, "{permissions}");
        assert_eq!(error_name(module.finish_update().await), expected, "{permissions}");
        assert_eq!(module.cancel_update().await.is_ok(), updates, "{permissions}");
    }
}
