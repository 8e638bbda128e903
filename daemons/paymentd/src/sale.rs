//! One sale, step by step. What is durable before what is sent is said in `transaction.rs`.

use std::future::Future;

use jiff::{Timestamp, Zoned};

use crate::card::{CardEnd, CardEvent, CardSession};
use crate::desk::Sale;
use crate::host::{HostError, Link, OnlineCard, SaleAnswer};
use crate::journal::JournalError;
use crate::teller::Teller;
use crate::transaction::{Event, Outcome, State};

/// Now, in milliseconds since 1970.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Runs `sale` to its end. An error is the journal's: nothing may go on without it.
pub(crate) async fn run(teller: &mut Teller, sale: &Sale) -> Result<(), JournalError> {
    let end = match begin(teller, sale).await {
        Ok((session, card)) => online(teller, sale, session, *card).await?,
        Err(end) => end,
    };
    teller.finish(sale, &end).await
}

/// An end before the host was asked.
fn early(outcome: Outcome, reason: impl Into<String>) -> Event {
    Event::Finished { outcome, reason: reason.into(), card: None, answer: None, reversal: None }
}

/// Up to the point of no return: gets the host and the card ready. Until here the caller can call it off.
async fn begin(teller: &mut Teller, sale: &Sale) -> Result<(CardSession, Box<OnlineCard>), Event> {
    let failed = |reason: String| early(Outcome::Failed, reason);
    sale.progress("preparing", Default::default()).await;
    unless_cancelled(sale, teller.prepare()).await?.map_err(|error| failed(error.to_string()))?;
    let when = Zoned::now().strftime("%y%m%d%H%M%S").to_string();
    let started = CardSession::start(teller.system_bus(), teller.card(), &sale.transaction(), &when).await;
    let mut session = started.map_err(|error| failed(format!("the card daemon: {error}")))?;
    let mut cancelling = false;
    loop {
        let event = tokio::select! {
            event = session.next() => event,
            () = sale.cancelled(), if !cancelling => {
                cancelling = true;
                session.cancel().await;
                continue;
            }
        };
        match event {
            CardEvent::Progress(step, details) => sale.progress(&step, details).await,
            CardEvent::Online(card) if !cancelling => return Ok((session, card)),
            CardEvent::Online(_) => {}
            CardEvent::Completed(end) => return Err(ended_without_host(end)),
            CardEvent::Gone if cancelling => return Err(early(Outcome::Cancelled, sale.why_cancelled())),
            CardEvent::Gone => return Err(failed("the secure card module went away".to_string())),
        }
    }
}

async fn unless_cancelled<T>(sale: &Sale, work: impl Future<Output = T>) -> Result<T, Event> {
    tokio::select! {
        result = work => Ok(result),
        () = sale.cancelled() => Err(early(Outcome::Cancelled, sale.why_cancelled())),
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

/// From the connection to the host to the card's last word; returns how the sale ends.
async fn online(
    teller: &mut Teller,
    sale: &Sale,
    mut session: CardSession,
    card: OnlineCard,
) -> Result<Event, JournalError> {
    sale.progress("connecting", Default::default()).await;
    let mut link = match unless_cancelled(sale, teller.host().connect()).await {
        Ok(Ok(link)) => link,
        Ok(Err(error)) => return Ok(without_host(&mut session, &error).await),
        Err(end) => {
            session.cancel().await;
            session.end().await;
            return Ok(end);
        }
    };
    if let Err(error) = teller.host().check(&sale.transaction(), &card) {
        return Ok(without_host(&mut session, &error).await);
    }
    // The point of no return: durable before the first byte leaves.
    teller.authorize(sale, &card).await?;
    sale.progress("host", Default::default()).await;
    let asked = ask_host(teller, sale, &mut link, &card).await;
    match asked {
        Ok(answer) if answer.approved() => approved(teller, sale, session, answer).await,
        Ok(answer) => Ok(declined(&mut session, answer).await),
        Err(error) => {
            log::warn!(stan = sale.transaction().stan; "the sale's outcome is unknown: {error}");
            // The card is told that nobody answered; whatever it says, the sale is taken back.
            let card = without_host_card(&mut session).await;
            let reversal = Some(teller.host().reversal_reason(&error).to_string());
            Ok(Event::Finished {
                outcome: Outcome::Reversed,
                reason: error.to_string(),
                card,
                answer: None,
                reversal,
            })
        }
    }
}

async fn ask_host(
    teller: &mut Teller,
    sale: &Sale,
    link: &mut Link,
    card: &OnlineCard,
) -> Result<SaleAnswer, HostError> {
    let transaction = sale.transaction();
    teller.host_mut().sale(link, &transaction, card).await
}

/// The host could not be reached, and knows nothing of the sale.
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

async fn without_host_card(session: &mut CardSession) -> Option<crate::transaction::Card> {
    if let Err(error) = session.unable_to_go_online().await {
        log::warn!("the card daemon: {error}");
        return None;
    }
    session.end().await.map(|end| end.card)
}

/// The host refused; the card is told, and so is the journal.
async fn declined(session: &mut CardSession, answer: SaleAnswer) -> Event {
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
    sale: &Sale,
    mut session: CardSession,
    answer: SaleAnswer,
) -> Result<Event, JournalError> {
    teller.record(sale, &Event::Answered { answer: answer.answer.clone() }).await?;
    sale.progress("finishing", Default::default()).await;
    let end = match session.authorise(&answer.answer.code, &answer.issuer_data).await {
        Ok(()) => session.end().await,
        Err(error) => {
            log::warn!("the card daemon: {error}");
            None
        }
    };
    let refused = teller.host().card_refused_reason().to_string();
    Ok(match end {
        Some(end) if end.outcome == "approved" => Event::Finished {
            outcome: Outcome::Approved,
            reason: String::new(),
            card: Some(end.card),
            answer: None,
            reversal: None,
        },
        Some(end) => Event::Finished {
            outcome: Outcome::Reversed,
            reason: format!("the host approved and the card did not: {}", end.reason),
            card: Some(end.card),
            answer: None,
            reversal: Some(refused),
        },
        None => Event::Finished {
            outcome: Outcome::Reversed,
            reason: "the secure card module went away before the card's last word".to_string(),
            card: None,
            answer: None,
            reversal: Some(refused),
        },
    })
}

/// Whether a sale in `state` can still be called off.
pub(crate) fn is_cancellable(state: State) -> bool {
    state == State::Created
}
