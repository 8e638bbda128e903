//! The expiry date (ISO/IEC 7813): a card is good through the last day of its month.

use std::fmt;

use crate::error::{Error, Result};

/// A month of a year, of which two digits are known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    year: u8,
    month: u8,
}

impl Expiry {
    /// The date in four digits, YYMM.
    ///
    /// # Errors
    /// [`Error::BadExpiry`] unless they are that, and the month is one.
    pub fn parse(digits: &str) -> Result<Self> {
        let number = |part: &str| part.parse().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit()));
        let (year, month) = digits.split_at_checked(2).ok_or(Error::BadExpiry)?;
        match (number(year), number(month)) {
            (Some(year), Some(month @ 1..=12)) if digits.len() == 4 => Ok(Self { year, month }),
            _ => Err(Error::BadExpiry),
        }
    }

    /// The two last digits of the year, 0 to 99.
    #[must_use]
    pub fn year(self) -> u8 {
        self.year
    }

    /// The month, 1 to 12.
    #[must_use]
    pub fn month(self) -> u8 {
        self.month
    }
}

/// It is account data: it does not print.
impl fmt::Debug for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expiry")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_date_is_a_month_of_a_year() {
        let date = Expiry::parse("4912").unwrap();
        assert_eq!((date.year(), date.month()), (49, 12));
        assert!(Expiry::parse("4911").unwrap() < date);
        for wrong in ["", "491", "49122", "4900", "4913", "+912", "49+1", "4９1"] {
            assert_eq!(Expiry::parse(wrong), Err(Error::BadExpiry), "{wrong}");
        }
    }
}
