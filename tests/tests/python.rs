//! Another language, another D-Bus library: an app of 30 lines in Python sells, one of 40 reads a membership.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::path::Path;
use std::process::Output;

use sim_terminal::MEMBERSHIP;
use smartpos_tests::{Bench, within};

async fn run(bench: &Bench, script: &str, arguments: &'static [&'static str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let address = bench.terminal.app_bus_address();
    let run = tokio::task::spawn_blocking(move || {
        let mut command = std::process::Command::new("/usr/bin/python3");
        command.arg(script).args(arguments).env("SMARTPOS_APP_BUS_ADDRESS", address);
        command.output().expect("python3 starts")
    });
    within("the Python app to end", run).await.unwrap()
}

#[tokio::test]
async fn an_app_in_python_sells() {
    let bench = Bench::start().await;
    bench.insert("unionpay-debit-pin").await;
    let output = run(&bench, "sell.py", &["1234", "python-1"]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("created pin") && said.contains("approved 621"), "{said}");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn an_app_in_python_reads_a_membership() {
    let bench = Bench::start().await;
    bench.insert("co-branded").await;
    let output = run(&bench, "member.py", &[MEMBERSHIP]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("member M-0000042"), "{said}");
}
