//! `docs/host-qr-gateway.md`, Signatures: the header fields of a request or an answer, and the text that is signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::MAX_SKEW;
use crate::key::{KeyError, Sign, Verify};

/// Who signed: the name of a key.
pub const KEY: &str = "Smartpos-Key";
/// When: seconds since 1970.
pub const TIMESTAMP: &str = "Smartpos-Timestamp";
/// The number used once: 32 hex digits in lower case. An answer repeats that of its request.
pub const NONCE: &str = "Smartpos-Nonce";
/// The algorithm's name, a space, the signature in base64.
pub const SIGNATURE: &str = "Smartpos-Signature";

/// The longest name of a key.
const MAX_KEY_NAME: usize = 64;
/// The longest signature in base64: that of an RSA key of 8192 bits.
const MAX_SIGNATURE: usize = 1368;

/// The signature's header fields, checked in form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The name of the key: letters, digits, `-`, `_` and `.`.
    pub key: String,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// 32 hex digits in lower case.
    pub nonce: String,
    algorithm: String,
    signature: Vec<u8>,
}

/// Why header fields or their signature are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// A field is missing or malformed.
    #[error("header field {0}: missing or malformed")]
    Field(&'static str),
    /// The clocks differ by more than [`MAX_SKEW`].
    #[error("the clock of the sender is {0} s away from ours, more than 300 s")]
    Skew(u64),
    /// The signature is not that of this key over this text.
    #[error("the signature is wrong")]
    Signature,
}

/// What is signed beside time and nonce: method and path of a request, status and path of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'m> {
    /// `POST`, or three digits.
    pub line: &'m str,
    /// The path of the request, from the `/` on.
    pub path: &'m str,
    /// The body, byte for byte.
    pub body: &'m [u8],
}

impl Signed<'_> {
    /// The text that is signed: five lines, each ended by a line feed.
    #[must_use]
    pub fn canonical(&self, timestamp: u64, nonce: &str) -> Vec<u8> {
        let mut text = format!("{}\n{}\n{timestamp}\n{nonce}\n", self.line, self.path).into_bytes();
        text.extend_from_slice(self.body);
        text.push(b'\n');
        text
    }
}

impl Head {
    /// Signs.
    ///
    /// # Errors
    /// If the key cannot be used.
    pub fn sign(
        key_name: &str,
        key: &dyn Sign,
        timestamp: u64,
        nonce: &str,
        signed: Signed<'_>,
    ) -> Result<Head, KeyError> {
        let signature = key.sign(&signed.canonical(timestamp, nonce))?;
        let (key_name, nonce) = (key_name.to_owned(), nonce.to_owned());
        Ok(Head { key: key_name, timestamp, nonce, algorithm: key.algorithm().to_owned(), signature })
    }

    /// Whether the signature is that of `key` over `signed`, made within [`MAX_SKEW`] of `now`.
    ///
    /// # Errors
    /// [`HeadError::Skew`] or [`HeadError::Signature`].
    pub fn verify(&self, key: &dyn Verify, now: u64, signed: Signed<'_>) -> Result<(), HeadError> {
        let skew = self.timestamp.abs_diff(now);
        if skew > MAX_SKEW {
            return Err(HeadError::Skew(skew));
        }
        let text = signed.canonical(self.timestamp, &self.nonce);
        let right = self.algorithm == key.algorithm() && key.verify(&text, &self.signature);
        if right { Ok(()) } else { Err(HeadError::Signature) }
    }

    /// The header fields to send.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, String); 4] {
        let signature = format!("{} {}", self.algorithm, STANDARD.encode(&self.signature));
        [
            (KEY, self.key.clone()),
            (TIMESTAMP, self.timestamp.to_string()),
            (NONCE, self.nonce.clone()),
            (SIGNATURE, signature),
        ]
    }

    /// Reads the header fields; `field` gives the value of the one field with that name.
    ///
    /// # Errors
    /// [`HeadError::Field`].
    pub fn read<'f>(field: impl Fn(&str) -> Option<&'f str>) -> Result<Head, HeadError> {
        let get = |name, good: fn(&str) -> bool| {
            field(name).filter(|value| good(value)).ok_or(HeadError::Field(name))
        };
        let key = get(KEY, is_key_name)?;
        let timestamp = get(TIMESTAMP, is_timestamp)?.parse().map_err(|_| HeadError::Field(TIMESTAMP))?;
        let nonce = get(NONCE, is_nonce)?;
        let signature = get(SIGNATURE, |value| value.len() <= MAX_SIGNATURE + 32)?;
        let (algorithm, signature) = signature.split_once(' ').ok_or(HeadError::Field(SIGNATURE))?;
        let signature = STANDARD.decode(signature).map_err(|_| HeadError::Field(SIGNATURE))?;
        let (key, nonce, algorithm) = (key.to_owned(), nonce.to_owned(), algorithm.to_owned());
        Ok(Head { key, timestamp, nonce, algorithm, signature })
    }
}

fn is_key_name(value: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_KEY_NAME).contains(&value.len()) && value.bytes().all(allowed)
}

/// As it is written, so that what is signed is what was sent: no sign and no leading zero.
fn is_timestamp(value: &str) -> bool {
    (1..=12).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_digit())
        && !value.starts_with('0')
}

fn is_nonce(value: &str) -> bool {
    value.len() == 32 && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
