//! Keys that are loaded into the secure module: by custodians, in key blocks, and from a key distribution host.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::os::unix::fs::MetadataExt as _;

use client::card::CardKeysProxy;
use keys::key_block::{self, Destination, Request, Version};
use keys::{Algorithm, Attributes, Key, Mode, Usage};
use serde_json::Value;
use smartpos_tests::{Bench, error_name, until};

const FIRST: &str = "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF";
const SECOND: &str = "1111111111111111222222222222222233333333333333334444444444444444";

async fn posctl(bench: &Bench, arguments: &[&str]) -> String {
    let (success, out, err) = bench.run("posctl", arguments).await;
    assert!(success, "{arguments:?}: {err}");
    out
}

async fn keyhost(bench: &Bench, arguments: &[&str]) {
    let folder = bench.terminal.layout().key_host();
    let all = [&[folder.to_str().unwrap()], arguments].concat();
    let (success, _, err) = bench.run("smartpos-sim-keyhost", &all).await;
    assert!(success, "{arguments:?}: {err}");
}

/// The check value that `posctl keys list` shows of a slot.
async fn check(bench: &Bench, slot: &str) -> String {
    let slots: Vec<Value> = serde_json::from_str(&posctl(bench, &["--json", "keys", "list"]).await).unwrap();
    let found = slots.iter().find(|known| known.get("slot").is_some_and(|name| name == slot)).unwrap();
    found.get("check_value").unwrap().as_str().unwrap().to_owned()
}

#[tokio::test]
async fn custodians_enter_a_key_that_then_protects_the_others() {
    let bench = Bench::start().await;
    let entered = posctl(&bench, &["keys", "enter", "kbpk"]);
    let custodians = async {
        let bus = bench.terminal.system_bus().await.unwrap();
        let keys = client::proxy::<CardKeysProxy>(&bus).await.unwrap();
        for (component, code, text) in [(1, "111111", FIRST), (2, "222222", SECOND)] {
            until("the pad to ask", async || keys.key_entry().await.is_ok_and(|state| state.1 == component))
                .await;
            bench.sim(&format!("component {code} {text}")).await;
        }
    };
    let (shown, ()) = tokio::join!(entered, custodians);
    assert_eq!(shown.trim(), check(&bench, "kbpk").await);

    let parts = [FIRST, SECOND].map(|part| hex::decode(part).unwrap());
    let attributes = Attributes::new(Usage::KeyBlockProtection, Algorithm::Aes, Mode::Encrypt);
    let kbpk = Key::combine(attributes, &[&parts[0], &parts[1]]).unwrap();
    let pik = Attributes::new(Usage::PinEncryption, Algorithm::Tdes, Mode::Encrypt);
    let pik = Key::new(pik, &[0x5A; 16]).unwrap();
    let (version, destination) = (Version::D, Destination::Storage);
    let request = Request { version, destination, optionals: &[], hide_length: true };
    let mut block = String::new();
    key_block::wrap(&kbpk, &pik, &request, &[7; 32], &mut block).unwrap();
    std::fs::write(bench.folder().join("pik.block"), &block).unwrap();
    let (success, _, err) = bench.run("posctl", &["keys", "load", "tdk", "--block", "pik.block"]).await;
    assert!(!success && err.contains("not for this use"), "{err}");
    posctl(&bench, &["keys", "load", "pik", "--block", "pik.block"]).await;
    let list = posctl(&bench, &["keys", "list"]).await;
    assert!(
        list.lines().any(|line| line.starts_with("pik") && line.contains("P0") && line.contains("TDES")),
        "{list}"
    );
    for secret in [FIRST, SECOND, "5A5A5A5A"] {
        assert!(!list.contains(secret) && !bench.logs().contains(secret));
    }
    assert!(bench.logs().contains("loaded a key into the slot pik"), "who loads a key is recorded");
}

#[tokio::test]
async fn a_key_distribution_host_is_bound_hands_over_a_key_and_lets_go() {
    let bench = Bench::start().await;
    keyhost(&bench, &["make"]).await;
    posctl(&bench, &["keys", "credential", "device"]).await;
    keyhost(&bench, &["credential", "host"]).await;
    // Longer than a frame of the line, and than any message of it.
    for (length, problem) in [(20_000, "too long"), (70_000, "too long")] {
        std::fs::write(bench.folder().join("garbage"), vec![0x30; length]).unwrap();
        let (success, _, err) = bench.run("posctl", &["keys", "bind", "garbage"]).await;
        assert!(!success && err.contains(problem), "{length}: {err}");
    }
    posctl(&bench, &["keys", "bind", "host"]).await;
    posctl(&bench, &["keys", "nonce", "nonce"]).await;
    keyhost(&bench, &["key", "device", "nonce", "D0000K1AD00N0000", &"42".repeat(32), "token"]).await;
    assert_eq!(check(&bench, "kbpk").await, "");
    posctl(&bench, &["keys", "load", "kbpk", "--token", "token"]).await;
    let loaded = check(&bench, "kbpk").await;
    assert_eq!(loaded.len(), 10, "five bytes of a CMAC");
    let (success, _, err) = bench.run("posctl", &["keys", "load", "kbpk", "--token", "token"]).await;
    assert!(!success && err.contains("random number"), "{err}");
    posctl(&bench, &["keys", "nonce", "nonce"]).await;
    keyhost(&bench, &["unbind", "device", "nonce", "farewell"]).await;
    posctl(&bench, &["keys", "unbind", "farewell"]).await;
    assert_eq!(check(&bench, "kbpk").await, loaded, "the key stays");
    bench.sim("module tamper").await;
    bench.module_is("tampered").await;
    bench.sim("module reset").await;
    bench.module_is("ready").await;
    assert_eq!(check(&bench, "kbpk").await, "", "the key is gone");
}

#[tokio::test]
async fn who_may_not_load_keys_lists_them_at_most() {
    let uid = std::fs::metadata("/proc/self").unwrap().uid();
    let crew = |permissions: &str| {
        format!("[roles]\nrole = [{permissions}]\n[operators.ann]\nuid = {uid}\nroles = [\"role\"]\n")
    };
    for (permissions, lists, loads) in [
        ("\"device.status\", \"payment.approve\"", true, false),
        ("\"device.status\", \"keys.load\"", true, true),
        ("\"payment.start\"", false, false),
    ] {
        let bench = Bench::start_with(&[("smartpos", &crew(permissions))]).await;
        let bus = bench.terminal.system_bus().await.unwrap();
        let keys = client::proxy::<CardKeysProxy>(&bus).await.unwrap();
        let answer = keys.list_keys().await;
        assert_eq!(answer.is_ok(), lists, "{permissions}: {answer:?}");
        let answer = keys.begin_key_entry("kbpk", "aes", 256, 2).await;
        if loads {
            answer.unwrap();
            let error = keys.begin_key_entry("pik", "aes", 256, 2).await;
            assert_eq!(error_name(error), "InvalidArgument");
        } else {
            assert_eq!(error_name(answer), "NotPermitted");
            assert_eq!(error_name(keys.load_key_block("pik", "D").await), "NotPermitted");
            assert_eq!(error_name(keys.load_key_token("pik", &[]).await), "NotPermitted");
        }
    }
}
