//! EMV Book 4 clause 6.3.5: the terminal exception file, which lists cards that are not to be trusted.
//!
//! It names no card: an entry is a code of the PAN, or of PAN and sequence number, under a key of the file. Who has the file can try numbers, so
//! it is no place for cards that are nobody's business; but it can't be read, and two files can't be compared.

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use tlv::tags;

use crate::bits::tvr;
use crate::config::{Config, ConfigError, hex_array};
use crate::data::digits;
use crate::kernel::Kernel;

/// The most cards in one file.
const MAX_CARDS: usize = 100_000;

/// The exception file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exceptions {
    /// Drawn at random for this file.
    #[serde(deserialize_with = "hex_array")]
    key: [u8; 32],
    /// HMAC-SHA-256 of the digits of the PAN, or of those, `-` and the two digits of the PAN sequence number.
    cards: Vec<Code>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
struct Code(#[serde(deserialize_with = "hex_array")] [u8; 32]);

impl Config {
    /// This configuration with the cards of an exception file.
    ///
    /// # Errors
    /// [`ConfigError`] if it is no such file, or lists more than 100,000 cards.
    pub fn with_exceptions(self, text: &str) -> Result<Config, ConfigError> {
        let mut exceptions: Exceptions = toml::from_str(text)?;
        if exceptions.cards.len() > MAX_CARDS {
            let problem = "it lists more than 100,000 cards: leave those out that have expired";
            return Err(ConfigError::Value { of: "the exception file".into(), problem });
        }
        exceptions.cards.sort_unstable();
        Ok(Config { exceptions: Some(exceptions), ..self })
    }
}

impl Exceptions {
    /// Whether the card is listed, with any sequence number or with this one (BCD).
    fn lists(&self, pan: &[u8], sequence: Option<u8>) -> bool {
        let listed = |parts: &[&[u8]]| {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return false };
            parts.iter().for_each(|part| mac.update(part));
            self.cards.binary_search(&Code(mac.finalize().into_bytes().into())).is_ok()
        };
        let with_sequence = |sequence: u8| {
            let [high, low] = [sequence >> 4, sequence & 0x0F].map(|digit| b'0' + digit);
            listed(&[pan, b"-", &[high, low]])
        };
        listed(&[pan]) || sequence.is_some_and(with_sequence)
    }
}

impl Kernel {
    /// Clause 6.3.5: whether or not the card asks for terminal risk management.
    pub(crate) fn check_exceptions(&mut self) {
        let Some(exceptions) = &self.config.exceptions else { return };
        let pan = self.data.get(tags::PAN).and_then(digits);
        if pan.is_some_and(|pan| exceptions.lists(&pan, self.psn())) {
            self.mark_tvr(tvr::EXCEPTION_FILE);
        }
    }
}
