//! What the host gets of a batch besides its sums: the cards' transaction certificates where it wants them, and where its sums are
//! others the rest of the transactions; then a message that this is all.

use std::collections::HashMap;

use service::options::Dictionary;
use zbus::{OwnedVariant, Variant};

use super::conversation::{Asked, Conversation};
use crate::desk::Ticket;
use crate::journal::JournalError;
use crate::transaction::{Event, Outcome};

/// So many certificates that the host does not answer, and it gets no more of them.
const MOST_UNANSWERED: usize = 3;

/// What became of a part of the upload.
enum Done {
    /// The host has it.
    Yes,
    /// The host refuses it with this code.
    Refused(String),
    /// The daemon stops before that is known.
    Stopping,
}

/// Uploads what has to be, and tells how the settlement ends; `None` where the daemon stops before.
pub(super) async fn run(host: &mut Conversation<'_>, ticket: &Ticket) -> Result<Option<Event>, JournalError> {
    let balanced = ticket.transaction().answer.balanced == Some(true);
    let certificates =
        host.teller().host().settlement().is_ok_and(|settlement| settlement.certificates.is_some());
    if balanced && !certificates {
        return Ok(Some(Event::finished(Outcome::Approved, "")));
    }
    ticket.progress("upload", Default::default()).await;
    let mut done = Done::Yes;
    // The groups have what came by no certificate: once the first is there, that stays as it is.
    if certificates && ticket.transaction().uploaded.is_none() {
        done = hand_certificates(host, ticket).await?;
    }
    if matches!(done, Done::Yes) && !balanced {
        done = upload(host, ticket).await?;
    }
    Ok(match done {
        Done::Yes if balanced => end_balanced(host, ticket).await?,
        Done::Yes => end(host, ticket).await?,
        Done::Refused(code) => Some(refused(&code)),
        Done::Stopping => None,
    })
}

/// Hands the host the certificates that it has not got yet, one by one. No money moves by them: one that it refuses, or never answers,
/// holds nothing up.
async fn hand_certificates(host: &mut Conversation<'_>, ticket: &Ticket) -> Result<Done, JournalError> {
    let batch = ticket.transaction().batch;
    let total = host.teller().journal().count_certificates(batch).await?;
    let (mut handed, mut unanswered) = (0_u32, 0_usize);
    loop {
        let after = ticket.transaction().certificates.map_or(0, |sent| sent.last);
        let Some(sale) = host.teller().journal().next_certificate(batch, after).await? else {
            return Ok(Done::Yes);
        };
        ticket.progress("upload", progress(handed, total)).await;
        let closing = ticket.transaction();
        let asked = host.a_few_times(async |host, link| host.send_certificate(link, &closing, &sale).await);
        let code = match asked.await? {
            Asked::Answered(code) => code,
            Asked::Unanswered => {
                unanswered = unanswered.saturating_add(1);
                String::new()
            }
            Asked::Stopping => return Ok(Done::Stopping),
        };
        if code != "00" {
            log::error!(stan = sale.stan; "the host does not take a transaction certificate: code `{code}`");
        }
        host.teller().record(ticket, &Event::CertificateSent { of: sale.id, code }).await?;
        handed = handed.saturating_add(1);
        if unanswered == MOST_UNANSWERED {
            log::error!("the host does not answer transaction certificates: it gets no more of this batch");
            return Ok(Done::Yes);
        }
    }
}

/// Sends the transactions that the host has not taken yet, group by group.
async fn upload(host: &mut Conversation<'_>, ticket: &Ticket) -> Result<Done, JournalError> {
    let batch = ticket.transaction().batch;
    // Without this the batch could not have been closed at the host: the profile was changed under us.
    let group = host.teller().host().settlement().map_or(1, |settlement| settlement.group).clamp(1, 99);
    loop {
        let closing = ticket.transaction();
        let sent = closing.uploaded.unwrap_or_default();
        let handed = closing.certificates.clone().unwrap_or_default();
        let entries = host.teller().journal().batch_entries(batch, &handed, sent, group).await?;
        if entries.is_empty() {
            return Ok(Done::Yes);
        }
        let asked = host.until_answered(async |host, link| host.upload(link, &closing, &entries).await);
        let Some(code) = asked.await? else { return Ok(Done::Stopping) };
        if code != "00" {
            return Ok(Done::Refused(code));
        }
        let transactions = sent.saturating_add(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        host.teller().record(ticket, &Event::Uploaded { transactions }).await?;
    }
}

/// Tells the host that it has all, which closes the batch.
async fn end(host: &mut Conversation<'_>, ticket: &Ticket) -> Result<Option<Event>, JournalError> {
    let closing = ticket.transaction();
    let asked = host.until_answered(async |host, link| host.end_upload(link, &closing).await).await?;
    Ok(asked.map(|code| match code.as_str() {
        "00" => Event::finished(Outcome::Approved, "the host's sums were others; the batch was uploaded"),
        code => refused(code),
    }))
}

/// Tells the host that it has all of a batch that it has closed with its verdict: nothing hangs on this any more.
async fn end_balanced(host: &mut Conversation<'_>, ticket: &Ticket) -> Result<Option<Event>, JournalError> {
    let closing = ticket.transaction();
    let asked = host.a_few_times(async |host, link| host.end_upload(link, &closing).await).await?;
    let reason = match asked {
        Asked::Answered(code) if code == "00" => String::new(),
        Asked::Answered(code) => format!("the host refused the end of the upload with code {code}"),
        Asked::Unanswered => "the host did not answer the end of the upload".to_string(),
        Asked::Stopping => return Ok(None),
    };
    if !reason.is_empty() {
        log::error!("the batch is closed, and {reason}");
    }
    Ok(Some(Event::finished(Outcome::Approved, reason)))
}

fn refused(code: &str) -> Event {
    let reason = format!("the host refused the upload with code {code}; the batch stays open");
    Event::finished(Outcome::Declined, reason)
}

fn progress(done: u32, total: u32) -> Dictionary {
    let count = |count: u32| OwnedVariant::try_from(Variant::from(count)).ok();
    let counts = HashMap::from([("done", count(done)), ("total", count(total))]);
    counts.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))).collect()
}
