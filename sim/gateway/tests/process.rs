//! The gateway as a process: its command line, its first line, its control socket, and what outlives it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[tokio::test]
async fn it_says_ready_once_terminals_and_testers_can_connect() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut process = Command::new(env!("CARGO_BIN_EXE_smartpos-sim-gateway"))
        .arg("--control")
        .arg(dir.path())
        .args(["--listen", "127.0.0.1:0", "--pki"])
        .arg(path("pki"))
        .arg("--ledger")
        .arg(path("ledger"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = std::fs::read_to_string(path("gateway.addr"));
    let connected = address.as_ref().map(std::net::TcpStream::connect);
    let status = sim_control::send(dir.path(), &["qr", "status"]).await;
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(line, "ready\n");
    assert!(matches!(connected, Ok(Ok(_))), "{connected:?}");
    assert!(status.unwrap().ok);
}

#[test]
fn a_wrong_command_line_is_explained_with_exit_code_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_smartpos-sim-gateway")).args(["--pki"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--pki"));
}
