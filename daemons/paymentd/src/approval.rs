//! A supervisor's approval: what is over a limit waits here, before anything else is done, where the owner's configuration
//! says so (`over_limit = "supervisor"`).
//!
//! The wait is a state of its own in the journal; the host knows nothing of it. It ends with the approval, or for good.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;
use zbus::Variant;

use crate::desk::Ticket;
use crate::journal::JournalError;
use crate::teller::Teller;
use crate::transaction::{Event, Outcome, State};

/// `[approval]` of `paymentd.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Approval {
    /// How long to wait for a supervisor, in seconds.
    pub(crate) timeout_s: u16,
}

impl Default for Approval {
    fn default() -> Approval {
        Approval { timeout_s: 120 }
    }
}

/// What a supervisor said; `by` is who that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Approved { by: String },
    Denied { by: String, reason: String },
}

/// Waits for a supervisor, if `ticket` has to; returns how it ends where it may not go on.
pub(crate) async fn wait(
    teller: &mut Teller,
    ticket: &Ticket,
    limit: Duration,
) -> Result<Option<Event>, JournalError> {
    let transaction = ticket.transaction();
    if transaction.state != State::Approval {
        return Ok(None);
    }
    let over_limit = Variant::from(transaction.over_limit.unwrap_or_default());
    let details = over_limit.try_into_owned().map(|value| ("over_limit".to_string(), value));
    ticket.progress("approval", details.into_iter().collect()).await;
    let decision = tokio::select! {
        biased;
        decision = timeout(limit, ticket.decided()) => decision,
        () = ticket.cancelled() => {
            return Ok(Some(Event::finished(Outcome::Cancelled, ticket.why_cancelled())));
        }
    };
    let reason = match decision {
        Ok(Some(Decision::Approved { by })) => {
            log::info!(id = transaction.id; "{by} approved what is over a limit");
            teller.record(ticket, &Event::SupervisorApproved { by }).await?;
            return Ok(None);
        }
        Ok(Some(Decision::Denied { by, reason })) if reason.is_empty() => format!("{by} denied it"),
        Ok(Some(Decision::Denied { by, reason })) => format!("{by} denied it: {reason}"),
        Ok(None) | Err(_) => format!("no supervisor approved it in {} s", limit.as_secs()),
    };
    Ok(Some(Event::finished(Outcome::Declined, reason)))
}
