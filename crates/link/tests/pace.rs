//! Both ends over a UART in virtual time: nothing is sent twice that is only slow, and the line is used.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::collections::VecDeque;
use std::time::Duration;

use link::{
    Decoder, Event, Frame, Happening, Host, Incoming, Kind, Module, Pace, Pairing, Protection, RESEND_AFTER,
    Request, Response,
};
use proptest::prelude::*;

/// What a call may take beside the line's own time.
const LIMIT: Duration = Duration::from_secs(5);
/// How long the module thinks about a request.
const THOUGHT: Duration = Duration::from_millis(200);

/// One direction of the line. A byte is there when the last of its ten bits is.
struct Wire {
    byte: Duration,
    bytes: VecDeque<(Duration, u8)>,
    free: Duration,
    /// What it has carried.
    decoder: Decoder,
    frames: Vec<Frame>,
}

impl Wire {
    fn new(baud: u32) -> Wire {
        let byte = Duration::from_secs(10) / baud;
        Wire {
            byte,
            bytes: VecDeque::new(),
            free: Duration::ZERO,
            decoder: Decoder::default(),
            frames: Vec::new(),
        }
    }

    fn give(&mut self, bytes: &[u8], now: Duration) {
        self.free = self.free.max(now);
        for byte in bytes {
            self.free += self.byte;
            self.bytes.push_back((self.free, *byte));
        }
        self.frames.extend(self.decoder.push(bytes));
    }

    /// What has come, as a driver hands it over: at most a UART's FIFO at a time.
    fn take(&mut self, now: Duration) -> Vec<u8> {
        let due = self.bytes.iter().take(16).take_while(|(at, _)| *at <= now).count();
        self.bytes.drain(..due).map(|(_, byte)| byte).collect()
    }

    /// How many frames it has carried for the second time.
    fn repeated(&self) -> usize {
        let numbered = self.frames.iter().filter(|frame| !matches!(frame.kind, Kind::Closed | Kind::Ack));
        let mut seen: Vec<_> = numbered.map(|frame| (frame.kind, frame.session, frame.number)).collect();
        let all = seen.len();
        seen.sort_by_key(|(kind, session, number)| (format!("{kind:?}"), *session, *number));
        seen.dedup();
        all - seen.len()
    }
}

struct Line {
    host: Host,
    module: Module,
    to_module: Wire,
    to_host: Wire,
    now: Duration,
    /// What the module is about to answer, and when.
    answer: Option<(Duration, Response)>,
    happenings: Vec<Happening>,
}

impl Line {
    fn new(baud: u32) -> Line {
        Line::between(Host::new(7, Pace::baud(baud), Duration::ZERO), Module::new(99), baud)
    }

    fn protected(baud: u32) -> Line {
        let protection = |own: u8, other: u8| {
            let other = p256::SecretKey::from_slice(&[other; 32]).unwrap().public_key().to_sec1_bytes();
            Protection::new(Pairing::new(&[own; 32], &other).unwrap(), [own; 32].into())
        };
        let host = Host::protected(7, protection(1, 2), Pace::baud(baud), Duration::ZERO);
        Line::between(host, Module::protected(99, protection(2, 1)), baud)
    }

    fn between(host: Host, module: Module, baud: u32) -> Line {
        let mut line = Line {
            host,
            module: module.at(Pace::baud(baud)),
            to_module: Wire::new(baud),
            to_host: Wire::new(baud),
            now: Duration::ZERO,
            answer: None,
            happenings: Vec::new(),
        };
        line.until_ready();
        // The hello met a module that had just started.
        line.to_module.frames.clear();
        line.to_host.frames.clear();
        line.happenings.clear();
        line
    }

    fn until_ready(&mut self) {
        let begun = self.now;
        while !self.host.ready() {
            self.step();
            assert!(self.now - begun < Duration::from_secs(300), "{:?}", self.happenings);
        }
    }

    /// Goes on to the next moment at which something happens.
    fn step(&mut self) {
        while let Some(bytes) = self.host.output() {
            self.to_module.give(&bytes, self.now);
        }
        while let Some(bytes) = self.module.output() {
            self.to_host.give(&bytes, self.now);
        }
        self.happenings.extend(std::iter::from_fn(|| self.host.happening()));
        let of = |wire: &Wire| wire.bytes.iter().take(16).next_back().map(|(at, _)| *at);
        let answered = self.answer.as_ref().map(|(at, _)| *at);
        let moments =
            [of(&self.to_module), of(&self.to_host), self.host.deadline(), self.module.deadline(), answered];
        self.now = moments.into_iter().flatten().min().unwrap_or(self.now).max(self.now);
        for incoming in self.module.receive(&self.to_module.take(self.now), self.now) {
            if let Incoming::Request(request) = incoming {
                let response = match request {
                    Request::SealTrack2 { track2, .. } => track2,
                    Request::CardTransmit { command, .. } => command,
                    other => panic!("{other:?}"),
                };
                self.answer = Some((self.now + THOUGHT, Response::Data(response)));
            }
        }
        if let Some((_, response)) = self.answer.take_if(|(at, _)| *at <= self.now) {
            self.module.respond(&response);
        }
        let came = self.to_host.take(self.now);
        self.host.receive(&came, self.now);
        self.host.tick(self.now);
        self.module.tick(self.now);
    }

    fn call(&mut self, request: &Request) {
        self.host.request(request, LIMIT, self.now).unwrap();
        self.until_ready();
        self.step();
    }
}

fn message(length: usize) -> Request {
    let track2 = (0_u32..).flat_map(u32::to_be_bytes).take(length).collect::<Vec<u8>>();
    Request::SealTrack2 { key: "tdk".to_owned(), track2: track2.into() }
}

#[test]
fn the_longest_message_and_its_response_pass_a_slow_line_without_a_repeated_frame() {
    for baud in [9_600, 115_200, 3_000_000] {
        let mut line = Line::new(baud);
        line.call(&message(65_500));
        let answered = |what: &&Happening| matches!(what, Happening::Answered(Response::Data(data)) if data.len() == 65_500);
        assert_eq!(line.happenings.iter().filter(answered).count(), 1, "{baud} baud: {:?}", line.happenings);
        assert_eq!((line.to_module.repeated(), line.to_host.repeated()), (0, 0), "{baud} baud");
    }
}

#[test]
fn an_event_behind_the_longest_frame_and_an_acknowledgement_behind_another_are_waited_for() {
    for baud in [9_600, 115_200] {
        let mut line = Line::new(baud);
        line.host.request(&message(4_080), LIMIT, line.now).unwrap();
        // While the request arrives, and again while its response leaves.
        while line.answer.is_none() {
            line.step();
            if line.to_host.frames.is_empty() && line.to_module.bytes.len() < 2_000 {
                line.module.report(Event::CardInserted { slot: 0 }, line.now);
            }
        }
        while line.answer.is_some() {
            line.step();
        }
        line.module.report(Event::CardRemoved { slot: 0 }, line.now);
        line.until_ready();
        while line.module.deadline().is_some() {
            line.step();
        }
        assert_eq!((line.to_module.repeated(), line.to_host.repeated()), (0, 0), "{baud} baud");
        let events = line.happenings.iter().filter(|what| matches!(what, Happening::Event(_))).count();
        assert_eq!(events, 2, "{baud} baud");
    }
}

#[test]
fn what_has_left_long_ago_delays_no_repetition() {
    let mut line = Line::new(115_200);
    for _ in 0..100 {
        line.call(&message(1_000));
        line.module.report(Event::CardInserted { slot: 0 }, line.now);
        while line.module.deadline().is_some() {
            line.step();
        }
    }
    // The event is lost, and then the request is.
    line.module.report(Event::CardRemoved { slot: 0 }, line.now);
    let event = line.module.output().unwrap();
    line.host.request(&message(8), LIMIT, line.now).unwrap();
    let request = line.host.output().unwrap();
    for (deadline, lost) in [(line.module.deadline(), event), (line.host.deadline(), request)] {
        let most = RESEND_AFTER + Pace::baud(115_200).time(lost.len());
        assert!(deadline.unwrap() <= line.now + most, "after {:?}", deadline.unwrap() - line.now);
    }
}

#[test]
fn noise_that_never_ends_does_not_keep_a_lost_request_from_being_sent_again() {
    for noise in [0x55, 0x00] {
        let mut host = Host::new(7, Pace::default(), Duration::ZERO);
        let mut module = Module::new(99);
        while let Some(bytes) = host.output() {
            module.receive(&bytes, Duration::ZERO);
        }
        while let Some(bytes) = module.output() {
            host.receive(&bytes, Duration::ZERO);
        }
        host.request(&message(8), LIMIT, Duration::ZERO).unwrap();
        while host.output().is_some() {}
        let mut now = Duration::ZERO;
        while host.output().is_none() {
            now += Duration::from_millis(10);
            host.receive(&[noise, 0x55], now);
            host.tick(now);
            assert!(now < Duration::from_secs(1), "noise of {noise:#04x}");
        }
    }
}

#[test]
fn apdus_use_nine_tenths_of_what_a_line_of_115_200_baud_carries() {
    assert!(share_of_apdus(Line::new(115_200)) >= 0.9);
    assert!(share_of_apdus(Line::protected(115_200)) >= 0.9);
}

/// The share of the line's time that is spent on commands and responses of 260 bytes.
fn share_of_apdus(mut line: Line) -> f64 {
    let begun = line.now;
    let apdu = [&[0, 0xD6, 0, 0, 255][..], &[7; 255]].concat();
    for _ in 0..100 {
        let request = Request::CardTransmit { slot: 0, command: apdu.clone().into() };
        line.call(&request);
    }
    // What the card takes is not the line's.
    let spent = line.now - begun - 100 * THOUGHT;
    let floor = Pace::baud(115_200).time(2 * 100 * apdu.len());
    floor.as_secs_f64() / spent.as_secs_f64()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_message_of_any_length_passes_any_line_without_a_repeated_frame(length in 0_usize..20_000, baud in 9_600_u32..4_000_000) {
        let mut line = Line::new(baud);
        line.call(&message(length));
        prop_assert!(matches!(line.happenings.last(), Some(Happening::Answered(_))), "{:?}", line.happenings);
        prop_assert_eq!((line.to_module.repeated(), line.to_host.repeated()), (0, 0));
    }
}
