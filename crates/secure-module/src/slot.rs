//! Where cards and keys are.

use std::borrow::Cow;
use std::fmt;

use crate::error::{Error, Result};

/// A place for a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CardSlot {
    /// The slot with contacts (ISO/IEC 7816).
    Contact,
    /// A slot for a PSAM, by its number, 1 to 4: a card of an acquirer or a scheme that stays in the terminal.
    Sam(u8),
}

/// A slot for a PSAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamSlot {
    /// Its number, 1 to 4.
    pub number: u8,
    /// Whether a card is in it.
    pub present: bool,
}

/// A place for a key: a handle, never the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeySlot(Cow<'static, str>);

impl KeySlot {
    /// The terminal master key, under which working keys come.
    pub const TMK: KeySlot = KeySlot(Cow::Borrowed("tmk"));
    /// The terminal master key of SM4, under which working keys of SM4 come.
    pub const TMK_SM4: KeySlot = KeySlot(Cow::Borrowed("tmk-sm4"));
    /// The key that protects key blocks (X9.143), in which other keys come.
    pub const KBPK: KeySlot = KeySlot(Cow::Borrowed("kbpk"));
    /// The PIN key.
    pub const PIK: KeySlot = KeySlot(Cow::Borrowed("pik"));
    /// The key of UnionPay's MACs.
    pub const MAK: KeySlot = KeySlot(Cow::Borrowed("mak"));
    /// The key of MACs by ANSI X9.19.
    pub const MAK_X919: KeySlot = KeySlot(Cow::Borrowed("mak-x919"));
    /// The keys of the DUKPT transaction that is going on: for PINs, for MACs and for card data, each where it is asked for.
    pub const DUKPT: KeySlot = KeySlot(Cow::Borrowed("dukpt"));
    /// The data key, under which card data are sealed.
    pub const TDK: KeySlot = KeySlot(Cow::Borrowed("tdk"));
    /// The key of card tokens. The module made it itself: it is never loaded, and the same for the module's life.
    pub const TOKEN: KeySlot = KeySlot(Cow::Borrowed("token"));

    /// The key under which card data wait for the host. The module made it itself: it is never loaded, and the same for the
    /// module's life.
    pub const STORE: KeySlot = KeySlot(Cow::Borrowed("store"));

    /// A slot by its name: 1 to 16 lower-case letters, digits and hyphens.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another name.
    pub fn new(name: &str) -> Result<Self> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=16).contains(&name.len()) && name.bytes().all(good) {
            Ok(Self(Cow::Owned(name.to_owned())))
        } else {
            Err(Error::Invalid(
                "a key slot's name is 1 to 16 lower-case letters, digits and hyphens".to_owned(),
            ))
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_the_same_by_name_and_by_constant() {
        assert_eq!(KeySlot::new("pik"), Ok(KeySlot::PIK));
    }

    #[test]
    fn a_name_of_other_characters_is_refused() {
        for name in ["", "PIK", "p k", "12345678901234567", "ключ"] {
            assert!(KeySlot::new(name).is_err(), "{name}");
        }
    }
}
