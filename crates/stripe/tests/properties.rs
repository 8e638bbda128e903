//! What holds for every track.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may stop at the first surprise")]

use keys::pan::luhn_check_digit;
use proptest::prelude::*;
use stripe::{Error, Swipe, Track1, Track2, Track3, Tracks};

/// A PAN with its check digit.
fn pan() -> impl Strategy<Value = String> {
    "[1-9][0-9]{6,17}".prop_map(|body| format!("{body}{}", luhn_check_digit(&body).unwrap()))
}

/// Expiry date and service code.
fn good() -> impl Strategy<Value = String> {
    "[0-9]{2}(0[1-9]|1[0-2])[125679][024][0-7]"
}

proptest! {
    #[test]
    fn what_is_encoded_is_read_and_opens_at_the_host(pan in pan(), good in good(), rest in "[0-9]{0,9}") {
        let track = Track2::encode(&format!("{pan}={good}{rest}")).unwrap();
        let swipe = Swipe::read(&Tracks { two: Some(&track), ..Tracks::default() }).unwrap();
        prop_assert_eq!(swipe.pan().digits(), &pan);
        let opened = keys::Track2::from_bytes(swipe.track2()).unwrap();
        prop_assert_eq!((opened.pan().digits(), opened.discretionary()), (&*pan, &*rest));
        prop_assert_eq!(format!("{}{}", opened.expiry(), opened.service_code()), &*good);
        let printed = format!("{swipe:?}");
        prop_assert!(!printed.contains(&pan) && !printed.contains(&good));
    }

    #[test]
    fn one_character_that_was_read_wrong_is_noticed(
        pan in pan(),
        good in good(),
        place in 0_usize..40,
        other in b'0'..=b'?',
    ) {
        let mut track = Track2::encode(&format!("{pan}={good}")).unwrap();
        let place = place % track.len();
        prop_assume!(track[place] != other);
        track[place] = other;
        prop_assert!(Track2::parse(&track).is_err());
    }

    #[test]
    fn track_1_tells_name_and_discretionary_data(pan in pan(), good in good(), name in "[A-Z]{1,9}/[A-Z ]{0,15}", rest in "[0-9A-Z]{0,8}") {
        let track = Track1::encode(&format!("B{pan}^{name}^{good}{rest}")).unwrap();
        let parsed = Track1::parse(&track).unwrap();
        prop_assert_eq!((parsed.pan().digits(), parsed.name(), parsed.discretionary()), (&*pan, &*name, &*rest));
    }

    #[test]
    fn any_bytes_are_a_track_or_are_refused(bytes: Vec<u8>, text in "[;%+]?[ -_]{0,110}\\??.?") {
        for bytes in [&*bytes, text.as_bytes()] {
            let _ = (Track1::parse(bytes).is_ok(), Track2::parse(bytes).is_ok(), Track3::parse(bytes).is_ok());
            let _ = Swipe::read(&Tracks::typed(bytes));
        }
    }

    #[test]
    fn no_track_holds_more_than_its_characters(length in 0_usize..120) {
        let digits = "1".repeat(length);
        prop_assert_eq!(Track2::encode(&digits).err(), (length > 37).then_some(Error::TooLong));
        prop_assert_eq!(Track1::encode(&digits).err(), (length > 76).then_some(Error::TooLong));
        prop_assert_eq!(Track3::encode(&digits).err(), (length > 104).then_some(Error::TooLong));
    }
}
