//! What is owed at the QR gateway: cancels of payments that are in doubt, and money that has to go back. It is asked until it
//! answers, oldest first, before any other money moves there.

use tokio::time::Instant;

use super::Teller;
use crate::desk::Ticket;
use crate::journal::JournalError;
use crate::qr_gateway::{GatewayError, QrGateway};
use crate::transaction::{Event, Transaction};
use crate::{code_return, now};

/// What the gateway has still to answer.
#[derive(Default)]
pub(super) struct Owed {
    /// Payments that do not stand.
    pub(super) cancels: Vec<Transaction>,
    /// Voids and refunds.
    pub(super) returns: Vec<Ticket>,
    attempt: usize,
    /// When it is asked again; `None` is at once.
    due: Option<Instant>,
}

/// One answer to what was owed.
pub(crate) enum Answered {
    /// The oldest cancel was acknowledged, with this word.
    Cancelled(&'static str),
    /// The oldest void or refund has ended.
    Returned(Box<Event>),
}

impl Owed {
    pub(super) fn is_empty(&self) -> bool {
        self.cancels.is_empty() && self.returns.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.cancels.len().saturating_add(self.returns.len())
    }
}

impl Teller {
    pub(crate) fn qr_gateway(&mut self) -> Option<&mut QrGateway> {
        self.gateway.as_mut()
    }

    /// Asks for the oldest of what is owed; `None` where nothing is. The answer has to be noted.
    pub(crate) async fn ask_owed(&mut self) -> Result<Option<Answered>, GatewayError> {
        if self.owed.is_empty() {
            return Ok(None);
        }
        let Some(gateway) = &mut self.gateway else { return Err(not_configured()) };
        if let Some(cancelled) = self.owed.cancels.first() {
            let word = gateway.take_back(cancelled).await?;
            return Ok(Some(Answered::Cancelled(word)));
        }
        let Some(ticket) = self.owed.returns.first() else { return Ok(None) };
        let end = code_return::ask(gateway, &ticket.transaction(), false).await?;
        Ok(Some(Answered::Returned(Box::new(end))))
    }

    /// Records the answer to the oldest of what is owed.
    pub(crate) async fn note_answered(&mut self, answered: Answered) -> Result<(), JournalError> {
        match answered {
            Answered::Cancelled(word) => {
                let Some(mut transaction) = self.owed.cancels.first().cloned() else { return Ok(()) };
                let acknowledged = Event::ReversalAcknowledged { code: word.to_string() };
                self.journal.record(&mut transaction, &acknowledged, now()).await?;
                log::info!(id = transaction.id; "the QR gateway acknowledged a cancel: {word}");
                if let Some(shown) = self.desk.find(transaction.id) {
                    shown.update(transaction).await;
                }
                self.owed.cancels.remove(0);
                self.note_waiting().await?;
            }
            Answered::Returned(end) => {
                let Some(ticket) = self.owed.returns.first().cloned() else { return Ok(()) };
                self.owed.returns.remove(0);
                self.finish(&ticket, &end).await?;
            }
        }
        self.note_pending();
        Ok(())
    }

    /// When to ask for what is owed; `None` where nothing is, or nobody to be asked.
    pub(super) fn gateway_due(&self) -> Option<Instant> {
        let owes = !self.owed.is_empty() && self.gateway.is_some();
        owes.then(|| self.owed.due.unwrap_or_else(Instant::now))
    }

    /// Takes note of an attempt, and of when the next one is due.
    pub(super) async fn note_attempt(
        &mut self,
        asked: Result<Option<Answered>, GatewayError>,
    ) -> Result<(), JournalError> {
        match asked {
            Ok(answered) => {
                (self.owed.attempt, self.owed.due) = (0, None);
                if let Some(answered) = answered {
                    self.note_answered(answered).await?;
                }
            }
            Err(error) => {
                log::warn!(owed = self.owed.count(); "the QR gateway has still to answer: {error}");
                self.owed.attempt = self.owed.attempt.saturating_add(1);
                let delay = self.gateway.as_ref().map(|gateway| gateway.retry_delay(self.owed.attempt));
                self.owed.due = delay.map(|delay| Instant::now() + delay);
            }
        }
        self.hang_up();
        Ok(())
    }

    /// A void or refund that the gateway has still to answer: others go on meanwhile.
    pub(super) fn leave_open(&mut self, ticket: &Ticket) {
        ticket.rest();
        self.owed.returns.push(ticket.clone());
        self.note_pending();
    }

    /// Calls the gateway for what may come to be in doubt there; meanwhile asks that the system stays up.
    pub(crate) async fn connect_gateway(&mut self) -> Result<(), GatewayError> {
        let Some(gateway) = &mut self.gateway else { return Err(not_configured()) };
        let (connected, ()) = tokio::join!(gateway.connect(), self.inhibitor.take());
        connected
    }

    /// Ends the connection to the gateway, between one transaction and the next.
    pub(super) fn hang_up(&mut self) {
        if let Some(gateway) = &mut self.gateway {
            gateway.disconnect();
        }
    }

    /// Gives what goes to the gateway its numbers: from here on the gateway may know of it.
    pub(crate) async fn order(&mut self, ticket: &Ticket) -> Result<(), JournalError> {
        let mut transaction = ticket.transaction();
        let name = self.gateway.as_ref().map(|gateway| gateway.name().to_string()).unwrap_or_default();
        self.journal.order(&mut transaction, &name, now()).await?;
        ticket.update(transaction).await;
        Ok(())
    }

    /// Asks for all voids and refunds that the gateway has still to answer: they belong to the batch that is to be closed.
    pub(crate) async fn end_returns(&mut self) -> Result<Result<(), GatewayError>, JournalError> {
        while !self.owed.returns.is_empty() {
            match self.ask_owed().await {
                Ok(Some(answered)) => self.note_answered(answered).await?,
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }
}

fn not_configured() -> GatewayError {
    GatewayError::Unreachable("no [gateway] is configured".to_string())
}
