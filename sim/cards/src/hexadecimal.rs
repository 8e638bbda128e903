//! Hexadecimal strings in the profiles' TOML.

use keys::TdesKey;
use serde::de::{Deserialize, Deserializer, Error};

/// Bytes from hexadecimal digits: a `Vec<u8>`, or an array of just that length.
pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<Vec<u8>>,
{
    let text = String::deserialize(deserializer)?;
    let bytes = hex::decode(&text).map_err(|error| D::Error::custom(format!("{text:?}: {error}")))?;
    let length = bytes.len();
    T::try_from(bytes)
        .map_err(|_| D::Error::custom(format!("{text:?}: {length} bytes are not the length of this element")))
}

/// A double-length TDES key from 32 hexadecimal digits.
pub(crate) fn key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TdesKey, D::Error> {
    TdesKey::from_hex(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}
