//! The service code (ISO/IEC 7813, 3.4 and Table 2): where a card is good, who authorises it, and how its holder is verified.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The three digits, each with a meaning of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceCode {
    interchange: Interchange,
    authorisation: Authorisation,
    services: Services,
}

/// First digit: where the card is accepted, and whether it has a chip that is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interchange {
    /// 1: everywhere.
    International,
    /// 2: everywhere, by its chip where that can be.
    InternationalChip,
    /// 5: in its country.
    National,
    /// 6: in its country, by its chip where that can be.
    NationalChip,
    /// 7: where it was agreed on.
    Private,
    /// 9: a test card.
    Test,
}

/// Second digit: who authorises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorisation {
    /// 0: by the normal rules.
    Normal,
    /// 2: the issuer, online.
    Issuer,
    /// 4: the issuer, online, unless something else was agreed on.
    IssuerUnlessAgreed,
}

/// Third digit: what the card pays for, and whether a PIN goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Services {
    /// What it pays for.
    pub range: Range,
    /// Whether a PIN goes with it.
    pub pin: PinRule,
}

/// What a card pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Anything.
    Any,
    /// Goods and services, no cash.
    Goods,
    /// Cash, and nothing else.
    Cash,
    /// Cash at a machine, and nothing else.
    Atm,
}

/// Whether a PIN goes with a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinRule {
    /// It says nothing of a PIN.
    None,
    /// It is required.
    Required,
    /// It is asked for where the terminal has a PIN pad.
    WherePossible,
}

impl ServiceCode {
    /// Where the card is accepted.
    #[must_use]
    pub fn interchange(self) -> Interchange {
        self.interchange
    }

    /// Who authorises.
    #[must_use]
    pub fn authorisation(self) -> Authorisation {
        self.authorisation
    }

    /// What it pays for, and whether a PIN goes with it.
    #[must_use]
    pub fn services(self) -> Services {
        self.services
    }

    /// Whether the card has a chip, which is to be used wherever it can be.
    #[must_use]
    pub fn has_chip(self) -> bool {
        matches!(self.interchange, Interchange::InternationalChip | Interchange::NationalChip)
    }
}

impl FromStr for ServiceCode {
    type Err = Error;

    /// The meaning of three digits; [`Error::BadServiceCode`] for one that the standard leaves without.
    fn from_str(digits: &str) -> Result<Self> {
        let &[first, second, third] = digits.as_bytes() else { return Err(Error::BadServiceCode) };
        Ok(Self {
            interchange: match first {
                b'1' => Interchange::International,
                b'2' => Interchange::InternationalChip,
                b'5' => Interchange::National,
                b'6' => Interchange::NationalChip,
                b'7' => Interchange::Private,
                b'9' => Interchange::Test,
                _ => return Err(Error::BadServiceCode),
            },
            authorisation: match second {
                b'0' => Authorisation::Normal,
                b'2' => Authorisation::Issuer,
                b'4' => Authorisation::IssuerUnlessAgreed,
                _ => return Err(Error::BadServiceCode),
            },
            services: Services::of(third).ok_or(Error::BadServiceCode)?,
        })
    }
}

impl Services {
    fn of(digit: u8) -> Option<Self> {
        let (range, pin) = match digit {
            b'0' => (Range::Any, PinRule::Required),
            b'1' => (Range::Any, PinRule::None),
            b'2' => (Range::Goods, PinRule::None),
            b'3' => (Range::Atm, PinRule::Required),
            b'4' => (Range::Cash, PinRule::None),
            b'5' => (Range::Goods, PinRule::Required),
            b'6' => (Range::Any, PinRule::WherePossible),
            b'7' => (Range::Goods, PinRule::WherePossible),
            _ => return None,
        };
        Some(Self { range, pin })
    }

    fn digit(self) -> char {
        match (self.range, self.pin) {
            (Range::Any, PinRule::Required) => '0',
            (Range::Any, PinRule::None) => '1',
            (Range::Goods, PinRule::None) => '2',
            (Range::Atm, _) => '3',
            (Range::Cash, _) => '4',
            (Range::Goods, PinRule::Required) => '5',
            (Range::Any, PinRule::WherePossible) => '6',
            (Range::Goods, PinRule::WherePossible) => '7',
        }
    }
}

/// The three digits.
impl fmt::Display for ServiceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = match self.interchange {
            Interchange::International => '1',
            Interchange::InternationalChip => '2',
            Interchange::National => '5',
            Interchange::NationalChip => '6',
            Interchange::Private => '7',
            Interchange::Test => '9',
        };
        let second = match self.authorisation {
            Authorisation::Normal => '0',
            Authorisation::Issuer => '2',
            Authorisation::IssuerUnlessAgreed => '4',
        };
        write!(f, "{first}{second}{}", self.services.digit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_digit_has_the_meaning_of_the_standard() {
        let code: ServiceCode = "201".parse().unwrap();
        assert!(code.has_chip());
        assert_eq!(code.services(), Services { range: Range::Any, pin: PinRule::None });
        let code: ServiceCode = "525".parse().unwrap();
        assert!(!code.has_chip());
        assert_eq!(
            (code.interchange(), code.authorisation()),
            (Interchange::National, Authorisation::Issuer)
        );
        assert_eq!(code.services(), Services { range: Range::Goods, pin: PinRule::Required });
    }

    #[test]
    fn a_code_is_three_digits_that_all_stand_for_something_and_prints_as_those() {
        let mut taken = 0;
        for number in 0..1000 {
            let digits = format!("{number:03}");
            if let Ok(code) = digits.parse::<ServiceCode>() {
                assert_eq!(code.to_string(), digits);
                taken += 1;
            }
        }
        assert_eq!(taken, 6 * 3 * 8);
        for wrong in ["", "20", "2011", "20a", "２01"] {
            assert_eq!(wrong.parse::<ServiceCode>(), Err(Error::BadServiceCode), "{wrong}");
        }
    }
}
