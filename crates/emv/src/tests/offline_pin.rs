//! PINs that the card verifies: EMV Book 3 clause 10.5.1, Book 4 clause 6.3.4.1, Book 2 clause 7.

use proptest::prelude::*;

use super::card::card_moduli;
use super::*;

/// Plaintext and enciphered, online PIN, signature, no CVM.
const EVERY_CVM: &str = "E0 F8 C8";
const RIGHT: Event<'_> = Event::PinPresented(0x9000);
const BYPASSED: Event<'_> = Event::Pin(PinResult::Bypassed);
const BROKEN: Event<'_> = Event::Pin(PinResult::PinPadBroken);

const fn wrong(status: u16) -> Event<'static> {
    Event::PinPresented(status)
}

/// What a transaction left behind.
struct Run {
    outcome: Outcome,
    /// 9F34.
    results: String,
    /// The tries, each time that a PIN was asked for.
    tries: Vec<Option<u8>>,
    /// The modulus and the challenge, each time that it was to be enciphered.
    enciphered: Vec<(Vec<u8>, [u8; 8])>,
    log: Vec<Vec<u8>>,
}

/// Sells with a card that has this CVM list and counter (the whole response to GET DATA); `pins` is what becomes of each PIN.
fn run_at(capabilities: &str, card: &mut Card, pins: &[Event<'static>]) -> Run {
    let config = Config::from_toml_parts(&terminal_with(capabilities), AIDS, &[NO_CAPKS, &capk_toml()]);
    let mut kernel = Kernel::new(Arc::new(config.unwrap()), transaction());
    let (mut pins, mut tries, mut enciphered) = (pins.iter(), Vec::new(), Vec::new());
    let mut response;
    let mut action = kernel.start();
    let outcome = loop {
        let event = match action {
            Action::Complete(outcome) => break outcome.clone(),
            Action::Transmit(command) => {
                response = card.answer(command);
                Event::Response(&response)
            }
            Action::ChooseApplication(_) => Event::Chosen(0),
            Action::EnterOnlinePin => panic!("a PIN for the host is asked for"),
            Action::VerifyOfflinePin(pin) => {
                tries.push(pin.tries_left);
                let with = pin.encipherment;
                enciphered.extend(with.map(|with| (with.modulus.to_vec(), with.challenge)));
                assert!(with.is_none_or(|with| with.exponent == [3]));
                *pins.next().expect("one PIN too many is asked for")
            }
            Action::GoOnline => Event::Host(APPROVED),
        };
        action = kernel.step(event);
    };
    let results = hex::encode_upper(&kernel.field_55(&[tags::CVM_RESULTS]).unwrap()[3..]);
    Run { outcome, results, tries, enciphered, log: card.log.clone() }
}

fn card_with(cvm_list: &'static str, counter: &str) -> Card {
    let mut card = with(|card| card.cvm_list = cvm_list);
    card.set("80CA9F17", &bytes(counter));
    card
}

fn run_offline(cvm_list: &'static str, counter: &str, pins: &[Event<'static>]) -> Run {
    run_at(EVERY_CVM, &mut card_with(cvm_list, counter), pins)
}

/// CVM list, answer to GET DATA, PINs, outcome, CVM results, TVR byte 3, tries told.
type Case<'c> = (&'c str, &'c str, &'c [Event<'static>], Cvm, &'c str, u8, &'c [Option<u8>]);

#[test]
fn the_card_verifies_the_pin_and_the_outcome_says_how() {
    let (three, untold) = ("9F170103 9000", "6A88");
    let cases: &[Case] = &[
        ("0100", three, &[RIGHT], Cvm::OfflinePin, "010002", 0x00, &[Some(3)]),
        ("0100", untold, &[RIGHT], Cvm::OfflinePin, "010002", 0x00, &[None]),
        ("0100", "9F170101 9000", &[RIGHT], Cvm::OfflinePin, "010002", 0x00, &[Some(1)]),
        ("0303", three, &[RIGHT], Cvm::OfflinePinAndSignature, "030300", 0x00, &[Some(3)]),
        // A wrong PIN is asked for again, as long as there are tries.
        ("0100", three, &[wrong(0x63C2), RIGHT], Cvm::OfflinePin, "010002", 0x00, &[Some(3), Some(2)]),
        ("0100", untold, &[wrong(0x63C1), RIGHT], Cvm::OfflinePin, "010002", 0x00, &[None, Some(1)]),
        (
            "4103 1E03",
            three,
            &[wrong(0x63C2), wrong(0x63C1), wrong(0x63C0)],
            Cvm::Signature,
            "1E0300",
            0x20,
            &[Some(3), Some(2), Some(1)],
        ),
        ("0103 1E03", "9F170101 9000", &[wrong(0x63C0)], Cvm::Failed, "010301", 0xA0, &[Some(1)]),
        // A card whose counter does not go down.
        ("0100", three, &[wrong(0x63C3); 15], Cvm::Failed, "010001", 0x80, &[Some(3); 15]),
        // What VERIFY tells goes before what GET DATA told.
        (
            "0100",
            "9F170101 9000",
            &[wrong(0x63C2), wrong(0x63C1), RIGHT],
            Cvm::OfflinePin,
            "010002",
            0x00,
            &[Some(1), Some(2), Some(1)],
        ),
        // Blocked: nobody is asked.
        ("4103 1E03", "9F170100 9000", &[], Cvm::Signature, "1E0300", 0x20, &[]),
        ("0103 1E03", "9F170100 9000", &[], Cvm::Failed, "010301", 0xA0, &[]),
        ("4103 1E03", untold, &[wrong(0x6983)], Cvm::Signature, "1E0300", 0x20, &[None]),
        ("4103 1E03", three, &[wrong(0x6984)], Cvm::Signature, "1E0300", 0x20, &[Some(3)]),
        // Bypassed for one method it is for all, and the try limit is none of it.
        ("4103 4203 4403 1E03", three, &[BYPASSED], Cvm::Signature, "1E0300", 0x08, &[Some(3)]),
        ("4103 1E03", three, &[wrong(0x63C2), BYPASSED], Cvm::Signature, "1E0300", 0x08, &[Some(3), Some(2)]),
        ("4103 0203", three, &[BYPASSED], Cvm::Failed, "020301", 0x88, &[Some(3)]),
        ("4103 1E03", three, &[BROKEN], Cvm::Signature, "1E0300", 0x10, &[Some(3)]),
    ];
    for (list, counter, pins, cvm, results, tvr, tries) in cases {
        let cvm_list: &'static str = format!("00000000 00000000 {list}").leak();
        let run = run_offline(cvm_list, counter, pins);
        assert_eq!((run.outcome.cvm, run.outcome.tvr[2]), (*cvm, *tvr), "{list} {counter} {}", pins.len());
        assert_eq!((run.results.as_str(), run.tries.as_slice()), (*results, *tries), "{list} {counter}");
        assert_eq!(run.outcome.tsi[0] & 0x40, 0x40, "cardholder verification was performed");
        assert!(!run.log.iter().any(|command| command[1] == 0x20), "VERIFY is the module's");
    }
}

#[test]
fn who_cancels_or_types_nothing_ends_the_transaction_and_so_does_an_answer_that_verify_has_not() {
    let list = "00000000 00000000 4103 1F00";
    for (event, reason) in [
        (Event::Pin(PinResult::Cancelled), Reason::Cancelled),
        (Event::Pin(PinResult::TimedOut), Reason::PinTimedOut),
        (Event::PinPresented(0x6985), Reason::CommandRefused { ins: 0x20, status: 0x6985 }),
        (Event::PinPresented(0x6300), Reason::CommandRefused { ins: 0x20, status: 0x6300 }),
        (Event::TransmitFailed, Reason::CardMute),
        (Event::CardRemoved, Reason::CardRemoved),
        // There is no PIN block.
        (Event::Pin(PinResult::Entered), Reason::UnexpectedEvent),
    ] {
        let outcome = run_offline(list, "9F170103 9000", &[event]).outcome;
        assert_eq!((outcome.decision, outcome.reason), (Decision::Terminated, reason));
    }
}

#[test]
fn an_enciphered_pin_takes_the_key_that_the_card_authenticates_itself_with_and_each_time_another_number() {
    let mut card = card_with("00000000 00000000 0400", "9F170103 9000");
    card.set("0084000000", &ok(&bytes("C1C2C3C4C5C6C7C8")));
    let run = run_at(EVERY_CVM, &mut card, &[wrong(0x63C2), RIGHT]);
    assert_eq!((run.outcome.cvm, run.results.as_str()), (Cvm::OfflinePin, "040002"));
    let [icc_key, _] = card_moduli();
    let expected = (icc_key, [0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8]);
    assert_eq!(run.enciphered, [expected.clone(), expected]);
    assert_eq!(run.log.iter().filter(|command| command[1] == 0x84).count(), 2);
}

#[test]
fn a_key_for_pins_goes_before_the_icc_key_and_one_that_can_not_be_recovered_is_not_replaced_by_it() {
    let card = |pin_key: Vec<u8>| {
        let mut card = with(|card| {
            card.cvm_list = "00000000 00000000 4403 1E03";
            card.more.clone_from(&pin_key);
        });
        card.set("0084000000", &ok(&[0xC1; 8]));
        card
    };
    let run = run_at(EVERY_CVM, &mut card(Personalisation::pin_key(0)), &[RIGHT]);
    let [_, pin_key] = card_moduli();
    assert_eq!(run.enciphered, [(pin_key, [0xC1; 8])]);
    let run = run_at(EVERY_CVM, &mut card(Personalisation::pin_key(1)), &[]);
    assert_eq!((run.outcome.cvm, run.outcome.tvr[2]), (Cvm::Signature, 0x00));
}

#[test]
fn without_a_key_or_a_number_of_eight_bytes_no_pin_can_be_enciphered() {
    let list = "00000000 00000000 4403 1E03";
    for challenge in ["6985", "C1C2C3C4C5C6C7 9000", "C1C2C3C4C5C6C7C8C9 9000", "9000"] {
        let mut card = card_with(list, "9F170103 9000");
        card.set("0084000000", &bytes(challenge));
        let run = run_at(EVERY_CVM, &mut card, &[]);
        assert_eq!((run.outcome.cvm, run.outcome.tvr[2]), (Cvm::Signature, 0x00), "{challenge}");
    }
    let mut card = card_with(list, "9F170103 9000");
    card.set("00B2031400", &ok(&tlv("70", &tlv("9F49", &bytes("9F3704")))));
    let run = run_at(EVERY_CVM, &mut card, &[]);
    assert_eq!((run.outcome.cvm, run.outcome.tvr[2], run.results.as_str()), (Cvm::Signature, 0, "1E0300"));
}

#[test]
fn a_terminal_with_one_kind_of_offline_pin_has_a_pin_pad_for_the_other() {
    let (plaintext, enciphered, none) = ("E0 E8 C8", "E0 78 C8", "E0 68 C8");
    for (capabilities, rule, tvr) in
        [(plaintext, "4400", 0x00), (enciphered, "4300", 0x00), (none, "4100", 0x10), (none, "4500", 0x10)]
    {
        let cvm_list: &'static str = format!("00000000 00000000 {rule} 1F00").leak();
        let run = run_at(capabilities, &mut card_with(cvm_list, "9F170103 9000"), &[]);
        assert_eq!((run.outcome.cvm, run.outcome.tvr[2]), (Cvm::NotRequired, tvr), "{capabilities} {rule}");
    }
    // Signature is missing, the PIN pad is not.
    let run = run_at("E0 D8 C8", &mut card_with("00000000 00000000 4300 1F00", "6A88"), &[]);
    assert_eq!((run.outcome.cvm, run.outcome.tvr[2]), (Cvm::NotRequired, 0x00));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_card_answers_it_is_asked_sixteen_times_at_most_and_9000_alone_verifies(
        counter in proptest::option::of(any::<u8>()),
        statuses in proptest::collection::vec(
            prop_oneof![4 => 0x63C1..=0x63CF_u16, 1 => Just(0x9000), 1 => any::<u16>()], 16),
    ) {
        let counter = counter.map_or("6A88".to_owned(), |tries| format!("9F1701{tries:02X}9000"));
        let pins: Vec<_> = statuses.iter().map(|status| Event::PinPresented(*status)).collect();
        let run = run_offline("00000000 00000000 0100", &counter, &pins);
        let last = run.tries.len().checked_sub(1).map(|last| statuses[last]);
        prop_assert_eq!(run.outcome.cvm == Cvm::OfflinePin, last == Some(0x9000));
    }
}
