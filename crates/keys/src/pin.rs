//! Personal identification numbers (ISO 9564-1, 9.1: 4 to 12 digits).

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::{Error, Result};

/// A PIN of 4 to 12 digits. It compares in constant time, is wiped on drop, and never prints.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Pin(Vec<u8>);

impl Pin {
    /// A PIN from its ASCII digits.
    ///
    /// # Errors
    /// [`Error::BadPin`] unless `digits` are 4 to 12 decimal digits.
    pub fn new(digits: &str) -> Result<Self> {
        let good = (4..=12).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
        if good { Ok(Self(digits.as_bytes().to_vec())) } else { Err(Error::BadPin) }
    }

    /// A PIN from the values of its digits.
    pub(crate) fn from_values(values: &[u8]) -> Result<Self> {
        if !(4..=12).contains(&values.len()) || values.iter().any(|value| *value > 9) {
            return Err(Error::BadPin);
        }
        Ok(Self(values.iter().map(|value| b'0' + value).collect()))
    }

    /// How many digits: one nibble.
    pub(crate) fn length(&self) -> u8 {
        u8::try_from(self.0.len()).unwrap_or_default()
    }

    /// The values of the digits.
    pub(crate) fn values(&self) -> impl Iterator<Item = u8> {
        self.0.iter().map(|digit| digit & 0xF)
    }

    /// The clear digits, in ASCII.
    #[must_use]
    pub fn digits(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Pin {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Pin {}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_never_prints() {
        assert_eq!(format!("{:?}", Pin::new("1234").unwrap()), "Pin(…)");
    }

    #[test]
    fn a_pin_is_4_to_12_digits() {
        for text in ["", "123", "1234567890123", "12a4", "１２３４"] {
            assert_eq!(Pin::new(text), Err(Error::BadPin), "{text}");
        }
    }
}
