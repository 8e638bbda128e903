//! Issuer scripts (EMV Book 3, 10.10) that a card has run: the host is told what became of them, until it has answered. It moves no
//! money, and holds nothing up.

use serde::{Deserialize, Serialize};

/// Whether the host was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Script {
    /// It is to be told, and told again until it answers.
    Pending,
    /// It knows.
    Acknowledged,
    /// It does not want to know.
    Refused,
}

impl Script {
    /// What the host's answer `code` (DE 39) makes of it.
    pub(super) fn answered(code: &str) -> Script {
        if code == "00" { Script::Acknowledged } else { Script::Refused }
    }

    /// The word that the API and the journal use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Script::Pending => "pending",
            Script::Acknowledged => "acknowledged",
            Script::Refused => "refused",
        }
    }
}
