//! The acquirer as a process: its command line, its first line and its control socket.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[tokio::test]
async fn it_says_ready_once_terminals_and_testers_can_connect() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("tmk"), "31313131313131313232323232323232\n").unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_smartpos-sim-acquirer"))
        .arg("--control")
        .arg(dir.path())
        .args(["--listen", "127.0.0.1:0", "--pki"])
        .arg(path("pki"))
        .arg("--tmk")
        .arg(path("tmk"))
        .arg("--ledger")
        .arg(path("ledger"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = std::fs::read_to_string(path("acquirer.addr"));
    let connected = address.as_ref().map(std::net::TcpStream::connect);
    let status = sim_control::send(dir.path(), &["host", "status"]).await;
    let wrong = sim_control::send(dir.path(), &["host", "late", "soon"]).await;
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(line, "ready\n");
    assert!(matches!(connected, Ok(Ok(_))), "{connected:?}");
    assert!(status.unwrap().ok);
    assert!(!wrong.unwrap().ok);
}

#[test]
fn a_wrong_command_line_is_explained_with_exit_code_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_smartpos-sim-acquirer")).args(["--pki"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("--pki needs a value\nusage:"));
}
