//! BER-TLV, data object lists and the data elements of EMV.
//!
//! Nothing here allocates unless the caller hands it a `Vec` to write to: a reader borrows the bytes it is
//! given, a writer fills the [`Output`] it is given. All input is bounded: a tag by four bytes, a length by three,
//! nesting by [`MAX_DEPTH`].

mod dol;
mod elements;
mod reader;
mod tag;
mod writer;

pub use dol::{Dol, DolEntry};
pub use elements::{Definer, Element, Format, Source, element, element_of, is_sensitive, meanings, tags};
pub use reader::{MAX_DEPTH, Reader, Tlv, find};
pub use tag::{Tag, TagBytes};
pub use writer::{Buffer, Output, write};

/// What was wrong with bytes to read, or why bytes could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end within a tag, a length or a value.
    #[error("the bytes end within a data object")]
    Truncated,
    /// A tag is longer than four bytes, or not in its shortest form.
    #[error("the tag is longer than four bytes or not in its shortest form")]
    BadTag,
    /// A length is indefinite, or longer than three bytes.
    #[error("the length is indefinite or coded in more than three bytes")]
    BadLength,
    /// Templates are nested deeper than [`MAX_DEPTH`].
    #[error("templates are nested too deeply")]
    TooDeep,
    /// The caller's buffer is full, or a value is too long for three length bytes.
    #[error("the data object does not fit the buffer")]
    NoRoom,
}
