//! Check characters: ISO/IEC 7064:2003. The Luhn digit of PANs is at [`luhn_check_digit`](crate::pan::luhn_check_digit).

/// The characters that the systems count with, in the order of their values.
const CHARACTERS: &[u8; 37] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*";

/// A system of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// MOD 11-2: digits; the check character is a digit or X. Chinese citizens' numbers.
    Mod11_2,
    /// MOD 37-2: digits and letters; the check character is one of them or `*`.
    Mod37_2,
    /// MOD 97-10: digits; two check digits.
    Mod97_10,
    /// MOD 11,10: digits.
    Mod11And10,
    /// MOD 37,36: digits and letters. Unified social credit codes have one of this kind.
    Mod37And36,
}

impl System {
    /// Modulus and radix.
    const fn parameters(self) -> (u32, u32) {
        match self {
            Self::Mod11_2 => (11, 2),
            Self::Mod37_2 => (37, 2),
            Self::Mod97_10 => (97, 10),
            Self::Mod11And10 => (11, 10),
            Self::Mod37And36 => (37, 36),
        }
    }

    /// How many values the characters of the text have.
    const fn alphabet(self) -> u32 {
        match self {
            Self::Mod11_2 | Self::Mod97_10 | Self::Mod11And10 => 10,
            Self::Mod37_2 | Self::Mod37And36 => 36,
        }
    }

    /// The check characters that complete `text`; none if it has a character that the system doesn't have.
    #[must_use]
    pub fn check_characters(self, text: &str) -> Option<String> {
        let (modulus, radix) = self.parameters();
        let mut values = text.bytes().map(|byte| value(byte).filter(|value| *value < self.alphabet()));
        match self {
            Self::Mod11And10 | Self::Mod37And36 => {
                let product = values.try_fold(radix, |product, value| {
                    let sum = (product + value?) % radix;
                    Some((if sum == 0 { radix } else { sum }) * 2 % modulus)
                })?;
                character((radix + 1 - product) % radix).map(String::from)
            }
            _ => {
                let sum = values.try_fold(0, |sum, value| Some((sum + value?) * radix % modulus))?;
                match self {
                    Self::Mod97_10 => Some(format!("{:02}", modulus + 1 - sum * radix % modulus)),
                    Self::Mod11_2 if (modulus + 1 - sum) % modulus == 10 => Some("X".to_owned()),
                    _ => character((modulus + 1 - sum) % modulus).map(String::from),
                }
            }
        }
    }

    /// Whether `text` ends in the check characters of what is before them.
    #[must_use]
    pub fn valid(self, text: &str) -> bool {
        let length = if self == Self::Mod97_10 { 2 } else { 1 };
        text.len()
            .checked_sub(length)
            .and_then(|at| text.split_at_checked(at))
            .is_some_and(|(body, check)| self.check_characters(body).is_some_and(|right| right == check))
    }
}

fn value(byte: u8) -> Option<u32> {
    CHARACTERS.iter().position(|character| *character == byte).and_then(|value| u32::try_from(value).ok())
}

fn character(value: u32) -> Option<char> {
    CHARACTERS.get(usize::try_from(value).ok()?).copied().map(char::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_published_examples_hold() {
        for (system, text) in [
            // ISO/IEC 7064's own: 0794 with each of the systems of digits, 794 with MOD 97-10.
            (System::Mod11_2, "07940"),
            (System::Mod11_2, "079X"),
            (System::Mod11And10, "07945"),
            (System::Mod97_10, "79444"),
            // ISBT 128, 2.4.2: a donation identification number.
            (System::Mod37_2, "G123498654321H"),
            // The Global Release Identifier standard, 2.1.
            (System::Mod37And36, "A12425GABC1234002M"),
            // GB 11643-1999, annex A: citizen identification numbers.
            (System::Mod11_2, "11010519491231002X"),
            (System::Mod11_2, "440524188001010014"),
        ] {
            assert!(system.valid(text), "{system:?} {text}");
        }
    }

    #[test]
    fn other_characters_are_refused() {
        for system in
            [System::Mod11_2, System::Mod37_2, System::Mod97_10, System::Mod11And10, System::Mod37And36]
        {
            for text in ["12a4", "*", "１２", "é1", ""] {
                assert!(!system.valid(text), "{system:?} {text}");
            }
        }
    }

    proptest! {
        #[test]
        fn one_changed_digit_is_noticed(body in "[0-9]{1,30}", place in 0_usize..30, by in 1_u8..10) {
            for system in [System::Mod11_2, System::Mod37_2, System::Mod97_10, System::Mod11And10, System::Mod37And36] {
                let mut text = (body.clone() + &system.check_characters(&body).unwrap()).into_bytes();
                prop_assert!(system.valid(std::str::from_utf8(&text).unwrap()));
                let place = place % body.len();
                text[place] = b'0' + (text[place] - b'0' + by) % 10;
                prop_assert!(!system.valid(std::str::from_utf8(&text).unwrap()));
            }
        }
    }
}
