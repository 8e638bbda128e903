//! Consumer-presented codes: published examples, each rule broken once, and any bytes at all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop at the first surprise")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use qr::Problem;
use qr::cpm::{Builder, ConsumerCode};
use tlv::{Tag, tags};

/// EMVCo, QRCPS Consumer-Presented Mode 1.1, Annex B.1.
const EXAMPLE_1: &str = "hQVDUFYwMWEaTwegAAAAVVVVVw8SNFZ4kBI0WNGRIgESNF8=";

/// EMVCo, QRCPS Consumer-Presented Mode 1.1, Annex B.2.
const EXAMPLE_2: &str = "hQVDUFYwMWETTwegAAAAVVVVUAhQcm9kdWN0MWETTwegAAAAZmZmUAhQcm9kdWN0MmJJWggSNFZ4kBI0WF8gDk\
    NBUkRIT0xERVIvRU1WXy0IcnVlc2RlZW5kIZ8QBwYBCgMAAACfJghYT9OF+iNLzJ82AgABnzcEbVjvEw==";

const AID_1: &[u8] = &[0xA0, 0, 0, 0, 0x55, 0x55, 0x55];
const AID_2: &[u8] = &[0xA0, 0, 0, 0, 0x66, 0x66, 0x66];
const PAN: &[u8] = &[0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x58];

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex.replace(' ', "")).unwrap()
}

fn code(hex: &str) -> Result<ConsumerCode, qr::Error> {
    ConsumerCode::parse(&STANDARD.encode(bytes(hex)))
}

#[test]
fn example_1_of_annex_b_is_read_and_made() {
    let code = ConsumerCode::parse(EXAMPLE_1).unwrap();
    let [application] = code.applications().collect::<Vec<_>>()[..] else { panic!("one template") };
    assert_eq!((application.adf_name(), application.label()), (AID_1, None));
    let data = code.data(&application).unwrap();
    assert_eq!(data.pan().unwrap().digits(), "1234567890123458");
    assert_eq!(data.track2().unwrap().unwrap().expiry(), "1912");
    assert_eq!(data.last_four().unwrap(), "3458");
    let track = bytes("12345678901234 58D1912201 12345F");
    let made = Builder::new().application(&[(tags::ADF_NAME, AID_1), (tags::TRACK_2, &track)], &[]).finish();
    assert_eq!(*made.unwrap().text(), EXAMPLE_1);
}

#[test]
fn example_2_of_annex_b_is_read_and_made() {
    let code = ConsumerCode::parse(EXAMPLE_2).unwrap();
    let labels: Vec<_> = code.applications().map(|application| application.label()).collect();
    assert_eq!(labels, [Some("Product1"), Some("Product2")]);
    let [chosen] = code.eligible(&[AID_2]).collect::<Vec<_>>()[..] else { panic!("one is eligible") };
    let data = code.data(&chosen).unwrap();
    assert_eq!(data.get(tags::APPLICATION_LABEL), Some(&b"Product2"[..]));
    assert_eq!(data.get(tags::CARDHOLDER_NAME), Some(&b"CARDHOLDER/EMV"[..]));
    assert_eq!(data.get(tags::LANGUAGE_PREFERENCE), Some(&b"ruesdeen"[..]));
    assert_eq!(data.pan().unwrap().digits(), "1234567890123458");
    let cryptogram = bytes("9F1007060 10A03000000 9F2608584FD385FA234BCC 9F36020001 9F37046D58EF13");
    assert_eq!(data.transparent(), [None, Some(cryptogram.as_slice())]);

    let made = Builder::new()
        .application(&[(tags::ADF_NAME, AID_1), (tags::APPLICATION_LABEL, b"Product1")], &[])
        .application(&[(tags::ADF_NAME, AID_2), (tags::APPLICATION_LABEL, b"Product2")], &[])
        .common(
            &[
                (tags::PAN, PAN),
                (tags::CARDHOLDER_NAME, b"CARDHOLDER/EMV"),
                (tags::LANGUAGE_PREFERENCE, b"ruesdeen"),
            ],
            &[
                (tags::IAD, &bytes("06010A03000000")),
                (tags::CRYPTOGRAM, &bytes("584FD385FA234BCC")),
                (tags::ATC, &[0, 1]),
                (tags::UNPREDICTABLE_NUMBER, &bytes("6D58EF13")),
            ],
        )
        .finish();
    assert_eq!(*made.unwrap().text(), EXAMPLE_2);
}

#[test]
fn an_aid_is_matched_by_its_leading_bytes() {
    let code = ConsumerCode::parse(EXAMPLE_2).unwrap();
    let count = |aids: &[&[u8]]| code.eligible(aids).count();
    assert_eq!(count(&[&[0xA0, 0, 0, 0, 0x55]]), 1);
    assert_eq!(count(&[AID_1, AID_2]), 2);
    assert_eq!(count(&[&[0xA0, 0, 0, 0, 0x55, 0x55, 0x55, 0x55]]), 0);
    assert_eq!(count(&[&[]]), 0);
}

#[test]
fn each_broken_rule_is_named_with_the_tag_of_the_field() {
    let expected = |what| Problem::Expected(what);
    let cases = [
        ("8505 4350563032 6109 4F07A0000000555555", "85", expected("CPV01")),
        ("8505 4350563031", "61", Problem::Missing),
        ("8505 4350563031 6209 4F07A0000000555555", "61", Problem::Missing),
        ("8505 4350563031 6200 6109 4F07A0000000555555", "61", Problem::Misplaced("second or third")),
        ("8505 4350563031 6100 7000 6200", "62", Problem::Misplaced("third or fourth")),
        ("8505 4350563031 6100 6200 6200", "62", Problem::Repeated),
        ("8505 4350563031 6100 6100 6100", "61 (3)", Problem::Unexpected),
        ("8505 4350563031 6100 8505 4350563031", "85", Problem::Repeated),
        ("8505 4350563031 6103 4F07A0", "61", Problem::Tlv(tlv::Error::Truncated)),
        ("8505 4350563031 6109 4F07A00000005555", "code", Problem::Tlv(tlv::Error::Truncated)),
    ];
    for (hex, path, problem) in cases {
        let error = code(hex).unwrap_err();
        assert_eq!((error.path.as_str(), error.problem), (path, problem), "{hex}");
    }
    for text in
        ["", "hQVDUFY", "hQVDUFYwMWEaTwegAAAAVVVVVw8SNFZ4kBI0WNGRIgESNF8", "1234567890", "hQVDUFY\u{e9}"]
    {
        assert_eq!(ConsumerCode::parse(text).unwrap_err().path, "code", "{text}");
    }
}

#[test]
fn data_that_contradict_themselves_are_refused() {
    let cases = [
        (
            "6113 4F07A0000000555555 9F250112 5A0412345678",
            "61.9F25",
            Problem::Length { min: 2, max: 2, got: 1 },
        ),
        ("6115 4F07A0000000555555 5A0412345678 5A0412345678", "61.5A", Problem::Repeated),
        ("610F 4F07A0000000555555 5A0412345678 6206 5A0412345678", "62.5A", Problem::Repeated),
        ("6109 4F07A0000000555555", "61.57", Problem::Missing),
        ("6100 6109 4F07A0000000555555", "61 (2).57", Problem::Missing),
        ("6113 4F07A0000000555555 5A0412345678 6300 6300", "61.63", Problem::Repeated),
    ];
    for (hex, path, problem) in cases {
        let code = code(&format!("8505 4350563031 {hex}")).unwrap();
        let chosen = code.applications().last().unwrap();
        let error = code.data(&chosen).unwrap_err();
        assert_eq!((error.path.as_str(), error.problem), (path, problem), "{hex}");
    }
}

#[test]
fn a_template_without_a_usable_adf_name_is_passed_over() {
    let code = code("8505 4350563031 6105 4F03A00000 6113 4F07A0000000555555 57081234567890D30122").unwrap();
    let found: Vec<_> = code.applications().map(|application| application.adf_name().to_vec()).collect();
    assert_eq!(found, [AID_1]);
    let data = code.data(&code.applications().next().unwrap()).unwrap();
    assert_eq!(data.pan().unwrap_err().path, "57");
}

#[test]
fn what_is_not_known_is_kept_and_a_token_shows_the_digits_of_its_card() {
    let code =
        code("8505 4350563031 6118 4F07A0000000555555 5A0412345678 9F25029876 DF0101AA 7F0102DEAD").unwrap();
    let data = code.data(&code.applications().next().unwrap()).unwrap();
    assert_eq!(data.get(Tag::new(0xDF01)), Some(&[0xAA][..]));
    assert_eq!(data.last_four().unwrap(), "9876");
}

#[test]
fn nothing_of_a_card_is_printed() {
    let code = ConsumerCode::parse(EXAMPLE_1).unwrap();
    let application = code.applications().next().unwrap();
    let data = code.data(&application).unwrap();
    let shown = format!("{code:?} {application:?} {data:?} {:?} {:?}", data.pan(), data.track2());
    assert!(!shown.contains("12345678901234") && shown.contains("123456******3458"), "{shown}");
}

proptest! {
    #[test]
    fn any_payload_is_read_or_refused(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let payload = [b"\x85\x05CPV01".as_slice(), &noise].concat();
        let text = STANDARD.encode(payload);
        if let Ok(code) = ConsumerCode::parse(&text) {
            prop_assert_eq!(&*code.text(), &text);
            for application in code.applications() {
                let _ = code.data(&application).map(|data| (data.pan(), data.last_four()));
            }
        }
    }

    #[test]
    fn a_changed_bit_of_the_example_is_read_or_refused(position in 0_usize..116, bit in 0_u8..8) {
        let mut payload = STANDARD.decode(EXAMPLE_2).unwrap();
        let position = position % payload.len();
        payload[position] ^= 1 << bit;
        if let Ok(code) = ConsumerCode::parse(&STANDARD.encode(payload)) {
            for application in code.applications() {
                let _ = code.data(&application).map(|data| (data.pan(), data.last_four()));
            }
        }
    }
}
