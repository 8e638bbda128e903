//! The error names that the D-Bus API publishes: `org.smartpos.Error.*`.
//!
//! Errors are names, never codes in return values. The message says what was wrong and what to do.

use zbus::DBusError;

/// What a method answers when it can't do what was asked.
#[derive(Debug, Clone, PartialEq, DBusError)]
#[zbus(prefix = "org.smartpos.Error")]
pub enum Error {
    /// Something that is not ours to name went wrong on the bus.
    #[zbus(error)]
    Bus(zbus::Error),
    /// An argument or an option is malformed, unknown, or contradicts an earlier call; the message names it.
    InvalidArgument(String),
    /// The caller's grants do not include this.
    NotPermitted(String),
    /// The caller has too many calls or objects open; end some first.
    Throttled(String),
    /// The device is at work for somebody; try again when it is done.
    Busy(String),
    /// No such object, key or entry that the caller may see.
    NotFound(String),
    /// The device is not claimed, or not any more; the message says why. Claim it again.
    NotClaimed(String),
    /// The object is past the point where this can be asked of it.
    WrongState(String),
    /// The terminal, or its acquirer, does not offer this.
    NotSupported(String),
    /// A limit that the terminal's owner set forbids this; the message names the limit and what is left of it.
    LimitExceeded(String),
    /// The hardware behind this is absent, or went away in the middle.
    DeviceGone(String),
    /// A peer did not answer in its time.
    Timeout(String),
    /// The daemon could not do its own work (a full disk, a broken file); its log says more.
    Internal(String),
}

/// What a method of the API returns.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An [`Error::InvalidArgument`] for the argument or option `name`.
    pub fn invalid(name: &str, problem: impl std::fmt::Display) -> Error {
        Error::InvalidArgument(format!("{name}: {problem}"))
    }

    /// An [`Error::Internal`]: `doing` says what did not work. The cause is for the log, not for an app.
    pub fn internal(doing: &str, error: impl std::fmt::Display) -> Error {
        log::error!("{doing}: {error}");
        Error::Internal(format!("{doing}; the log of the terminal says why"))
    }
}

/// Property getters can only fail with the standard's own errors.
impl From<Error> for zbus::fdo::Error {
    fn from(error: Error) -> zbus::fdo::Error {
        let text = error.to_string();
        match error {
            Error::NotPermitted(_) => zbus::fdo::Error::AccessDenied(text),
            Error::Throttled(_) => zbus::fdo::Error::LimitsExceeded(text),
            Error::NotFound(_) => zbus::fdo::Error::UnknownObject(text),
            _ => zbus::fdo::Error::Failed(text),
        }
    }
}
