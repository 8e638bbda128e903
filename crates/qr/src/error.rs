//! What can be wrong with a code, and where.

/// The result of reading or making a code.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a code is refused. It carries nothing of the code's content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Error {
    /// The data object: ids from the root with points between (`62.07`), tags for a consumer's code (`61.57`);
    /// `code` for the code as a whole.
    pub path: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a data object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text ends within a data object.
    #[error("the text ends within the data object")]
    Truncated,
    /// The id is not two digits.
    #[error("expected an id of two digits")]
    BadId,
    /// The length is not two digits from 01 to 99.
    #[error("expected a length from 01 to 99")]
    BadLength,
    /// A data object that must be there is not.
    #[error("missing")]
    Missing,
    /// A data object is there twice.
    #[error("there twice")]
    Repeated,
    /// A data object that others forbid.
    #[error("must not be there")]
    Unexpected,
    /// A data object is in the wrong place.
    #[error("must be the {0} data object")]
    Misplaced(&'static str),
    /// The value is too short or too long.
    #[error("expected {min} to {max} characters or bytes, got {got}")]
    Length {
        /// The fewest.
        min: usize,
        /// The most.
        max: usize,
        /// How many there are.
        got: usize,
    },
    /// The value is not what it must be.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The checksum is another one: the code was misread.
    #[error("the checksum is wrong: scan it again")]
    Checksum,
    /// The payload is not BER-TLV.
    #[error("{0}")]
    Tlv(#[from] tlv::Error),
}

impl Problem {
    /// This problem at `path`.
    pub(crate) fn at(self, path: impl Into<String>) -> Error {
        Error { path: path.into(), problem: self }
    }
}
