//! What can go wrong, in words that say what to do.

use std::io;
use std::path::Path;

use zbus::DBusError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A file, or stdout.
    #[error("{0}")]
    File(String),
    /// The bus of the daemons.
    #[error(
        "the bus at {address} can't be used: {reason}\n\
         On a terminal this is the system bus. With a virtual terminal, first read its env file (`. run/terminal.env`)."
    )]
    NoBus {
        /// Where it should be.
        address: String,
        /// What went wrong there.
        reason: String,
    },
    /// A service said no; the text is its own, with a hint where we have one.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// What the system said about `path`.
    pub(crate) fn file(path: &Path, error: io::Error) -> Error {
        Error::File(format!("{}: {error}", path.display()))
    }

    /// 2 for a wrong command line, 3 for all else.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            _ => 3,
        }
    }
}

impl From<zbus::Error> for Error {
    fn from(error: zbus::Error) -> Error {
        Error::Refused(match &error {
            zbus::Error::MethodError(name, detail, _) => {
                in_words(name.as_str(), detail.as_deref().unwrap_or_default())
            }
            // The names of the bus itself.
            zbus::Error::FDO(error) => {
                in_words(error.name().as_str(), error.description().unwrap_or_default())
            }
            other => other.to_string(),
        })
    }
}

/// What a D-Bus error means to who typed the command.
fn in_words(name: &str, detail: &str) -> String {
    let hint = match name
        .strip_prefix("org.smartpos.Error.")
        .or(name.strip_prefix("org.freedesktop.DBus.Error."))
    {
        Some("ServiceUnknown" | "NameHasNoOwner") => {
            "the service is not running; `posctl status` shows which are, their logs say why"
        }
        Some("NoReply" | "Timeout" | "TimedOut") => {
            "no answer in time; `posctl list` tells what has become of it"
        }
        Some("AccessDenied" | "NotPermitted") => "the caller must be root or in the group smartpos-operator",
        Some("Busy") => "something else is going on at the terminal; try again when it is done",
        Some("Throttled") => "too much at once; let something end first",
        Some("DeviceGone") => "look at `posctl status` and at the cable",
        Some("NotFound") => "`posctl list` shows the keys that there are",
        Some("Internal") => "the log of the service says more",
        _ => "",
    };
    let short = name.rsplit('.').next().unwrap_or(name);
    match hint {
        "" => format!("{short}: {detail}"),
        hint => format!("{short}: {detail}\n{hint}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_the_services_words_and_adds_what_to_do() {
        let text = in_words("org.smartpos.Error.NotFound", "no transaction has the key x");
        assert!(text.contains("no transaction has the key x") && text.contains("posctl list"), "{text}");
        assert_eq!(
            in_words("org.smartpos.Error.InvalidArgument", "amount: too low"),
            "InvalidArgument: amount: too low"
        );
    }

    #[test]
    fn a_service_that_is_not_there_is_named_with_what_to_do() {
        let missing = zbus::fdo::Error::ServiceUnknown("no org.smartpos.Payment".to_owned());
        let text = Error::from(zbus::Error::from(missing)).to_string();
        assert!(text.contains("no org.smartpos.Payment") && text.contains("not running"), "{text}");
    }
}
