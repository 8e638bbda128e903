//! Entries at a keypad whose node is the other end of a socket: the same bytes as from the kernel.

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use evdev::{EventType, KeyCode, SynchronizationCode};
use keys::pin_block::{self, Format};
use keys::{Algorithm, Attributes, Exportability, Key, Mode, Pan, Pin, Usage, kcv, track2};
use secure_module::{CardPart, CardSlot, PinEncipherment};
use tokio::sync::mpsc;

use super::super::offline_pin::{self, Verify};
use super::keypad::{EVENT, Presses};
use super::*;

const TMK: &str = "0123456789abcdeffedcba9876543210";
const WORKING: [u8; 16] = [0x22; 16];
const PAN: &str = "6217001234567890123";

/// The keys with a PIN key and a data key of `algorithm`, loaded as a host sends them.
fn keys(algorithm: Algorithm) -> SoftwareKeys {
    let folder = tempfile::tempdir().unwrap();
    for name in ["software-tmk", "software-tmk-sm4", "software-secret"] {
        std::fs::write(folder.path().join(name), TMK).unwrap();
    }
    let keys = SoftwareKeys::open(folder.path(), folder.path()).unwrap();
    let master = Attributes::new(Usage::KeyEncryption, algorithm, Mode::Encrypt);
    let master = Key::new(master, &hex::decode(TMK).unwrap()).unwrap();
    let under = if algorithm == Algorithm::Sm4 { KeySlot::TMK_SM4 } else { KeySlot::TMK };
    for (slot, usage) in [(KeySlot::PIK, Usage::PinEncryption), (KeySlot::TDK, Usage::Data)] {
        let working = Attributes::new(usage, algorithm, Mode::Both).exportable(Exportability::Sensitive);
        let working = Key::new(working, &WORKING).unwrap();
        let wrapped = master.encrypt_key(&working).unwrap();
        let check = kcv::of(&working, kcv::Method::Zeros).unwrap();
        keys.load_key(&slot, &under, &wrapped.as_slice().try_into().unwrap(), *check.first_chunk().unwrap())
            .unwrap();
    }
    keys
}

/// The node of a keypad, and what is plugged into it.
#[derive(Clone)]
struct Node {
    keypad: Arc<Lock<Option<UnixStream>>>,
    taken: Arc<AtomicUsize>,
}

#[async_trait]
impl Keypad for Node {
    async fn take(&self) -> io::Result<Presses> {
        self.taken.fetch_add(1, Ordering::SeqCst);
        let plugged = self.keypad.lock().unwrap().as_ref().map(UnixStream::try_clone);
        Presses::new(plugged.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))??.into())
    }
}

/// A pad, the hand at it, and what the daemon hears.
struct Bench {
    pad: Arc<Pad>,
    node: Node,
    hand: Option<UnixStream>,
    keys: Arc<SoftwareKeys>,
    reports: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
}

impl Bench {
    fn new() -> Self {
        Self::under(Algorithm::Tdes)
    }

    fn under(algorithm: Algorithm) -> Self {
        let node = Node { keypad: Arc::default(), taken: Arc::default() };
        let (reports, events) = mpsc::channel(64);
        let pad = Arc::new(Pad::on(Box::new(node.clone())));
        let mut bench = Self { pad, node, hand: None, keys: Arc::new(keys(algorithm)), reports, events };
        bench.plug();
        bench
    }

    fn plug(&mut self) {
        let (keypad, hand) = UnixStream::pair().unwrap();
        keypad.set_nonblocking(true).unwrap();
        *self.node.keypad.lock().unwrap() = Some(keypad);
        self.hand = Some(hand);
    }

    fn unplug(&mut self) {
        *self.node.keypad.lock().unwrap() = None;
        self.hand = None;
    }

    fn send(&mut self, kind: EventType, code: u16, value: i32) {
        let mut event = vec![0x5A; EVENT - 8];
        event.extend(kind.0.to_ne_bytes());
        event.extend(code.to_ne_bytes());
        event.extend(value.to_ne_bytes());
        self.hand.as_ref().unwrap().write_all(&event).unwrap();
    }

    /// Presses keys as a keyboard tells of them: down, repeated, up, each with the kernel's end of a report.
    fn press(&mut self, keys: &[KeyCode]) {
        for key in keys {
            for value in [1, 2, 0] {
                self.send(EventType::KEY, key.0, value);
                self.send(EventType::SYNCHRONIZATION, 0, 0);
            }
        }
    }

    /// Digits on the number row.
    fn digits(&mut self, digits: &str) {
        for digit in digits.bytes() {
            let key = if digit == b'0' { KeyCode::KEY_0 } else { KeyCode(u16::from(digit - b'0') + 1) };
            self.press(&[key]);
        }
    }

    async fn enter(&self, request: PinRequest) -> Result<PinOutcome> {
        self.pad.enter_pin(&request, &self.keys, &self.reports.downgrade()).await
    }

    fn begin(&self) -> tokio::task::JoinHandle<Result<PinOutcome>> {
        let (pad, keys, reports) = (Arc::clone(&self.pad), Arc::clone(&self.keys), self.reports.downgrade());
        tokio::spawn(async move { pad.enter_pin(&request(), &keys, &reports).await })
    }

    /// What the daemon has heard so far of digits.
    fn shown(&mut self) -> Vec<Event> {
        let events = std::iter::from_fn(|| self.events.try_recv().ok());
        events.filter(|event| *event != Event::PadAsks).collect()
    }
}

fn request() -> PinRequest {
    PinRequest {
        pan: Some(Pan::new(PAN).unwrap()),
        key: KeySlot::PIK,
        digits: 4..=6,
        first_key: Duration::from_secs(60),
        next_key: Duration::from_secs(20),
        bypass: false,
        accessible: false,
        amount: None,
    }
}

/// The PIN that the host recovers.
fn recovered(outcome: Result<PinOutcome>, algorithm: Algorithm) -> Pin {
    let Ok(PinOutcome::Entered(block)) = outcome else { panic!("{outcome:?}") };
    let pan = Pan::new(PAN).unwrap();
    let format = if algorithm == Algorithm::Sm4 { Format::UnionPaySm4(&pan) } else { Format::Iso0(&pan) };
    let pik = Attributes::new(Usage::PinEncryption, algorithm, Mode::Both);
    pin_block::decrypt(&Key::new(pik, &WORKING).unwrap(), format, block.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_pin_of_both_rows_of_digits_is_in_the_block_and_only_its_length_is_told() {
    for algorithm in [Algorithm::Tdes, Algorithm::Sm4] {
        let mut bench = Bench::under(algorithm);
        bench.digits("105");
        bench.press(&[KeyCode::KEY_KP9, KeyCode::KEY_A, KeyCode::KEY_NUMERIC_7, KeyCode::KEY_KPENTER]);
        assert_eq!(recovered(bench.enter(request()).await, algorithm), Pin::new("10597").unwrap());
        assert_eq!(bench.shown(), (1..=5).map(Event::PinDigits).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn clear_takes_all_back_and_so_does_a_report_of_keys_that_were_lost() {
    let mut bench = Bench::new();
    bench.digits("123");
    bench.press(&[KeyCode::KEY_BACKSPACE]);
    bench.digits("45");
    bench.send(EventType::SYNCHRONIZATION, SynchronizationCode::SYN_DROPPED.0, 0);
    bench.digits("6789");
    bench.press(&[KeyCode::KEY_ENTER]);
    assert_eq!(recovered(bench.enter(request()).await, Algorithm::Tdes), Pin::new("6789").unwrap());
    let counts = [1, 2, 3, 0, 1, 2, 0, 1, 2, 3, 4];
    assert_eq!(bench.shown(), counts.map(Event::PinDigits));
}

#[tokio::test(start_paused = true)]
async fn the_first_key_and_each_further_one_have_their_time() {
    let mut bench = Bench::new();
    let begin = tokio::time::Instant::now();
    assert_eq!(bench.enter(request()).await, Ok(PinOutcome::TimedOut));
    assert_eq!(begin.elapsed().as_secs(), 60);
    let begin = tokio::time::Instant::now();
    bench.digits("12");
    assert_eq!(bench.enter(request()).await, Ok(PinOutcome::TimedOut));
    assert_eq!(begin.elapsed().as_secs(), 20);
}

#[tokio::test]
async fn who_stands_at_the_pad_cancels_and_so_does_the_terminal_and_neither_cancels_the_next_entry() {
    let mut bench = Bench::new();
    bench.digits("1234");
    bench.press(&[KeyCode::KEY_ESC]);
    assert_eq!(bench.enter(request()).await, Ok(PinOutcome::Cancelled));
    bench.plug();
    bench.pad.cancel();
    let entry = bench.begin();
    bench.digits("1");
    assert_eq!(bench.shown(), (1..=4).map(Event::PinDigits).collect::<Vec<_>>());
    assert_eq!(bench.events.recv().await, Some(Event::PadAsks));
    assert_eq!(bench.events.recv().await, Some(Event::PinDigits(1)));
    assert_eq!(bench.enter(request()).await, Err(Error::Busy));
    bench.pad.cancel();
    assert_eq!(entry.await.unwrap(), Ok(PinOutcome::Cancelled));
}

#[tokio::test]
async fn an_entry_that_nobody_waits_for_any_more_gives_the_keypad_back() {
    let mut bench = Bench::new();
    let entry = bench.begin();
    bench.digits("1");
    bench.events.recv().await;
    entry.abort();
    assert!(entry.await.unwrap_err().is_cancelled());
    bench.plug();
    bench.digits("1234");
    bench.press(&[KeyCode::KEY_ENTER]);
    assert_eq!(recovered(bench.enter(request()).await, Algorithm::Tdes), Pin::new("1234").unwrap());
}

#[tokio::test]
async fn a_keypad_that_is_unplugged_ends_the_entry_and_serves_again_when_it_is_back() {
    let mut bench = Bench::new();
    let entry = bench.begin();
    bench.digits("12");
    bench.events.recv().await;
    bench.unplug();
    assert_eq!(entry.await.unwrap(), Err(Error::PinPadBroken));
    assert_eq!(bench.enter(request()).await, Err(Error::PinPadBroken));
    bench.plug();
    bench.digits("9876");
    bench.press(&[KeyCode::KEY_OK]);
    assert_eq!(recovered(bench.enter(request()).await, Algorithm::Tdes), Pin::new("9876").unwrap());
}

#[tokio::test]
async fn the_keypad_is_left_alone_for_a_request_that_can_not_be_met() {
    let bench = Bench::new();
    let no_key = PinRequest { key: KeySlot::new("zpk").unwrap(), ..request() };
    assert!(matches!(bench.enter(no_key).await, Err(Error::Invalid(_))));
    let no_pin_key = PinRequest { key: KeySlot::TDK, ..request() };
    assert_eq!(bench.enter(no_pin_key).await, Err(Error::WrongUsage));
    for (shortest, longest) in [(3, 6), (4, 13), (6, 5)] {
        let digits = RangeInclusive::new(shortest, longest);
        assert!(matches!(bench.enter(PinRequest { digits, ..request() }).await, Err(Error::Invalid(_))));
    }
    let no_time = PinRequest { next_key: Duration::ZERO, ..request() };
    assert!(matches!(bench.enter(no_time).await, Err(Error::Invalid(_))));
    assert_eq!(bench.node.taken.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_no_keypad_is_no_pin_pad() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no device").unwrap();
    let mut bench = Bench::new();
    for node in [folder.path().join("nothing"), file] {
        let pad = Pad::new(node);
        let entered = pad.enter_pin(&request(), &bench.keys, &bench.reports.downgrade()).await;
        assert_eq!(entered, Err(Error::PinPadBroken));
        assert!(bench.events.try_recv().is_err(), "nobody is asked to type where others would read it");
    }
}

fn card_request() -> CardEntryRequest {
    CardEntryRequest {
        security_code: true,
        first_key: Duration::from_secs(60),
        next_key: Duration::from_secs(20),
        amount: None,
    }
}

#[tokio::test(start_paused = true)]
async fn who_presses_keys_without_end_is_not_waited_for_without_end() {
    let mut bench = Bench::new();
    let begin = tokio::time::Instant::now();
    let entry = bench.begin();
    while !entry.is_finished() && begin.elapsed().as_secs() < 10_000 {
        bench.press(&[KeyCode::KEY_1, KeyCode::KEY_BACKSPACE]);
        tokio::time::sleep(Duration::from_secs(19)).await;
        bench.shown();
    }
    // Four times six digits, each after 20 s, and the first key.
    assert!((540..600).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert_eq!(entry.await.unwrap(), Ok(PinOutcome::TimedOut));
}

#[tokio::test]
async fn an_entry_that_comes_to_nothing_leaves_no_card_of_an_earlier_one() {
    let mut bench = Bench::new();
    for part in ["4111110000000039", "1249", "039"] {
        bench.digits(part);
        bench.press(&[KeyCode::KEY_ENTER]);
    }
    let reports = bench.reports.downgrade();
    assert!(matches!(
        bench.pad.enter_card(&card_request(), &reports).await,
        Ok(CardEntryOutcome::Entered { .. })
    ));
    bench.plug();
    bench.press(&[KeyCode::KEY_ESC]);
    assert_eq!(bench.pad.enter_card(&card_request(), &reports).await, Ok(CardEntryOutcome::Cancelled));
    assert_eq!(bench.pad.seal_keyed_card(&bench.keys, &KeySlot::TDK), Err(Error::NoCard));
}

#[tokio::test]
async fn a_card_that_is_keyed_is_shown_masked_sealed_for_the_host_and_has_the_token_of_its_number() {
    let mut bench = Bench::new();
    let request = card_request();
    for part in ["4111110000000039", "1249", "039"] {
        bench.digits(part);
        bench.press(&[KeyCode::KEY_ENTER]);
    }
    let entered = bench.pad.enter_card(&request, &bench.reports.downgrade()).await;
    assert_eq!(entered, Ok(CardEntryOutcome::Entered { masked_pan: "411111******0039".to_owned() }));
    let shown = bench.shown();
    assert_eq!(
        shown[15..18],
        [
            Event::CardDigits(CardPart::Number, 16),
            Event::CardDigits(CardPart::Expiry, 0),
            Event::CardDigits(CardPart::Expiry, 1),
        ]
    );
    let sealed = bench.pad.seal_keyed_card(&bench.keys, &KeySlot::TDK).unwrap();
    let tdk = Key::new(Attributes::new(Usage::Data, Algorithm::Tdes, Mode::Both), &WORKING).unwrap();
    let track = track2::decrypt(&tdk, &sealed).unwrap();
    assert_eq!(
        (track.pan().digits(), track.expiry(), track.discretionary()),
        ("4111110000000039", "4912", "039")
    );
    let token = bench.pad.keyed_card_token(&bench.keys, &KeySlot::TOKEN);
    assert_eq!(token, bench.keys.card_token(&KeySlot::TOKEN, &Pan::new("4111110000000039").unwrap()));
    bench.pad.forget_keyed_card();
    assert_eq!(bench.pad.seal_keyed_card(&bench.keys, &KeySlot::TDK), Err(Error::NoCard));
}

/// A PIN entry for the card.
fn for_card(encipherment: Option<PinEncipherment>) -> OfflinePinRequest {
    OfflinePinRequest {
        slot: CardSlot::Contact,
        tries_left: Some(3),
        encipherment,
        digits: 4..=12,
        first_key: Duration::from_secs(60),
        next_key: Duration::from_secs(20),
        bypass: true,
        accessible: false,
        amount: None,
    }
}

#[tokio::test]
async fn a_pin_for_the_card_is_verified_by_it_in_the_clear_or_enciphered() {
    for name in ["offline-pin", "offline-pin-own-key"] {
        let mut card = sim_cards::load(name).unwrap();
        let mut exchange = |command: &[u8]| card.transmit(command).unwrap();
        exchange(b"\x00\xA4\x04\x00\x07\xA0\x00\x00\x00\x03\x10\x10\x00");
        exchange(b"\x80\xA8\x00\x00\x08\x83\x06\xE0\xF8\xC0\x01\x56\x22\x00");
        let challenge = exchange(b"\x00\x84\x00\x00\x00");
        let profile = sim_cards::profiles().find(|profile| profile.name == name).unwrap();
        let (modulus, exponent) = profile.pin_key();
        let with = PinEncipherment {
            modulus: modulus.to_vec(),
            exponent: exponent.to_vec(),
            challenge: challenge[..8].try_into().unwrap(),
        };
        let request = for_card(Some(with).filter(|_| name == "offline-pin-own-key"));
        let mut bench = Bench::new();
        bench.digits("1234");
        bench.press(&[KeyCode::KEY_ENTER]);
        let entered = bench.pad.enter_offline_pin(&request, &bench.reports.downgrade()).await;
        let Ok(ControlFlow::Continue(pin)) = entered else { panic!("{entered:?}") };
        let verify = Verify::new(&request).unwrap().command(&pin).unwrap();
        assert_eq!(offline_pin::status(&exchange(&verify)), Ok(0x9000), "{name}");
        assert_eq!(bench.shown(), (1..=4).map(Event::PinDigits).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_for_the_card_without_a_pin_says_how_it_ended() {
    for (key, outcome) in [
        (Some(KeyCode::KEY_ENTER), OfflinePinOutcome::Bypassed),
        (Some(KeyCode::KEY_ESC), OfflinePinOutcome::Cancelled),
        (None, OfflinePinOutcome::TimedOut),
    ] {
        let mut bench = Bench::new();
        bench.press(key.as_slice());
        let entered = bench.pad.enter_offline_pin(&for_card(None), &bench.reports.downgrade()).await;
        assert_eq!(entered, Ok(ControlFlow::Break(outcome)));
    }
}

#[test]
fn a_pin_is_enciphered_for_no_key_that_no_card_has_and_for_the_terminals_slot_alone() {
    let key = PinEncipherment { modulus: vec![0x7F; 96], exponent: vec![3], challenge: [0; 8] };
    assert!(matches!(Verify::new(&for_card(Some(key))), Err(Error::Invalid(_))));
    let elsewhere = OfflinePinRequest { slot: CardSlot::Sam(1), ..for_card(None) };
    assert!(matches!(Verify::new(&elsewhere), Err(Error::NotSupported)));
}
