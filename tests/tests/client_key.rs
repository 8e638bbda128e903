//! The TLS client key in the secure module: the host knows the terminal by it, and without the module there is no connection.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::fs;
use std::process::Output;

use client::card::{CardKeysProxy, CardPaymentProxy};
use client::payment::PaymentProxy;
use sim_terminal::{ClientKey, Part, programs};
use smartpos_tests::{Bench, error_name, text, until};

const PROFILE: &str = include_str!("../../config/hosts/unionpay-direct.toml");

/// A terminal whose key is in the module.
async fn in_module() -> Bench {
    Bench::start_as(&[], |terminal| terminal.client_key(ClientKey::SecureModule)).await
}

/// Has the terminal keep its connection, and waits for it.
async fn keep_connection(bench: &mut Bench) {
    let hosts = bench.folder().join("config/hosts");
    fs::create_dir_all(&hosts).unwrap();
    let profile = PROFILE.replacen("persistent = false", "persistent = true", 1);
    let profile = profile.replacen("retry_s = [1,", "retry_s = [0,", 1);
    assert_ne!(profile, PROFILE, "the shipped profile has changed");
    fs::write(hosts.join("unionpay-direct.toml"), profile).unwrap();
    bench.terminal.restart(Part::Paymentd).await.expect("paymentd takes the profile");
    until("a connection", async || connections(bench).await == 1).await;
}

/// How many connections have shaken hands with the host.
async fn connections(bench: &Bench) -> u64 {
    bench.sim("host status").await.data.get("connections").and_then(|count| count.as_u64()).unwrap()
}

#[tokio::test]
async fn a_terminal_sells_with_a_key_that_only_its_module_has() {
    let bench = in_module().await;
    let credentials = bench.terminal.layout().credentials(Part::Paymentd);
    assert!(!credentials.join("host-client-key.pem").exists());
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    for key in ["first", "second"] {
        assert_eq!(shop.sell(1234, key).await.0, "approved", "{}", bench.logs());
    }
    assert!(connections(&bench).await >= 1);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_module_that_was_tampered_with_reaches_no_host_until_it_is_serviced() {
    let mut bench = in_module().await;
    keep_connection(&mut bench).await;
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    assert_eq!(shop.sell(1234, "before").await.0, "approved", "{}", bench.logs());
    bench.sim("module tamper").await;
    bench.module_is("tampered").await;
    bench.sim("host restart").await;
    until("paymentd to say why it can't connect", async || {
        let log = fs::read_to_string(bench.terminal.layout().log(Part::Paymentd)).unwrap();
        log.lines().any(|line| line.contains("the secure card module's TLS key") && line.contains("tamper"))
    })
    .await;
    assert_eq!(connections(&bench).await, 1, "{}", bench.logs());
    let (outcome, result) = shop.sell(1234, "without-key").await;
    assert_eq!(outcome, "failed", "{result:?}");
    assert!(text(&result, "reason").contains("tamper"), "{result:?}");

    bench.sim("module reset").await;
    bench.module_is("ready").await;
    // It is another module, with another key: the acquirer certifies that.
    let (outcome, result) = shop.sell(1234, "not-certified").await;
    assert_eq!(outcome, "failed", "{result:?}");
    assert!(text(&result, "reason").contains("posctl keys csr"), "{result:?}");
    bench.terminal.enrol().await.unwrap();
    bench.terminal.restart(Part::Paymentd).await.unwrap();
    bench.module_is("ready").await;
    let shop = bench.shop().await;
    assert_eq!(shop.sell(1234, "serviced").await.0, "approved", "{}", bench.logs());
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_certificate_for_another_key_is_told_with_what_to_do() {
    let drop_in = [("paymentd", "[host]\nclient_key = \"secure-module\"\n")];
    let bench = Bench::start_with(&drop_in).await;
    bench.sim("card insert unionpay-credit").await;
    let (outcome, result) = bench.shop().await.sell(1234, "order-1").await;
    assert_eq!(outcome, "failed", "{result:?}");
    assert!(text(&result, "reason").contains("posctl keys csr"), "{result:?}");
    assert_eq!(connections(&bench).await, 0);
}

#[tokio::test]
async fn the_operator_has_a_certificate_requested_and_nobody_but_paymentd_has_anything_signed() {
    let bench = Bench::start().await;
    bench.module_is("ready").await;
    let posctl = async |words: &[&str]| -> Output {
        let program = programs().unwrap().join("posctl");
        let mut command = tokio::process::Command::new(program);
        command.args(words).envs(bench.terminal.environment()).output().await.unwrap()
    };
    let request = posctl(&["keys", "csr", "CN=12345678,O=Example"]).await;
    assert!(request.status.success(), "{request:?}");
    assert!(request.stdout.starts_with(b"-----BEGIN CERTIFICATE REQUEST-----\n"), "{request:?}");
    let wrong = posctl(&["keys", "csr", "12345678"]).await;
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("CN=12345678"), "{wrong:?}");

    let bus = bench.terminal.system_bus().await.unwrap();
    let payments = client::proxy::<CardPaymentProxy>(&bus).await.unwrap();
    assert_eq!(error_name(payments.sign_tls(&[0; 32]).await), "NotPermitted");
    assert_eq!(error_name(payments.tls_public_key().await), "NotPermitted");
    // On the bus of the apps there is no such interface.
    let apps = bench.terminal.app_bus().await.unwrap();
    let keys = client::proxy::<CardKeysProxy>(&apps).await.unwrap();
    assert_eq!(
        error_name(keys.tls_certificate_request("CN=1").await),
        "org.freedesktop.DBus.Error.UnknownInterface"
    );
    let payment = client::proxy::<PaymentProxy>(&apps).await.unwrap();
    assert!(payment.terminal().await.is_ok(), "the services themselves are there");
}
