//! The codec against the profile that ships, and against one with every other encoding.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise"
)]

use std::collections::BTreeMap;

use iso8583::{Builder, Class, Error, Field, Host, Length, Mti, Place, Profile};
use proptest::prelude::*;

fn unionpay() -> Host {
    toml::from_str(include_str!("../../../config/hosts/unionpay-direct.toml")).unwrap()
}

/// ASCII throughout, a secondary bitmap, and one field of each remaining kind.
fn other() -> Profile {
    toml::from_str(
        r#"
        mti = "ascii"
        bitmap = "ascii"
        digits = "ascii"
        length = "ascii"
        [fields]
        2  = { name = "PAN", class = "n", ll = 19 }
        3  = { name = "right, filled with F", class = "n", fixed = 3, encoding = "bcd", fill = 15 }
        4  = { name = "amount", class = "n", lll = 12, encoding = "bcd", unit = "bytes", length = "binary" }
        35 = { name = "track 2", class = "z", ll = 37, encoding = "bcd", align = "left", length = "binary" }
        43 = { name = "letters", class = "a", fixed = 3 }
        90 = { name = "beyond 64", class = "ans", lll = 200, length = "bcd" }
        128 = { name = "MAC", class = "b", fixed = 8 }
        "#,
    )
    .unwrap()
}

fn packed(builder: &Builder<'_>) -> Vec<u8> {
    let mut out = [0; 4096];
    let length = builder.pack(&mut out).unwrap();
    out[..length].to_vec()
}

#[test]
fn a_sale_is_packed_as_unionpay_terminals_send_it() {
    let host = unionpay();
    let mut sale = Builder::new(&host.codec, Mti(0x0200));
    sale.text(3, "000000").number(4, 1234).number(11, 7).text(22, "051").number(23, 1);
    sale.text(41, "12345678").text(60, "22000001000").bytes(64, &[0; 8]);
    let mut bytes = packed(&sale);
    let expected = "0200\
        3020060000800011\
        000000 000000001234 000007 0510 0001\
        3132333435363738\
        0011 220000010000\
        0000000000000000";
    assert_eq!(hex::encode(&bytes), expected.replace(' ', ""));

    let (input, _) = bytes.split_last_chunk::<8>().unwrap();
    assert_eq!(host.codec.parse(&bytes).unwrap().mac_input(64).unwrap(), input);
    host.codec.set_mac(&mut bytes, b"F11F2C27").unwrap();
    let message = host.codec.parse(&bytes).unwrap();
    assert!(message.require(64).unwrap().is("F11F2C27"));
    assert_eq!(message.require(22).unwrap().text(), "051");
    assert_eq!(message.require(4).unwrap().to_u64(), Ok(1234));
    assert_eq!(message.mti().answer(), Mti(0x0210));
}

#[test]
fn every_other_encoding_is_packed_as_its_profile_says() {
    let profile = other();
    let mut builder = Builder::new(&profile, Mti(0x0100));
    builder.text(2, "6217000000000").text(3, "123").text(4, "0042").text(35, "62170=2512").text(43, "abc");
    builder.text(90, "hello").bytes(128, &[0xEE; 8]);
    let bytes = packed(&builder);
    let expected: Vec<u8> = [
        b"0100".as_slice(),
        b"F0000000202000000000004000000001",
        b"136217000000000",
        b"\xF1\x23",
        b"\x00\x02\x00\x42",
        b"\x0A\x62\x17\x0D\x25\x12",
        b"abc",
        b"\x00\x05hello",
        &[0xEE; 8],
    ]
    .concat();
    assert_eq!(bytes, expected);
    let message = profile.parse(&bytes).unwrap();
    assert_eq!(message.require(35).unwrap().text(), "62170D2512");
    assert_eq!(message.mac_input(128).unwrap(), &bytes[..bytes.len() - 8]);
}

/// The shipped profile that is ASCII throughout.
fn ascii() -> Host {
    toml::from_str(include_str!("../../../config/hosts/iso8583-1987-ascii.toml")).unwrap()
}

#[test]
fn a_message_in_ascii_has_bytes_as_hex_digits_and_its_mac_behind_all_elements() {
    let codec = ascii().codec;
    let mut reversal = Builder::new(&codec, Mti(0x0400));
    let original = "0".repeat(42);
    reversal.number(4, 1234).number(11, 7).bytes(55, &[0x9F, 0x26]).text(90, &original).empty_mac();
    let mut bytes = packed(&reversal);
    codec.set_mac(&mut bytes, &[0xAB; 8]).unwrap();
    let expected = "0400\
        90200000000002000000004000000001\
        000000001234 000007 002 9F26\
        000000000000000000000000000000000000000000\
        ABABABABABABABAB";
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected.replace(' ', ""));
    let message = codec.parse(&bytes).unwrap();
    assert_eq!(message.mac_number(), 128);
    assert_eq!(message.require(128).unwrap().content(), [0xAB; 8].as_slice());
    assert_eq!(message.require(55).unwrap().len(), 2);
    for (position, wrong) in [(bytes.len() - 1, b'b'), (57, b'G')] {
        let mut bytes = bytes.clone();
        bytes[position] = wrong;
        let error = codec.parse(&bytes).unwrap_err().to_string();
        assert!(error.contains("expected hex digits in capitals"), "{error}");
    }
}

#[test]
fn an_echo_of_every_element_is_the_same_message() {
    let profile = other();
    let mut first = Builder::new(&profile, Mti(0x0100));
    first.text(3, "123").text(35, "6217=25").text(90, "hello");
    let bytes = packed(&first);
    let message = profile.parse(&bytes).unwrap();
    let mut second = Builder::new(&profile, message.mti());
    for value in message.fields() {
        second.echo(value.number(), Some(value));
    }
    assert_eq!(packed(&second), bytes);
}

#[test]
fn each_fault_is_refused_with_its_place() {
    let codec = unionpay().codec;
    let error = |digits: &str| codec.parse(&hex::decode(digits.replace(' ', "")).unwrap()).unwrap_err();
    let cases = [
        ("02", "MTI: expected 2 bytes, got 1"),
        ("0A00 0000000000000000", "MTI: expected digits, got another character at position 1"),
        ("0200 00000000000000", "bitmap: expected 8 bytes, got 7"),
        (
            "0200 8000000000000000 0000000000000000",
            "bitmap: expected a data element from 65 to 128, as bit 1 says",
        ),
        ("0200 0000000000000000 00", "message: expected the end, got 1 more bytes"),
        (
            "0200 0080000000000000",
            "DE 9: the profile has no such data element; add it to the profile or leave it out",
        ),
        ("0200 2000000000000000 0000", "DE 3: expected 3 bytes, got 2"),
        ("0200 2000000000000000 00B000", "DE 3: expected digits, got another character at position 2"),
        ("0200 0000040000000000 0511", "DE 22: expected the fill nibble 0, got 1"),
        ("0200 0000000020000000 41", "DE 35.length: expected at most 40, got 41"),
        ("0200 0000000020000000 1B", "DE 35.length: expected digits, got another character at position 1"),
        ("0200 0000000020000000 05 01020304", "DE 35: expected 5 bytes, got 4"),
        ("0200 0000000002000000", "DE 39: expected 2 bytes, got 0"),
        (
            "0200 0000000002000000 301F",
            "DE 39: expected letters, digits or spaces, got another character at position 1",
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(error(message).to_string(), expected, "{message}");
    }
}

#[test]
fn what_does_not_fit_its_element_is_not_packed() {
    let codec = unionpay().codec;
    let error = |set: &dyn Fn(&mut Builder<'_>)| {
        let mut builder = Builder::new(&codec, Mti(0x0200));
        set(&mut builder);
        builder.pack(&mut [0; 64]).unwrap_err()
    };
    let at = Place::Field;
    assert_eq!(error(&|b| _ = b.text(3, "00")), Error::WrongLength { at: at(3), expected: 6, got: 2 });
    assert_eq!(
        error(&|b| _ = b.number(11, 1_000_000)),
        Error::WrongLength { at: at(11), expected: 6, got: 7 }
    );
    assert_eq!(error(&|b| _ = b.bytes(35, &[0; 41])), Error::TooLong { at: at(35), max: 40, got: 41 });
    assert_eq!(error(&|b| _ = b.bytes(55, &[0; 60])), Error::BufferFull { at: at(55) });
    assert_eq!(error(&|b| _ = b.text(9, "1")), Error::Unknown { at: at(9) });
    assert!(matches!(error(&|b| _ = b.text(11, "00000x")), Error::Character { position: 5, .. }));
    assert!(matches!(error(&|b| _ = b.text(64, "F11F2C27")), Error::Kind { .. }));
    assert!(matches!(error(&|b| _ = b.text(1, "1")), Error::Kind { .. }));
}

#[test]
fn a_mac_that_is_not_the_last_element_has_no_input() {
    let profile = other();
    let mut builder = Builder::new(&profile, Mti(0x0100));
    builder.bytes(128, &[1; 8]).text(3, "123");
    let bytes = packed(&builder);
    let message = profile.parse(&bytes).unwrap();
    assert!(message.mac_input(128).is_ok());
    assert!(message.mac_input(3).is_err());
    assert!(message.mac_input(64).is_err());
}

#[test]
fn debug_shows_no_card_data() {
    let codec = unionpay().codec;
    let mut builder = Builder::new(&codec, Mti(0x0200));
    builder.text(2, "6217001234567890").bytes(52, b"PINBLOCK").number(11, 42);
    let bytes = packed(&builder);
    let shown = format!("{:?} {builder:?}", codec.parse(&bytes).unwrap());
    assert!(shown.contains("000042") && shown.contains("DE 2: redacted (16)"), "{shown}");
    assert!(!shown.contains("6217") && !shown.contains("50494E"), "{shown}");
}

#[test]
fn an_unusable_profile_says_what_to_write() {
    let load = |field: &str| {
        let text = format!("mti='bcd'\nbitmap='binary'\ndigits='bcd'\nlength='bcd'\n[fields]\n{field}");
        toml::from_str::<Profile>(&text).unwrap_err().to_string()
    };
    assert!(load("3 = { name='x', class='n', ll=100 }").contains("DE 3: write one of fixed"));
    assert!(load("3 = { name='x', class='n', ll=9, fixed=9 }").contains("DE 3: write one of fixed"));
    assert!(load("129 = { name='x', class='n', ll=9 }").contains("numbered 2 to 128"));
    assert!(
        load("3 = { name='x', class='an', ll=9, encoding='bcd' }").contains("only the classes n, z and b")
    );
    assert!(load("3 = { name='x', class='n', ll=9, colour=1 }").contains("unknown field"));
}

#[test]
fn the_key_download_is_cut_only_at_its_exact_length() {
    let keys = unionpay().sign_on.keys.unwrap();
    let content: Vec<u8> = (0..60).collect();
    let cut = keys.split(&content).unwrap();
    let slots: Vec<&str> = cut.iter().map(|key| key.slot).collect();
    assert_eq!(slots, ["pik", "mak", "tdk"]);
    assert_eq!((cut[1].key, cut[1].check), (&content[20..36], &content[36..40]));
    assert_eq!(keys.split(&content[..59]), None);
    assert_eq!(keys.split(&[0; 61]), None);
}

/// A message of the chosen elements, as far as `codec` has them; the numbers choose length and content.
fn message_of(codec: &Profile, chosen: &BTreeMap<u8, u16>) -> Vec<u8> {
    let content = |field: &Field, seed: u16| {
        let length = match field.length {
            Length::Fixed(length) => length,
            Length::Variable { max, .. } if field.class == Class::N => seed % (max / 2 + 1) * 2,
            Length::Variable { max, .. } => seed % (max + 1),
        };
        let alphabet = match field.class {
            Class::N => "0123456789",
            Class::Z => "0123456789D",
            Class::A => "AZ az",
            Class::An => "09 AZaz",
            Class::Ans | Class::B => "09 AZaz~!",
        };
        let start = usize::from(seed) % alphabet.len();
        alphabet.chars().cycle().skip(start).take(usize::from(length)).collect::<String>()
    };
    let known =
        chosen.iter().filter_map(|(number, seed)| Some((*number, content(codec.field(*number)?, *seed))));
    let contents: Vec<(u8, String)> = known.collect();
    let mut builder = Builder::new(codec, Mti(0x0200));
    for (number, content) in &contents {
        if codec.field(*number).unwrap().class == Class::B {
            builder.bytes(*number, content.as_bytes());
        } else {
            builder.text(*number, content);
        }
    }
    packed(&builder)
}

/// The message parsed and packed again, element by element, from what the parser handed out.
fn repacked(codec: &Profile, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let message = codec.parse(bytes)?;
    let texts: Vec<String> = message.fields().map(|value| value.text()).collect();
    let mut again = Builder::new(codec, message.mti());
    for (value, text) in message.fields().zip(&texts) {
        if value.field().class == Class::B {
            again.bytes(value.number(), value.bytes());
        } else {
            again.text(value.number(), text);
        }
    }
    Ok(packed(&again))
}

proptest! {
    #[test]
    fn any_message_and_any_changed_message_that_parses_is_packed_into_the_same_bytes(
        chosen in proptest::collection::btree_map(2u8..=128, any::<u16>(), 0..20),
        position in any::<prop::sample::Index>(),
        change in any::<u8>(),
        use_other in any::<bool>(),
    ) {
        let codec = if use_other { other() } else { unionpay().codec };
        let mut bytes = message_of(&codec, &chosen);
        prop_assert_eq!(&repacked(&codec, &bytes), &Ok(bytes.clone()));
        let position = position.index(bytes.len());
        bytes[position] ^= change;
        if let Ok(again) = repacked(&codec, &bytes) {
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn any_text_that_fits_comes_back(pan in "[0-9]{0,19}", track in "[0-9]{1,18}=[0-9]{1,18}", note in "[ -~]{0,200}") {
        let profile = other();
        let mut builder = Builder::new(&profile, Mti(0x0110));
        builder.text(2, &pan).text(35, &track).text(90, &note);
        let bytes = packed(&builder);
        let message = profile.parse(&bytes).unwrap();
        prop_assert!(message.require(2).unwrap().is(&pan));
        prop_assert!(message.require(35).unwrap().is(&track.replace('=', "D")));
        prop_assert!(message.require(90).unwrap().is(&note));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = unionpay().codec.parse(&bytes);
        let _ = other().parse(&bytes);
    }
}
