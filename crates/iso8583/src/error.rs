//! What can be wrong with a message, and where.

use std::fmt;

/// A place in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The message type identifier.
    Mti,
    /// A bitmap, primary or secondary.
    Bitmap,
    /// The length prefix of a data element.
    Length(u8),
    /// The content of a data element.
    Field(u8),
    /// The length, TPDU and header before a message.
    Frame,
    /// The message as a whole.
    Message,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Mti => f.write_str("MTI"),
            Place::Bitmap => f.write_str("bitmap"),
            Place::Length(number) => write!(f, "DE {number}.length"),
            Place::Field(number) => write!(f, "DE {number}"),
            Place::Frame => f.write_str("frame"),
            Place::Message => f.write_str("message"),
        }
    }
}

/// Why a message, a frame or a profile is refused. No variant carries content of a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end too early.
    #[error("{at}: expected {expected} bytes, got {got}")]
    Truncated {
        /// Where the bytes ended.
        at: Place,
        /// How many bytes had to be there.
        expected: usize,
        /// How many were.
        got: usize,
    },
    /// Bytes follow the last data element.
    #[error("message: expected the end, got {0} more bytes")]
    Trailing(usize),
    /// A character or nibble that the class of the field does not allow.
    #[error("{at}: expected {expected}, got another character at position {position}")]
    Character {
        /// Where.
        at: Place,
        /// What the profile allows there.
        expected: &'static str,
        /// Which digit or character of the content, from 0.
        position: usize,
    },
    /// The nibble that fills up an odd number of digits is not the profile's.
    #[error("{at}: expected the fill nibble {expected:X}, got {got:X}")]
    Fill {
        /// Where.
        at: Place,
        /// The profile's nibble.
        expected: u8,
        /// The nibble in the message.
        got: u8,
    },
    /// More content than the profile allows.
    #[error("{at}: expected at most {max}, got {got}")]
    TooLong {
        /// Where.
        at: Place,
        /// The maximum, in the unit of the field.
        max: usize,
        /// What was given.
        got: usize,
    },
    /// The content of a field of fixed length has another length.
    #[error("{at}: expected a length of exactly {expected}, got {got}")]
    WrongLength {
        /// Where.
        at: Place,
        /// The field's length, in its unit.
        expected: usize,
        /// What was given.
        got: usize,
    },
    /// The bitmap announces a data element that the profile does not have.
    #[error("{at}: the profile has no such data element; add it to the profile or leave it out")]
    Unknown {
        /// The data element.
        at: Place,
    },
    /// A data element is needed and absent.
    #[error("{at}: missing")]
    Missing {
        /// The data element.
        at: Place,
    },
    /// The content was given as, or asked for as, something that the field's class is not.
    #[error("{at}: expected {expected}")]
    Kind {
        /// The data element.
        at: Place,
        /// What the field holds.
        expected: &'static str,
    },
    /// The caller's buffer ends too early.
    #[error("{at}: the output buffer is full")]
    BufferFull {
        /// What did not fit.
        at: Place,
    },
    /// A frame that is longer or shorter than allowed.
    #[error("frame: expected a length from {min} to {max} bytes, got {got}")]
    FrameLength {
        /// The shortest possible frame.
        min: usize,
        /// The profile's longest.
        max: usize,
        /// What the length says.
        got: usize,
    },
    /// The TPDU or the application class of the header is not the one of this link.
    #[error("frame: expected the {part} {expected}, got {got}")]
    Address {
        /// `TPDU` or `header class`.
        part: &'static str,
        /// In hex.
        expected: String,
        /// In hex.
        got: String,
    },
    /// A profile that cannot be used.
    #[error("profile: {at}: {problem}")]
    Profile {
        /// The data element, or another place.
        at: Place,
        /// What is wrong and what to write instead.
        problem: String,
    },
}
