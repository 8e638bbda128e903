//! What can be wrong with key material and card data.

use crate::attributes::{Algorithm, Mode, Usage};
use crate::permission::Operation;

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation was refused. No message repeats the data that were refused: they may be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Data of the wrong length.
    #[error("{what} must be {expected}, not {got} bytes long")]
    Length {
        /// What was handed over.
        what: &'static str,
        /// The lengths that are accepted.
        expected: &'static str,
        /// The length in bytes that was handed over.
        got: usize,
    },
    /// A key in text form that isn't hexadecimal.
    #[error("a key is written as 32 hexadecimal digits")]
    NotHex,
    /// A PAN that isn't 8 to 19 decimal digits (padded with F in its BCD form).
    #[error("a PAN is 8 to 19 decimal digits, in BCD padded with F")]
    BadPan,
    /// A PIN that isn't 4 to 12 decimal digits.
    #[error("a PIN is 4 to 12 decimal digits")]
    BadPin,
    /// A deciphered PIN block that isn't of the expected format: wrong key, wrong PAN or wrong format.
    #[error(
        "the PIN block is not of this format for this key and PAN; check the PIN key, the PAN and the format"
    )]
    BadPinBlock,
    /// Track 2 data that break ISO 7813.
    #[error(
        "track 2 is PAN, D, YYMM expiry, service code, discretionary data, padded with F; at most 19 bytes"
    )]
    BadTrack2,
    /// Sealed data that don't open: wrong key or not sealed by a secure module.
    #[error("the sealed card data do not open under this key; check the data key")]
    BadSeal,
    /// An algorithm or a mode that makes no sense for the usage.
    #[error("a key of usage {usage} can't be of algorithm {algorithm} and mode {mode}")]
    Attributes {
        /// The key's usage.
        usage: Usage,
        /// Its algorithm.
        algorithm: Algorithm,
        /// Its mode of use.
        mode: Mode,
    },
    /// The attributes of the key don't permit what was asked of it.
    #[error("a key of usage {usage} and mode {mode} may not {operation}; use a key that was loaded for it")]
    NotPermitted {
        /// The key's usage.
        usage: Usage,
        /// Its mode of use.
        mode: Mode,
        /// What was asked.
        operation: Operation,
    },
    /// What was asked needs another algorithm.
    #[error("{what} is not done with a key of algorithm {algorithm} and this length")]
    Algorithm {
        /// What was asked.
        what: &'static str,
        /// The key's algorithm.
        algorithm: Algorithm,
    },
    /// A component of a key was used as a key.
    #[error("this is a component of a key; combine it with the others first")]
    Component,
    /// Components that can't be combined.
    #[error("a key is combined from two or more different components of its own length")]
    Components,
    /// A check value that isn't the key's.
    #[error("the check value is not that of the key; load the key again")]
    CheckValue,
    /// A key that came for a slot, and can't do what that is for.
    #[error("the slot takes no key of usage {usage}, algorithm {algorithm}, mode {mode} and this length")]
    NotForSlot {
        /// The key's usage.
        usage: Usage,
        /// Its algorithm.
        algorithm: Algorithm,
        /// Its mode of use.
        mode: Mode,
    },
    /// A key for a slot that holds a later version of it.
    #[error("the slot has a newer version of this key")]
    OldVersion,
    /// A key that may not be handed on, or not so freely.
    #[error("the key's exportability forbids this export")]
    NotExportable,
    /// A key that would be protected by a weaker one.
    #[error("a key is not protected by, or derived from, a weaker one")]
    Weaker,
    /// A text that isn't a key block.
    #[error("this is no key block: {0}")]
    KeyBlock(&'static str),
    /// A key block that doesn't authenticate.
    #[error("the key block was changed, or is protected by another key")]
    KeyBlockMac,
    /// A key serial number that isn't one, or whose counter can't occur.
    #[error("this counter does not occur in a key serial number")]
    KeySerialNumber,
    /// The device has used all its DUKPT keys.
    #[error("all keys of this initial key are used; load a new initial key")]
    KeysUsedUp,
    /// A stored DUKPT state that can't be read.
    #[error("the stored state of the DUKPT device is damaged; load a new initial key")]
    State,
    /// A card's public key that PINs can't be enciphered with.
    #[error(
        "a card's key for PINs has an odd modulus of 64 to 248 bytes with its highest bit set, and the exponent 3 or 65537"
    )]
    CardKey,
    /// A signature that doesn't verify.
    #[error("the signature does not verify")]
    Signature,
    /// A public or private key that isn't one, or a ciphertext that doesn't decipher.
    #[error("the key or the ciphertext is not valid for SM2")]
    Sm2,
}
