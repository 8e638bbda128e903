//! The simplified flow: the card is read, and the host decides.

use super::*;

fn identify(card: &mut Card, pin: bool, world: World<'_>) -> (Kernel, Outcome) {
    let transaction = Transaction { flow: Flow::Identify { pin }, kind: 0x20, ..transaction() };
    let mut kernel = Kernel::new(config_with(|toml| toml), transaction);
    let (outcome, _) = run_until_end(&mut kernel, card, world).unwrap();
    (kernel, outcome)
}

/// What no identified card is sent: INTERNAL AUTHENTICATE, EXTERNAL AUTHENTICATE, GENERATE AC, GET DATA.
const BEYOND_READING: [u8; 4] = [0x88, 0x82, 0xAE, 0xCA];

#[test]
fn an_identified_card_is_read_and_asked_for_nothing_else() {
    let mut card = Personalisation::default().card();
    let (kernel, outcome) = identify(&mut card, false, ALL_WELL);
    assert_eq!((outcome.decision, outcome.reason), (Decision::Approved, Reason::ApprovedOnline));
    assert_eq!((outcome.cvm, outcome.cryptogram), (Cvm::None, None));
    assert!(kernel.track2().is_some() && kernel.masked_pan().is_some());
    assert!(!kernel.asked_for_cryptogram());
    assert!(!card.log.iter().any(|command| BEYOND_READING.contains(&command[1])), "{:02X?}", card.log);
}

#[test]
fn the_caller_and_not_the_card_says_whether_a_pin_is_entered() {
    for cvm_list in ["00000000 00000000 0203", "00000000 00000000 1F00"] {
        for (pin, cvm, results) in [(true, Cvm::OnlinePin, "020000"), (false, Cvm::None, "3F0000")] {
            let mut card = with(|card| card.cvm_list = cvm_list);
            let (kernel, outcome) = identify(&mut card, pin, ALL_WELL);
            assert_eq!(outcome.cvm, cvm, "{cvm_list}");
            assert_eq!(kernel.field_55(&[tags::CVM_RESULTS]).unwrap()[3..], bytes(results), "{cvm_list}");
        }
    }
}

#[test]
fn each_end_of_a_pin_entry_has_its_own_reason() {
    let cases = [
        (PinResult::Bypassed, Reason::ApprovedOnline),
        (PinResult::PinPadBroken, Reason::PinPadBroken),
        (PinResult::Cancelled, Reason::Cancelled),
        (PinResult::TimedOut, Reason::PinTimedOut),
    ];
    for (pin, reason) in cases {
        let mut card = Personalisation::default().card();
        assert_eq!(identify(&mut card, true, World { pin, ..ALL_WELL }).1.reason, reason, "{pin:?}");
    }
}

#[test]
fn the_host_has_the_only_word() {
    let declined = HostAnswer { approved: false, arc: *b"05", ..APPROVED };
    let cases = [
        (Some(APPROVED), Decision::Approved, Online::Approved),
        (Some(declined), Decision::Declined, Online::Declined),
        (None, Decision::Declined, Online::Unreachable),
    ];
    for (host, decision, online) in cases {
        let mut card = Personalisation::default().card();
        let (_, outcome) = identify(&mut card, false, World { host, ..ALL_WELL });
        assert_eq!((outcome.decision, outcome.online), (decision, online));
        assert!(!outcome.must_reverse());
    }
}

#[test]
fn an_expired_card_is_identified_and_one_without_a_pan_is_not() {
    let mut expired = with(|card| card.expiry = "200131");
    assert_eq!(identify(&mut expired, false, ALL_WELL).1.decision, Decision::Approved);
    let mut nameless = Personalisation::default().card();
    nameless.set("00B2011C00", &ok(&tlv("70", &tlv("5F24", &bytes("301231")))));
    assert_eq!(identify(&mut nameless, false, ALL_WELL).1.reason, Reason::DataMissing(tags::PAN));
}

#[test]
fn a_card_that_is_pulled_while_it_is_read_ends_it() {
    let mut whole = Personalisation::default().card();
    identify(&mut whole, false, ALL_WELL);
    for pulled_at in 0..whole.log.len() {
        let mut card = Personalisation::default().card();
        let (_, outcome) = identify(&mut card, false, World { pulled_at, ..ALL_WELL });
        assert_eq!((outcome.decision, outcome.reason), (Decision::Terminated, Reason::CardRemoved));
    }
}
