//! Closing the batch, step by step: its totals are durable before the host is told of them, the host's verdict before the
//! upload, each group and each certificate that the host took before the next, and the end opens the next batch. From the first message on nothing else goes online, and each is sent again
//! until it is answered, also after a restart: the host answers the same batch the same way.

use crate::desk::Ticket;
use crate::host::{HostError, Link};
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
    if ticket.transaction().state == State::Authorizing {
        ticket.progress("host", Default::default()).await;
        let Some(answer) = until_answered(teller, async |teller, link| {
            teller.host_mut().reconcile(link, &ticket.transaction()).await
        })
        .await?
        else {
            return Ok(None);
        };
        if let Some(end) = refused(&answer) {
            return Ok(Some(end));
        }
        teller.record(ticket, &Event::Answered { answer }).await?;
    }
    let balanced = ticket.transaction().answer.balanced == Some(true);
    let certificates = teller.host().settlement().is_ok_and(|settlement| settlement.certificates.is_some());
    if balanced && !certificates {
        return Ok(Some(Event::finished(Outcome::Approved, "")));
    }
    ticket.progress("upload", Default::default()).await;
    let mut done = Done::Yes;
    if !balanced {
        done = upload(teller, ticket).await?;
    }
    if matches!(done, Done::Yes) && certificates {
        done = hand_certificates(teller, ticket).await?;
    }
    match done {
        Done::Yes => end(teller, ticket, balanced).await,
        Done::Refused(end) => Ok(Some(end)),
        Done::Stopping => Ok(None),
    }
}

/// What became of a part of the upload.
enum Done {
    /// The host has it.
    Yes,
    /// The host does not take it, and the settlement ends so.
    Refused(Event),
    /// The daemon stops before that is known.
    Stopping,
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

/// Sends the transactions that the host has not taken yet, group by group.
async fn upload(teller: &mut Teller, ticket: &Ticket) -> Result<Done, JournalError> {
    let batch = ticket.transaction().batch;
    // Without this the batch could not have been closed at the host: the profile was changed under us.
    let group = teller.host().settlement().map_or(1, |settlement| settlement.group).clamp(1, 99);
    loop {
        let sent = ticket.transaction().uploaded.unwrap_or_default();
        let entries = teller.journal().batch_entries(batch, sent, group).await?;
        if entries.is_empty() {
            return Ok(Done::Yes);
        }
        let Some(code) = until_answered(teller, async |teller, link| {
            teller.host_mut().upload(link, &ticket.transaction(), &entries).await
        })
        .await?
        else {
            return Ok(Done::Stopping);
        };
        if code != "00" {
            return Ok(Done::Refused(upload_refused(&code)));
        }
        let transactions = sent.saturating_add(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        teller.record(ticket, &Event::Uploaded { transactions }).await?;
    }
}

/// Hands the host the certificates that it has not got yet, one by one. One that it refuses moves no money, and holds nothing up.
async fn hand_certificates(teller: &mut Teller, ticket: &Ticket) -> Result<Done, JournalError> {
    let batch = ticket.transaction().batch;
    loop {
        let after = ticket.transaction().certificates.unwrap_or_default().last;
        let Some(sale) = teller.journal().next_certificate(batch, after).await? else {
            return Ok(Done::Yes);
        };
        let Some(code) = until_answered(teller, async |teller, link| {
            teller.host_mut().send_certificate(link, &ticket.transaction(), &sale).await
        })
        .await?
        else {
            return Ok(Done::Stopping);
        };
        if code != "00" {
            log::error!(stan = sale.stan; "the host refuses a transaction certificate with code {code}");
        }
        teller.record(ticket, &Event::CertificateSent { of: sale.id, code }).await?;
    }
}

/// Tells the host that it has all, and closes the batch.
async fn end(teller: &mut Teller, ticket: &Ticket, balanced: bool) -> Result<Option<Event>, JournalError> {
    let ended = async |teller: &mut Teller, link: &mut Link| {
        teller.host_mut().end_upload(link, &ticket.transaction()).await
    };
    Ok(until_answered(teller, ended).await?.map(|code| match code.as_str() {
        "00" if balanced => Event::finished(Outcome::Approved, ""),
        "00" => Event::finished(Outcome::Approved, "the host's sums were others; the batch was uploaded"),
        // The host has closed the batch with its verdict.
        code if balanced => {
            let reason = format!("the host refused the end of the upload with code {code}");
            log::error!("the batch is closed, and {reason}");
            Event::finished(Outcome::Approved, reason)
        }
        code => upload_refused(code),
    }))
}

fn upload_refused(code: &str) -> Event {
    Event::finished(
        Outcome::Declined,
        format!("the host refused the upload with code {code}; the batch stays open"),
    )
}

/// Asks again, with growing pauses, until the host answers; `None` when the daemon is to stop.
async fn until_answered<T>(
    teller: &mut Teller,
    ask: impl AsyncFn(&mut Teller, &mut Link) -> Result<T, HostError>,
) -> Result<Option<T>, JournalError> {
    let mut attempt = 0_usize;
    loop {
        let asked = match connected(teller).await {
            Ok(mut link) => ask(teller, &mut link).await,
            Err(error) => Err(error),
        };
        match asked {
            Ok(answer) => return Ok(Some(answer)),
            Err(HostError::Journal(error)) => return Err(error),
            Err(error) => log::warn!("the settlement is still to be answered: {error}"),
        }
        attempt = attempt.saturating_add(1);
        if !teller.pause(teller.host().reversal_delay(attempt)).await {
            return Ok(None);
        }
    }
}

async fn connected(teller: &mut Teller) -> Result<Link, HostError> {
    teller.prepare().await?;
    teller.connect().await
}
