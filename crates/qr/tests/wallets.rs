//! Whose code a customer shows, by the table that is shipped and by tables that are wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop at the first surprise")]

use qr::wallet::{PaymentCode, Wallets};

fn shipped() -> Wallets {
    toml::from_str(include_str!("../../../config/wallets.toml")).unwrap()
}

fn owner(code: &str) -> Option<String> {
    shipped().owner(&PaymentCode::new(code).unwrap()).unwrap().map(str::to_owned)
}

#[test]
fn digits_are_told_apart_by_prefix_and_length() {
    let cases = [
        ("100000000000000000", Some("wechat")),
        ("159999999999999999", Some("wechat")),
        ("160000000000000000", None),
        ("090000000000000000", None),
        ("10000000000000000", None),
        ("1000000000000000000", None),
        ("2500000000000000", Some("alipay")),
        ("309999999999999999999999", Some("alipay")),
        ("250000000000000", None),
        ("3000000000000000000000000", None),
        ("310000000000000000", None),
        ("6200000000000000000", Some("unionpay")),
        ("620000000000000000", None),
        ("6", None),
    ];
    for (code, name) in cases {
        assert_eq!(owner(code).as_deref(), name, "{code}");
    }
}

#[test]
fn an_emv_code_belongs_to_the_wallet_of_its_application() {
    // 85 "CPV01", 61 { 4F A000000333010102, 5A 6212345678901232 }
    let unionpay = "hQVDUFYwMWEUTwigAAADMwEBAloIYhI0VniQEjI=";
    assert_eq!(owner(unionpay).as_deref(), Some("unionpay"));
    assert_eq!(owner("hQVDUFYwMWEaTwegAAAAVVVVVw8SNFZ4kBI0WNGRIgESNF8="), None);
    let broken = PaymentCode::new("hQVDUFYwMWEaTwegAAAAVVVVVw8SNFZ4").unwrap();
    assert!(shipped().owner(&broken).is_err());
}

#[test]
fn what_is_no_payment_code_is_refused_and_a_code_prints_masked() {
    for text in ["", "https://example.com", "28 7654321098765432", "２８７６５４３２１０９８７６５４"]
    {
        assert!(PaymentCode::new(text).is_err(), "{text}");
    }
    let code = PaymentCode::new("287654321098765432").unwrap();
    assert_eq!(format!("{code:?}"), "PaymentCode(28************5432)");
    assert_eq!(PaymentCode::new("28765").unwrap().masked(), "*****");
    assert_eq!(PaymentCode::new("hQVDUFYwMWEaTwegAAAAVVVVVw8S").unwrap().masked(), "****************");
}

#[test]
fn a_table_that_is_wrong_says_where() {
    let cases = [
        ("[A]\nprefixes = { from = 10, to = 15 }\ndigits = { from = 18, to = 18 }", "lower-case"),
        ("[a]\nprefixes = { from = 15, to = 10 }\ndigits = { from = 18, to = 18 }", "prefixes"),
        ("[a]\nprefixes = { from = 1, to = 10 }\ndigits = { from = 18, to = 18 }", "prefixes"),
        ("[a]\nprefixes = { from = 10, to = 15 }\ndigits = { from = 1, to = 18 }", "digits"),
        ("[a]\nprefixes = { from = 10, to = 15 }\ndigits = { from = 18, to = 18 }\naids = [\"A0\"]", "AID"),
        ("[a]\nprefixes = { from = 10, to = 15 }\ndigits = { from = 18, to = 18 }\ncolour = 1", "colour"),
        (
            "[a]\nprefixes = { from = 10, to = 15 }\ndigits = { from = 18, to = 18 }\n\
             [b]\nprefixes = { from = 15, to = 20 }\ndigits = { from = 16, to = 20 }",
            "`a` and `b` claim the same codes",
        ),
    ];
    for (text, reason) in cases {
        let error = toml::from_str::<Wallets>(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
