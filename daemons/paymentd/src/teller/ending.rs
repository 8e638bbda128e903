//! What is written down of a transaction on its way to the end, and the receipts that are owed then.

use super::{PRINTER_LIMIT, Teller};
use crate::desk::Ticket;
use crate::host::OnlineCard;
use crate::journal::JournalError;
use crate::transaction::{Event, Transaction};
use crate::{now, receipt};

impl Teller {
    /// Records a step of a transaction, and shows it.
    pub(crate) async fn record(&mut self, ticket: &Ticket, event: &Event) -> Result<(), JournalError> {
        let mut transaction = ticket.transaction();
        self.journal.record(&mut transaction, event, now()).await?;
        ticket.update(transaction).await;
        Ok(())
    }

    /// Ends a transaction, prints its receipt, and tells the end.
    pub(super) async fn finish(&mut self, ticket: &Ticket, end: &Event) -> Result<(), JournalError> {
        let mut transaction = ticket.transaction();
        self.journal.record(&mut transaction, end, now()).await?;
        if transaction.is_cancelled_at_gateway() {
            self.owed.cancels.push(transaction.clone());
        } else if transaction.reversal.is_some() {
            self.pending.push(transaction.clone());
        }
        self.note_pending();
        self.note_script(&transaction).await?;
        self.end(ticket, transaction).await
    }

    /// Prints the receipt of what has ended in the journal, and tells the end.
    pub(super) async fn end(
        &mut self,
        ticket: &Ticket,
        transaction: Transaction,
    ) -> Result<(), JournalError> {
        self.print(transaction.clone()).await?;
        // A receipt that was taken has shown the end already, with its job.
        if !ticket.is_final() {
            ticket.update(transaction).await;
        }
        Ok(())
    }

    /// Prints the receipt of `transaction`, if it wants one, after those that are owed already.
    pub(super) async fn print(&mut self, transaction: Transaction) -> Result<(), JournalError> {
        if transaction.wants_receipt() {
            self.unprinted.push(transaction);
            self.print_owed().await?;
        }
        Ok(())
    }

    /// Arms the reversal: from here on the host may know of the transaction.
    pub(crate) async fn authorize(&mut self, ticket: &Ticket, card: &OnlineCard) -> Result<(), JournalError> {
        let mut transaction = ticket.transaction();
        let chip_data = hex::encode(&card.chip_data);
        let acceptor = self.host.acceptor();
        self.journal.authorize(&mut transaction, acceptor, card.card.clone(), chip_data, now()).await?;
        ticket.update(transaction).await;
        Ok(())
    }

    /// Takes the totals that the host is going to be told.
    pub(crate) async fn authorize_settlement(&mut self, ticket: &Ticket) -> Result<(), JournalError> {
        let mut transaction = ticket.transaction();
        let acceptor = self.host.acceptor();
        self.journal.authorize_settlement(&mut transaction, acceptor, now()).await?;
        ticket.update(transaction).await;
        Ok(())
    }

    /// Hands the receipts that are owed to the printer, in order. A printer that is away undoes nothing; what it does
    /// not take now it gets when its daemon is back.
    pub(super) async fn print_owed(&mut self) -> Result<(), JournalError> {
        while let Some(owed) = self.unprinted.first() {
            // The host may have answered an advice, or been told of a script, since it ended.
            let mut transaction = self.journal.by_id(owed.id).await?;
            let merchant = self.merchant.named_by(&self.said.borrow());
            let printing = receipt::print(&self.printer, &transaction, &merchant);
            let job = match tokio::time::timeout(PRINTER_LIMIT, printing).await {
                Ok(Ok(job)) => job.to_string(),
                Ok(Err(error)) if is_refusal(&error) => {
                    log::error!(id = transaction.id; "the printer daemon refuses a receipt: {error}");
                    "refused".to_string()
                }
                failed => {
                    log::warn!(id = transaction.id; "the receipt has to wait for the printer daemon: {failed:?}");
                    return Ok(());
                }
            };
            self.journal.record(&mut transaction, &Event::ReceiptQueued { job }, now()).await?;
            self.unprinted.remove(0);
            if let Some(shown) = self.desk.find(transaction.id) {
                shown.update(transaction).await;
            }
        }
        Ok(())
    }
}

/// Whether the printer daemon will never take this document.
fn is_refusal(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, _, _) if name.as_str() == "org.smartpos.Error.InvalidArgument")
}
