//! The specification for firmware writers against the code: the test vectors of `docs/secure-module-link.md`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::time::Duration;

use link::{
    CardEntry, CardPart, CardResult, CardSlotInfo, CardSlotKind, Decoder, Event, Frame, Host, Incoming,
    KeyEntryRequest, KeyEntryState, KeySlotInfo, Kind, Module, OfflinePinEntry, Pace, PinEncipherment,
    PinResult, Refusal, Request, Response, SelfTestResult, SwipeResult, SwipedCard,
};

const SPECIFICATION: &str = include_str!("../../../docs/secure-module-link.md");

struct Vector {
    kind: &'static str,
    number: u16,
    payload: Vec<u8>,
    frame: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let (_, section) = SPECIFICATION.split_once("## Test vectors").unwrap();
    let (section, _) = section.split_once("###").unwrap();
    let rows = section.lines().filter(|line| line.ends_with("00` |"));
    let cells = |row: &'static str| row.split('|').map(|cell| cell.trim().trim_matches('`'));
    let vector = |row| match cells(row).collect::<Vec<_>>().as_slice() {
        [_, kind, number, payload, frame, _] => Vector {
            kind,
            number: number.parse().unwrap(),
            payload: hex::decode(payload).unwrap(),
            frame: hex::decode(frame).unwrap(),
        },
        other => panic!("{other:?}"),
    };
    rows.map(vector).collect()
}

#[test]
fn each_frame_of_the_specification_is_what_the_code_sends_and_takes() {
    assert_eq!(vectors().len(), 60);
    for vector in vectors() {
        let frames = Decoder::default().push(&vector.frame);
        let [frame] = frames.as_slice() else { panic!("{}: no frame", vector.kind) };
        assert_eq!(format!("{:?}", frame.kind), vector.kind);
        assert_eq!((frame.session, frame.number), (0x0A0B, vector.number));
        assert_eq!(frame.payload.to_vec(), vector.payload);
        assert_eq!(frame.encode().unwrap().to_vec(), vector.frame);
    }
}

#[test]
fn the_conversation_of_the_specification_is_what_both_ends_say() {
    let sent: Vec<Vec<u8>> = vectors().into_iter().map(|vector| vector.frame).collect();
    let said = |bytes: &Vec<u8>| sent.contains(bytes);
    let now = Duration::ZERO;
    let mut host = Host::new(0x0A0B, Pace::default(), now);
    let hello = host.output().unwrap();
    assert!(said(&hello));
    let mut module = Module::new(0x0102_0304);
    while module.output().is_some() {}
    module.receive(&hello, now);
    let welcome = module.output().unwrap();
    assert!(said(&welcome));
    host.receive(&welcome, now);

    let empty = Response::Refused { refusal: Refusal::NoKey, reason: "empty".to_owned() };
    for (request, response) in [
        (Request::Random { length: 8 }, Response::Data(vec![1, 2, 3, 4, 5, 6, 7, 8].into())),
        (
            Request::CardTransmit { slot: 0, command: vec![0, 0xA4, 4, 0].into() },
            Response::Data(vec![0x6A, 0x82].into()),
        ),
        (Request::KeyCheckValue { key: "mak".to_owned() }, empty),
        (
            Request::CardToken { key: "token".to_owned(), pan: "6217001234567890".to_owned().into() },
            Response::Data(vec![1, 2, 3, 4, 5, 6, 7, 8].into()),
        ),
        (
            Request::SealJournal { journal: [7; 16], last: 3, head: [9; 32], at: 1_763_900_000_000 },
            Response::Data(vec![5; 128].into()),
        ),
        (Request::SignTls { transcript: vec![6; 32].into() }, Response::Data(vec![0x30, 2, 0, 0].into())),
        (
            Request::ResealTrack2 {
                from: "store".to_owned(),
                key: "tdk".to_owned(),
                sealed: vec![0xA1, 0xA2, 0xA3, 0xA4].into(),
            },
            Response::Data(vec![0xB1, 0xB2].into()),
        ),
        (
            Request::EnterCard(CardEntry {
                entry: 5,
                security_code: true,
                first_key: 60_000,
                next_key: 20_000,
                amount: Some((1234, 156, 2)),
            }),
            Response::Done,
        ),
        (Request::KeyedCard, Response::Data(b"411111******0039".to_vec().into())),
        (Request::SealKeyedCard { key: "tdk".to_owned() }, Response::Data(vec![0xC1, 0xC2].into())),
        (
            Request::KeySlots,
            Response::KeySlots(vec![KeySlotInfo {
                name: "kbpk".to_owned(),
                usage: "K1".to_owned(),
                algorithm: "A".to_owned(),
                check: vec![0xA1, 0xA2, 0xA3, 0xA4, 0xA5],
            }]),
        ),
        (
            Request::BeginKeyEntry(KeyEntryRequest {
                key: "kbpk".to_owned(),
                algorithm: b'A',
                length: 32,
                components: 2,
            }),
            Response::Done,
        ),
        (
            Request::KeyEntry,
            Response::KeyEntry(KeyEntryState::Waits {
                component: 2,
                previous: vec![0xB1, 0xB2, 0xB3, 0xB4, 0xB5],
            }),
        ),
        (
            Request::LoadKeyToken { key: "kbpk".to_owned(), token: vec![0x30, 2, 5, 0].into() },
            Response::Refused { refusal: Refusal::Invalid, reason: "old".to_owned() },
        ),
    ] {
        host.request(&request, Duration::from_secs(1), now).unwrap();
        let asked = host.output().unwrap();
        assert!(said(&asked), "{request:?}");
        module.receive(&asked, now);
        module.respond(&response);
        let answered = module.output().unwrap();
        assert!(said(&answered), "{response:?}");
        host.receive(&answered, now);
    }

    let ask = |number: u16, payload: &[u8]| {
        let frame = Frame { kind: Kind::Request, session: 0x0A0B, number, payload: payload.to_vec().into() };
        frame.encode().unwrap()
    };
    let (part, last) = (ask(15, &[3, 2]), ask(16, &[4, 0, 8]));
    assert!(said(&part) && said(&last));
    assert_eq!(module.receive(&part, now), []);
    assert!(said(&module.output().unwrap()));
    assert_eq!(module.receive(&last, now), [Incoming::Request(Request::Random { length: 8 })]);
    module.respond(&Response::Data(vec![1, 2, 3, 4, 5, 6, 7, 8].into()));
    assert!(said(&module.output().unwrap()));

    let slots = ask(17, &[0x13]);
    assert!(said(&slots));
    assert_eq!(module.receive(&slots, now), [Incoming::Request(Request::CardSlots)]);
    module.respond(&Response::CardSlots(vec![
        CardSlotInfo { slot: 0, kind: CardSlotKind::Contact, present: false },
        CardSlotInfo { slot: 1, kind: CardSlotKind::Sam, present: true },
    ]));
    assert!(said(&module.output().unwrap()));

    let results = [("tdes", true), ("store", false)];
    let results = results.map(|(name, passed)| SelfTestResult { name: name.to_owned(), passed });
    let swiped = SwipedCard { masked_pan: "411111******0039".to_owned(), service_code: "101".to_owned() };
    let update = Request::UpdateData { offset: 4096, data: vec![0xA1, 0xA2, 0xA3, 0xA4].into() };
    let verify = Request::VerifyPin(OfflinePinEntry {
        entry: 6,
        slot: 0,
        tries_left: Some(2),
        shortest: 4,
        longest: 12,
        first_key: 60_000,
        next_key: 20_000,
        bypass: true,
        accessible: false,
        amount: Some((1234, 156, 2)),
        encipherment: Some(PinEncipherment {
            modulus: vec![0xC5; 64],
            exponent: vec![3],
            challenge: [0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8],
        }),
    });
    for (number, request, response) in [
        (18, Request::SelfTest, Response::SelfTest(results.into())),
        (19, Request::Clock, Response::Clock(1_763_900_000_000)),
        (20, update, Response::Done),
        (21, verify, Response::Done),
        (22, Request::ArmStripe, Response::Done),
        (23, Request::SwipedCard, Response::SwipedCard(swiped)),
        (24, Request::SealSwipedCard { key: "tdk".to_owned() }, Response::Data(vec![0xD1, 0xD2].into())),
        (25, Request::ForgetSwipedCard, Response::Done),
    ] {
        let payload = request.encode().unwrap();
        let asked = ask(number, &payload);
        assert!(said(&asked), "{request:?}");
        assert_eq!(module.receive(&asked, now), [Incoming::Request(request)]);
        module.respond(&response);
        assert!(said(&module.output().unwrap()), "{response:?}");
        let operation = payload.first().copied().unwrap();
        assert_eq!(Response::decode(operation, &response.encode(operation).unwrap()), Ok(response));
    }

    module.report(Event::CardInserted { slot: 0 }, now);
    let reported = module.output().unwrap();
    assert!(said(&reported));
    host.receive(&reported, now);
    let acknowledged = host.output().unwrap();
    assert!(said(&acknowledged));
    module.receive(&acknowledged, now);
    for event in [
        Event::CardDigits { entry: 5, part: CardPart::Number, count: 16 },
        Event::CardEnded { entry: 5, result: CardResult::Entered },
        Event::PinEnded { entry: 6, result: PinResult::Presented(0x63C1) },
        Event::CardSwiped { result: SwipeResult::Read },
    ] {
        assert_eq!(Event::decode(&event.encode().unwrap()), Ok(event));
        module.report(event, now);
        let reported = module.output().unwrap();
        assert!(said(&reported), "{event:?}");
        host.receive(&reported, now);
        while let Some(acknowledged) = host.output() {
            module.receive(&acknowledged, now);
        }
    }
    let working = Frame { kind: Kind::Working, session: 0x0A0B, number: 2, payload: Vec::new().into() };
    assert!(said(&working.encode().unwrap()));
}
