//! Merchant-presented codes: published examples, each rule broken once, and any text at all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop at the first surprise")]

use proptest::prelude::*;
use qr::mpm::{self, Builder, Initiation, MerchantCode, Tip};
use qr::{Error, Problem};

/// EMVCo, QRCPS Merchant-Presented Mode 1.1, Annex B.7.
const EMVCO: &str = "00020101021229300012D156000000000510A93FO3230Q31280012D15600000001030812345678520441115802CN\
    5914BEST TRANSPORT6007BEIJING64200002ZH0104最佳运输0202北京540523.7253031565502016233030412340603***\
    0708A60086670902ME91320016A0112233449988770708123456786304A13A";

/// Banco Central do Brasil, Manual de Padrões para Iniciação do Pix: static code.
const PIX: &str = "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR\
    5913Fulano de Tal6008BRASILIA62070503***63041D3D";

/// A shop in Seoul, with the account of UnionPay in id 15 (test data of the project copanote/emvmpm).
const UNIONPAY_KOREA: &str = "0002010102111531260004102600041071195812000000026310014D41000000140100509100005408\
    5204729953034105802KR5910NAISHUSIAT6013SEOUL MAPO-GU610504086625603091000054080515MQ2020000048110\
    06080000000007080000000164240002ko0104나이스샷0206서울 마포구63041331";

/// A shop in Singapore with an SGQR label, Alipay and Fave (seen in public test code).
const SGQR: &str = "00020101021126440010com.myfave0126https://myfave.com/qr/511727630010com.alipay0145\
    https://qr.alipay.com/ocx08230mbjrpvogjn4mm1751800007SG.SGQR01121809132E11F3020701.00030306339511040202050209\
    060400000708201809185204000053037025802SG5911DRAGON BOWL6009Singapore630443F4";

/// Thailand's PromptPay (README of the project promptpay-parse): without category, name and city.
const PROMPTPAY: &str = "00020101021229370016A0000006770101110113006680111111153037645802TH540520.15630442BE";

/// The code with the body `body`, its checksum put right.
fn with_checksum(body: &str) -> String {
    let crc = crc::Crc::<u16>::new(&crc::CRC_16_IBM_3740);
    let covered = format!("{body}6304");
    format!("{covered}{:04X}", crc.checksum(covered.as_bytes()))
}

/// The objects of Annex B.7 with one edit.
fn edited(from: &str, to: &str) -> String {
    let body = EMVCO.split_at(EMVCO.len() - 8).0;
    assert!(body.contains(from), "{from}");
    with_checksum(&body.replacen(from, to, 1))
}

fn refusal(text: &str) -> (String, Problem) {
    let Error { path, problem } = MerchantCode::parse(text).unwrap_err();
    (path, problem)
}

#[test]
fn the_example_of_annex_b_is_read_to_the_last_field() {
    let code = MerchantCode::parse(EMVCO).unwrap();
    assert_eq!(code.initiation(), Some(Initiation::Dynamic));
    assert_eq!(code.amount(2), Ok(Some(2372)));
    assert_eq!(code.tip(), Some(Tip::Prompt));
    assert_eq!(code.accounts().map(|account| account.id).collect::<Vec<_>>(), [29, 31]);
    let fields: [(&[u8], &str); 12] = [
        (&[29, 0], "D15600000000"),
        (&[29, 5], "A93FO3230Q"),
        (&[31, 3], "12345678"),
        (&[52], "4111"),
        (&[53], "156"),
        (&[58], "CN"),
        (&[59], "BEST TRANSPORT"),
        (&[60], "BEIJING"),
        (&[62, 6], "***"),
        (&[62, 9], "ME"),
        (&[64, 1], "最佳运输"),
        (&[91, 0], "A011223344998877"),
    ];
    for (path, value) in fields {
        assert_eq!(code.get(path), Some(value), "{path:?}");
    }
    assert_eq!(code.get(&[62, 1]), None);
}

#[test]
fn the_example_of_annex_b_is_made_to_the_last_character() {
    let made = Builder::new(Initiation::Dynamic)
        .template(29, &[(0, "D15600000000"), (5, "A93FO3230Q")])
        .template(31, &[(0, "D15600000001"), (3, "12345678")])
        .put(mpm::id::CATEGORY, "4111")
        .put(mpm::id::COUNTRY, "CN")
        .put(mpm::id::NAME, "BEST TRANSPORT")
        .put(mpm::id::CITY, "BEIJING")
        .template(mpm::id::LANGUAGE, &[(0, "ZH"), (1, "最佳运输"), (2, "北京")])
        .amount(2372, 2)
        .put(mpm::id::CURRENCY, "156")
        .put(mpm::id::TIP, "01")
        .template(mpm::id::ADDITIONAL, &[(3, "1234"), (6, "***"), (7, "A6008667"), (9, "ME")])
        .template(91, &[(0, "A011223344998877"), (7, "12345678")])
        .finish();
    assert_eq!(made.as_deref(), Ok(EMVCO));
}

#[test]
fn codes_of_other_schemes_are_read() {
    let pix = MerchantCode::parse(PIX).unwrap();
    assert_eq!(pix.get(&[26, 0]), Some("br.gov.bcb.pix"));
    assert_eq!((pix.amount(2), pix.initiation()), (Ok(None), None));
    let korea = MerchantCode::parse(UNIONPAY_KOREA).unwrap();
    assert_eq!(korea.accounts().map(|account| account.id).collect::<Vec<_>>(), [15, 26]);
    assert_eq!(korea.get(&[64, 2]), Some("서울 마포구"));
    let singapore = MerchantCode::parse(SGQR).unwrap();
    assert_eq!(singapore.get(&[51, 0]), Some("SG.SGQR"));
    assert_eq!(singapore.get(&[27, 1]), Some("https://qr.alipay.com/ocx08230mbjrpvogjn4mm17"));
}

#[test]
fn a_domestic_code_may_lack_what_its_scheme_leaves_out() {
    assert_eq!(refusal(PROMPTPAY), ("52".to_owned(), Problem::Missing));
    let code = MerchantCode::parse_domestic(PROMPTPAY).unwrap();
    assert_eq!(code.get(&[29, 1]), Some("0066801111111"));
    assert_eq!(code.amount(2), Ok(Some(2015)));
}

#[test]
fn a_misread_character_anywhere_breaks_the_checksum() {
    for (position, letter) in EMVCO.char_indices() {
        let other = if letter == '0' { '1' } else { '0' };
        let (before, after) = EMVCO.split_at(position);
        let misread: String = before.chars().chain([other]).chain(after.chars().skip(1)).collect();
        assert!(MerchantCode::parse(&misread).is_err(), "position {position}");
    }
    let lower = EMVCO.replace("6304A13A", "6304a13a");
    assert!(MerchantCode::parse(&lower).is_ok());
}

#[test]
fn each_broken_rule_is_named_with_the_path_of_the_field() {
    let expected = |what| Problem::Expected(what);
    let amount = expected("an amount that is not zero, such as 98.73");
    let cases: [(&str, &str, &str, Problem); 27] = [
        ("000201", "000202", "00", expected("01")),
        ("000201010212", "010212000201", "00", Problem::Misplaced("first")),
        ("010212", "010213", "01", expected("11 or 12")),
        ("52044111", "5204411A", "52", expected("digits")),
        ("52044111", "5203411", "52", Problem::Length { min: 4, max: 4, got: 3 }),
        ("52044111", "", "52", Problem::Missing),
        ("5303156", "", "53", Problem::Missing),
        ("540523.72", "540523,72", "54", amount),
        ("540523.72", "54040.00", "54", amount),
        ("540523.72", "5414000000000023.7", "54", Problem::Length { min: 1, max: 13, got: 14 }),
        ("550201", "550204", "55", expected("01, 02 or 03")),
        ("550201", "550202", "56", Problem::Missing),
        ("550201", "55020156041.00", "56", Problem::Unexpected),
        ("550201", "5502035706100.00", "57", Problem::Length { min: 1, max: 5, got: 6 }),
        ("550201", "5502035705100.0", "57", expected("a percentage from 00.01 to 99.99")),
        ("5802CN", "5802C1", "58", expected("two letters")),
        ("5802CN", "5802CN5802CN", "58", Problem::Repeated),
        ("5914BEST TRANSPORT", "5914BEST TRANSPÖRT", "59", expected("printable ASCII")),
        ("0012D15600000000", "0112D15600000000", "29.00", Problem::Missing),
        ("0510A93FO3230Q", "0511A93FO3230Q", "29.05", Problem::Truncated),
        ("62330304", "62330300", "62.03", Problem::BadLength),
        ("0902ME", "0902MM", "62.09", expected("each of A, M and E at most once")),
        ("0902ME", "0902MX", "62.09", expected("each of A, M and E at most once")),
        ("0603***", "0303***", "62.03", Problem::Repeated),
        ("0002ZH0104", "0102ZH0104", "64.01", Problem::Repeated),
        ("0202北京", "0202北\u{7}", "64.02", expected("no control characters")),
        ("0016A011223344998877", "0116A011223344998877", "91.00", Problem::Missing),
    ];
    for (from, to, path, problem) in cases {
        assert_eq!(refusal(&edited(from, to)), (path.to_owned(), problem), "{from} -> {to}");
    }
}

#[test]
fn a_code_without_an_account_or_an_end_is_refused() {
    let without = edited("29300012D156000000000510A93FO3230Q31280012D1560000000103081234567852", "52");
    assert_eq!(refusal(&without), ("02 to 51".to_owned(), Problem::Missing));
    for text in ["", "6304", "0002010102", "六六六六", "00020163041D3", "x6304FFFF"] {
        assert!(MerchantCode::parse(text).is_err(), "{text}");
    }
    assert_eq!(refusal(&with_checksum("000201x")), ("code".to_owned(), Problem::BadId));
    let long = format!("{}{PIX}", "0".repeat(qr::MAX_LENGTH));
    assert!(matches!(refusal(&long), (path, Problem::Length { .. }) if path == "code"));
}

#[test]
fn a_builder_says_which_value_does_not_fit() {
    let base = || {
        Builder::new(Initiation::Static)
            .template(26, &[(0, "example.shop")])
            .put(52, "5411")
            .put(53, "156")
            .put(58, "CN")
            .put(59, "SHOP")
            .put(60, "BEIJING")
    };
    assert!(base().finish().is_ok());
    let path = |builder: Builder| builder.finish().unwrap_err().path;
    assert_eq!(path(base().put(61, "")), "61");
    assert_eq!(path(base().put(65, &"x".repeat(100))), "65");
    assert_eq!(path(base().template(62, &[(1, "")])), "62.01");
    assert_eq!(path(base().template(62, &[(1, &"x".repeat(26))])), "62.01");
    assert_eq!(path(base().put(100, "x")), "100");
    assert_eq!(path(base().amount(0, 2)), "54");
    assert_eq!(path(base().put(63, "0000")), "63");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,120}") {
        let _ = MerchantCode::parse(&text);
        let _ = MerchantCode::parse(&with_checksum(&text));
    }

    #[test]
    fn any_objects_under_the_right_checksum_are_read_or_refused(
        objects in proptest::collection::vec((0_u8..100, "[0-9A-Z.*]{1,40}"), 0..12)
    ) {
        let body: String = objects.iter().map(|(id, value)| format!("{id:02}{:02}{value}", value.len())).collect();
        let text = with_checksum(&format!("000201{body}"));
        if let Ok(code) = MerchantCode::parse_domestic(&text) {
            let again: String = code.objects().map(|object| object.to_string()).collect();
            prop_assert_eq!(again, text);
        }
    }

    #[test]
    fn what_is_made_is_read_back(name in "[ -~]{1,25}", city in "\\PC{1,15}", minor in 1_u64..1_000_000_000_000) {
        let text = Builder::new(Initiation::Dynamic)
            .template(51, &[(0, "example.shop"), (1, "7")])
            .put(52, "5411").put(53, "392").amount(minor, 0).put(58, "JP").put(59, &name).put(60, "TOKYO")
            .template(64, &[(0, "ja"), (1, "x"), (2, &city)])
            .finish().unwrap();
        let code = MerchantCode::parse(&text).unwrap();
        prop_assert_eq!(code.get(&[59]), Some(name.as_str()));
        prop_assert_eq!(code.get(&[64, 2]), Some(city.as_str()));
        prop_assert_eq!(code.amount(0), Ok(Some(minor)));
    }
}
