//! Both ends over lines that lose, repeat, cut and corrupt.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::collections::VecDeque;
use std::time::Duration;

use link::{
    Decoder, Error, Event, Fault, Frame, Happening, Host, Incoming, Kind, Module, Pace, Pairing, PinResult,
    Protection, Request, Response,
};
use proptest::prelude::*;

const LIMIT: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(100);

/// The private keys of the ends.
const HOST: [u8; 32] = [1; 32];
const MODULE: [u8; 32] = [2; 32];

/// What the end with the key `own` protects its line to the one with the key `other` with.
fn protection(own: [u8; 32], other: [u8; 32]) -> Protection {
    Protection::new(Pairing::new(&own, &public(other)).unwrap(), own.map(|byte| byte + 10).into())
}

fn public(key: [u8; 32]) -> Vec<u8> {
    p256::SecretKey::from_slice(&key).unwrap().public_key().to_sec1_bytes().to_vec()
}

/// What a line does to a piece that is sent over it.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    None,
    Lose,
    Repeat,
    Flip(usize),
    Cut(usize),
    Garbage(u8),
}

/// Both ends, and a line that has troubles for as long as there are some.
struct Line {
    host: Host,
    module: Module,
    now: Duration,
    troubles: VecDeque<Trouble>,
    /// The random lengths that were asked of the module, in the order of execution.
    executed: Vec<u16>,
    happenings: Vec<Happening>,
}

impl Line {
    fn new(troubles: Vec<Trouble>, protected: bool) -> Self {
        Self {
            host: match protected {
                true => Host::protected(7, protection(HOST, MODULE), Pace::default(), Duration::ZERO),
                false => Host::new(7, Pace::default(), Duration::ZERO),
            },
            module: match protected {
                true => Module::protected(99, protection(MODULE, HOST)),
                false => Module::new(99),
            },
            now: Duration::ZERO,
            troubles: troubles.into(),
            executed: Vec::new(),
            happenings: Vec::new(),
        }
    }

    /// Sends what both ends have to send, and lets time pass.
    fn step(&mut self) {
        while let Some(bytes) = self.host.output() {
            let bytes = self.distort(&bytes);
            for incoming in self.module.receive(&bytes, self.now) {
                match incoming {
                    Incoming::Request(Request::Random { length }) => {
                        self.executed.push(length);
                        let data = vec![0; length.into()].into();
                        self.module.respond(&Response::Data(data));
                    }
                    // Whatever is sealed comes back.
                    Incoming::Request(Request::SealTrack2 { track2, .. }) => {
                        self.executed.push(u16::try_from(track2.len()).unwrap());
                        self.module.respond(&Response::Data(track2));
                    }
                    _ => {}
                }
            }
        }
        while let Some(bytes) = self.module.output() {
            let bytes = self.distort(&bytes);
            self.host.receive(&bytes, self.now);
        }
        self.happenings.extend(std::iter::from_fn(|| self.host.happening()));
        self.now += STEP;
        self.host.tick(self.now);
        self.module.tick(self.now);
    }

    fn distort(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self.troubles.pop_front().unwrap_or(Trouble::None) {
            Trouble::None => bytes,
            Trouble::Lose => Vec::new(),
            Trouble::Repeat => bytes.repeat(2),
            Trouble::Flip(place) => {
                let place = place % bytes.len();
                bytes[place] ^= 0x10;
                bytes
            }
            Trouble::Cut(place) => bytes[..place % bytes.len()].to_vec(),
            Trouble::Garbage(byte) => [&[byte; 50], bytes.as_slice()].concat(),
        }
    }

    fn until_ready(&mut self) {
        for _ in 0..1000 {
            if self.host.ready() {
                return;
            }
            self.step();
        }
        panic!("the line never became ready");
    }
}

/// So many bytes, of which no part is like another.
fn pattern(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_be_bytes).take(length).collect()
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        Just(Trouble::None),
        Just(Trouble::Lose),
        Just(Trouble::Repeat),
        any::<usize>().prop_map(Trouble::Flip),
        any::<usize>().prop_map(Trouble::Cut),
        any::<u8>().prop_map(Trouble::Garbage),
    ]
}

proptest! {
    #[test]
    fn each_request_is_executed_at_most_once_and_answered_or_failed(
        troubles in proptest::collection::vec(trouble(), 0..60), protected: bool,
    ) {
        let mut line = Line::new(troubles, protected);
        for length in 1..=20 {
            line.until_ready();
            line.host.request(&Request::Random { length }, LIMIT, line.now).unwrap();
        }
        line.until_ready();
        let mut once = line.executed.clone();
        once.dedup();
        prop_assert_eq!(&line.executed, &once);
        let ends: Vec<_> =
            line.happenings.iter().filter(|what| matches!(what, Happening::Answered(_) | Happening::Failed(_))).collect();
        prop_assert_eq!(ends.len(), 20);
        for (length, end) in (1..).zip(ends) {
            if let Happening::Answered(Response::Data(data)) = end {
                prop_assert_eq!(data.len(), length);
                prop_assert!(line.executed.contains(&u16::try_from(length).unwrap()));
            } else {
                prop_assert_eq!(end, &Happening::Failed(Fault::Timeout));
            }
        }
    }

    #[test]
    fn events_arrive_once_and_in_order(
        troubles in proptest::collection::vec(trouble(), 0..40), protected: bool,
    ) {
        let mut line = Line::new(Vec::new(), protected);
        line.until_ready();
        line.troubles = troubles.into();
        let events: Vec<Event> = (1..=20).map(|count| Event::PinDigits { entry: 1, count }).collect();
        for event in &events {
            line.module.report(*event, line.now);
        }
        for _ in 0..1000 {
            line.step();
        }
        let got: Vec<_> = line.happenings.iter().filter_map(|what| match what {
            Happening::Event(event) => Some(*event),
            _ => None,
        }).collect();
        prop_assert_eq!(got, events);
    }

    #[test]
    fn any_payload_is_a_message_or_an_error(operation: u8, payload: Vec<u8>) {
        let _ = Response::decode(operation, &payload);
        let _ = Event::decode(&payload);
        if let Ok(request) = Request::decode(&payload) {
            prop_assert_eq!(request.encode().unwrap().to_vec(), payload);
        }
    }
}

#[test]
fn a_module_that_restarts_fails_the_request_and_opens_a_new_session() {
    let mut line = Line::new(Vec::new(), false);
    line.until_ready();
    line.host.request(&Request::Status, LIMIT, line.now).unwrap();
    while line.host.output().is_some() {}
    line.module = Module::new(100);
    line.until_ready();
    let boots: Vec<u32> = line
        .happenings
        .iter()
        .filter_map(|what| match what {
            Happening::Opened(welcome) => Some(welcome.boot),
            _ => None,
        })
        .collect();
    assert_eq!(boots, [99, 100]);
    assert!(line.happenings.contains(&Happening::Failed(Fault::Restarted)));
}

#[test]
fn a_line_that_one_end_does_not_protect_in_the_same_way_is_not_opened() {
    let open_host = || Host::new(7, Pace::default(), Duration::ZERO);
    let paired_host = || Host::protected(7, protection(HOST, MODULE), Pace::default(), Duration::ZERO);
    let stranger = || Host::protected(7, protection([3; 32], MODULE), Pace::default(), Duration::ZERO);
    for (mut host, mut module) in [
        (paired_host(), Module::new(99)),
        (open_host(), Module::protected(99, protection(MODULE, HOST))),
        (stranger(), Module::protected(99, protection(MODULE, HOST))),
        (paired_host(), Module::protected(99, protection([3; 32], HOST))),
    ] {
        while module.output().is_some() {}
        module.receive(&host.output().unwrap(), Duration::ZERO);
        host.receive(&module.output().unwrap(), Duration::ZERO);
        assert_eq!(host.happening(), Some(Happening::NotProtected));
        assert!(!host.ready());
    }
}

#[test]
fn who_is_on_the_wires_of_a_protected_line_reads_nothing_and_has_nothing_done() {
    let mut line = Line::new(Vec::new(), true);
    line.until_ready();
    // A module that has just started says so, and is said hello to twice.
    while line.host.output().is_some() {}
    let mut recorded = Vec::new();
    for secret in [b"6217001234567890", b"6217009876543210"] {
        let command = [&[0, 0x20, 0, 0x80][..], secret].concat().into();
        line.host.request(&Request::CardTransmit { slot: 0, command }, LIMIT, line.now).unwrap();
        let asked = line.host.output().unwrap();
        assert!(!asked.windows(4).any(|window| window == b"6217"));
        assert_eq!(line.module.receive(&asked, line.now).len(), 1);
        line.module.respond(&Response::Data(secret.to_vec().into()));
        let answered = line.module.output().unwrap();
        assert!(!answered.windows(4).any(|window| window == b"6217"));
        line.host.receive(&answered, line.now);
        assert!(matches!(line.host.happening(), Some(Happening::Answered(_) | Happening::Opened(_))));
        recorded.push((asked, answered));
    }
    while line.host.happening().is_some() {}
    // What was recorded, and what is made up, also as if it were sealed.
    let made_up = |kind, number, payload: &[u8]| {
        let frame = link::Frame { kind, session: 7, number, payload: payload.to_vec().into() };
        frame.encode().unwrap()
    };
    let sealed = [&[0, 99][..], &[0; 17]].concat();
    for (asked, answered) in recorded {
        assert_eq!(line.module.receive(&asked, line.now), []);
        line.host.receive(&answered, line.now);
    }
    assert_eq!(line.module.receive(&made_up(link::Kind::Request, 3, &[1]), line.now), []);
    assert_eq!(line.module.receive(&made_up(link::Kind::SealedRequest, 3, &sealed), line.now), []);
    line.host.request(&Request::Status, LIMIT, line.now).unwrap();
    line.host.receive(&made_up(link::Kind::Response, 3, &[1, 4, 0]), line.now);
    line.host.receive(&made_up(link::Kind::Event, 1, &[5]), line.now);
    line.host.receive(&made_up(link::Kind::SealedEvent, 1, &sealed), line.now);
    assert_eq!(line.host.happening(), None);
    assert_eq!(line.module.output(), None);
}

#[test]
fn a_host_that_restarts_is_told_to_the_module() {
    let mut line = Line::new(Vec::new(), false);
    line.until_ready();
    let mut host = Host::new(8, Pace::default(), line.now);
    let hello = host.output().unwrap();
    assert_eq!(line.module.receive(&hello, line.now), [Incoming::Opened]);
    // The same hello again opens nothing.
    assert_eq!(line.module.receive(&hello, line.now), []);
}

#[test]
fn a_request_that_takes_long_is_not_given_up_while_the_module_works() {
    let mut line = Line::new(Vec::new(), false);
    line.until_ready();
    // The line's module answers random numbers only: this request stays under way.
    line.host.request(&Request::CardPowerOn { slot: 0 }, Duration::from_secs(10), line.now).unwrap();
    let asked = line.now;
    while !line.host.ready() {
        line.step();
    }
    assert!(line.now - asked >= Duration::from_secs(10));
    assert!(line.happenings.contains(&Happening::Failed(Fault::Timeout)));
}

#[test]
fn a_silent_module_is_given_up_soon() {
    let mut line = Line::new(Vec::new(), false);
    line.until_ready();
    line.troubles = vec![Trouble::Lose; 100].into();
    line.host.request(&Request::Status, LIMIT, line.now).unwrap();
    let asked = line.now;
    while !line.happenings.contains(&Happening::Failed(Fault::Timeout)) {
        line.step();
    }
    assert!(line.now - asked < Duration::from_secs(3));
}

#[test]
fn an_unknown_operation_is_refused_by_the_module() {
    let mut module = Module::new(1);
    module.receive(&Host::new(7, Pace::default(), Duration::ZERO).output().unwrap(), Duration::ZERO);
    while module.output().is_some() {}
    let payload = vec![0x7F].into();
    let frame = link::Frame { kind: link::Kind::Request, session: 7, number: 1, payload };
    assert_eq!(module.receive(&frame.encode().unwrap(), Duration::ZERO), []);
    let answer = link::Decoder::default().push(&module.output().unwrap());
    let refused = Response::decode(0x7F, &answer[0].payload).unwrap();
    assert!(matches!(refused, Response::Refused { refusal: link::Refusal::NotSupported, .. }), "{refused:?}");
}

#[test]
fn what_one_end_is_not_capable_of_is_not_asked_and_not_done() {
    let token = Request::CardToken { key: "token".to_owned(), pan: "6217001234567890".to_owned().into() };
    let load = |under: &str| Request::LoadKey {
        key: "mak".to_owned(),
        under: under.to_owned(),
        wrapped: [1; 16],
        check: [2; 4],
    };
    // An older module, of which nothing is asked.
    let mut host = Host::new(7, Pace::default(), Duration::ZERO);
    let welcome = link::Welcome { version: 1, capabilities: 0, boot: 99 };
    let payload = [&[1][..], &welcome.capabilities.to_be_bytes(), &welcome.boot.to_be_bytes()].concat();
    let frame = link::Frame { kind: link::Kind::Welcome, session: 7, number: 0, payload: payload.into() };
    host.receive(&frame.encode().unwrap(), Duration::ZERO);
    assert_eq!(host.happening(), Some(Happening::Opened(welcome)));
    assert_eq!(host.request(&token, LIMIT, Duration::ZERO), Err(link::Error::NotAgreed));
    assert_eq!(host.request(&load("tmk-sm4"), LIMIT, Duration::ZERO), Err(link::Error::NotAgreed));
    assert!(host.ready(), "what was not asked is not waited for");
    assert_eq!(host.request(&load("tmk"), LIMIT, Duration::ZERO), Ok(()));
    // An older host, that asks all the same.
    let mut module = Module::new(1);
    let hello = [1, 1, 0, 0, 0, 0].to_vec().into();
    let ask = token.encode().unwrap();
    for (kind, number, payload) in [(link::Kind::Hello, 0, hello), (link::Kind::Request, 1, ask)] {
        let frame = link::Frame { kind, session: 7, number, payload };
        let incoming = module.receive(&frame.encode().unwrap(), Duration::ZERO);
        assert!(!incoming.contains(&Incoming::Request(token.clone())));
    }
    let sent: Vec<u8> = std::iter::from_fn(|| module.output()).flat_map(|bytes| bytes.to_vec()).collect();
    let refused = link::Decoder::default().push(&sent).pop().unwrap();
    let refused = Response::decode(0x35, &refused.payload).unwrap();
    assert!(matches!(refused, Response::Refused { refusal: link::Refusal::NotSupported, .. }), "{refused:?}");
}

#[test]
fn what_came_of_a_pin_passes_as_an_event() {
    for result in [
        PinResult::Entered([1, 2, 3, 4, 5, 6, 7, 8]),
        PinResult::EnteredLong([7; 16]),
        PinResult::Presented(0x63C2),
        PinResult::CardMute,
    ] {
        let event = Event::PinEnded { entry: 3, result };
        assert_eq!(Event::decode(&event.encode().unwrap()), Ok(event));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_message_of_any_length_arrives_whole_and_once_or_fails_and_the_next_one_works(
        lengths in proptest::collection::vec(0_usize..65_500, 1..4), troubles in proptest::collection::vec(trouble(), 0..40), protected: bool,
    ) {
        let mut line = Line::new(troubles, protected);
        let message = |length: usize| Request::SealTrack2 { key: "tdk".to_owned(), track2: pattern(length).into() };
        for length in &lengths {
            line.until_ready();
            line.host.request(&message(*length), LIMIT, line.now).unwrap();
        }
        line.until_ready();
        line.troubles.clear();
        line.host.request(&message(65_500), LIMIT, line.now).unwrap();
        line.until_ready();
        let mut once = line.executed.clone();
        once.dedup();
        prop_assert!(line.executed == once || lengths.windows(2).any(|two| two[0] == two[1]));
        let ends: Vec<_> = line.happenings.iter().filter(|what| matches!(what, Happening::Answered(_) | Happening::Failed(_))).collect();
        prop_assert_eq!(ends.len(), lengths.len() + 1);
        for (length, end) in lengths.iter().chain([&65_500]).zip(ends) {
            match end {
                Happening::Answered(Response::Data(data)) => prop_assert_eq!(data.to_vec(), pattern(*length)),
                other => prop_assert_eq!(other, &Happening::Failed(Fault::Timeout)),
            }
        }
        prop_assert!(matches!(line.happenings.last(), Some(Happening::Answered(_))));
    }
}

#[test]
fn a_message_longer_than_any_is_refused_at_either_end() {
    let mut line = Line::new(Vec::new(), false);
    line.until_ready();
    let long = Request::TlsRequest { subject: vec![0; 65_535].into() };
    assert_eq!(line.host.request(&long, LIMIT, line.now), Err(Error::TooLong));
    let part = |number, operation: u8| Frame {
        kind: Kind::Request,
        session: 7,
        number,
        payload: [&[operation], &[9; 4000][..]].concat().into(),
    };
    let answers: Vec<Vec<u8>> = (1..=17)
        .map(|number| {
            assert!(line.module.receive(&part(number, 3).encode().unwrap(), line.now).is_empty());
            let answer = line.module.output().unwrap();
            Decoder::default().push(&answer).remove(0).payload.to_vec()
        })
        .collect();
    assert!(answers[..16].iter().all(|answer| answer == &[3, 0]));
    assert_eq!(answers[16][..2], [3, 2], "65,536 bytes are the most");
    // There is nothing to fetch.
    line.module.receive(&part(18, 5).encode().unwrap(), line.now);
    let answer = line.module.output().unwrap();
    assert_eq!(Decoder::default().push(&answer).remove(0).payload[..2], [5, 2]);
}
