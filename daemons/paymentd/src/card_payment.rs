//! One transaction by card, step by step. What is durable before what is sent is said in `transaction.rs`.

use std::future::Future;

use jiff::Zoned;

use crate::approval;
use crate::card::{CardEnd, CardEvent, CardSession, Way};
use crate::desk::Ticket;
use crate::host::{HostAnswer, HostError, OnlineCard};
use crate::journal::JournalError;
use crate::services::Class;
use crate::teller::Teller;
use crate::transaction::{Card, Event, Original, Outcome, Transaction};

/// What the card's part came to, up to the point of no return.
enum Begun {
    /// The card wants the host.
    Online(CardSession, Box<OnlineCard>),
    /// The card wants the host, which can't be reached.
    Unreachable(CardSession, HostError),
    /// Card and terminal approved it without the host.
    Offline(Box<CardEnd>),
}

/// Runs the transaction to its end, and returns that; `None` where it has ended already, approved offline. An error is the
/// journal's: nothing may go on without it.
pub(crate) async fn run(teller: &mut Teller, ticket: &Ticket) -> Result<Option<Event>, JournalError> {
    let offline = teller.may_go_offline(&ticket.transaction()).await;
    match begin(teller, ticket, offline).await {
        Ok(Begun::Online(mut session, card)) => {
            match over_card_limit(teller, ticket, &mut session, &card.card).await? {
                None => online(teller, ticket, session, *card, offline).await,
                end => Ok(end),
            }
        }
        Ok(Begun::Unreachable(mut session, error)) => {
            without_host(teller, ticket, &mut session, &error, offline).await
        }
        Ok(Begun::Offline(end)) => teller.take_offline(ticket, *end).await,
        Err(end) => Ok(Some(end)),
    }
}

/// Up to the point of no return: gets the host and the card ready. Until here the caller can call it off.
/// `offline`: it may be approved without the host.
async fn begin(teller: &mut Teller, ticket: &Ticket, offline: bool) -> Result<Begun, Event> {
    let failed = |reason: String| Event::finished(Outcome::Failed, reason);
    let transaction = ticket.transaction();
    ticket.progress("preparing", Default::default()).await;
    let mut unreachable = unless_cancelled(ticket, teller.prepare()).await?.err();
    if let Some(error) = unreachable.as_ref().filter(|_| !offline) {
        return Err(failed(error.to_string()));
    }
    let service = teller.host().described(&transaction).map_err(|error| failed(error.to_string()))?;
    let when = Zoned::now().strftime("%y%m%d%H%M%S").to_string();
    let (dukpt, security_code) = (teller.host().wants_dukpt(), teller.host().wants_security_code());
    let scripts = teller.host().wants_scripts();
    let stripe = teller.host().takes_stripe(&transaction);
    let way = Way { service, offline, stripe, dukpt, security_code, scripts };
    let started = CardSession::start(teller.system_bus(), teller.card(), &transaction, way, &when).await;
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
            index = ticket.chosen() => {
                session.choose_application(index).await;
                continue;
            }
        };
        match event {
            CardEvent::Progress(step, details) => ticket.progress(&step, details).await,
            CardEvent::Choice(names, details) => ticket.offer(names, details).await,
            CardEvent::Online(card) if !cancelling => {
                return match why_not(&transaction, &card.card) {
                    None => Ok(match unreachable.take() {
                        None => Begun::Online(session, card),
                        Some(error) => Begun::Unreachable(session, error),
                    }),
                    Some(reason) => Err(not_this_card(&mut session, reason).await),
                };
            }
            CardEvent::Online(_) => {}
            CardEvent::Completed(end) if offline && !cancelling && end.outcome == "approved" => {
                return Ok(Begun::Offline(end));
            }
            CardEvent::Completed(end) => return Err(ended_without_host(*end, cancelling)),
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
fn why_not(transaction: &Transaction, card: &Card) -> Option<String> {
    let another = transaction.original.as_ref().is_some_and(|original| !is_same_card(original, card));
    another.then(|| "this is not the card of the original transaction; begin again with that one".to_string())
}

/// Whether the limits for one card, or a supervisor, let it go on; if not, how it ends. The card waits for it.
async fn over_card_limit(
    teller: &mut Teller,
    ticket: &Ticket,
    session: &mut CardSession,
    card: &Card,
) -> Result<Option<Event>, JournalError> {
    let over = match teller.over_card_limit(&ticket.transaction(), card).await {
        Ok(None) => return Ok(None),
        Ok(Some(over)) => over,
        // A journal that can't be read is no reason to go on.
        Err(error) => return Ok(Some(not_this_card(session, error.to_string()).await)),
    };
    let mut left = false;
    let gone = async {
        let end = session.until_end().await;
        left = true;
        let reason = end.map_or("the secure card module went away".to_string(), |end| end.reason);
        Event::finished(Outcome::Failed, reason)
    };
    let end = approval::of_card(teller, ticket, card, over, gone).await?;
    Ok(match end {
        Some(end) if !left => Some(end.with_card(without_host_card(session).await)),
        end => end,
    })
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
fn ended_without_host(end: CardEnd, cancelling: bool) -> Event {
    let (outcome, reason) = match end.outcome.as_str() {
        // The card was faster, and nobody has acted on what it said.
        "approved" if cancelling => (Outcome::Cancelled, "called off as the card approved it".to_string()),
        "declined" => (Outcome::Declined, end.reason),
        "cancelled" => (Outcome::Cancelled, end.reason),
        // What this terminal could not tell the host of is not sold.
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
    offline: bool,
) -> Result<Option<Event>, JournalError> {
    ticket.progress("connecting", Default::default()).await;
    let mut link = match unless_cancelled(ticket, teller.connect()).await {
        Ok(Ok(link)) => link,
        Ok(Err(error)) => return without_host(teller, ticket, &mut session, &error, offline).await,
        Err(end) => {
            session.cancel().await;
            session.end().await;
            return Ok(Some(end));
        }
    };
    if let Err(error) = teller.host().check(&ticket.transaction(), &card) {
        return without_host(teller, ticket, &mut session, &error, false).await;
    }
    // The point of no return: durable before the first byte leaves.
    teller.authorize(ticket, &card).await?;
    ticket.progress("host", Default::default()).await;
    Ok(Some(match teller.host_mut().ask(&mut link, &ticket.transaction(), &card).await {
        Ok(answer) if answer.approved() => approved(teller, ticket, session, answer).await?,
        Ok(answer) => declined(&mut session, answer).await,
        Err(error) => {
            log::warn!(stan = ticket.transaction().stan; "what the host did is unknown: {error}");
            // The card is told that nobody answered; whatever it says, the transaction does not stand.
            let card = without_host_card(&mut session).await;
            let reversal = teller.host().reversal_reason(&error);
            does_not_stand(ticket, error.to_string(), card, reversal)
        }
    }))
}

/// How a transaction ends that the host may hold as approved, and the terminal does not.
pub(crate) fn does_not_stand(ticket: &Ticket, reason: String, card: Option<Card>, reversal: &str) -> Event {
    let (outcome, reversal) = match ticket.transaction().service().class() {
        Class::Money => (Outcome::Reversed, Some(reversal.to_string())),
        _ => (Outcome::Failed, None),
    };
    Event::Finished { outcome, reason, card, answer: None, reversal }
}

/// The host could not be reached, and knows nothing of the ticket: card and terminal decide, where that is `offline`.
async fn without_host(
    teller: &mut Teller,
    ticket: &Ticket,
    session: &mut CardSession,
    error: &HostError,
    offline: bool,
) -> Result<Option<Event>, JournalError> {
    let offline = offline && teller.host().offline().is_some_and(|offline| offline.unreachable);
    let (outcome, reason) = (Outcome::Failed, error.to_string());
    let card = match unable_to_go_online(session).await {
        Some(end) if offline && end.outcome == "approved" => return teller.take_offline(ticket, end).await,
        end => end.map(|end| end.card),
    };
    Ok(Some(Event::Finished { outcome, reason, card, answer: None, reversal: None }))
}

/// The card's last word, which does not count.
async fn without_host_card(session: &mut CardSession) -> Option<Card> {
    unable_to_go_online(session).await.map(|end| end.card)
}

async fn unable_to_go_online(session: &mut CardSession) -> Option<CardEnd> {
    if let Err(error) = session.unable_to_go_online().await {
        log::warn!("the card daemon: {error}");
        return None;
    }
    session.end().await
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
        Some(end) if end.outcome == "approved" => {
            let mut card = end.card;
            if teller.host().wants_certificate_of(&ticket.transaction(), &card.tvr) {
                card.certificate = hex::encode(&end.chip_data);
            }
            let (outcome, reason) = (Outcome::Approved, String::new());
            Event::Finished { outcome, reason, card: Some(card), answer: None, reversal: None }
        }
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
