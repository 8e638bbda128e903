//! The process, as QEMU and `simctl` see it: a socket with VSCard, and a control socket. The bytes of VSCard are
//! written out here once more, so that both ends of a mistake would have to agree.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sim_control::Reply;
use tempfile::TempDir;

const INIT: u8 = 1;
const ERROR: u8 = 2;
const READER_ADD: u8 = 3;
const ATR: u8 = 5;
const CARD_REMOVE: u8 = 6;
const APDU: u8 = 7;

const HELLO: &[u8] = b"VSCD\x00\x00\x00\x02\x00\x00\x00\x00";
const SELECT_PSE: &[u8] = b"\x00\xA4\x04\x00\x0E1PAY.SYS.DDF01\x00";

/// The process; it ends with the test.
struct Process {
    child: Child,
    folder: TempDir,
}

impl Process {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_smartpos-sim-reader"))
            .arg("--control")
            .arg(folder.path())
            .arg("--listen")
            .arg(format!("unix:{}", folder.path().join("line").display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Self { child, folder }
    }

    fn simctl(&self, words: &str) -> Reply {
        let words: Vec<&str> = words.split(' ').collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(sim_control::send(self.folder.path(), &words)).unwrap()
    }

    /// A machine is connected, and has greeted.
    fn machine(&self) -> Machine {
        let stream = UnixStream::connect(self.folder.path().join("line")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut machine = Machine(stream);
        assert_eq!(machine.read(), (INIT, HELLO.to_vec()));
        machine.write(INIT, HELLO);
        assert_eq!(machine.read().0, READER_ADD);
        machine
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The reader's end.
struct Machine(UnixStream);

impl Machine {
    fn read(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 12];
        self.0.read_exact(&mut header).unwrap();
        let mut payload = vec![0; usize::from(header[11])];
        self.0.read_exact(&mut payload).unwrap();
        (header[3], payload)
    }

    fn write(&mut self, kind: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).unwrap();
        self.0.write_all(&[0, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0, length]).unwrap();
        self.0.write_all(payload).unwrap();
    }

    fn ask(&mut self, command: &[u8]) -> (u8, Vec<u8>) {
        self.write(APDU, command);
        self.read()
    }
}

#[test]
fn a_card_is_inserted_asked_and_removed() {
    let process = Process::start();
    let mut machine = process.machine();
    assert_eq!(machine.read(), (CARD_REMOVE, Vec::new()));
    assert_eq!(machine.ask(SELECT_PSE).0, ERROR);
    assert!(process.simctl("reader insert visa").ok);
    assert_eq!(machine.read(), (ATR, vec![0x3B, 0x60, 0, 0]));
    let same = sim_cards::load("visa").unwrap().transmit(SELECT_PSE).unwrap();
    assert_eq!(machine.ask(SELECT_PSE), (APDU, same));
    assert!(!process.simctl("reader insert mastercard").ok);
    assert_eq!(process.simctl("reader status").data["card"], "visa");
    assert!(process.simctl("reader remove").ok);
    assert_eq!(machine.read(), (CARD_REMOVE, Vec::new()));
    assert!(!process.simctl("reader remove").ok);
}

#[test]
fn a_card_outlives_the_machine_and_a_reader_that_is_plugged_in_again() {
    let process = Process::start();
    process.simctl("reader insert mastercard");
    drop(process.machine());
    let mut machine = process.machine();
    assert_eq!(machine.read().0, ATR);
    machine.write(INIT, HELLO);
    assert_eq!(machine.read().0, READER_ADD);
    assert_eq!(machine.read().0, ATR);
}

#[test]
fn a_card_that_removes_itself_is_out() {
    let process = Process::start();
    process.simctl("reader insert removed-early:2");
    let mut machine = process.machine();
    assert_eq!(machine.read().0, ATR);
    assert_eq!(machine.ask(SELECT_PSE).0, APDU);
    assert_eq!(machine.ask(SELECT_PSE).0, CARD_REMOVE);
    assert_eq!(process.simctl("reader status").data["card"], serde_json::Value::Null);
}

#[test]
fn a_card_misbehaves_until_it_is_told_not_to() {
    let process = Process::start();
    process.simctl("reader insert visa");
    let mut machine = process.machine();
    assert_eq!(machine.read().0, ATR);
    process.simctl("reader garbage");
    assert!(machine.ask(SELECT_PSE).1.len() < 2);
    process.simctl("reader silent");
    machine.write(APDU, SELECT_PSE);
    machine.0.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let silence = machine.0.read(&mut [0]).unwrap_err().kind();
    assert!(matches!(silence, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");
    machine.0.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    process.simctl("reader truthful");
    assert!(machine.ask(SELECT_PSE).1.ends_with(&[0x90, 0x00]));
}

#[test]
fn a_card_that_qemu_could_not_hold_is_refused_with_the_reason() {
    let process = Process::start();
    let reply = process.simctl("reader insert chip-mute");
    assert!(!reply.ok && reply.text.contains("answer to reset"), "{}", reply.text);
    assert!(process.simctl("reader insert nobody").text.contains("unionpay-credit"));
    assert!(process.simctl("reader").text.contains("reader insert NAME"));
}

#[test]
fn a_line_that_does_not_speak_vscard_is_closed_and_the_next_one_served() {
    let process = Process::start();
    let mut machine = process.machine();
    machine.read();
    machine.0.write_all(&[0xFF; 12]).unwrap();
    assert_eq!(machine.0.read(&mut [0]).unwrap(), 0);
    process.machine();
}

#[test]
fn a_wrong_flag_is_explained() {
    let output = Command::new(env!("CARGO_BIN_EXE_smartpos-sim-reader")).arg("--listen").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--listen needs a value"));
}
