//! Primary account numbers: ISO/IEC 7812-1 (length, Luhn check digit), and the truncation of PCI DSS 3.4
//! (at most the first six and the last four digits are shown).

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::{Error, Result};

/// The shortest PAN of which six and four digits may be shown; a shorter one shows the last four only.
const SHORTEST_WITH_BIN: usize = 13;

/// A PAN of 8 to 19 digits. It is wiped on drop, and prints masked.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Pan(String);

impl Pan {
    /// A PAN from its digits. The check digit isn't checked: see [`luhn_valid`](Self::luhn_valid).
    ///
    /// # Errors
    /// [`Error::BadPan`] unless `digits` are 8 to 19 decimal digits.
    pub fn new(digits: &str) -> Result<Self> {
        let good = (8..=19).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
        if good { Ok(Self(digits.to_owned())) } else { Err(Error::BadPan) }
    }

    /// A PAN from its compressed numeric form (EMV tag 5A): BCD, padded on the right with F.
    ///
    /// # Errors
    /// [`Error::BadPan`] for another form.
    pub fn from_bcd(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > 10 {
            return Err(Error::BadPan);
        }
        let mut text = hex::encode(bytes);
        let pan = Self::new(text.trim_end_matches('f'));
        text.zeroize();
        pan
    }

    /// The clear digits.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// The PAN as it may be shown, printed and logged.
    #[must_use]
    pub fn masked(&self) -> String {
        let length = self.0.len();
        let head = if length < SHORTEST_WITH_BIN { 0 } else { 6 };
        let shown = |(place, digit)| if place < head || place + 4 >= length { digit } else { '*' };
        self.0.chars().enumerate().map(shown).collect()
    }

    /// Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1 Annex B).
    #[must_use]
    pub fn luhn_valid(&self) -> bool {
        self.0
            .split_at_checked(self.0.len() - 1)
            .is_some_and(|(body, last)| luhn_check_digit(body).is_some_and(|digit| last.chars().eq([digit])))
    }

    /// The twelve digits before the check digit, zero-padded on the left (ISO 9564-1, 9.3.2.3).
    pub(crate) fn pin_block_digits(&self) -> impl Iterator<Item = u8> {
        let body = self.0.len() - 1;
        let (padding, skipped) = (12_usize.saturating_sub(body), body.saturating_sub(12));
        std::iter::repeat_n(0, padding).chain(self.0.bytes().map(|digit| digit & 0xF).skip(skipped).take(12))
    }
}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pan({})", self.masked())
    }
}

/// The Luhn check digit that completes `body`, or none if `body` isn't made of decimal digits.
#[must_use]
pub fn luhn_check_digit(body: &str) -> Option<char> {
    let mut sum = 0;
    for (place, digit) in body.chars().rev().enumerate() {
        let digit = digit.to_digit(10)?;
        sum += if place % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit };
    }
    char::from_digit((10 - sum % 10) % 10, 10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_iso_7812_1_annex_b_holds() {
        assert_eq!(luhn_check_digit("7992739871"), Some('3'));
        assert!(Pan::new("79927398713").unwrap().luhn_valid());
        assert!(!Pan::new("79927398710").unwrap().luhn_valid());
    }

    #[test]
    fn a_pan_shows_six_and_four_digits() {
        let pan = Pan::new("6217001234567890123").unwrap();
        assert_eq!(pan.masked(), "621700*********0123");
        assert_eq!(format!("{pan:?}"), "Pan(621700*********0123)");
    }

    #[test]
    fn a_short_pan_shows_four_digits() {
        assert_eq!(Pan::new("12345678").unwrap().masked(), "****5678");
        assert_eq!(Pan::new("123456789012").unwrap().masked(), "********9012");
    }

    #[test]
    fn a_padded_pan_loses_its_padding_only() {
        let pan = |hex: &str| Pan::from_bcd(&hex::decode(hex).unwrap());
        assert_eq!(pan("6217001234567890123F").unwrap().digits(), "6217001234567890123");
        assert_eq!(pan("62170012F4567890FFFF"), Err(Error::BadPan));
        assert_eq!(pan("FFFFFFFFFFFF"), Err(Error::BadPan));
        assert_eq!(pan("6217001234567890123FFF"), Err(Error::BadPan));
    }

    proptest! {
        #[test]
        fn at_most_ten_digits_are_ever_shown(digits in "[0-9]{8,19}") {
            let masked = Pan::new(&digits).unwrap().masked();
            prop_assert_eq!(masked.len(), digits.len());
            prop_assert!(masked.chars().filter(char::is_ascii_digit).count() <= 10);
            prop_assert!(masked.chars().filter(|c| *c == '*').count() >= 3);
        }

        #[test]
        fn one_changed_digit_breaks_the_check_digit(body in "[0-9]{7,18}", place in 0_usize..18, by in 1_u8..10) {
            let mut digits = format!("{body}{}", luhn_check_digit(&body).unwrap()).into_bytes();
            prop_assert!(Pan::new(std::str::from_utf8(&digits).unwrap()).unwrap().luhn_valid());
            let place = place % digits.len();
            digits[place] = b'0' + (digits[place] - b'0' + by) % 10;
            prop_assert!(!Pan::new(std::str::from_utf8(&digits).unwrap()).unwrap().luhn_valid());
        }
    }
}
