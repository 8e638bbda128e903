//! A module that says the same thing again and again, or somebody on an open line who does: the host answers, and does not answer without end.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::time::Duration;

use link::{Decoder, Event, Frame, Happening, Host, Kind, Module, Pace};

const SESSION: u32 = 7;
/// How long and how often the same frame comes.
const SECONDS: u32 = 10;
const STEP: Duration = Duration::from_millis(1);

/// A session that has just opened.
fn open() -> (Host, Module) {
    let mut host = Host::new(SESSION, Pace::default(), Duration::ZERO);
    let mut module = Module::new(1);
    while module.output().is_some() {}
    module.receive(&host.output().unwrap(), Duration::ZERO);
    host.receive(&module.output().unwrap(), Duration::ZERO);
    assert!(matches!(host.happening(), Some(Happening::Opened(_))));
    (host, module)
}

fn frame(kind: Kind, session: u32, number: u16, payload: &[u8]) -> Vec<u8> {
    Frame { kind, session, number, payload: payload.to_vec().into() }.encode().unwrap().to_vec()
}

/// What the host says while `bytes` come each millisecond; `answer` is what the module says to that.
fn said(host: &mut Host, bytes: &[u8], mut answer: impl FnMut(&[u8], Duration) -> Vec<u8>) -> Vec<Frame> {
    let mut decoder = Decoder::default();
    let mut said = Vec::new();
    for step in 0..SECONDS * 1000 {
        let now = STEP * step;
        host.receive(bytes, now);
        host.tick(now);
        while let Some(bytes) = host.output() {
            said.extend(decoder.push(&bytes));
            host.receive(&answer(&bytes, now), now);
        }
    }
    said
}

#[test]
fn an_event_that_comes_without_end_is_passed_on_once_and_acknowledged_ten_times_a_second_at_most() {
    let (mut host, _) = open();
    let event = frame(Kind::Event, SESSION, 1, &[5]);
    let said = said(&mut host, &event, |_, _| Vec::new());
    assert!(said.iter().all(|frame| frame.kind == Kind::Ack));
    // A module whose line has lost an Ack gets another one each time that it asks, after 300 ms.
    assert!((33..=101).contains(&said.len()), "{} times", said.len());
    assert_eq!(host.happening(), Some(Happening::Event(Event::Tampered)));
    assert_eq!(host.happening(), None);
}

#[test]
fn a_module_that_says_closed_without_end_is_said_hello_to_ten_times_a_second_at_most() {
    for session in [0, SESSION] {
        let (mut host, _) = open();
        let said = said(&mut host, &frame(Kind::Closed, session, 0, &[]), |_, _| Vec::new());
        assert!(said.iter().all(|frame| frame.kind == Kind::Hello));
        assert!((33..=101).contains(&said.len()), "{} times for {session}", said.len());
    }
}

#[test]
fn a_module_that_closes_each_session_opens_no_more_than_ten_a_second() {
    let (mut host, mut module) = open();
    let said = said(&mut host, &frame(Kind::Closed, 0, 0, &[]), |bytes, now| {
        module.receive(bytes, now);
        module.output().map(|bytes| bytes.to_vec()).unwrap_or_default()
    });
    assert!((33..=101).contains(&said.len()), "{} sessions", said.len());
    let opened = std::iter::from_fn(|| host.happening()).filter(|what| matches!(what, Happening::Opened(_)));
    assert!((33..=101).contains(&opened.count()));
}
