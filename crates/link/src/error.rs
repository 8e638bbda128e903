//! What can be wrong with a message.

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a message can't be encoded, decoded or sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The message ends early.
    #[error("the message ends within a field")]
    Short,
    /// The message goes on after its last field.
    #[error("the message has bytes after its last field")]
    Trailing,
    /// A field has a value that the protocol doesn't know.
    #[error("the field {0} has a value that the protocol does not know")]
    Value(&'static str),
    /// A field or message is too long for its length, or for the line.
    #[error("the message is too long for the line")]
    TooLong,
    /// The operation code isn't known.
    #[error("operation {0:#04x} is not known")]
    Operation(u8),
    /// A response answers another operation than was asked.
    #[error("the response is not one to the operation that was asked")]
    WrongAnswer,
    /// The other end has not agreed to a capability that the request needs.
    #[error("the module does not know this operation; update its firmware")]
    NotAgreed,
    /// No session is open, or a request is under way already.
    #[error("the line is not ready for a request; wait for the session or for the answer")]
    NotReady,
    /// A key that the ends were paired with is none.
    #[error("{0} is no key on P-256 in the form that is expected")]
    Pairing(&'static str),
}
