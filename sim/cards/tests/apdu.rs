//! The cards, APDU by APDU, as a terminal that makes mistakes sees them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use keys::emv::CryptogramInput;
use proptest::prelude::*;
use sim_cards::{Card, Profile, load, load_with_atc, seal_script};
use tlv::Tag;

/// The first UnionPay application, by the beginning of its name.
const SELECT: &str = "00A4040007A000000333010100";
const GPO: &str = "80A8000002830000";
/// UnionPay CDOL1 data: 12.34 CNY, then terminal time and merchant name.
const CDOL1: &str = "000000001234 000000000000 0156 0000048000 0156 261122 00 A1B2C3D4 121314 5445535400000000000000000000000000000000";
const CDOL1_TAIL: &str = "000000001234 000000000000 0156 0000048000 0156 261122 00 A1B2C3D4 121314";

/// Sends a command in hexadecimal; the answer in hexadecimal.
fn send(card: &mut Card, apdu: &str) -> String {
    hex::encode_upper(card.transmit(&hex::decode(apdu.replace(' ', "")).unwrap()).unwrap())
}

fn command(header: &str, data: &str, le: &str) -> String {
    let data = data.replace(' ', "");
    format!("{header}{:02X}{data}{le}", data.len() / 2)
}

fn generate_ac(card: &mut Card, p1: &str, data: &str) -> String {
    send(card, &command(&format!("80AE{p1}00"), data, "00"))
}

/// A UnionPay card up to GET PROCESSING OPTIONS.
fn initiated(name: &str) -> Card {
    let mut card = load_with_atc(name, 0x0122).unwrap();
    assert!(send(&mut card, SELECT).ends_with("9000"));
    assert!(send(&mut card, GPO).ends_with("9000"));
    card
}

/// A UnionPay card that has asked for its issuer, and its ARQC.
fn online(name: &str) -> (Card, [u8; 8]) {
    let mut card = initiated(name);
    let answer = hex::decode(generate_ac(&mut card, "80", CDOL1)).unwrap();
    assert_eq!(answer[..5], [0x80, 0x13, 0x80, 0x01, 0x23], "ARQC, ATC 0123");
    (card, answer[5..13].try_into().unwrap())
}

fn input(cvr: [u8; 4]) -> CryptogramInput {
    CryptogramInput {
        amount_authorised: [0, 0, 0, 0, 0x12, 0x34],
        amount_other: [0; 6],
        terminal_country: [0x01, 0x56],
        tvr: [0, 0, 0x04, 0x80, 0],
        currency: [0x01, 0x56],
        date: [0x26, 0x11, 0x22],
        transaction_type: 0,
        unpredictable_number: [0xA1, 0xB2, 0xC3, 0xD4],
        aip: [0x3C, 0x00],
        atc: [0x01, 0x23],
        cvr,
    }
}

fn issuer_key(profile: &Profile) -> keys::TdesKey {
    let card_key = keys::emv::card_key(profile.imk(), &profile.pan, profile.psn);
    keys::emv::session_key(&card_key, [0x01, 0x23])
}

fn arpc(card: &Card, arqc: [u8; 8], arc: &[u8; 2]) -> String {
    hex::encode_upper([&keys::emv::arpc(&issuer_key(card.profile()), arqc, *arc)[..], arc].concat())
}

fn external_authenticate(card: &mut Card, data: &str) -> String {
    send(card, &command("00820000", data, ""))
}

/// CDOL2 data of UnionPay: authorisation response code, then what CDOL1 had up to the time.
fn cdol2(arc: &[u8; 2]) -> String {
    format!("{}{CDOL1_TAIL}", hex::encode_upper(arc))
}

#[test]
fn the_environment_lists_each_application_and_then_no_more() {
    let mut card = load("two-applications").unwrap();
    let information = send(&mut card, "00A404000E315041592E5359532E444446303100");
    assert!(information.contains("880101"), "directory in SFI 1");
    assert!(send(&mut card, "00B2010C00").contains("4F08A000000333010101"));
    assert!(send(&mut card, "00B2020C00").contains("4F08A000000333010102"));
    assert_eq!(send(&mut card, "00B2030C00"), "6A83");
    assert_eq!(send(&mut card, "00B2011400"), "6A82");
}

#[test]
fn partial_selection_goes_from_application_to_application() {
    let mut card = load("no-pse").unwrap();
    assert_eq!(send(&mut card, "00A404000E315041592E5359532E444446303100"), "6A82");
    assert!(send(&mut card, "00A4040007A000000004101000").contains("8408A0000000041010C1"));
    assert!(send(&mut card, "00A4040207A000000004101000").contains("8408A0000000041010C2"));
    assert_eq!(send(&mut card, "00A4040207A000000004101000"), "6A82");
    assert_eq!(send(&mut card, "00A4040007A000000003101000"), "6A82");
}

#[test]
fn a_command_out_of_order_is_refused() {
    let mut card = load("unionpay-credit").unwrap();
    for early in [GPO, "00B2010C00", "0088000004A1B2C3D400", "80CA9F3600"] {
        assert_eq!(send(&mut card, early), "6985", "{early}");
    }
    assert_eq!(generate_ac(&mut card, "80", CDOL1), "6985");
    let mut card = initiated("unionpay-credit");
    assert_eq!(send(&mut card, GPO), "6985", "twice");
    assert_eq!(external_authenticate(&mut card, "00000000000000003030"), "6985");
    let (mut card, _) = online("unionpay-credit");
    assert_eq!(send(&mut card, "0088000004A1B2C3D400"), "6985");
    assert!(generate_ac(&mut card, "00", &cdol2(b"05")).ends_with("9000"));
    assert_eq!(generate_ac(&mut card, "00", &cdol2(b"05")), "6985", "a third one");
}

#[test]
fn a_wrong_length_class_or_instruction_has_its_own_status() {
    let mut card = initiated("unionpay-credit");
    assert_eq!(send(&mut card, "00A404"), "6700");
    assert_eq!(send(&mut card, "80AE80000112"), "6700", "CDOL1 data of one byte");
    assert_eq!(send(&mut card, "0088000003A1B2C300"), "6700", "DDOL data of three");
    assert_eq!(send(&mut card, "00B2010D00"), "6A86");
    assert_eq!(send(&mut card, "00B2020C00"), "6A83");
    assert_eq!(send(&mut card, "00B2012400"), "6A82");
    assert_eq!(send(&mut card, "80B2010C00"), "6E00");
    assert_eq!(send(&mut card, "A0A4000000"), "6E00");
    assert_eq!(send(&mut card, "00FE000000"), "6D00");
    assert_eq!(send(&mut card, "80CA9F5000"), "6A88");
    let mut card = load("visa").unwrap();
    send(&mut card, "00A4040007A000000003101000");
    assert_eq!(send(&mut card, GPO), "6700", "the PDOL wants six bytes");
    assert_eq!(send(&mut card, "80A80000088506E068C801562200"), "6A80", "not a template 83");
    assert!(send(&mut card, "80A80000088306E068C801562200").ends_with("9000"));
}

#[test]
fn the_arqc_is_the_one_that_the_issuer_computes() {
    let (card, arqc) = online("unionpay-credit");
    let expected = keys::emv::cryptogram(&issuer_key(card.profile()), &input([0x03, 0xA0, 0x00, 0x00]));
    assert_eq!(arqc, expected);
}

#[test]
fn a_right_arpc_gives_a_tc_over_the_new_results() {
    let (mut card, arqc) = online("unionpay-credit");
    let data = arpc(&card, arqc, b"00");
    assert_eq!(external_authenticate(&mut card, &data), "9000");
    assert_eq!(external_authenticate(&mut card, &data), "6985", "only once");
    let answer = generate_ac(&mut card, "40", &cdol2(b"00"));
    let tc = keys::emv::cryptogram(&issuer_key(card.profile()), &input([0x03, 0x60, 0x00, 0x00]));
    assert_eq!(answer, format!("8013400123{}0701010360000001{}", hex::encode_upper(tc), "9000"));
    assert!(send(&mut card, "80CA9F1300").starts_with("9F13020123"), "last online ATC");
    assert_eq!(send(&mut card, "00B2015C00"), "26112200000000123401560001239000", "the log");
}

#[test]
fn a_wrong_arpc_or_a_code_that_it_does_not_vouch_for_gives_an_aac() {
    let (mut card, arqc) = online("unionpay-credit");
    let forged = arpc(&card, arqc, b"00").replace("3030", "3035");
    assert_eq!(external_authenticate(&mut card, &forged), "6300");
    let answer = generate_ac(&mut card, "40", &cdol2(b"00"));
    assert_eq!((&answer[4..6], &answer[32..40]), ("00", "03280000"), "AAC, issuer authentication failed");

    let (mut card, arqc) = online("unionpay-credit");
    let declined = arpc(&card, arqc, b"05");
    assert_eq!(external_authenticate(&mut card, &declined), "9000");
    assert_eq!(generate_ac(&mut card, "40", &cdol2(b"00"))[4..6], *"00");
}

#[test]
fn the_next_transaction_tells_what_the_last_one_left_undone() {
    let (mut card, _) = online("unionpay-credit");
    card.reset();
    send(&mut card, SELECT);
    send(&mut card, GPO);
    let answer = generate_ac(&mut card, "80", CDOL1);
    assert_eq!((&answer[6..10], &answer[32..40]), ("0124", "03A08000"));
}

#[test]
fn an_answered_transaction_leaves_nothing_undone_but_its_scripts_are_counted() {
    let (mut card, arqc) = online("unionpay-credit");
    let data = arpc(&card, arqc, b"05");
    external_authenticate(&mut card, &data);
    generate_ac(&mut card, "00", &cdol2(b"05"));
    let mut script = seal_script(card.profile(), 0x0123, arqc, [0x84, 0x24, 0, 0]);
    assert_eq!(card.transmit(&script).unwrap(), [0x90, 0x00]);
    script[5] ^= 1;
    assert_eq!(card.transmit(&script).unwrap(), [0x69, 0x88]);
    card.reset();
    send(&mut card, SELECT);
    send(&mut card, GPO);
    assert_eq!(generate_ac(&mut card, "80", CDOL1)[32..40], *"03A00028", "two commands, one failed");
}

#[test]
fn offline_a_card_approves_only_what_its_limit_allows() {
    let mut card = initiated("approves-offline");
    assert_eq!(generate_ac(&mut card, "40", CDOL1)[4..6], *"40", "12.34 is within 100.00: TC");
    let mut card = initiated("unionpay-credit");
    assert_eq!(generate_ac(&mut card, "40", CDOL1)[4..6], *"80", "no limit: ARQC");
    assert_eq!(generate_ac(&mut card, "40", &cdol2(b"Y3"))[4..6], *"00", "and no host: AAC");
    let mut card = initiated("declined");
    assert_eq!(generate_ac(&mut card, "80", CDOL1)[4..6], *"00");
}

#[test]
fn a_mastercard_finds_its_arpc_in_the_second_generate_ac() {
    let transaction = |right: bool| {
        let mut card = load_with_atc("mastercard", 0x0122).unwrap();
        send(&mut card, "00A4040007A000000004101000");
        send(&mut card, GPO);
        let cdol1 = format!("{}22 0000 1F0302", &CDOL1_TAIL[..CDOL1_TAIL.len() - 7]);
        let answer = hex::decode(generate_ac(&mut card, "80", &cdol1)).unwrap();
        let arqc = tlv::find(&answer[..answer.len() - 2], Tag::new(0x9F26)).unwrap().unwrap();
        let mut data = arpc(&card, arqc.try_into().unwrap(), b"00");
        if !right {
            data.replace_range(0..2, "00");
        }
        assert_eq!(external_authenticate(&mut card, &data), "6985", "its AIP does not ask for it");
        generate_ac(&mut card, "40", &format!("{data}3030 0000048000 A1B2C3D4"))
    };
    assert!(transaction(true).contains("9F270140"));
    assert!(transaction(false).contains("9F270100"));
}

#[test]
fn the_offline_pin_has_three_tries_and_a_script_gives_them_back() {
    let mut card = load("two-applications").unwrap();
    let start = |card: &mut Card| {
        send(card, SELECT);
        send(card, GPO);
    };
    start(&mut card);
    assert_eq!(send(&mut card, "002000800826111111FFFFFFFF"), "63C2");
    assert_eq!(send(&mut card, "002000800826123456FFFFFFFF"), "9000");
    assert_eq!(send(&mut card, "80CA9F1700"), "9F1701039000");
    for left in ["63C2", "63C1", "63C0"] {
        card.reset();
        start(&mut card);
        assert_eq!(send(&mut card, "002000800826111111FFFFFFFF"), left);
    }
    assert_eq!(send(&mut card, "002000800826123456FFFFFFFF"), "6983");
    let answer = hex::decode(generate_ac(&mut card, "80", CDOL1)).unwrap();
    assert_eq!(answer[18] & 0x40, 0x40, "PIN try limit exceeded");
    let atc = u16::from_be_bytes([answer[3], answer[4]]);
    let script = seal_script(card.profile(), atc, answer[5..13].try_into().unwrap(), [0x84, 0x24, 0, 0]);
    assert_eq!(card.transmit(&script).unwrap(), [0x90, 0x00]);
    assert_eq!(send(&mut card, "80CA9F1700"), "9F1701039000");
}

#[test]
fn an_enciphered_pin_needs_the_number_that_the_card_gave_last() {
    let mut card = load("offline-pin-own-key").unwrap();
    send(&mut card, "00A4040007A000000003101000");
    assert_eq!(send(&mut card, "0084000000"), "6985", "no transaction has begun");
    send(&mut card, "80A80000088306E0F8C001562200");
    let first = send(&mut card, "0084000000");
    let second = send(&mut card, "0084000000");
    assert!(first.len() == 20 && first.ends_with("9000") && first != second);
    assert_eq!(send(&mut card, "0020008808241234FFFFFFFFFF"), "6700", "as long as the modulus");
    let nothing = format!("0020008860{}", "00".repeat(96));
    assert_eq!(send(&mut card, &nothing), "6984", "it is not what a PIN was enciphered to");
    assert_eq!(send(&mut card, "80CA9F1700"), "9F1701039000", "and costs no try");
    assert_eq!(send(&mut card, "0020008008241235FFFFFFFFFF"), "63C2");
}

#[test]
fn a_script_needs_an_online_transaction_and_its_mac() {
    let (mut card, arqc) = online("unionpay-credit");
    let mut script = seal_script(card.profile(), 0x0123, arqc, [0x84, 0x1E, 0, 0]);
    script[12] ^= 1;
    assert_eq!(card.transmit(&script).unwrap(), [0x69, 0x88]);
    script[12] ^= 1;
    assert_eq!(card.transmit(&script).unwrap(), [0x90, 0x00]);
    card.reset();
    assert!(send(&mut card, SELECT).ends_with("6283"));
    assert_eq!(send(&mut card, GPO), "6985");
    assert_eq!(card.transmit(&script).unwrap(), [0x69, 0x85], "no ARQC in this session");
}

#[test]
fn a_t0_card_wants_get_response_and_exact_lengths() {
    let mut t0 = load("t0-exchange").unwrap();
    let waiting = send(&mut t0, SELECT);
    assert!(waiting.starts_with("61") && waiting.len() == 4);
    let length = u8::from_str_radix(&waiting[2..], 16).unwrap();
    assert_eq!(send(&mut t0, "00C00000FF"), format!("6C{length:02X}"));
    assert!(send(&mut t0, "00C0000004").ends_with(&format!("61{:02X}", length - 4)));
    assert!(send(&mut t0, &format!("00C00000{:02X}", length - 4)).ends_with("9000"));
    assert_eq!(send(&mut t0, "00C0000004"), "6985");
    let waiting = send(&mut t0, GPO);
    assert!(send(&mut t0, &format!("00C00000{}", &waiting[2..])).ends_with("9000"));
    let exact = send(&mut t0, "00B2010C00");
    assert!(exact.starts_with("6C") && exact.len() == 4);
    assert!(send(&mut t0, &format!("00B2010C{}", &exact[2..])).ends_with("9000"));
}

#[test]
fn blocked_mute_and_pulled_cards_behave_so() {
    assert_eq!(load("chip-mute").unwrap().atr(), None);
    let mut blocked = load("blocked-card").unwrap();
    assert_eq!(send(&mut blocked, "00A404000E315041592E5359532E444446303100"), "6A81");
    let mut pulled = load("removed-early:2").unwrap();
    assert!(pulled.atr().is_some());
    assert!(pulled.transmit(&[0x00, 0xA4, 0x04, 0x00]).is_some());
    assert_eq!(pulled.transmit(&[0x00, 0xA4, 0x04, 0x00]), None);
    assert_eq!((pulled.atr(), pulled.transmit(&[0x00, 0xA4, 0x04, 0x00])), (None, None));
}

#[test]
fn a_counter_at_its_end_starts_no_transaction() {
    let mut card = load_with_atc("unionpay-credit", 0xFFFE).unwrap();
    for expected in ["9000", "6985"] {
        send(&mut card, SELECT);
        assert!(send(&mut card, GPO).ends_with(expected));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_command_in_any_state_gets_a_response(
        commands in proptest::collection::vec(
            (prop_oneof![Just(0x00_u8), Just(0x80), Just(0x84), any::<u8>()],
             prop_oneof![proptest::sample::select(vec![0xA4_u8, 0xB2, 0xA8, 0xAE, 0xCA, 0x20, 0x82, 0x88, 0xC0, 0x24]), any::<u8>()],
             any::<u8>(), any::<u8>(), proptest::collection::vec(any::<u8>(), 0..64)),
            1..8),
        started in 0..3,
    ) {
        let mut card = match started {
            0 => load("t0-exchange").unwrap(),
            1 => initiated("unionpay-debit-pin"),
            _ => online("unionpay-credit").0,
        };
        for (cla, ins, p1, p2, body) in commands {
            let answer = card.transmit(&[&[cla, ins, p1, p2], &body[..]].concat()).unwrap();
            prop_assert!((2..=258).contains(&answer.len()));
            prop_assert!(matches!(answer[answer.len() - 2], 0x61..=0x6F | 0x90));
        }
    }
}
