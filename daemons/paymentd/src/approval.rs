//! A supervisor's approval: what is over a limit waits here, before anything else is done, where the owner's configuration
//! says so (`over_limit = "supervisor"`).
//!
//! What is over the limit for one card waits when the card is read; it stays in its slot meanwhile.
//!
//! The wait is a state of its own in the journal; the host knows nothing of it. It ends with the approval, or for good.

use std::future::Future;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;
use zbus::Variant;

use crate::desk::Ticket;
use crate::journal::JournalError;
use crate::teller::Teller;
use crate::transaction::{Card, Event, Outcome, State};

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
    if ticket.transaction().state != State::Approval {
        return Ok(None);
    }
    match decision(ticket, limit).await {
        Ok(by) => approve(teller, ticket, by).await.map(|()| None),
        Err(end) => Ok(Some(end)),
    }
}

/// What a card is over, and whether a supervisor may say more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OverCardLimit {
    pub(crate) limit: String,
    pub(crate) supervisor: bool,
}

/// Asks a supervisor about a card that is `over` its limit, or declines it. `left` ends the wait; returns how the transaction
/// ends where it may not go on. What the card says itself is to be told then.
pub(crate) async fn of_card(
    teller: &mut Teller,
    ticket: &Ticket,
    card: &Card,
    over: OverCardLimit,
    left: impl Future<Output = Event>,
) -> Result<Option<Event>, JournalError> {
    let OverCardLimit { limit, supervisor } = over;
    if !supervisor {
        return Ok(Some(Event::finished(Outcome::Declined, limit)));
    }
    ticket.ask_again();
    teller.record(ticket, &Event::OverCardLimit { limit, card: card.clone() }).await?;
    let decided = tokio::select! {
        biased;
        decided = decision(ticket, teller.approval_limit()) => decided,
        end = left => Err(end),
    };
    match decided {
        Ok(by) => approve(teller, ticket, by).await.map(|()| None),
        Err(end) => Ok(Some(end)),
    }
}

async fn approve(teller: &mut Teller, ticket: &Ticket, by: String) -> Result<(), JournalError> {
    log::info!(id = ticket.transaction().id; "{by} approved what is over a limit");
    teller.record(ticket, &Event::SupervisorApproved { by }).await
}

/// Waits for a supervisor: who approved it, or how it ends.
async fn decision(ticket: &Ticket, limit: Duration) -> Result<String, Event> {
    let over_limit = Variant::from(ticket.transaction().over_limit.unwrap_or_default());
    let details = over_limit.try_into_owned().map(|value| ("over_limit".to_string(), value));
    ticket.progress("approval", details.into_iter().collect()).await;
    let decision = tokio::select! {
        biased;
        decision = timeout(limit, ticket.decided()) => decision,
        () = ticket.cancelled() => return Err(Event::finished(Outcome::Cancelled, ticket.why_cancelled())),
    };
    let reason = match decision {
        Ok(Some(Decision::Approved { by })) => return Ok(by),
        Ok(Some(Decision::Denied { by, reason })) if reason.is_empty() => format!("{by} denied it"),
        Ok(Some(Decision::Denied { by, reason })) => format!("{by} denied it: {reason}"),
        Ok(None) | Err(_) => format!("no supervisor approved it in {} s", limit.as_secs()),
    };
    Err(Event::finished(Outcome::Declined, reason))
}
