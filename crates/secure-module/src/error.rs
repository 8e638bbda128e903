//! What can go wrong with a secure module.

/// The result of a secure module's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// This module can't do that.
    #[error("this secure module does not support the operation")]
    NotSupported,
    /// The module has been unplugged, or the line to it has closed.
    #[error("the secure module is gone; attach it again")]
    Gone,
    /// The module did not answer in time. Whether it carried the operation out isn't known.
    #[error("the secure module did not answer in time; check the line to it")]
    Timeout,
    /// The module started anew during the operation. Whether it carried the operation out isn't known.
    #[error("the secure module restarted during the operation; start again from its status")]
    Restarted,
    /// The module answered against the protocol.
    #[error("the secure module broke the protocol: {0}")]
    Protocol(String),
    /// The module has been tampered with and has wiped its keys.
    #[error("the secure module has been tampered with and wiped its keys; have it serviced")]
    Tampered,
    /// The module failed a self-test, and uses no key.
    #[error("the secure module failed a self-test; start it anew, and have it serviced if it fails again")]
    Failed,
    /// There is no card in the slot.
    #[error("no card is in the slot")]
    NoCard,
    /// The card doesn't answer, or has no power.
    #[error("the card does not answer; power it on, or insert it again chip first")]
    CardMute,
    /// The key slot is empty.
    #[error("the key slot is empty; load the key first, working keys come with the sign-on")]
    NoKey,
    /// The key in the slot isn't for this use.
    #[error("the key in this slot is not for this use")]
    WrongUsage,
    /// A loaded key doesn't have the check value that came with it.
    #[error("the key does not have its check value; the host and the module have different master keys")]
    BadCheckValue,
    /// The module is busy with a PIN entry or another operation of this kind, or takes no more PINs for now.
    #[error("the secure module is busy with an entry, or takes no more PINs for now; wait half a minute")]
    Busy,
    /// The module's PIN pad is not there, or does not work. The rest of the module does.
    #[error("the PIN pad does not work; attach it again, and see that no other program has it")]
    PinPadBroken,
    /// The operation was cancelled.
    #[error("the operation was cancelled")]
    Cancelled,
    /// The module refused what it was handed.
    #[error("the secure module refused the request: {0}")]
    Invalid(String),
}
