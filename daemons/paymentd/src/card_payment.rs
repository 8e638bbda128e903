//! One transaction by card, step by step. What is durable before what is sent is said in `transaction.rs`.

use std::future::Future;

use jiff::Zoned;

use crate::card::{CardEnd, CardEvent, CardSession};
use crate::desk::Ticket;
use crate::host::{HostAnswer, HostError, OnlineCard};
use crate::journal::JournalError;
use crate::services::Class;
use crate::teller::Teller;
use crate::transaction::{Card, Event, Original, Outcome, Transaction};

/// Runs the transaction to its end, and returns that. An error is the journal's: nothing may go on without it.
pub(crate) async fn run(teller: &mut Teller, ticket: &Ticket) -> Result<Event, JournalError> {
    match begin(teller, ticket).await {
        Ok((session, card)) => online(teller, ticket, session, *card).await,
        Err(end) => Ok(end),
    }
}

/// Up to the point of no return: gets the host and the card ready. Until here the caller can call it off.
async fn begin(teller: &mut Teller, ticket: &Ticket) -> Result<(CardSession, Box<OnlineCard>), Event> {
    let failed = |reason: String| Event::finished(Outcome::Failed, reason);
    let transaction = ticket.transaction();
    ticket.progress("preparing", Default::default()).await;
    unless_cancelled(ticket, teller.prepare()).await?.map_err(|error| failed(error.to_string()))?;
    let service = teller.host().described(&transaction).map_err(|error| failed(error.to_string()))?;
    let when = Zoned::now().strftime("%y%m%d%H%M%S").to_string();
    let started = CardSession::start(teller.system_bus(), teller.card(), &transaction, service, &when).await;
    let mut session = started.map_err(|error| failed(format!("the card daemon: {error}")))?;
    let mut cancelling = false;
    loop {
        let event = tokio::select! {
            event = session.next() => event,
            () = ticket.cancelled(), if !cancelling => {
                cancelling = true;
                session.cancel().await;
                continue;
            }
        };
        match event {
            CardEvent::Progress(step, details) => ticket.progress(&step, details).await,
            CardEvent::Online(card) if !cancelling => {
                return match why_not(teller, &transaction, &card.card).await {
                    None => Ok((session, card)),
                    Some(reason) => Err(not_this_card(&mut session, reason).await),
                };
            }
            CardEvent::Online(_) => {}
            CardEvent::Completed(end) => return Err(ended_without_host(end)),
            CardEvent::Gone if cancelling => {
                return Err(Event::finished(Outcome::Cancelled, ticket.why_cancelled()));
            }
            CardEvent::Gone => return Err(failed("the secure card module went away".to_string())),
        }
    }
}

/// By their tokens; by what is shown of their numbers where a module gives none.
fn is_same_card(original: &Original, card: &Card) -> bool {
    if original.token.is_empty() || card.token.is_empty() {
        return original.masked_pan == card.masked_pan;
    }
    original.token == card.token
}

/// Why the terminal does not go on with this card; `None` where it does.
async fn why_not(teller: &Teller, transaction: &Transaction, card: &Card) -> Option<String> {
    if transaction.original.as_ref().is_some_and(|original| !is_same_card(original, card)) {
        return Some(
            "this is not the card of the original transaction; begin again with that one".to_string(),
        );
    }
    // A journal that can't be read is no reason to go on.
    teller.over_card_limit(transaction, card).await.unwrap_or_else(|error| Some(error.to_string()))
}

/// The terminal declines the card; the host is not asked.
async fn not_this_card(session: &mut CardSession, reason: String) -> Event {
    let card = without_host_card(session).await;
    Event::Finished { outcome: Outcome::Declined, reason, card, answer: None, reversal: None }
}

pub(crate) async fn unless_cancelled<T>(ticket: &Ticket, work: impl Future<Output = T>) -> Result<T, Event> {
    tokio::select! {
        result = work => Ok(result),
        () = ticket.cancelled() => Err(Event::finished(Outcome::Cancelled, ticket.why_cancelled())),
    }
}

/// The card's part ended and the host was never asked.
fn ended_without_host(end: CardEnd) -> Event {
    let (outcome, reason) = match end.outcome.as_str() {
        "declined" => (Outcome::Declined, end.reason),
        "cancelled" => (Outcome::Cancelled, end.reason),
        // This terminal has no store-and-forward: what the host did not approve is not sold.
        "approved" => {
            (Outcome::Declined, "the card approved offline, which this terminal does not take".to_string())
        }
        _ => (Outcome::Failed, end.reason),
    };
    Event::Finished { outcome, reason, card: Some(end.card), answer: None, reversal: None }
}

/// From the connection to the host to the card's last word; returns how it ends.
async fn online(
    teller: &mut Teller,
    ticket: &Ticket,
    mut session: CardSession,
    card: OnlineCard,
) -> Result<Event, JournalError> {
    ticket.progress("connecting", Default::default()).await;
    let mut link = match unless_cancelled(ticket, teller.connect()).await {
        Ok(Ok(link)) => link,
        Ok(Err(error)) => return Ok(without_host(&mut session, &error).await),
        Err(end) => {
            session.cancel().await;
            session.end().await;
            return Ok(end);
        }
    };
    if let Err(error) = teller.host().check(&ticket.transaction(), &card) {
        return Ok(without_host(&mut session, &error).await);
    }
    // The point of no return: durable before the first byte leaves.
    teller.authorize(ticket, &card).await?;
    ticket.progress("host", Default::default()).await;
    match teller.host_mut().ask(&mut link, &ticket.transaction(), &card).await {
        Ok(answer) if answer.approved() => approved(teller, ticket, session, answer).await,
        Ok(answer) => Ok(declined(&mut session, answer).await),
        Err(error) => {
            log::warn!(stan = ticket.transaction().stan; "what the host did is unknown: {error}");
            // The card is told that nobody answered; whatever it says, the transaction does not stand.
            let card = without_host_card(&mut session).await;
            let reversal = teller.host().reversal_reason(&error);
            Ok(does_not_stand(ticket, error.to_string(), card, reversal))
        }
    }
}

/// How a transaction ends that the host may hold as approved, and the terminal does not.
pub(crate) fn does_not_stand(ticket: &Ticket, reason: String, card: Option<Card>, reversal: &str) -> Event {
    let (outcome, reversal) = match ticket.transaction().service().class() {
        Class::Money => (Outcome::Reversed, Some(reversal.to_string())),
        _ => (Outcome::Failed, None),
    };
    Event::Finished { outcome, reason, card, answer: None, reversal }
}

/// The host could not be reached, and knows nothing of the ticket.
async fn without_host(session: &mut CardSession, error: &HostError) -> Event {
    let card = without_host_card(session).await;
    Event::Finished {
        outcome: Outcome::Failed,
        reason: error.to_string(),
        card,
        answer: None,
        reversal: None,
    }
}

async fn without_host_card(session: &mut CardSession) -> Option<Card> {
    if let Err(error) = session.unable_to_go_online().await {
        log::warn!("the card daemon: {error}");
        return None;
    }
    session.end().await.map(|end| end.card)
}

/// The host refused; the card is told, and so is the journal.
async fn declined(session: &mut CardSession, answer: HostAnswer) -> Event {
    let card = match session.authorise(&answer.answer.code, &answer.issuer_data).await {
        Ok(()) => session.end().await.map(|end| end.card),
        Err(_) => None,
    };
    let reason = format!("the host declined with code {}", answer.answer.code);
    Event::Finished { outcome: Outcome::Declined, reason, card, answer: Some(answer.answer), reversal: None }
}

/// The host approved; the card has the last word.
async fn approved(
    teller: &mut Teller,
    ticket: &Ticket,
    mut session: CardSession,
    answer: HostAnswer,
) -> Result<Event, JournalError> {
    teller.record(ticket, &Event::Answered { answer: answer.answer.clone() }).await?;
    ticket.progress("finishing", Default::default()).await;
    let end = match session.authorise(&answer.answer.code, &answer.issuer_data).await {
        Ok(()) => session.end().await,
        Err(error) => {
            log::warn!("the card daemon: {error}");
            None
        }
    };
    let refused = teller.host().card_refused_reason();
    Ok(match end {
        Some(end) if end.outcome == "approved" => Event::Finished {
            outcome: Outcome::Approved,
            reason: String::new(),
            card: Some(end.card),
            answer: None,
            reversal: None,
        },
        Some(end) => {
            let reason = format!("the host approved and the card did not: {}", end.reason);
            does_not_stand(ticket, reason, Some(end.card), refused)
        }
        None => {
            let reason = "the secure card module went away before the card's last word".to_string();
            does_not_stand(ticket, reason, None, refused)
        }
    })
}
