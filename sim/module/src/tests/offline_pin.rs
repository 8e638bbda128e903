//! A PIN goes from the pad to the card in the slot, once for each time that it is typed.

use keys::Pin;
use keys::offline_pin;
use link::{CardEntry, Event, OfflinePinEntry, PinEncipherment, PinResult};
use zeroize::Zeroizing;

use super::*;
use crate::pin_pad::Deed;

fn entry() -> OfflinePinEntry {
    OfflinePinEntry {
        entry: 7,
        slot: 0,
        tries_left: Some(3),
        shortest: 4,
        longest: 12,
        first_key: 30_000,
        next_key: 10_000,
        bypass: true,
        accessible: false,
        amount: None,
        encipherment: None,
    }
}

fn transmit(device: &mut Device, command: &str) -> Vec<u8> {
    match ask(device, Request::CardTransmit { slot: 0, command: hex::decode(command).unwrap().into() }) {
        Response::Data(data) => data.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// A module with a card in whose transaction a PIN may be verified.
fn with_card(name: &str) -> Device {
    let mut device = device(None);
    device.insert(name).unwrap();
    assert!(matches!(ask(&mut device, Request::CardPowerOn { slot: 0 }), Response::Data(_)));
    transmit(&mut device, "00A4040007A000000003101000");
    transmit(&mut device, "80A80000088306E0F8C001562200");
    device.poll(Duration::ZERO);
    device
}

/// What the module reports of an entry at which these deeds are done.
fn verified(device: &mut Device, entry: OfflinePinEntry, digits: &[&str]) -> Vec<Event> {
    assert_eq!(ask(device, Request::VerifyPin(entry)), Response::Done);
    for digits in digits {
        device.pad.queue(Deed::Type(Zeroizing::new((*digits).to_owned())));
    }
    device.poll(Duration::ZERO)
}

fn ended(result: PinResult) -> Option<Event> {
    Some(Event::PinEnded { entry: 7, result })
}

#[test]
fn the_card_gets_what_was_typed_and_its_status_is_told() {
    let mut device = with_card("offline-pin");
    let events = verified(&mut device, entry(), &["4321"]);
    assert_eq!(events.first(), Some(&Event::PinDigits { entry: 7, count: 1 }));
    assert_eq!(events.last().copied(), ended(PinResult::Presented(0x63C2)));
    // One that is too short costs no try.
    let events = verified(&mut device, entry(), &["123", "1234"]);
    assert_eq!(events.last().copied(), ended(PinResult::Presented(0x9000)));
    assert_eq!(verified(&mut device, entry(), &[""]).last().copied(), ended(PinResult::Bypassed));
}

#[test]
fn an_enciphered_pin_is_good_for_the_number_that_it_was_enciphered_with() {
    let mut device = with_card("offline-pin-own-key");
    let profile = sim_cards::profiles().find(|profile| profile.name == "offline-pin-own-key").unwrap();
    let (modulus, exponent) = profile.pin_key();
    let challenge = transmit(&mut device, "0084000000")[..8].try_into().unwrap();
    let with = PinEncipherment { modulus: modulus.to_vec(), exponent: exponent.to_vec(), challenge };
    let entry = || OfflinePinEntry { encipherment: Some(with.clone()), ..entry() };
    let events = verified(&mut device, entry(), &["1234"]);
    assert_eq!(events.last().copied(), ended(PinResult::Presented(0x9000)));
    let events = verified(&mut device, entry(), &["1234"]);
    assert_eq!(events.last().copied(), ended(PinResult::Presented(0x6984)), "the number was used");
}

#[test]
fn a_pin_is_asked_for_where_a_card_has_power_and_the_rules_are_right() {
    let mut device = with_card("offline-pin");
    let key = PinEncipherment { modulus: vec![0x7F; 96], exponent: vec![3], challenge: [0; 8] };
    for (wrong, refused) in [
        (OfflinePinEntry { slot: 1, ..entry() }, Refusal::NotSupported),
        (OfflinePinEntry { shortest: 3, ..entry() }, Refusal::Invalid),
        (OfflinePinEntry { longest: 13, ..entry() }, Refusal::Invalid),
        (OfflinePinEntry { first_key: 0, ..entry() }, Refusal::Invalid),
        (OfflinePinEntry { encipherment: Some(key), ..entry() }, Refusal::Invalid),
    ] {
        assert_eq!(refusal(ask(&mut device, Request::VerifyPin(wrong))), refused);
    }
    assert_eq!(ask(&mut device, Request::CardPowerOff { slot: 0 }), Response::Done);
    assert_eq!(refusal(ask(&mut device, Request::VerifyPin(entry()))), Refusal::CardMute);
    device.remove();
    assert_eq!(refusal(ask(&mut device, Request::VerifyPin(entry()))), Refusal::NoCard);
}

#[test]
fn while_a_pin_is_typed_the_card_hears_nothing_else_and_its_leaving_ends_the_entry() {
    let leave: [fn(&mut Device); 3] = [
        |device| drop(device.remove()),
        |device| assert_eq!(ask(device, Request::CardPowerOff { slot: 0 }), Response::Done),
        |device| assert!(matches!(ask(device, Request::CardPowerOn { slot: 0 }), Response::Data(_))),
    ];
    for leave in leave {
        let mut device = with_card("offline-pin");
        assert_eq!(ask(&mut device, Request::VerifyPin(entry())), Response::Done);
        let verify = offline_pin::plaintext(&Pin::new("1234").unwrap());
        let transmit = Request::CardTransmit { slot: 0, command: verify };
        assert_eq!(refusal(ask(&mut device, transmit)), Refusal::Busy);
        let card = CardEntry { entry: 1, security_code: false, first_key: 1, next_key: 1, amount: None };
        for other in [Request::VerifyPin(entry()), Request::EnterCard(card)] {
            assert_eq!(refusal(ask(&mut device, other)), Refusal::Busy);
        }
        leave(&mut device);
        device.pad.queue(Deed::Type(Zeroizing::new("1234".to_owned())));
        let events = device.poll(Duration::ZERO);
        assert_eq!(events.last().copied(), ended(PinResult::CardMute));
        assert!(!device.pad.asks());
    }
}

#[test]
fn a_card_that_is_pulled_as_it_gets_the_pin_is_gone() {
    // SELECT and GET PROCESSING OPTIONS, then VERIFY.
    let mut device = device(None).with_pins(1);
    device.insert("removed-early:3").unwrap();
    assert!(matches!(ask(&mut device, Request::CardPowerOn { slot: 0 }), Response::Data(_)));
    transmit(&mut device, "00A4040008A00000033301010200");
    transmit(&mut device, "80A8000002830000");
    device.poll(Duration::ZERO);
    let events = verified(&mut device, entry(), &["1234"]);
    assert!(events.contains(&Event::CardRemoved { slot: 0 }));
    assert_eq!(events.last().copied(), ended(PinResult::CardMute));
    // It has had the PIN: who pulls it each time tries no more PINs than others.
    device.insert("offline-pin").unwrap();
    assert!(matches!(ask(&mut device, Request::CardPowerOn { slot: 0 }), Response::Data(_)));
    assert_eq!(refusal(ask(&mut device, Request::VerifyPin(entry()))), Refusal::Busy);
}

#[test]
fn a_pin_that_the_host_made_up_reaches_no_card() {
    let mut device = with_card("offline-pin");
    for class in [0x00, 0x0C, 0x80] {
        let command =
            vec![class, 0x20, 0x00, 0x80, 0x08, 0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF].into();
        assert_eq!(refusal(ask(&mut device, Request::CardTransmit { slot: 0, command })), Refusal::Invalid);
    }
    assert_eq!(
        verified(&mut device, entry(), &["4321"]).last().copied(),
        ended(PinResult::Presented(0x63C2))
    );
}

#[test]
fn who_tries_pins_at_the_card_has_to_wait_as_well() {
    let mut device = with_card("offline-pin").with_pins(2);
    for (digits, expected) in [("", PinResult::Bypassed), ("4321", PinResult::Presented(0x63C2))] {
        assert_eq!(verified(&mut device, entry(), &[digits]).last().copied(), ended(expected));
    }
    verified(&mut device, entry(), &["1234"]);
    assert_eq!(refusal(ask(&mut device, Request::VerifyPin(entry()))), Refusal::Busy);
}
