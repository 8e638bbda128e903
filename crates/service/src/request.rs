//! Request objects: what takes longer than a second is an object with a path that its caller can foretell.
//!
//! The path is `PREFIX/OWNER/KEY`, where owner is who asked and key is the idempotency key, so it is the same
//! after a restart. Characters that a path may not hold are written `_` and two hex digits, as systemd does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zbus::OwnedObjectPath;

use crate::error::{Error, Result};

/// An idempotency key: 1 to 64 printable ASCII characters without spaces, chosen by the caller.
///
/// Asking again with the same key gives the same object, never a second one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

impl Key {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Key> {
        if text.is_empty() || text.len() > 64 {
            return Err(Error::invalid("key", "give 1 to 64 characters"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid("key", "use printable ASCII without spaces"));
        }
        Ok(Key(text.to_string()))
    }
}

impl TryFrom<String> for Key {
    type Error = Error;

    fn try_from(text: String) -> Result<Key> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> String {
        key.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path of the object that `owner` asked for with `key`, below `prefix`.
///
/// # Errors
/// When `prefix` is no object path.
pub fn path(prefix: &str, owner: &str, key: &Key) -> Result<OwnedObjectPath> {
    let path = format!("{prefix}/{}/{}", escape(owner), escape(key.as_str()));
    OwnedObjectPath::try_from(path).map_err(|error| Error::internal("making an object's path", error))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("_{byte:02x}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_keys_never_share_a_path() {
        let path_of = |key: &str| path("/p", "operator", &key.parse().unwrap()).unwrap();
        assert_eq!(path_of("order-17").as_str(), "/p/operator/order_2d17");
        assert_ne!(path_of("a_2d"), path_of("a-"));
    }

    #[test]
    fn a_key_is_bounded_and_printable() {
        for wrong in ["", " ", "a b", "é", "a\n", &"x".repeat(65)] {
            assert!(wrong.parse::<Key>().is_err(), "{wrong:?}");
        }
    }
}
