//! Store-and-forward: what has become of the advice (ISO 8583:1987, 0220) of a sale that was approved offline.
//!
//! The sale is final when it is approved. Its advice is `stored` until it may have left the terminal, `sent` from then on, and
//! repeated until the host has answered; a void of a sale that is only stored withdraws it, and the host never hears of either.

use serde::{Deserialize, Serialize};

use super::{Answer, Event, Transaction};
use crate::services::Service;

/// What has become of an advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Advice {
    /// The host knows nothing of it.
    Stored,
    /// The host may know.
    Sent,
    /// The host has booked it.
    Acknowledged,
    /// The host does not pay.
    Refused,
    /// The sale was voided first.
    Withdrawn,
}

impl Advice {
    /// The word that the API and the journal use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Advice::Stored => "stored",
            Advice::Sent => "sent",
            Advice::Acknowledged => "acknowledged",
            Advice::Refused => "refused",
            Advice::Withdrawn => "withdrawn",
        }
    }

    /// What the host holds of the sale.
    pub(super) fn at_host(self) -> &'static str {
        match self {
            Advice::Stored | Advice::Withdrawn => "none",
            Advice::Sent => "unknown",
            Advice::Acknowledged => "approved",
            Advice::Refused => "declined",
        }
    }
}

impl Event {
    /// The host's answer to an advice; `Err` says why it does not pay.
    pub(crate) fn advised(answer: Result<Answer, String>) -> Event {
        match answer {
            Ok(answer) => Event::AdviceAcknowledged { answer },
            Err(reason) => Event::AdviceRefused { reason },
        }
    }
}

impl Transaction {
    /// Whether `event`, where it is one of store-and-forward, fits what has become of the advice.
    pub(super) fn advice_allows(&self, event: &Event) -> bool {
        match event {
            Event::ApprovedOffline { .. } => self.service() == Service::Sale,
            Event::AdviceSent | Event::AdviceWithdrawn { .. } => self.advice == Some(Advice::Stored),
            Event::AdviceAcknowledged { .. } | Event::AdviceRefused { .. } => {
                self.advice == Some(Advice::Sent)
            }
            _ => true,
        }
    }
}
