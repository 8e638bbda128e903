//! A reader with a pad, scripted: what it is asked for to verify a PIN, and what becomes of its answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use ccid::{Card, Command, Descriptor, Dialogue, Error, PinEnd, PinVerification, Progress, SlotError};

const T0: [u8; 4] = [0x3B, 0x60, 0x00, 0x00];
const T1: [u8; 7] = [0x3B, 0x80, 0x81, 0x31, 0x20, 0x45, 0x55];

/// Short APDUs, or TPDUs; with a pad for verification and modification, or without one.
fn descriptor(level: u32, pins: u8) -> Descriptor {
    let mut bytes = [0; 54];
    let (head, tail) = bytes.split_at_mut(40);
    head.copy_from_slice(
        &[
            &[54, 0x21, 0x10, 0x01, 0, 7][..],
            &[0; 4],
            &4000_u32.to_le_bytes(),
            &[0; 9],
            &[0, 0xC2, 1, 0, 0, 254],
            &[0; 11],
        ]
        .concat(),
    );
    tail.copy_from_slice(
        &[&level.to_le_bytes()[..], &271_u32.to_le_bytes(), &[0, 0, 0, 0, pins, 1]].concat(),
    );
    Descriptor::parse(&bytes).unwrap()
}

const APDUS: u32 = 0x2_0000;
const TPDUS: u32 = 0x1_0000;

fn verification() -> PinVerification {
    let reader = descriptor(APDUS, 3);
    let (card, _) = Card::begin(&T0, &reader).unwrap();
    PinVerification::new(&card, &reader, &(4..=12), 30).unwrap()
}

/// What the reader answers to the command with the number 0 of slot 0.
fn ended(dialogue: &Dialogue, message: &[u8]) -> Result<PinEnd, Error> {
    match dialogue.take(message).unwrap() {
        Progress::Answered(answer) => PinEnd::of(answer.outcome()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_message_asks_for_a_block_of_format_2_in_the_command_verify() {
    let message = Dialogue::new(0).ask(&Command::VerifyPin(&verification())).unwrap();
    let expected = [
        // PC_to_RDR_Secure: type, length, slot, number, bBWI, wLevelParameter.
        &[0x69, 28, 0, 0, 0, 0, 0, 0, 0, 0][..],
        // Verification, 30 s. 89 47 04 is what middleware of identity cards with a PIN of format 2 hands to such readers, too.
        &[0x00, 30, 0x89, 0x47, 0x04],
        // 4 to 12 digits, confirmed by a key; the reader's own words, index 0; no prologue of T=1.
        &[12, 4, 0x02, 0xFF, 0x09, 0x04, 0, 0, 0, 0],
        &[0x00, 0x20, 0x00, 0x80, 0x08, 0x20, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    ]
    .concat();
    assert_eq!(*message, expected);
}

#[test]
fn what_the_card_says_of_the_pin_is_told_and_how_else_the_entry_ended() {
    let mut dialogue = Dialogue::new(0);
    dialogue.ask(&Command::VerifyPin(&verification())).unwrap();
    let more_time = [0x80, 0, 0, 0, 0, 0, 0, 0x80, 4, 0];
    assert_eq!(dialogue.take(&more_time), Ok(Progress::Extended(4)));
    for status in [[0x90, 0x00], [0x63, 0xC2], [0x69, 0x83]] {
        let answer = [&[0x80, 2, 0, 0, 0, 0, 0, 0, 0, 0][..], &status].concat();
        assert_eq!(ended(&dialogue, &answer), Ok(PinEnd::Verified(status)));
    }
    let refused = |error| ended(&dialogue, &[0x80, 0, 0, 0, 0, 0, 0, 0x40, error, 0]);
    assert_eq!(refused(0xEF), Ok(PinEnd::Cancelled));
    assert_eq!(refused(0xF0), Ok(PinEnd::TimedOut));
    assert_eq!(refused(0x00), Err(Error::Refused(SlotError(0))), "it does not know the command");
    assert_eq!(ended(&dialogue, &[0x80, 0, 0, 0, 0, 0, 0, 0x42, 0xFE, 0]), Err(Error::NoCard));
    for odd in [&[][..], &[0x90], &[0, 0x90, 0]] {
        let length = u8::try_from(odd.len()).unwrap();
        let answer = [&[0x80, length, 0, 0, 0, 0, 0, 0, 0, 0][..], odd].concat();
        assert!(matches!(ended(&dialogue, &answer), Err(Error::Card(_))), "{odd:?}");
    }
}

#[test]
fn an_entry_that_is_aborted_ends_when_the_reader_has_answered_the_abort() {
    let mut dialogue = Dialogue::new(2);
    dialogue.ask(&Command::VerifyPin(&verification())).unwrap();
    let (value, message) = dialogue.abort().unwrap();
    // The number is the high byte of wValue, the slot the low one.
    assert_eq!(value, 0x0102);
    assert_eq!(*message, [0x72, 0, 0, 0, 0, 2, 1, 0, 0, 0]);
    assert_eq!(dialogue.take(&[0x80, 0, 0, 0, 0, 2, 0, 0x40, 0xFF, 0]), Ok(Progress::Other));
    assert!(matches!(dialogue.take(&[0x81, 0, 0, 0, 0, 2, 1, 0, 0, 0]), Ok(Progress::Answered(_))));
}

#[test]
fn a_reader_that_can_not_take_the_pin_is_not_asked() {
    let made = |level, pins, atr: &[u8], digits| {
        let reader = descriptor(level, pins);
        let (card, _) = Card::begin(atr, &reader).unwrap();
        PinVerification::new(&card, &reader, &digits, 0)
    };
    assert!(made(TPDUS, 1, &T0, 4..=12).is_ok());
    assert!(made(APDUS, 1, &T1, 4..=12).is_ok(), "the reader makes the blocks");
    assert!(matches!(made(TPDUS, 1, &T1, 4..=12), Err(Error::Reader(_))));
    for none in [0, 2] {
        assert!(matches!(made(APDUS, none, &T0, 4..=12), Err(Error::Reader(_))), "{none}");
    }
    for (least, most) in [(3, 12), (4, 13), (6, 5)] {
        assert_eq!(made(APDUS, 1, &T0, least..=most), Err(Error::Command));
    }
}
