//! A host profile file: all that a terminal has to know to talk to one acquirer, save its address and secrets.

use serde::Deserialize;

use crate::Profile;
use crate::frame::Framing;

/// One acquirer's dialect.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its short name, that of the file.
    pub name: String,
    /// Network international identifier (DE 24), 0 to 999; `None` where the host does not want it.
    pub nii: Option<u16>,
    /// How messages are put on the connection.
    pub framing: Framing,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How a sale of unknown outcome is undone.
    pub reversal: Reversal,
    /// How working keys are fetched.
    pub sign_on: SignOn,
    /// How messages are coded.
    pub codec: Profile,
}

/// How long to wait for the host, in seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// For the TLS session to be up.
    pub connect_s: u16,
    /// For an answer, from the last byte of the request.
    pub answer_s: u16,
    /// Between two attempts at a reversal: the first pauses, then the last one again and again.
    pub reversal_retry_s: Vec<u16>,
    /// An unused connection is closed after this.
    pub idle_s: u16,
}

/// The answer codes (DE 39) of reversals.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reversal {
    /// Why: no answer arrived in time.
    pub no_answer: String,
    /// Why: the answer's MAC was wrong.
    pub bad_mac: String,
    /// Why: the terminal failed, or the card refused what the host had approved.
    pub error: String,
    /// The host's codes that end a reversal: it is undone, or was never booked.
    pub acknowledged: Vec<String>,
}

/// The sign-on (0800), which brings the working keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignOn {
    /// DE 60.1, the type of the message.
    pub message_type: String,
    /// DE 60.3, network management information code: which keys the terminal wants.
    pub network_code: String,
    /// The codes (DE 39) after which the terminal signs on again before anything else.
    pub again_on: Vec<String>,
    /// Where the keys are in the answer.
    pub keys: KeyDownload,
}

/// Where the working keys are in the answer to the sign-on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyDownload {
    /// The data element.
    pub field: u8,
    /// Its parts, in order and without gaps.
    pub parts: Vec<KeyPart>,
}

/// One working key, encrypted under the terminal master key, and its check value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPart {
    /// The key slot that it goes to: `pik`, `mak` or `tdk`.
    pub slot: String,
    /// Length of the encrypted key, in bytes.
    pub key_bytes: usize,
    /// Length of the check value, in bytes.
    pub check_bytes: usize,
}

/// A working key as the host sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrappedKey<'a> {
    /// The key slot that it goes to.
    pub slot: &'a str,
    /// The key, encrypted under the terminal master key.
    pub key: &'a [u8],
    /// Its check value.
    pub check: &'a [u8],
}

impl KeyDownload {
    /// Cuts `content` into its keys. `None` if its length is not that of all parts.
    #[must_use]
    pub fn split<'a>(&'a self, content: &'a [u8]) -> Option<Vec<WrappedKey<'a>>> {
        let mut rest = content;
        let mut keys = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let (key, after) = rest.split_at_checked(part.key_bytes)?;
            let (check, after) = after.split_at_checked(part.check_bytes)?;
            keys.push(WrappedKey { slot: &part.slot, key, check });
            rest = after;
        }
        rest.is_empty().then_some(keys)
    }
}
