//! The process, as a daemon and `simctl` see it: a socket with the line protocol, and a control socket.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use audit::Octets;
use audit::seal::Seal;
use keys::{Pan, Pin, TdesKey, kcv, mac, pin_block, track2};
use link::{Event, Happening, Host, Pace, PinEntry, PinResult, Refusal, Request, Response};
use sim_control::Reply;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

const TMK: &str = "0123456789ABCDEFFEDCBA9876543210";
const PAN: &str = "6217001234567890123";

/// The process; it ends with the test.
struct Process {
    child: Child,
    folder: Option<TempDir>,
}

fn socket(folder: &Path) -> [String; 2] {
    ["--listen".to_owned(), format!("unix:{}", folder.join("line").display())]
}

impl Process {
    fn start(line: impl Fn(&Path) -> [String; 2]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), line)
    }

    fn start_in(folder: TempDir, line: impl Fn(&Path) -> [String; 2]) -> Self {
        let tmk = folder.path().join("tmk");
        std::fs::write(&tmk, format!("{TMK}\n")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_smartpos-sim-module"))
            .arg("--control")
            .arg(folder.path())
            .args(line(folder.path()))
            .arg("--tmk")
            .arg(tmk)
            .arg("--store")
            .arg(folder.path().join("store"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Self { child, folder: Some(folder) }
    }

    fn on_a_socket() -> Self {
        Self::start(socket)
    }

    /// The same module, killed and started again.
    fn restarted(mut self) -> Self {
        let folder = self.folder.take().unwrap();
        drop(self);
        Self::start_in(folder, socket)
    }

    fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    async fn connect(&self) -> Line<UnixStream> {
        Line::open(UnixStream::connect(self.folder().join("line")).await.unwrap()).await
    }

    async fn simctl(&self, words: &str) -> Reply {
        let words: Vec<&str> = words.split(' ').collect();
        sim_control::send(self.folder(), &words).await.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The host's end over a stream.
struct Line<S> {
    stream: S,
    host: Host,
    started: Instant,
    events: Vec<Event>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    async fn open(stream: S) -> Self {
        let mut line = Self {
            stream,
            host: Host::new(getrandom::u32().unwrap(), Pace::default(), Duration::ZERO),
            started: Instant::now(),
            events: Vec::new(),
        };
        while !matches!(line.happening().await, Happening::Opened(_)) {}
        line
    }

    async fn happening(&mut self) -> Happening {
        tokio::time::timeout(Duration::from_secs(10), self.next_happening()).await.unwrap()
    }

    async fn next_happening(&mut self) -> Happening {
        loop {
            while let Some(bytes) = self.host.output() {
                self.stream.write_all(&bytes).await.unwrap();
            }
            match self.host.happening() {
                Some(happening) => return happening,
                None => {
                    let mut buffer = [0; 512];
                    let deadline = self.host.deadline().unwrap_or(Duration::MAX);
                    let patience = deadline.saturating_sub(self.started.elapsed());
                    if let Ok(read) = tokio::time::timeout(patience, self.stream.read(&mut buffer)).await {
                        let count = read.unwrap();
                        assert_ne!(count, 0, "the module closed the line");
                        self.host.receive(&buffer[..count], self.started.elapsed());
                    }
                    self.host.tick(self.started.elapsed());
                }
            }
        }
    }

    async fn ask(&mut self, request: Request) -> Response {
        self.host.request(&request, Duration::from_secs(10), self.started.elapsed()).unwrap();
        loop {
            match self.happening().await {
                Happening::Answered(response) => return response,
                Happening::Event(event) => self.events.push(event),
                other => panic!("{other:?}"),
            }
        }
    }

    async fn refusal(&mut self, request: Request) -> Refusal {
        match self.ask(request).await {
            Response::Refused { refusal, .. } => refusal,
            other => panic!("{other:?}"),
        }
    }

    async fn data(&mut self, request: Request) -> Vec<u8> {
        match self.ask(request).await {
            Response::Data(data) => data.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    async fn event(&mut self) -> Event {
        if !self.events.is_empty() {
            return self.events.remove(0);
        }
        match self.happening().await {
            Happening::Event(event) => event,
            other => panic!("{other:?}"),
        }
    }

    async fn load(&mut self, slot: &str, key: &TdesKey) {
        let wrapped = TdesKey::from_hex(TMK).unwrap().wrap(key);
        let (key, under, check) = (slot.to_owned(), "tmk".to_owned(), kcv::check_value(key));
        assert_eq!(self.ask(Request::LoadKey { key, under, wrapped, check }).await, Response::Done);
    }
}

fn pin_entry() -> PinEntry {
    PinEntry {
        entry: 1,
        key: "pik".to_owned(),
        pan: PAN.to_owned().into(),
        shortest: 4,
        longest: 12,
        first_key: 30_000,
        next_key: 10_000,
        bypass: false,
        accessible: false,
        amount: Some((1234, 156, 2)),
    }
}

fn mac_of(message: &[u8]) -> Request {
    Request::Mac { key: "mak".to_owned(), message: message.to_vec().into() }
}

#[tokio::test]
async fn a_card_is_inserted_powered_asked_and_removed() {
    let process = Process::on_a_socket();
    let mut line = process.connect().await;
    assert_eq!(line.refusal(Request::CardPowerOn { slot: 0 }).await, Refusal::NoCard);
    assert!(process.simctl("card insert unionpay-debit-pin").await.ok);
    assert_eq!(line.event().await, Event::CardInserted { slot: 0 });
    let select = b"\x00\xA4\x04\x00\x0E1PAY.SYS.DDF01\x00".to_vec();
    let transmit = || Request::CardTransmit { slot: 0, command: select.clone().into() };
    assert_eq!(line.refusal(transmit()).await, Refusal::CardMute);
    assert_eq!(line.data(Request::CardPowerOn { slot: 0 }).await[0], 0x3B);
    assert!(line.data(transmit()).await.ends_with(&[0x90, 0x00]));
    assert!(!process.simctl("card insert visa").await.ok);
    assert!(process.simctl("card remove").await.ok);
    assert_eq!(line.event().await, Event::CardRemoved { slot: 0 });
    assert_eq!(line.refusal(transmit()).await, Refusal::NoCard);
}

#[tokio::test]
async fn a_card_that_removes_itself_is_an_event() {
    let process = Process::on_a_socket();
    let mut line = process.connect().await;
    process.simctl("card insert removed-early:1").await;
    assert_eq!(line.event().await, Event::CardInserted { slot: 0 });
    line.data(Request::CardPowerOn { slot: 0 }).await;
    let command = vec![0, 0xA4, 4, 0, 0];
    assert_eq!(
        line.refusal(Request::CardTransmit { slot: 0, command: command.into() }).await,
        Refusal::NoCard
    );
    assert_eq!(line.event().await, Event::CardRemoved { slot: 0 });
}

#[tokio::test]
async fn a_queued_pin_becomes_a_block_that_the_host_can_open() {
    let process = Process::on_a_socket();
    let mut line = process.connect().await;
    assert_eq!(line.refusal(Request::EnterPin(pin_entry())).await, Refusal::NoKey);
    let pik = TdesKey::new([0x44; 16]);
    line.load("pik", &pik).await;
    process.simctl("pin 123456").await;
    assert_eq!(line.ask(Request::EnterPin(pin_entry())).await, Response::Done);
    for count in 1..=6 {
        assert_eq!(line.event().await, Event::PinDigits { entry: 1, count });
    }
    let Event::PinEnded { entry: 1, result: PinResult::Entered(block) } = line.event().await else {
        panic!()
    };
    let pin = pin_block::decipher(&pik, block, &Pan::new(PAN).unwrap());
    assert_eq!(pin, Ok(Pin::new("123456").unwrap()));
}

#[tokio::test]
async fn a_pin_entry_ends_by_the_cardholder_or_the_host() {
    let process = Process::on_a_socket();
    let mut line = process.connect().await;
    line.load("pik", &TdesKey::new([0x44; 16])).await;
    let ended = |result| Event::PinEnded { entry: 1, result };
    for (words, result) in [("pin cancel", PinResult::Cancelled), ("pin timeout", PinResult::TimedOut)] {
        line.ask(Request::EnterPin(pin_entry())).await;
        process.simctl(words).await;
        assert_eq!(line.event().await, ended(result));
    }
    line.ask(Request::EnterPin(pin_entry())).await;
    assert_eq!(line.refusal(Request::EnterPin(pin_entry())).await, Refusal::Busy);
    line.ask(Request::CancelPin).await;
    assert_eq!(line.event().await, ended(PinResult::Cancelled));
    // The pad's own clock, without anyone's help.
    line.ask(Request::EnterPin(PinEntry { first_key: 50, ..pin_entry() })).await;
    assert_eq!(line.event().await, ended(PinResult::TimedOut));
}

#[tokio::test]
async fn a_message_is_authenticated_and_a_track_is_sealed() {
    let process = Process::on_a_socket();
    let mut line = process.connect().await;
    let (mak, tdk) = (TdesKey::new([0x42; 16]), TdesKey::new([0x24; 16]));
    line.load("mak", &mak).await;
    line.load("tdk", &tdk).await;
    let expected = mac::unionpay(&mak, b"message");
    assert_eq!(line.ask(mac_of(b"message")).await, Response::Mac(expected));
    let verify = |message: &[u8]| Request::VerifyMac {
        key: "mak".to_owned(),
        mac: expected,
        message: message.to_vec().into(),
    };
    assert_eq!(line.ask(verify(b"message")).await, Response::Verified(true));
    assert_eq!(line.ask(verify(b"massage")).await, Response::Verified(false));
    let track: Vec<u8> =
        [&[0x62, 0x17, 0, 0x12, 0x34, 0x56, 0x78, 0x90][..], &[0xD3, 0x01, 0x22, 0x20]].concat();
    let seal = |key: &str| Request::SealTrack2 { key: key.to_owned(), track2: track.clone().into() };
    let (first, second) = (line.data(seal("tdk")).await, line.data(seal("tdk")).await);
    assert_ne!(first, second);
    assert_eq!(track2::open(&tdk, &first).unwrap().pan().digits(), "6217001234567890");
    assert_eq!(line.refusal(seal("mak")).await, Refusal::WrongUsage);
    let other = Request::SealTrack2 { key: "tdk".to_owned(), track2: b"a PIN or a key"[..].to_vec().into() };
    assert_eq!(line.refusal(other).await, Refusal::Invalid);

    let stored = line.data(seal("store")).await;
    assert!(track2::open(&tdk, &stored).is_err(), "what waits is under a key of its own");
    let reseal = |from: &str, key: &str, sealed: &[u8]| Request::ResealTrack2 {
        from: from.to_owned(),
        key: key.to_owned(),
        sealed: sealed.to_vec().into(),
    };
    let resealed = line.data(reseal("store", "tdk", &stored)).await;
    assert_eq!(track2::open(&tdk, &resealed).unwrap().as_bytes(), track);
    // Nothing else is opened, and nothing goes anywhere else.
    assert_eq!(line.refusal(reseal("tdk", "tdk", &first)).await, Refusal::WrongUsage);
    assert_eq!(line.refusal(reseal("store", "store", &stored)).await, Refusal::WrongUsage);
    assert_eq!(line.refusal(reseal("store", "tdk", &first)).await, Refusal::Invalid);
}

#[tokio::test]
async fn a_card_has_one_token_for_the_life_of_the_module() {
    let process = Process::on_a_socket();
    let mut line = process.connect().await;
    let token = |key: &str, pan: &str| Request::CardToken { key: key.to_owned(), pan: pan.to_owned().into() };
    let first = line.data(token("token", "6217001234567890")).await;
    assert!((8..=32).contains(&first.len()));
    assert_ne!(first, line.data(token("token", "6217001234567908")).await);
    for (key, pan, refusal) in
        [("tdk", "6217001234567890", Refusal::WrongUsage), ("token", "a card", Refusal::Invalid)]
    {
        assert_eq!(line.refusal(token(key, pan)).await, refusal);
    }
    let process = process.restarted();
    let mut line = process.connect().await;
    assert_eq!(line.data(token("token", "6217001234567890")).await, first);
}

#[tokio::test]
async fn a_journal_is_sealed_by_a_key_that_the_module_has_for_its_life_and_loses_when_it_is_tampered_with() {
    let (identity, head, at) = (Octets([7; 16]), Octets([9; 32]), 1_763_900_000_000);
    let request = Request::SealJournal { journal: identity.0, last: 3, head: head.0, at };
    let mut keys = Vec::new();
    let mut process = Process::on_a_socket();
    for _ in 0..2 {
        process = process.restarted();
        let mut line = process.connect().await;
        let sealed = line.data(request.clone()).await;
        let (key, signature) = sealed.split_at(64);
        let key = Octets::try_from(key).unwrap();
        let seal = Seal { last: 3, head, at, key, signature: Octets::try_from(signature).unwrap() };
        assert!(seal.is_signed(&identity));
        assert!(!Seal { at: at + 1, ..seal }.is_signed(&identity));
        keys.push(key);
    }
    assert_eq!(keys.first(), keys.last(), "another start is the same device");
    let mut line = process.connect().await;
    process.simctl("module tamper").await;
    assert_eq!(line.event().await, Event::Tampered);
    assert_eq!(line.refusal(request.clone()).await, Refusal::Tampered);
}

#[tokio::test]
async fn tampering_wipes_the_keys_until_the_module_is_reset() {
    let process = Process::on_a_socket();
    let mut line = process.connect().await;
    line.load("mak", &TdesKey::new([0x42; 16])).await;
    process.simctl("module tamper").await;
    assert_eq!(line.event().await, Event::Tampered);
    assert_eq!(line.refusal(mac_of(b"message")).await, Refusal::Tampered);
    let Response::Status(status) = line.ask(Request::Status).await else { panic!() };
    assert!(status.tampered && !status.certified);
    let process = process.restarted();
    let mut line = process.connect().await;
    assert_eq!(line.refusal(mac_of(b"message")).await, Refusal::Tampered);
    let Response::Status(status) = line.ask(Request::Status).await else { panic!() };
    assert!(status.tampered, "a start does not undo it");
    process.simctl("module reset").await;
    while !matches!(line.happening().await, Happening::Opened(_)) {}
    assert_eq!(line.refusal(mac_of(b"message")).await, Refusal::NoKey);
    line.load("mak", &TdesKey::new([0x42; 16])).await;
}

#[tokio::test]
async fn keys_and_card_outlive_the_line() {
    let process = Process::on_a_socket();
    process.simctl("card insert visa").await;
    let mut line = process.connect().await;
    line.load("mak", &TdesKey::new([0x42; 16])).await;
    drop(line);
    let mut line = process.connect().await;
    let Response::Status(status) = line.ask(Request::Status).await else { panic!() };
    assert!(status.card_present);
    assert!(matches!(line.ask(mac_of(b"message")).await, Response::Mac(_)));
}

#[tokio::test]
async fn a_pseudo_terminal_is_a_line_too() {
    let process = Process::start(|folder| ["--pty".to_owned(), folder.join("tty").display().to_string()]);
    for _ in 0..2 {
        let tty = process.folder().join("tty");
        let open = || std::fs::OpenOptions::new().read(true).write(true).open(&tty).unwrap();
        let (reader, writer) = (tokio::fs::File::from_std(open()), tokio::fs::File::from_std(open()));
        let mut line = Line::open(tokio::io::join(reader, writer)).await;
        assert_eq!(line.data(Request::Random { length: 256 }).await.len(), 256);
        assert_eq!(line.refusal(Request::Random { length: 257 }).await, Refusal::Invalid);
    }
}

#[test]
fn a_wrong_flag_is_explained() {
    let output = Command::new(env!("CARGO_BIN_EXE_smartpos-sim-module")).arg("--listen").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--listen needs a value"));
}
