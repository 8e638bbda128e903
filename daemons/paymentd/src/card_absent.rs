//! One transaction without the card, step by step: its original stands for it. What is durable before what is sent is said
//! in `transaction.rs`.

use crate::approval;
use crate::card_payment::{does_not_stand, unless_cancelled};
use crate::desk::Ticket;
use crate::host::{HostError, Link, OnlineCard};
use crate::journal::JournalError;
use crate::teller::Teller;
use crate::transaction::{Card, Event, Outcome};

/// Runs the transaction to its end, and returns that. An error is the journal's: nothing may go on without it.
pub(crate) async fn run(teller: &mut Teller, ticket: &Ticket) -> Result<Event, JournalError> {
    let card = OnlineCard { card: card_of_original(ticket), ..OnlineCard::default() };
    if let Some(over) = teller.over_card_limit(&ticket.transaction(), &card.card).await? {
        // There is no card that could leave.
        let never = std::future::pending();
        if let Some(end) = approval::of_card(teller, ticket, &card.card, over, never).await? {
            return Ok(end);
        }
    }
    let mut link = match begin(teller, ticket, &card).await {
        Ok(link) => link,
        Err(end) => return Ok(end),
    };
    // The point of no return: durable before the first byte leaves.
    teller.authorize(ticket, &card).await?;
    ticket.progress("host", Default::default()).await;
    match teller.host_mut().ask(&mut link, &ticket.transaction(), &card).await {
        Ok(answer) if answer.approved() => {
            teller.record(ticket, &Event::Answered { answer: answer.answer }).await?;
            Ok(Event::finished(Outcome::Approved, ""))
        }
        Ok(answer) => {
            let reason = format!("the host declined with code {}", answer.answer.code);
            let (outcome, answer) = (Outcome::Declined, Some(answer.answer));
            Ok(Event::Finished { outcome, reason, card: None, answer, reversal: None })
        }
        Err(error) => {
            log::warn!(stan = ticket.transaction().stan; "what the host did is unknown: {error}");
            let reversal = teller.host().reversal_reason(&error);
            Ok(does_not_stand(ticket, error.to_string(), None, reversal))
        }
    }
}

/// Up to the point of no return. Until here the caller can call it off.
async fn begin(teller: &mut Teller, ticket: &Ticket, card: &OnlineCard) -> Result<Link, Event> {
    let failed = |error: HostError| Event::finished(Outcome::Failed, error.to_string());
    let transaction = ticket.transaction();
    ticket.progress("preparing", Default::default()).await;
    unless_cancelled(ticket, teller.prepare()).await?.map_err(failed)?;
    ticket.progress("connecting", Default::default()).await;
    let link = unless_cancelled(ticket, teller.connect()).await?.map_err(failed)?;
    teller.host().check(&transaction, card).map_err(failed)?;
    Ok(link)
}

fn card_of_original(ticket: &Ticket) -> Card {
    let original = ticket.transaction().original;
    original.map_or_else(Card::default, |original| Card {
        masked_pan: original.masked_pan,
        token: original.token,
        ..Card::default()
    })
}
