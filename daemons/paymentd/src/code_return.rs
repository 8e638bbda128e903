//! Money of a payment by code that goes back, whole (void) or in parts (refund). The gateway is asked under numbers that are
//! durable before, and again until it answers, also after a restart: it gives the same money back once. While it does not
//! answer, nothing else moves there, and the terminal does other work.

use gateway::message::RefundOutcome;

use crate::code_payment::{begin, clean};
use crate::desk::Ticket;
use crate::journal::JournalError;
use crate::qr_gateway::{Cancelled, GatewayError, QrGateway};
use crate::services::Service;
use crate::teller::Teller;
use crate::transaction::{Answer, Event, Outcome, Transaction};

/// Begins; returns the end, or `None` where the gateway has still to answer.
pub(crate) async fn run(teller: &mut Teller, ticket: &Ticket) -> Result<Option<Event>, JournalError> {
    if let Some(end) = begin(teller, ticket).await? {
        return Ok(Some(end));
    }
    if let Some(reason) = elsewhere(teller, &ticket.transaction()) {
        return Ok(Some(Event::finished(Outcome::Failed, reason)));
    }
    if ticket.is_cancelled() {
        return Ok(Some(Event::finished(Outcome::Cancelled, ticket.why_cancelled())));
    }
    teller.order(ticket).await?;
    ticket.progress("gateway", Default::default()).await;
    let Some(gateway) = teller.qr_gateway() else { return Ok(None) };
    Ok(match ask(gateway, &ticket.transaction(), true).await {
        Ok(end) => Some(end),
        Err(error) => {
            log::warn!(id = ticket.transaction().id; "the QR gateway has still to give money back: {error}");
            None
        }
    })
}

/// Why the gateway that is configured can't be asked for this order.
fn elsewhere(teller: &mut Teller, transaction: &Transaction) -> Option<String> {
    let order = transaction.original.as_ref().and_then(|original| original.order.as_ref())?;
    let known = teller.qr_gateway().is_some_and(|gateway| gateway.name() == order.gateway);
    (!known).then(|| GatewayError::Elsewhere(order.gateway.clone()).to_string())
}

/// Asks the gateway, and returns how it ends. `first`: whether it was never asked before, so that whatever it refuses has not
/// been done. Later only its books count: a request that it can't read now may have been done when it could.
pub(crate) async fn ask(
    gateway: &mut QrGateway,
    transaction: &Transaction,
    first: bool,
) -> Result<Event, GatewayError> {
    let Some(order) = &transaction.order else {
        return Ok(Event::finished(Outcome::Declined, "it has no order at the QR gateway"));
    };
    let asked = match transaction.service() {
        Service::CodeVoid => gateway.cancel(Some(order)).await.map(voided),
        _ => {
            let currency = &transaction.request.currency;
            gateway.refund(order, transaction.amount(), currency).await.and_then(refunded)
        }
    };
    match asked {
        Err(GatewayError::Refused(refusal)) if first || matches!(refusal.error.status(), 409 | 422) => {
            let reason = format!("the QR gateway refused: {}", clean(&refusal.reason));
            Ok(Event::finished(Outcome::Declined, reason))
        }
        asked => asked,
    }
}

fn voided(cancelled: Cancelled) -> Event {
    match cancelled {
        Cancelled::Refunded { left } => {
            let reason = format!("money of it was given back at the QR gateway; {left} minor units are left");
            Event::finished(Outcome::Declined, reason)
        }
        Cancelled::Closed | Cancelled::Failed => Event::approved(Answer::default()),
    }
}

fn refunded(outcome: RefundOutcome) -> Result<Event, GatewayError> {
    match outcome {
        RefundOutcome::Refunded { reference, .. } => {
            Ok(Event::approved(Answer { reference: clean(&reference), ..Answer::default() }))
        }
        RefundOutcome::Failed { reason } => {
            let reason = format!("the wallet refused: {}", clean(&reason));
            Ok(Event::finished(Outcome::Declined, reason))
        }
        other => Err(GatewayError::NoAnswer(format!("the refund is not decided: {other:?}"))),
    }
}
