//! A payment by code, step by step: the customer's code is charged, or a code is shown for the customer to scan. Its
//! numbers are durable before the gateway is asked. Then it is asked until it knows, within the time that a customer is given;
//! what is in doubt by then is cancelled there.

use std::future::Future;

use gateway::message::{OrderOutcome, Pay, Payment, Prepare, Request, Shown};
use tokio::time::{Instant, sleep, sleep_until};

use crate::desk::Ticket;
use crate::journal::JournalError;
use crate::qr_gateway::{GatewayError, QrGateway};
use crate::services::Service;
use crate::teller::Teller;
use crate::transaction::{Answer, Event, Order, Outcome, Transaction};

/// The most characters of what a gateway calls a payment, or a wallet.
const MAX_NAME: usize = 64;

/// Runs the payment to its end, and returns that.
pub(crate) async fn run(teller: &mut Teller, ticket: &Ticket) -> Result<Event, JournalError> {
    if let Some(end) = begin(teller, ticket).await? {
        return Ok(end);
    }
    // It may have been called off in the moment in which the connection was there.
    if ticket.is_cancelled() {
        return Ok(Event::finished(Outcome::Cancelled, ticket.why_cancelled()));
    }
    // The point of no return: durable before the first byte leaves.
    teller.order(ticket).await?;
    let transaction = ticket.transaction();
    let end = match (teller.qr_gateway(), &transaction.order) {
        (Some(gateway), Some(order)) => charge(gateway, ticket, &transaction, order).await,
        // It was there when the payment began.
        _ => Event::cancelled_at_gateway("the QR gateway is gone"),
    };
    Ok(end)
}

/// Up to the point of no return: what is owed at the gateway comes first. Until here nobody was asked.
pub(crate) async fn begin(teller: &mut Teller, ticket: &Ticket) -> Result<Option<Event>, JournalError> {
    ticket.progress("preparing", Default::default()).await;
    loop {
        match unless_cancelled(ticket, teller.ask_owed()).await {
            Ok(Ok(Some(answered))) => teller.note_answered(answered).await?,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return Ok(Some(Event::finished(Outcome::Failed, error.to_string()))),
            Err(end) => return Ok(Some(end)),
        }
    }
    ticket.progress("connecting", Default::default()).await;
    Ok(match unless_cancelled(ticket, teller.connect_gateway()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(Event::finished(Outcome::Failed, error.to_string())),
        Err(end) => Some(end),
    })
}

async fn unless_cancelled<T>(ticket: &Ticket, work: impl Future<Output = T>) -> Result<T, Event> {
    tokio::select! {
        result = work => Ok(result),
        () = ticket.cancelled() => Err(Event::finished(Outcome::Cancelled, ticket.why_cancelled())),
    }
}

/// Asks for the money, and then how it stands, until that is known for ever or nobody wants to wait longer.
async fn charge(gateway: &mut QrGateway, ticket: &Ticket, transaction: &Transaction, order: &Order) -> Event {
    let Some(request) = request(ticket, transaction, order) else {
        return Event::cancelled_at_gateway("the customer's code was lost");
    };
    let limit = Instant::now() + gateway.customer_limit();
    ticket.progress("gateway", Default::default()).await;
    let first = tokio::select! {
        // What was called off while the numbers became durable is not sent any more.
        biased;
        () = ticket.cancelled() => return Event::cancelled_at_gateway(ticket.why_cancelled()),
        answered = gateway.order(request.clone()) => answered,
    };
    match &first {
        // Nothing was charged before this one.
        Err(GatewayError::Refused(refusal)) => {
            let reason = format!("the QR gateway refused: {}", clean(&refusal.reason));
            return Event::finished(Outcome::Declined, reason);
        }
        Err(error @ GatewayError::Unreachable(_)) => return Event::cancelled_at_gateway(error.to_string()),
        _ => {}
    }
    let mut asked = first;
    loop {
        // Then the request was lost; sent again, it is the same one.
        let unheard = matches!(asked, Ok(OrderOutcome::Unknown {}));
        if let Some(end) = understood(asked, ticket, transaction).await {
            return end;
        }
        let interval = gateway.query_interval();
        let again = async {
            sleep(interval).await;
            match unheard {
                true => gateway.order(request.clone()).await,
                false => gateway.query(order).await,
            }
        };
        asked = tokio::select! {
            answered = again => answered,
            () = ticket.cancelled() => return Event::cancelled_at_gateway(ticket.why_cancelled()),
            () = sleep_until(limit) => return Event::cancelled_at_gateway("the payment was not confirmed in time"),
        };
    }
}

/// What is asked first; `None` without the customer's code.
fn request(ticket: &Ticket, transaction: &Transaction, order: &Order) -> Option<Request> {
    let (order, amount) = (order.number.clone(), transaction.amount());
    let currency = transaction.request.currency.clone();
    if transaction.service() == Service::MerchantCode {
        return Some(Request::Prepare(Prepare { order, amount, currency }));
    }
    let code = ticket.take_code()?;
    Some(Request::Pay(Pay { order, amount, currency, code }))
}

/// How the payment ends by what the gateway said; `None` while that is not known.
async fn understood(
    asked: Result<OrderOutcome, GatewayError>,
    ticket: &Ticket,
    transaction: &Transaction,
) -> Option<Event> {
    let doubt = match asked {
        Ok(OrderOutcome::Paid(payment)) if is_all_of(&payment, transaction) => {
            return Some(approved(payment));
        }
        // Somebody else has given money of it back since it was paid.
        Ok(OrderOutcome::Refunded { payment, refunded }) if is_all_of(&payment, transaction) => {
            return Some(if refunded < payment.amount {
                approved(payment)
            } else {
                Event::finished(Outcome::Declined, "it was paid, and given back at the QR gateway")
            });
        }
        Ok(OrderOutcome::Failed { reason }) => {
            let reason = format!("the wallet refused: {}", clean(&reason));
            return Some(Event::finished(Outcome::Declined, reason));
        }
        Ok(OrderOutcome::Closed { .. }) => {
            let reason = "the QR gateway closed the order: nothing was taken";
            return Some(Event::finished(Outcome::Declined, reason));
        }
        Ok(OrderOutcome::Pending { shown: Some(shown) }) => {
            show(ticket, shown).await;
            return None;
        }
        Ok(OrderOutcome::Pending { shown: None }) => {
            if ticket.current_progress() != "customer" {
                ticket.progress("customer", Default::default()).await;
            }
            return None;
        }
        Ok(other) => format!("it says {other:?}"),
        Err(error) => error.to_string(),
    };
    log::warn!(id = transaction.id; "how a payment by code stands is unknown: {doubt}");
    None
}

/// Tells what the customer is to scan, once.
async fn show(ticket: &Ticket, shown: Shown) {
    if ticket.shown_code() == shown.code {
        return;
    }
    let valid_until = i64::try_from(shown.valid_until.saturating_mul(1000)).unwrap_or(i64::MAX);
    ticket.show_code(shown.code, valid_until).await;
}

/// An answer to a query is about an order; whether that is all of what was asked for is seen here.
fn is_all_of(payment: &Payment, transaction: &Transaction) -> bool {
    payment.amount == transaction.amount() && payment.currency == transaction.request.currency
}

fn approved(payment: Payment) -> Event {
    let (wallet, reference) = (clean(&payment.wallet), clean(&payment.reference));
    Event::approved(Answer { wallet, reference, ..Answer::default() })
}

/// A name or a number of the gateway's, as it may be printed and shown.
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(MAX_NAME).collect()
}
