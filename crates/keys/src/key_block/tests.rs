use proptest::prelude::*;

use super::*;
use crate::attributes::{Attributes, KeyVersion, Mode};

/// A published block.
struct Vector {
    source: &'static str,
    protection: &'static str,
    block: &'static str,
    key: &'static str,
}

const VECTORS: &[Vector] = &[
    Vector {
        source: "payShield 10K, by openemv/tr31",
        protection: "EFE0853B256B583D868F251CE99EA1D9",
        block: "A0072K0TN00N0000F40D5672C6D0EC86F860BA88D44D00F0CA9A8CE8CD2F640287A9A9EB",
        key: "5DB50B454F8389ADCE573BE50861F2BF",
    },
    Vector {
        source: "payShield 10K, by openemv/tr31",
        protection: "EFE0853B256B583D868F251CE99EA1D9",
        block: "B0080K0TN00N00001C414014375212C24995E405B5EE052CB92B67F455EA2680F6751088F9F1C228",
        key: "5DB50B454F8389ADCE573BE50861F2BF",
    },
    Vector {
        source: "payShield 10K, by openemv/tr31",
        protection: "EFE0853B256B583D868F251CE99EA1D9",
        block: "C0072K0TN00N0000C9B875FF7A5316BF221C09ED52080DE0B45632A4EA9CE87699CB565E",
        key: "5DB50B454F8389ADCE573BE50861F2BF",
    },
    Vector {
        source: "TR-31:2018, A.7.2.1",
        protection: "89E88CF7931444F334BD7547FC3F380C",
        block: "A0072P0TE00E0000F5161ED902807AF26F1D62263644BD24192FDB3193C730301CEE8701",
        key: "F039121BEC83D26B169BDCD5B22AAF8F",
    },
    Vector {
        source: "TR-31:2018, A.7.2.2",
        protection: "DD7515F2BFC17F85CE48F3CA25CB21F6",
        block: "B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E",
        key: "3F419E1CB7079442AA37474C2EFBF8B8",
    },
    Vector {
        source: "TR-31:2018, A.7.3.1",
        protection: "B8ED59E0A279A295E9F5ED7944FD06B9",
        block: "C0096B0TX12S0100KS1800604B120F9292800000BFB9B689CB567E66FC3FEE5AD5F52161FC6545B9D60989015D02155C",
        key: "EDB380DD340BC2620247D445F5B8D678",
    },
    Vector {
        source: "TR-31:2018, A.7.3.2",
        protection: "1D22BF32387C600AD97F9B97A51311AC",
        block: "B0104B0TX12S0100KS1800604B120F9292800000BB68BE8680A400D9191AD4ECE45B6E6C0D21C4738A52190E248719E24B433627",
        key: "E8BC63E5479455E26577F715D587FE68",
    },
    Vector {
        source: "TR-31:2018, A.7.4",
        protection: "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6",
        block: "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34",
        key: "3F419E1CB7079442AA37474C2EFBF8B8",
    },
    Vector {
        source: "payShield 10K, by openemv/tr31",
        protection: "4141414141414141414141414141414141414141414141414141414141414141",
        block: "D0112B0TN00N000037DB9B046B7B0048785690759580ABC3B9842AB4BB7717B49E92528E575785D8123559376A2553B27BE94F054F4E971C",
        key: "1FA1F7CEC798D91545DA8AE0C7796BD9",
    },
    Vector {
        source: "payShield 10K, by openemv/tr31",
        protection: "4141414141414141414141414141414141414141414141414141414141414141",
        block: "D0144D0AN00N0000127862F945C2DED04530FAF7CDBC8B0BA10C7AA79BD5E0C2C5D6AC173BF588E4B19ACF1357178D50EA0AB193228E13958304FC6149632DFDCADF3A5B3D57E814",
        key: "BE19E6A07A760F10EF8E83A226B63AAD141F463FDDD4F47DB244B4023EC3CACC",
    },
    Vector {
        source: "ISO 20038:2017, B.2",
        protection: "3235362D62697420414553207772617070696E67202849534F20323030333829",
        block: "E0084B0TV16N0000B2AE5E26BBA7F246E84D5EA24167E208A6B66EF2E27E55A52DB52F0AEACB94C57547",
        key: "777261707065642033444553206B6579",
    },
    Vector {
        source: "ISO 20038:2017, B.3",
        protection: "3235362D62697420414553207772617070696E67202849534F20323030333829",
        block: "D0112M3TV16N000018462FA5903B8D2B82FEE26B29713C0BE7ED81601087F12252093D06FC0A012C1CF769AD0E3E9E4877166AB013FC22B4",
        key: "767361707064642032454552206B6479",
    },
    Vector {
        source: "X9.143-2021, 8.1",
        protection: "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6",
        block: "D0144P0AE00E00002C77FA3F4A553BED6E88AE5C172A4166E3D4ACA8E2AC71C158A476FAC12C13C3829DE55D3AB54C48F4C4FEF7AC75E90FC47F1B77E7B19A73ED46E64410082557",
        key: "3F419E1CB7079442AA37474C2EFBF8B8",
    },
    Vector {
        source: "X9.143-2021, 8.4.1",
        protection: "B8ED59E0A279A295E9F5ED7944FD06B9",
        block: "C0112B0TX12S0100KS1800604B120F929280000042B758A2400AB598AE37782823DAF0BA4BDB0DAFF34915345CA169AE1F976A429EB139E5",
        key: "EDB380DD340BC2620247D445F5B8D678",
    },
    Vector {
        source: "X9.143-2021, 8.4.2",
        protection: "1D22BF32387C600AD97F9B97A51311AC",
        block: "B0120B0TX12S0100KS1800604B120F929280000015CEB14B76D551F21EC43A75390FA118A98C6CB049E3B9E864A5F4A8B9A5108A6DB5635C95B042D7",
        key: "E8BC63E5479455E26577F715D587FE68",
    },
];

/// X9.143-2021, 8.5 and 8.6: an RSA and an ECC key pair, with certificates, check value of the protection key and time stamp.
const KEY_PAIRS: [(&str, &str, &str); 2] = [
    (
        "FA36E44278DB3AB5F298F9F7DA8F1F88",
        include_str!("vectors/x9_143_8_5.block"),
        include_str!("vectors/x9_143_8_5.key"),
    ),
    (
        "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6",
        include_str!("vectors/x9_143_8_6.block"),
        include_str!("vectors/x9_143_8_6.key"),
    ),
];

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex.trim()).unwrap()
}

fn protection(version: Version, bytes: &[u8]) -> Key {
    let usage = if version == Version::E { Usage::Iso20038Protection } else { Usage::KeyBlockProtection };
    Key::new(Attributes::new(usage, version.algorithm(), Mode::Both), bytes).unwrap()
}

fn protection_of(block: &str, hex: &str) -> Key {
    protection(Header::parse(block.as_bytes()).unwrap().version, &bytes(hex))
}

fn pin_key(exportability: Exportability) -> Key {
    let attributes = Attributes::new(Usage::PinEncryption, Algorithm::Tdes, Mode::Encrypt);
    Key::new(attributes.exportable(exportability), &[0x2A; 16]).unwrap()
}

fn request(version: Version, destination: Destination) -> Request<'static> {
    Request { version, destination, optionals: &[], hide_length: true }
}

fn sealed(version: Version, protection: &Key, key: &Key, destination: Destination) -> Result<String> {
    let mut block = String::new();
    wrap(protection, key, &request(version, destination), &[0x5C; 32], &mut block).map(|()| block)
}

const VERSIONS: [(Version, usize); 6] = [
    (Version::A, 16),
    (Version::B, 16),
    (Version::B, 24),
    (Version::C, 16),
    (Version::D, 16),
    (Version::E, 32),
];

#[test]
fn the_published_blocks_hold() {
    for vector in VECTORS {
        let opened = unwrap(&protection_of(vector.block, vector.protection), vector.block.as_bytes());
        let opened = opened.unwrap_or_else(|error| panic!("{}: {error}", vector.source));
        assert_eq!(opened.key.bytes(), bytes(vector.key), "{}", vector.source);
    }
}

#[test]
fn the_published_blocks_are_made_again_from_their_keys_and_padding() {
    for vector in VECTORS {
        let protection = protection_of(vector.block, vector.protection);
        let Opened { key, header } = unwrap(&protection, vector.block.as_bytes()).unwrap();
        let (text, body) = vector.block.split_at(header.length);
        let (payload, mac) = body.split_at(body.len() - 2 * header.version.mac_length());
        let (mut payload, mac) = (bytes(payload), bytes(mac));
        binding::open(header.version, protection.bytes(), text.as_bytes(), &mut payload, &mac).unwrap();
        let padding = &payload[2 + key.bytes().len()..];
        let mut random = [0; 32];
        random[..padding.len()].copy_from_slice(padding);
        // A sender may say of its key what the receiver may not.
        let held = key.attributes().exportable(Exportability::Sensitive);
        let held = Key::unchecked(held, Secret::from_slice(key.bytes())).unwrap();
        let optionals: Vec<_> = header.optionals().collect();
        let request = Request {
            version: header.version,
            destination: Destination::Receiver(header.attributes.exportability),
            optionals: &optionals,
            hide_length: padding.len() >= header.version.block_length(),
        };
        let mut block = String::new();
        wrap(&protection, &held, &request, &random, &mut block).unwrap();
        assert_eq!(block, vector.block, "{}", vector.source);
    }
}

#[test]
fn the_key_pairs_of_x9_143_8_5_and_8_6_hold() {
    for (protection, block, key) in KEY_PAIRS {
        let block = block.trim();
        let opened = unwrap(&protection_of(block, protection), block.as_bytes()).unwrap();
        assert_eq!(opened.key.bytes(), bytes(key));
        let ids: Vec<_> = opened.header.optionals().map(|optional| optional.id).collect();
        assert!(ids.starts_with(b"CT".as_slice().as_chunks().0) && ids.contains(b"TS"), "{ids:?}");
    }
}

#[test]
fn the_serial_number_of_tr_31_2018_a_7_3_1_is_read() {
    let header = Header::parse(VECTORS[5].block.as_bytes()).unwrap();
    let optionals: Vec<_> = header.optionals().collect();
    assert_eq!(optionals, [Optional { id: *b"KS", data: b"00604B120F9292800000" }]);
    assert_eq!(header.attributes.version, KeyVersion::Number(*b"12"));
    assert_eq!(header.attributes.exportability, Exportability::Sensitive);
}

#[test]
fn one_flipped_bit_is_refused() {
    for (version, length) in VERSIONS {
        let protection = protection(version, &vec![0x11; length]);
        let destination = Destination::Receiver(Exportability::Never);
        let block = sealed(version, &protection, &pin_key(Exportability::Sensitive), destination).unwrap();
        for at in 0..block.len() {
            for bit in 0..8 {
                let mut changed = block.clone().into_bytes();
                changed[at] ^= 1 << bit;
                // A letter's case carries no information in the body.
                let same = at >= 16 && changed[at].eq_ignore_ascii_case(&block.as_bytes()[at]);
                assert_eq!(unwrap(&protection, &changed).is_ok(), same, "{version:?} {at} {bit}");
            }
        }
    }
}

#[test]
fn a_protection_key_is_for_blocks_and_for_their_version() {
    let (tdes, aes) = (protection(Version::B, &[1; 16]), protection(Version::D, &[1; 16]));
    let key = pin_key(Exportability::Sensitive);
    let never = Destination::Receiver(Exportability::Never);
    assert!(matches!(sealed(Version::D, &tdes, &key, never), Err(Error::Algorithm { .. })));
    assert!(matches!(sealed(Version::B, &aes, &key, never), Err(Error::Algorithm { .. })));
    assert!(matches!(sealed(Version::E, &aes, &key, never), Err(Error::NotPermitted { .. })));
    assert!(matches!(sealed(Version::B, &key, &key, never), Err(Error::NotPermitted { .. })));
    let unwrapping = Attributes::new(Usage::KeyBlockProtection, Algorithm::Aes, Mode::Decrypt);
    let unwrapping = Key::new(unwrapping, &[1; 16]).unwrap();
    assert!(matches!(sealed(Version::D, &unwrapping, &key, never), Err(Error::NotPermitted { .. })));
    let block = sealed(Version::D, &aes, &key, never).unwrap();
    assert!(unwrap(&unwrapping, block.as_bytes()).is_ok());
}

#[test]
fn exportability_is_kept() {
    use Exportability::{Never, Sensitive, Trusted};
    let protection = protection(Version::D, &[1; 16]);
    for (held, theirs, allowed) in [
        (Never, Never, false),
        (Trusted, Never, true),
        (Trusted, Trusted, true),
        (Trusted, Sensitive, false),
        (Sensitive, Sensitive, true),
    ] {
        let block = sealed(Version::D, &protection, &pin_key(held), Destination::Receiver(theirs));
        assert_eq!(block.is_ok(), allowed, "{held} {theirs}");
        if let Ok(block) = block {
            assert_eq!(unwrap(&protection, block.as_bytes()).unwrap().key.attributes().exportability, theirs);
        }
    }
    let block = sealed(Version::D, &protection, &pin_key(Never), Destination::Storage).unwrap();
    let opened = unwrap(&protection, block.as_bytes()).unwrap();
    assert_eq!((opened.header.context, &opened.key), (Context::Storage, &pin_key(Never)));
}

#[test]
fn only_a_sensitive_key_goes_under_a_weaker_one() {
    let protection = protection(Version::D, &[1; 16]);
    for (exportability, right) in
        [(Exportability::Trusted, Err(Error::Weaker)), (Exportability::Sensitive, Ok(144))]
    {
        let attributes = Attributes::new(Usage::Data, Algorithm::Aes, Mode::Both).exportable(exportability);
        let key = Key::new(attributes, &[7; 32]).unwrap();
        let block = sealed(Version::D, &protection, &key, Destination::Receiver(Exportability::Never));
        assert_eq!(block.map(|block| block.len()), right);
    }
}

#[test]
fn what_has_no_code_goes_into_no_block() {
    let attributes = Attributes::new(Usage::Data, Algorithm::Sm4, Mode::Both);
    let key = Key::new(attributes, &[7; 16]).unwrap();
    let block = sealed(Version::D, &protection(Version::D, &[1; 16]), &key, Destination::Storage);
    assert!(matches!(block, Err(Error::KeyBlock(_))));
}

#[test]
fn a_hidden_length_does_not_show() {
    let protection = protection(Version::D, &[1; 32]);
    let lengths = [16, 24, 32].map(|length| {
        let attributes = Attributes::new(Usage::Data, Algorithm::Aes, Mode::Both);
        let key = Key::new(attributes, &vec![7; length]).unwrap();
        sealed(Version::D, &protection, &key, Destination::Storage).unwrap().len()
    });
    assert_eq!(lengths, [144; 3]);
}

#[test]
fn check_values_in_a_block_are_compared() {
    let protection = protection(Version::D, &[1; 16]);
    let value = |key: &Key, method| hex::encode_upper(&kcv::of(key, method).unwrap()[..3]);
    let (key, other) = (pin_key(Exportability::Trusted), "00123456");
    let right_key = format!("00{}", value(&key, kcv::Method::Zeros));
    let right_protection = format!("01{}", value(&protection, kcv::Method::Cmac));
    for (id, data, right) in [
        (*b"KC", right_key.as_str(), Ok(())),
        (*b"KP", right_protection.as_str(), Ok(())),
        (*b"KC", other, Err(Error::CheckValue)),
        (*b"KP", other, Err(Error::CheckValue)),
    ] {
        let optionals = [Optional { id, data: data.as_bytes() }];
        let destination = Destination::Receiver(Exportability::Never);
        let request = Request { optionals: &optionals, ..request(Version::D, destination) };
        let mut block = String::new();
        wrap(&protection, &key, &request, &[0; 32], &mut block).unwrap();
        assert_eq!(unwrap(&protection, block.as_bytes()).map(|_| ()), right, "{data}");
    }
}

#[test]
fn texts_that_are_no_block_are_refused() {
    let block = VECTORS[4].block;
    assert!(Header::parse(block.as_bytes()).is_ok());
    for (at, with) in [
        (0, "F"),
        (1, "0072"),
        (1, "+080"),
        (5, "Z9"),
        (7, "Q"),
        (8, "Z"),
        (9, "_1"),
        (11, "X"),
        (12, "01"),
        (12, "0X"),
        (14, "3"),
        (15, "1"),
        (15, "\n"),
        (15, "\u{7F}"),
    ] {
        let mut text = block.to_owned();
        text.replace_range(at..at + with.len(), with);
        assert!(matches!(Header::parse(text.as_bytes()), Err(Error::KeyBlock(_))), "{text}");
    }
    for length in 0..block.len() {
        assert!(Header::parse(&block.as_bytes()[..length]).is_err());
    }
}

#[test]
fn optional_blocks_are_well_formed_once_there_and_padded() {
    for (count, optionals, right) in [
        ("01", "KS1800604B120F9292800000", true),
        ("02", "LB0612PB0A000000", true),
        // The long form of the length.
        ("01", "LB0004001200000000", false),
        ("01", "LB00040010000000", true),
        ("01", "LB00020010000000", true),
        ("01", "LB00030010000000", false),
        ("01", "LB0002100000000000", false),
        ("01", "LB00000010000000", false),
        ("01", "LB0008000000100", false),
        // Neither hexadecimal, nor long enough, nor padded, nor single, nor with its padding last.
        ("01", "KS1800604B120F92928000XX", false),
        ("01", "KS03", false),
        ("02", "KP0A01D77FPB06XX", true),
        ("02", "KP0A02D77FPB06XX", false),
        ("01", "LB0612", false),
        ("02", "LB0812340000LB081234", false),
        ("02", "PB0400LB08123400", false),
        ("01", "L_100000000000000", false),
        ("02", "LB10000000000000", false),
        ("01", "VMXXFFFF", false),
    ] {
        let text = format!("B{:04}B0TX00N{count}00{optionals}", 16 + optionals.len());
        assert_eq!(Header::parse(text.as_bytes()).is_ok(), right, "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_wrapped_unwraps(
        at in 0_usize..VERSIONS.len(), secret: [u8; 32], kek: [u8; 32], random: [u8; 32], hide_length: bool,
        label in "[ -~]{0,300}", with_label: bool,
    ) {
        let (version, length) = VERSIONS[at];
        let protection = protection(version, &kek[..length]);
        let optionals = [Optional { id: *b"LB", data: label.as_bytes() }];
        let optionals = if with_label { &optionals[..] } else { &[] };
        for (algorithm, usage, mode, length) in [
            (Algorithm::Tdes, Usage::PinEncryption, Mode::Encrypt, 16),
            (Algorithm::Tdes, Usage::MacAlgorithm3, Mode::Verify, 24),
            (Algorithm::Aes, Usage::BaseDerivation, Mode::Derive, 32),
            (Algorithm::Hmac, Usage::Hmac, Mode::Generate, 20),
        ] {
            let attributes = Attributes::new(usage, algorithm, mode).exportable(Exportability::Sensitive);
            let key = Key::new(attributes, &secret[..length]).unwrap();
            let destination = Destination::Receiver(Exportability::Sensitive);
            let request = Request { version, destination, optionals, hide_length };
            let mut block = String::new();
            wrap(&protection, &key, &request, &random, &mut block).unwrap();
            let opened = unwrap(&protection, block.as_bytes()).unwrap();
            prop_assert_eq!(&opened.key, &key);
            prop_assert!(opened.header.optionals().eq(optionals.iter().copied()));
        }
    }

    #[test]
    fn any_text_is_a_block_or_an_error(text in "[A-E][0-9]{4}(B0TX|P0AE|D0AB)00[ENS]0[0-3]00[ -~]{0,200}", whole: bool) {
        let length = if whole { format!("{:04}", text.len()) } else { text[1..5].to_owned() };
        let text = format!("{}{length}{}", &text[..1], &text[5..]);
        for (version, length) in VERSIONS {
            prop_assert!(unwrap(&protection(version, &vec![1; length]), text.as_bytes()).is_err());
        }
    }

    #[test]
    fn any_bytes_are_refused(text: Vec<u8>) {
        prop_assert!(Header::parse(&text).is_err());
    }
}
