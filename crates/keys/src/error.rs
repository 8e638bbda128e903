//! What can be wrong with key material and card data.

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
    /// A deciphered PIN block that isn't format 0 for this PAN: wrong key, wrong PAN or wrong format.
    #[error("the PIN block is not of format 0 for this key and PAN; check the PIN key and the PAN")]
    BadPinBlock,
    /// Track 2 data that break ISO 7813.
    #[error(
        "track 2 is PAN, D, YYMM expiry, service code, discretionary data, padded with F; at most 19 bytes"
    )]
    BadTrack2,
    /// Sealed data that don't open: wrong key or not sealed by a secure module.
    #[error("the sealed card data do not open under this key; check the data key")]
    BadSeal,
}
