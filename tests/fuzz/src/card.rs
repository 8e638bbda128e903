//! What a card sends: BER-TLV, and a whole transaction's answers to the EMV kernel.

use std::sync::{Arc, LazyLock};

use emv::{
    Action, Config, Decision, Event, FIELD_55, Flow, HostAnswer, Kernel, Outcome, PinResult, Transaction,
};
use tlv::{Dol, MAX_DEPTH, Reader, Tag, Tlv, find, write};

/// A transaction with more steps than this does not end.
const MAX_STEPS: usize = 1000;

/// The shipped terminal, which is online-only, with the keys of the virtual cards.
static CONFIG: LazyLock<Arc<Config>> = LazyLock::new(|| {
    let terminal = include_str!("../../../config/emv/terminal.toml");
    let applications = include_str!("../../../config/emv/aids.toml");
    let capks = include_str!("../../../sim/cards/capks-test.toml");
    Config::from_toml_parts(terminal, applications, &[capks]).expect("the shipped parameters").into()
});

/// The bytes as data objects, and as a list of them. What is read is written and read again as it was; a list builds as
/// many bytes as it asks for.
pub(crate) fn tlv(bytes: &[u8]) -> bool {
    check_objects(bytes, 0);
    let dol = Dol::new(bytes);
    let mut values = Vec::new();
    let built = dol.build(&mut values, |_| Some(&[0x12, 0x34]));
    assert_eq!(built.map(|()| values.len()), dol.total_length());
    let mut objects = Reader::new(bytes);
    if let Some(Ok(first)) = objects.clone().next() {
        assert_eq!(find(bytes, first.tag), Ok(Some(first.value)), "the first object is found");
    }
    objects.all(|object| object.is_ok())
}

fn check_objects(bytes: &[u8], depth: usize) {
    for object in Reader::new(bytes).flatten() {
        let mut again = Vec::new();
        write(&mut again, object.tag, object.value).expect("it was short enough to be read");
        assert_eq!(Tlv::parse(&again), Ok((object, [].as_slice())));
        assert_eq!(Tag::parse(object.tag.encoded().as_ref()).map(|(tag, _)| tag), Ok(object.tag));
        if depth < MAX_DEPTH && object.tag.is_constructed() {
            check_objects(object.value, depth + 1);
        }
    }
}

/// The bytes are what the world around the kernel says, piece by piece, each after its length in two bytes: the card's
/// answers, and in their turn the PIN pad's and the host's. A transaction ends, and nothing but a host's approval is one.
pub(crate) fn emv_kernel(bytes: &[u8]) -> bool {
    let Some((options, script)) = bytes.split_first() else { return false };
    let mut world = World { script, approved: false };
    let mut kernel = Kernel::new(CONFIG.clone(), transaction(*options));
    let outcome = run(&mut kernel, &mut world).expect("a transaction ends");
    let approved = outcome.decision == Decision::Approved;
    assert!(!approved || world.approved, "approved without the host");
    assert_eq!(outcome.must_reverse(), world.approved && !approved, "what the host approved is undone");
    let (_, _) = (kernel.masked_pan(), kernel.expiry());
    if let Ok(field_55) = kernel.field_55(FIELD_55) {
        assert!(Reader::new(&field_55).all(|object| object.is_ok()), "field 55 is no TLV");
    }
    approved
}

struct World<'a> {
    script: &'a [u8],
    approved: bool,
}

impl<'a> World<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.script.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (piece, rest) = rest.split_at_checked(length)?;
        self.script = rest;
        Some(piece)
    }

    fn event(&mut self, action: &Action<'_>) -> Event<'a> {
        match (action, self.next()) {
            (Action::Transmit(_), Some(response)) => Event::Response(response),
            (Action::Transmit(_), None) => Event::TransmitFailed,
            (Action::ChooseApplication(_), piece) => {
                Event::Chosen(piece.and_then(<[u8]>::first).map_or(0, |index| usize::from(*index)))
            }
            (Action::EnterOnlinePin, Some([0, ..])) => Event::Pin(PinResult::Bypassed),
            (Action::EnterOnlinePin, Some([1, ..])) => Event::Pin(PinResult::PinPadBroken),
            (Action::EnterOnlinePin, _) => Event::Pin(PinResult::Entered),
            (Action::VerifyOfflinePin(_), Some([high, low, ..])) => {
                Event::PinPresented(u16::from_be_bytes([*high, *low]))
            }
            (Action::VerifyOfflinePin(_), _) => Event::Pin(PinResult::Bypassed),
            (Action::GoOnline, Some([approved, arc0, arc1, field_55 @ ..])) => {
                self.approved = approved & 1 == 1;
                let (arc, authorisation_code) = ([*arc0, *arc1], Some(*b"123456"));
                Event::Host(HostAnswer { approved: self.approved, arc, authorisation_code, field_55 })
            }
            (Action::GoOnline | Action::Complete(_), _) => Event::HostUnreachable,
        }
    }
}

/// How the transaction ended; `None` if it does not end.
fn run(kernel: &mut Kernel, world: &mut World<'_>) -> Option<Outcome> {
    let mut action = kernel.start();
    for _ in 0..MAX_STEPS {
        if let Action::Complete(outcome) = action {
            return Some(outcome.clone());
        }
        let event = world.event(&action);
        action = kernel.step(event);
    }
    None
}

fn transaction(options: u8) -> Transaction {
    let flow = if options & 1 == 0 { Flow::Full } else { Flow::Identify { pin: options & 2 == 2 } };
    Transaction {
        flow,
        kind: 0x00,
        amount: 1234,
        other: 0,
        currency: 156,
        currency_exponent: 2,
        date: [0x26, 0x06, 0x01],
        time: [0x12, 0x00, 0x00],
        unpredictable_number: [1, 2, 3, 4],
        random_percent: 50,
        sequence: 7,
        online_only: false,
        force_online: false,
    }
}
