//! The key slots of a terminal's secure module: what each is for, and which keys it takes (ANSI X9.24-1:2017, 7.3: a key has one
//! use; ANSI X9.143-2021, 6.3: what a key may do is bound to it).

use crate::attributes::{Algorithm, Attributes, KeyVersion, Mode, Usage};
use crate::error::{Error, Result};
use crate::kcv;
use crate::key::Key;
use crate::mac::{Padding, Scheme};
use crate::permission::Operation;

/// ANSI X9.19 is ISO/IEC 9797-1 algorithm 3 with padding method 1.
pub const X919_SCHEME: Scheme = Scheme::Algorithm3(Padding::Zeros);

/// How card tokens are made.
pub const TOKEN_SCHEME: Scheme = Scheme::Algorithm3(Padding::OneAndZeros);

/// What a slot is for. Its key serves this use, and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Deciphers other keys.
    Keys,
    /// Opens key blocks.
    Blocks,
    /// Enciphers PIN blocks.
    Pin,
    /// Makes and verifies UnionPay's MACs.
    Mac,
    /// Makes and verifies MACs by ANSI X9.19.
    X919,
    /// Seals card data.
    Data,
    /// Seals card data that wait, and opens them again.
    Storage,
    /// Makes card tokens.
    Token,
}

/// What may be told of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The usage of the key in it, or of those that it is for: X9.143's code, or a word where that has none.
    pub usage: String,
    /// Likewise the key's algorithm; empty where there is no key.
    pub algorithm: String,
    /// The key's check value, as much of it as may be shown; empty where there is no key.
    pub check: Vec<u8>,
}

impl Use {
    /// What a key that is made for this use may do, and nothing else.
    #[must_use]
    pub const fn attributes(self, algorithm: Algorithm) -> Attributes {
        let (usage, mode) = match self {
            Use::Keys => (Usage::KeyEncryption, Mode::Decrypt),
            Use::Blocks => (Usage::KeyBlockProtection, Mode::Decrypt),
            Use::Pin => (Usage::PinEncryption, Mode::Encrypt),
            Use::Mac => (Scheme::UnionPay.usage(), Mode::GenerateVerify),
            Use::X919 => (X919_SCHEME.usage(), Mode::GenerateVerify),
            Use::Data => (Usage::Data, Mode::Encrypt),
            Use::Storage => (Usage::Data, Mode::Both),
            Use::Token => (TOKEN_SCHEME.usage(), Mode::Generate),
        };
        Attributes::new(usage, algorithm, mode)
    }

    /// Whether its keys come with a sign-on, enciphered under those of [`Use::Keys`]. The other ones that come enciphered do so in key
    /// blocks, and some never come.
    #[must_use]
    pub const fn is_working(self) -> bool {
        matches!(self, Use::Pin | Use::Mac | Use::X919 | Use::Data)
    }

    /// Whether a key of this algorithm may come with attributes of its own, from a key block, a key distribution host or custodians.
    #[must_use]
    pub fn takes_algorithm(self, algorithm: Algorithm) -> bool {
        let algorithm = match algorithm {
            Algorithm::Tdes => true,
            Algorithm::Aes => !matches!(self, Use::Keys | Use::X919),
            _ => false,
        };
        algorithm && !self.needs().is_empty()
    }

    /// Checks that a slot of this use, which holds `held`, takes `key`, which came with attributes of its own.
    ///
    /// # Errors
    /// [`Error::NotForSlot`] if the key can't do what the slot is for, [`Error::OldVersion`] if the slot holds a newer one.
    pub fn takes(self, key: &Key, held: Option<&Key>) -> Result<()> {
        let Attributes { usage, algorithm, mode, .. } = *key.attributes();
        // X9.19 has keys of double length.
        let length = self != Use::X919 || key.strength() == Some(80);
        let may = |operation: &Operation| key.attributes().permit(*operation).is_ok();
        if !(length && self.takes_algorithm(algorithm) && self.needs().iter().any(may)) {
            return Err(Error::NotForSlot { usage, algorithm, mode });
        }
        let number = |key: &Key| match key.attributes().version {
            KeyVersion::Number(number) => Some(number),
            _ => None,
        };
        match (held.and_then(number), number(key)) {
            (Some(held), Some(new)) if new < held => Err(Error::OldVersion),
            _ => Ok(()),
        }
    }

    /// What a key must be able to do, one of these at least, to serve this use; nothing where none comes with attributes of its own: X9.143
    /// has no code for UnionPay's MAC, whose keys come with the sign-on, and the rest is made inside.
    fn needs(self) -> &'static [Operation] {
        const X919: Usage = X919_SCHEME.usage();
        match self {
            Use::Keys => &[Operation::DecryptKey],
            Use::Blocks => &[Operation::UnwrapBlock],
            Use::Pin => &[Operation::EncryptPin],
            Use::X919 => &[Operation::GenerateMac(X919), Operation::VerifyMac(X919)],
            Use::Data => &[Operation::EncryptData],
            Use::Mac | Use::Storage | Use::Token => &[],
        }
    }

    /// What may be told of a slot of this use that holds `held`.
    #[must_use]
    pub fn describe(self, held: Option<&Key>) -> Description {
        let known = held.map(Key::attributes);
        let usage = known.map_or_else(|| self.attributes(Algorithm::Tdes).usage, |known| known.usage);
        let algorithm = known.map(|known| match known.algorithm.code() {
            Some([code]) => char::from(code).to_string(),
            None => known.algorithm.to_string(),
        });
        Description {
            usage: usage_name(usage),
            algorithm: algorithm.unwrap_or_default(),
            check: held.map(kcv::shown).unwrap_or_default(),
        }
    }
}

/// A usage as key blocks have it, or as a word.
#[must_use]
pub fn usage_name(usage: Usage) -> String {
    match usage.code() {
        Some(code) => code.map(char::from).iter().collect(),
        None => usage.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Use; 8] =
        [Use::Keys, Use::Blocks, Use::Pin, Use::Mac, Use::X919, Use::Data, Use::Storage, Use::Token];

    fn key(usage: Usage, algorithm: Algorithm, mode: Mode, version: KeyVersion, length: usize) -> Key {
        let attributes = Attributes { version, ..Attributes::new(usage, algorithm, mode) };
        let bytes: Vec<u8> = (1..=32).collect();
        Key::new(attributes, &bytes[..length]).unwrap()
    }

    fn plain(usage: Usage, algorithm: Algorithm, mode: Mode) -> Key {
        key(usage, algorithm, mode, KeyVersion::Unused, 16)
    }

    #[test]
    fn a_slot_takes_the_keys_of_the_table_in_the_lines_specification_and_no_others() {
        let document = include_str!("../../../docs/secure-module-link.md");
        let table = document.lines().skip_while(|line| !line.starts_with("| slot | takes keys of usage"));
        let rows: Vec<Vec<&str>> = table
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        let slots = [
            ("`tmk`", Use::Keys),
            ("`kbpk`", Use::Blocks),
            ("`pik`", Use::Pin),
            ("`mak-x919`", Use::X919),
            ("`tdk`", Use::Data),
        ];
        assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), slots.map(|(name, _)| name));
        let listed = |cell: &str, code: &str| cell.split([',', ' ']).any(|word| word == code);
        let usages = [
            (Usage::KeyEncryption, Mode::Decrypt),
            (Usage::KeyEncryption, Mode::Encrypt),
            (Usage::KeyBlockProtection, Mode::Both),
            (Usage::PinEncryption, Mode::Encrypt),
            (Usage::PinEncryption, Mode::Decrypt),
            (Usage::MacAlgorithm3, Mode::Generate),
            (Usage::MacAlgorithm3, Mode::Verify),
            (Usage::MacAlgorithm1, Mode::Generate),
            (Usage::Cmac, Mode::Generate),
            (Usage::Data, Mode::Encrypt),
            (Usage::Data, Mode::Decrypt),
            (Usage::SensitiveData, Mode::Any),
        ];
        for (row, (name, slot)) in rows.iter().zip(slots) {
            for (usage, mode) in usages {
                for (algorithm, word) in [(Algorithm::Tdes, "TDES"), (Algorithm::Aes, "AES")] {
                    let mode_code = char::from(mode.code().unwrap()[0]).to_string();
                    let expected = listed(row[1], &usage_name(usage))
                        && listed(row[2], &mode_code)
                        && listed(row[3], word);
                    let taken = slot.takes(&plain(usage, algorithm, mode), None).is_ok();
                    assert_eq!(taken, expected, "{name}: {usage} {mode} {algorithm}");
                }
            }
        }
    }

    #[test]
    fn slots_whose_keys_never_come_with_attributes_take_none() {
        for slot in [Use::Mac, Use::Storage, Use::Token] {
            let own = Key::new(slot.attributes(Algorithm::Tdes), &[7; 16]).unwrap();
            assert!(matches!(slot.takes(&own, None), Err(Error::NotForSlot { .. })), "{slot:?}");
        }
    }

    #[test]
    fn an_older_version_does_not_take_the_place_of_a_newer_one() {
        let of = |version| key(Usage::PinEncryption, Algorithm::Aes, Mode::Encrypt, version, 16);
        let numbered = |number| of(KeyVersion::Number([b'0', b'0' + number]));
        assert_eq!(Use::Pin.takes(&numbered(1), Some(&numbered(2))), Err(Error::OldVersion));
        for new in [numbered(2), numbered(3), of(KeyVersion::Unused)] {
            assert_eq!(Use::Pin.takes(&new, Some(&numbered(2))), Ok(()));
        }
        assert_eq!(Use::Pin.takes(&numbered(1), Some(&of(KeyVersion::Unused))), Ok(()));
    }

    #[test]
    fn macs_of_x9_19_have_keys_of_double_length() {
        let of = |length| {
            key(Usage::MacAlgorithm3, Algorithm::Tdes, Mode::GenerateVerify, KeyVersion::Unused, length)
        };
        assert_eq!(Use::X919.takes(&of(16), None), Ok(()));
        assert!(Use::X919.takes(&of(24), None).is_err());
    }

    #[test]
    fn a_slot_tells_its_use_and_of_its_key_no_more_than_its_check_value() {
        for slot in ALL {
            let Description { algorithm, check, .. } = slot.describe(None);
            assert_eq!((algorithm.as_str(), check.len()), ("", 0), "{slot:?}");
        }
        let aes = plain(Usage::PinEncryption, Algorithm::Aes, Mode::Encrypt);
        let told = Use::Pin.describe(Some(&aes));
        assert_eq!((told.usage.as_str(), told.algorithm.as_str(), told.check.len()), ("P0", "A", 5));
        let tdes = plain(Usage::Data, Algorithm::Tdes, Mode::Encrypt);
        assert_eq!(Use::Data.describe(Some(&tdes)).check.len(), 3);
    }
}
