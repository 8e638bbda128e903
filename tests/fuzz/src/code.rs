//! What a camera reads: EMV QR codes, the merchant's and the customer's.

use qr::cpm::ConsumerCode;
use qr::mpm::{Builder, Initiation, MerchantCode, Objects, id};
use tlv::Reader;

/// A code that is taken is its data objects, one after the other. Noise seldom has the right checksum, so its data objects
/// are also put into a code by the builder, which must make none that is not taken.
pub(crate) fn qr_merchant(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    if let Ok(code) = MerchantCode::parse(text) {
        check_merchant(&code);
    }
    let own = [id::FORMAT, id::INITIATION, id::CRC];
    let others = Objects::new(text).flatten().filter(|object| !own.contains(&object.id));
    let builder =
        others.fold(Builder::new(Initiation::Dynamic), |code, object| code.put(object.id, object.value));
    let made = builder.finish();
    if let Ok(made) = &made {
        check_merchant(&MerchantCode::parse(made).expect("what was made is taken"));
    }
    made.is_ok()
}

fn check_merchant(code: &MerchantCode<'_>) {
    let again: String = code.objects().map(|object| object.to_string()).collect();
    assert_eq!(again, code.text());
    for object in code.objects() {
        assert_eq!(code.get(&[object.id]), Some(object.value), "an id is there once");
    }
    for exponent in [0, 2, 3] {
        if let Ok(Some(minor)) = code.amount(exponent) {
            let amount = qr::decimal::from_minor(minor, exponent);
            assert_eq!(qr::decimal::to_minor(&amount, exponent), Some(minor));
        }
    }
    let (_, _) = (code.tip(), code.accounts().count());
}

/// A code that is taken is written as the same text, and what it says of an account is consistent.
pub(crate) fn qr_consumer(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(code) = ConsumerCode::parse(text) else { return false };
    assert_eq!(code.text().as_str(), text);
    for application in code.applications() {
        assert!((5..=16).contains(&application.adf_name().len()), "an ADF name");
        let Ok(data) = code.data(&application) else { continue };
        for object in data.objects() {
            assert!(data.get(object.tag).is_some(), "an object that is there is found");
        }
        let _ = (application.label(), data.track2().is_ok(), data.last_four());
        for template in data.transparent().into_iter().flatten() {
            let _ = Reader::new(template).count();
        }
        if let (Ok(pan), Ok(four)) = (data.pan(), data.last_four()) {
            assert!(pan.digits().ends_with(&four), "the last four digits are the PAN's");
        }
    }
    true
}
