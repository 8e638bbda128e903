//! Closing the batch, step by step: its totals are durable before the host is told of them, the host's verdict before the
//! upload, what the host took of that before the next message, and the end opens the next batch. From the first message on nothing
//! else goes online, and each that money hangs on is sent again until it is answered, also after a restart: the host answers the
//! same batch the same way.

mod conversation;
mod upload;

use conversation::Conversation;

use crate::desk::Ticket;
use crate::host::HostError;
use crate::journal::JournalError;
use crate::teller::Teller;
use crate::transaction::{Answer, Event, Outcome, State};

/// Closes the batch, or goes on with that; `None` where the daemon stops before it is done.
pub(crate) async fn run(teller: &mut Teller, ticket: &Ticket) -> Result<Option<Event>, JournalError> {
    if ticket.transaction().state == State::Created {
        if let Err(end) = begin(teller, ticket).await {
            return Ok(Some(end));
        }
        if let Err(error) = teller.end_returns().await? {
            let reason = format!("a refund of this batch is not decided yet; settle again later: {error}");
            return Ok(Some(Event::finished(Outcome::Failed, reason)));
        }
        teller.authorize_settlement(ticket).await?;
    }
    let mut host = Conversation::new(teller);
    if ticket.transaction().state == State::Authorizing {
        ticket.progress("host", Default::default()).await;
        let asked = host.until_answered(async |host, link| host.reconcile(link, &ticket.transaction()).await);
        let Some(answer) = asked.await? else { return Ok(None) };
        if let Some(end) = refused(&answer) {
            return Ok(Some(end));
        }
        host.teller().record(ticket, &Event::Answered { answer }).await?;
    }
    upload::run(&mut host, ticket).await
}

/// Reversals that are owed come first: what they undo is not for the sums.
async fn begin(teller: &mut Teller, ticket: &Ticket) -> Result<(), Event> {
    ticket.progress("preparing", Default::default()).await;
    let failed = |error: HostError| Event::finished(Outcome::Failed, error.to_string());
    teller.host().settlement().map_err(failed)?;
    tokio::select! {
        ready = teller.prepare() => ready.map_err(failed),
        () = ticket.cancelled() => Err(Event::finished(Outcome::Cancelled, ticket.why_cancelled())),
    }
}

/// The host did not reconcile: the batch stays open.
fn refused(answer: &Answer) -> Option<Event> {
    let reason = match answer.balanced {
        Some(_) => return None,
        None if answer.code == "00" => {
            "the host could not reconcile the batch; settle again later".to_string()
        }
        None => format!("the host refused the settlement with code {}; the batch stays open", answer.code),
    };
    let (outcome, answer) = (Outcome::Declined, Some(answer.clone()));
    Some(Event::Finished { outcome, reason, card: None, answer, reversal: None })
}
