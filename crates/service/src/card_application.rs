//! Applications on cards, by the names that they are selected with (ISO/IEC 7816-5).

use std::ops::RangeInclusive;

use serde::Deserialize;

/// The name of an application on a card (AID), or the beginning of several: 5 to 16 bytes, written in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CardApplication(Vec<u8>);

impl CardApplication {
    /// How many bytes a name has. Shorter ones would be the beginning of anybody's.
    pub const LENGTHS: RangeInclusive<usize> = 5..=16;

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is `name`, or the beginning of it.
    #[must_use]
    pub fn covers(&self, name: &[u8]) -> bool {
        name.starts_with(&self.0)
    }
}

impl TryFrom<String> for CardApplication {
    type Error = String;

    fn try_from(text: String) -> Result<CardApplication, String> {
        let bytes = hex::decode(&text).ok().filter(|bytes| CardApplication::LENGTHS.contains(&bytes.len()));
        bytes
            .map(CardApplication)
            .ok_or_else(|| format!("`{text}` is no application's name: give 10 to 32 hexadecimal digits"))
    }
}
