//! A call of each operation of the secure module's line, and what a module answers.

use link::{
    CardEntry, CardPart, CardResult, CardSlotInfo, CardSlotKind, Event, KeyEntryRequest, KeyEntryState,
    KeySlotInfo, OfflinePinEntry, PinEncipherment, PinEntry, PinResult, Refusal, Request, Response,
    SelfTestResult, Status,
};

/// The public key of the host, whose private key is 32 bytes 01 (the test vectors of docs/secure-module-link.md).
pub(crate) const HOST_PUBLIC: &str = "046ff03b949241ce1dadd43519e6960e0a85b41a69a05c328103aa2bce1594ca16\
                                      3c4f753a55bf01dc53f6c0b0c7eee78b40c6ff7d25a96e2282b989cef71c144a";
/// The public key of the module, whose private key is 32 bytes 02.
pub(crate) const MODULE_PUBLIC: &str = "04550f471003f3df97c3df506ac797f6721fb1a1fb7b8f6f83d224498a65c88e24\
                                        136093d7012e509a73715cbd0b00a3cc0ff4b5c01b3ffa196ab1fb327036b8e6";

/// One operation.
#[derive(Clone)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) request: Request,
    pub(crate) response: Response,
    /// What the module reports after it.
    pub(crate) events: Vec<Event>,
}

/// The call after the one that was hurt.
pub(crate) fn next() -> Operation {
    with("next", Request::Random { length: 2 }, Response::Data(vec![0x11, 0x22].into()))
}

/// All of them, and a refusal.
pub(crate) fn all() -> Vec<Operation> {
    let key = || "mak".to_owned();
    let data = |length: usize| Response::Data(vec![0x5A; length].into());
    let status = Status {
        certified: false,
        tampered: false,
        card_present: true,
        kind: "virtual".to_owned(),
        firmware: "1".to_owned(),
        serial: "7".to_owned(),
    };
    let entry = PinEntry {
        entry: 3,
        key: "pik".to_owned(),
        pan: "6217001234567890".to_owned().into(),
        shortest: 4,
        longest: 6,
        first_key: 30_000,
        next_key: 10_000,
        bypass: false,
        accessible: false,
        amount: Some((1234, 156, 2)),
    };
    let typed = (1..=4).map(|count| Event::PinDigits { entry: 3, count });
    let ended = Event::PinEnded { entry: 3, result: PinResult::Entered([9; 8]) };
    let keyed = CardEntry {
        entry: 4,
        security_code: true,
        first_key: 30_000,
        next_key: 10_000,
        amount: Some((1234, 156, 2)),
    };
    let digits = |part, count| Event::CardDigits { entry: 4, part, count };
    let keying = vec![
        digits(CardPart::Number, 16),
        digits(CardPart::Expiry, 4),
        digits(CardPart::SecurityCode, 3),
        Event::CardEnded { entry: 4, result: CardResult::Entered },
    ];
    let for_card = OfflinePinEntry {
        entry: 5,
        slot: 0,
        tries_left: Some(2),
        shortest: 4,
        longest: 12,
        first_key: 30_000,
        next_key: 10_000,
        bypass: true,
        accessible: false,
        amount: Some((1234, 156, 2)),
        encipherment: Some(PinEncipherment {
            modulus: vec![0xC5; 128],
            exponent: vec![3],
            challenge: [8; 8],
        }),
    };
    let presented = (1..=4)
        .map(|count| Event::PinDigits { entry: 5, count })
        .chain([Event::PinEnded { entry: 5, result: PinResult::Presented(0x9000) }]);
    let removed = Event::CardRemoved { slot: 0 };
    let slots = vec![
        CardSlotInfo { slot: 0, kind: CardSlotKind::Contact, present: true },
        CardSlotInfo { slot: 1, kind: CardSlotKind::Sam, present: false },
    ];
    let refused = Response::Refused { refusal: Refusal::NoKey, reason: "slot pik is empty".to_owned() };
    let load = Request::LoadKey { key: key(), under: "tmk".to_owned(), wrapped: [1; 16], check: [2; 4] };
    vec![
        next(),
        with("status", Request::Status, Response::Status(status)),
        with("random", Request::Random { length: 32 }, data(32)),
        with("card-slots", Request::CardSlots, Response::CardSlots(slots)),
        with("power-on", Request::CardPowerOn { slot: 0 }, data(17)),
        Operation {
            events: vec![removed],
            ..with("power-off", Request::CardPowerOff { slot: 0 }, Response::Done)
        },
        with("transmit", Request::CardTransmit { slot: 0, command: vec![0; 20].into() }, data(40)),
        Operation {
            events: typed.chain([ended]).collect(),
            ..with("enter-pin", Request::EnterPin(entry), Response::Done)
        },
        Operation {
            events: presented.collect(),
            ..with("verify-pin", Request::VerifyPin(for_card), Response::Done)
        },
        Operation { events: keying, ..with("enter-card", Request::EnterCard(keyed), Response::Done) },
        with("keyed-card", Request::KeyedCard, data(16)),
        with("seal-keyed-card", Request::SealKeyedCard { key: "tdk".to_owned() }, data(32)),
        with("keyed-card-token", Request::KeyedCardToken { key: "token".to_owned() }, data(8)),
        with("forget-keyed-card", Request::ForgetKeyedCard, Response::Done),
        with("cancel-pin", Request::CancelPin, Response::Done),
        with("load-key", load, Response::Done),
        with("check-value", Request::KeyCheckValue { key: key() }, Response::CheckValue([0xAB; 4])),
        with("refusal", Request::KeyCheckValue { key: "pik".to_owned() }, refused),
        with("mac", Request::Mac { key: key(), message: vec![0; 60].into() }, Response::Mac(*b"0123ABCD")),
        with(
            "verify-mac",
            Request::VerifyMac { key: key(), mac: *b"0123ABCD", message: vec![7; 60].into() },
            Response::Verified(true),
        ),
        with(
            "seal-track2",
            Request::SealTrack2 { key: "tdk".to_owned(), track2: vec![0x62; 19].into() },
            data(32),
        ),
        with(
            "reseal-track2",
            Request::ResealTrack2 {
                from: "store".to_owned(),
                key: "tdk".to_owned(),
                sealed: vec![0x77; 32].into(),
            },
            data(40),
        ),
        with(
            "card-token",
            Request::CardToken { key: "token".to_owned(), pan: "6217001234567890".to_owned().into() },
            data(8),
        ),
        with(
            "seal-journal",
            Request::SealJournal { journal: [7; 16], last: 3, head: [9; 32], at: 1_763_900_000_000 },
            data(128),
        ),
        with("tls-key", Request::TlsPublicKey, data(91)),
        with("sign-tls", Request::SignTls { transcript: vec![6; 48].into() }, data(71)),
        with("tls-request", Request::TlsRequest { subject: vec![0x30; 24].into() }, data(200)),
    ]
    .into_iter()
    .chain(key_loading())
    .chain(upkeep())
    .chain([
        with("long-request", Request::BindKeyHost { token: vec![0x31; 4200].into() }, Response::Done),
        with("long-response", Request::CardTransmit { slot: 0, command: vec![1; 5].into() }, data(4200)),
    ])
    .collect()
}

/// Those that load keys.
fn key_loading() -> Vec<Operation> {
    let slot = |name: &str| KeySlotInfo {
        name: name.to_owned(),
        usage: "K1".to_owned(),
        algorithm: "A".to_owned(),
        check: vec![0xA1, 0xA2, 0xA3, 0xA4, 0xA5],
    };
    let kbpk = || "kbpk".to_owned();
    let token = || vec![0x30; 60].into();
    let entry = KeyEntryRequest { key: kbpk(), algorithm: b'A', length: 32, components: 2 };
    let waits = KeyEntryState::Waits { component: 2, previous: vec![0xB1, 0xB2, 0xB3, 0xB4, 0xB5] };
    let block = Request::LoadKeyBlock { key: "pik".to_owned(), block: vec![b'D'; 112].into() };
    vec![
        with("key-slots", Request::KeySlots, Response::KeySlots(vec![slot("tmk"), slot("kbpk")])),
        with("load-key-block", block, Response::Done),
        with("begin-key-entry", Request::BeginKeyEntry(entry), Response::Done),
        with("key-entry", Request::KeyEntry, Response::KeyEntry(waits)),
        with("cancel-key-entry", Request::CancelKeyEntry, Response::Done),
        with("key-credential", Request::KeyCredential, Response::Data(vec![0x30; 80].into())),
        with("bind-key-host", Request::BindKeyHost { token: token() }, Response::Done),
        with("key-nonce", Request::KeyNonce, Response::Data(vec![0x30; 34].into())),
        with("load-key-token", Request::LoadKeyToken { key: kbpk(), token: token() }, Response::Done),
        with("rebind-key-host", Request::RebindKeyHost { token: token() }, Response::Done),
        with("unbind-key-host", Request::UnbindKeyHost { token: token() }, Response::Done),
    ]
}

/// Those that keep the module well.
fn upkeep() -> Vec<Operation> {
    let passed = SelfTestResult { name: "aes".to_owned(), passed: true };
    let data = Request::UpdateData { offset: 32_768, data: vec![0x6B; 40].into() };
    vec![
        with("self-test", Request::SelfTest, Response::SelfTest(vec![passed])),
        with("clock", Request::Clock, Response::Clock(1_763_900_000_000)),
        with("begin-update", Request::BeginUpdate { manifest: vec![0x6A; 120].into() }, Response::Done),
        with("update-data", data, Response::Done),
        with("finish-update", Request::FinishUpdate, Response::Done),
        with("cancel-update", Request::CancelUpdate, Response::Done),
    ]
}

fn with(name: &'static str, request: Request, response: Response) -> Operation {
    Operation { name, request, response, events: Vec::new() }
}
