//! The one who works: runs a sale at a time, and between sales sends what the host has not acknowledged.

use std::time::Duration;

use client::card::CardPaymentProxy;
use client::printer::PrinterProxy;
use futures_util::StreamExt as _;
use tokio::sync::{mpsc, watch};
use zbus::Connection;

use crate::config::Merchant;
use crate::desk::{Desk, Sale};
use crate::host::{Host, HostError, OnlineCard};
use crate::journal::{Journal, JournalError};
use crate::receipt;
use crate::sale::{self, now};
use crate::transaction::{Event, Reversal, Transaction};

/// The printer daemon takes a job at once, or is left alone.
const PRINTER_LIMIT: Duration = Duration::from_secs(3);

/// Runs sales and reversals, one after the other.
pub(crate) struct Teller {
    bus: Connection,
    journal: Journal,
    host: Host,
    card: CardPaymentProxy<'static>,
    printer: PrinterProxy<'static>,
    merchant: Merchant,
    desk: Desk,
    /// Sales whose reversals the host has not acknowledged, oldest first.
    pending: Vec<Transaction>,
    pending_count: watch::Sender<u32>,
    /// Sales whose receipts the printer has not taken, oldest first.
    unprinted: Vec<Transaction>,
}

/// What a teller works with.
pub(crate) struct Tools {
    pub(crate) bus: Connection,
    pub(crate) journal: Journal,
    pub(crate) host: Host,
    pub(crate) card: CardPaymentProxy<'static>,
    pub(crate) printer: PrinterProxy<'static>,
    pub(crate) merchant: Merchant,
    pub(crate) desk: Desk,
}

impl Teller {
    /// Makes a teller and ends, in the journal, what was open when the terminal went down.
    pub(crate) async fn new(tools: Tools, pending_count: watch::Sender<u32>) -> Result<Teller, JournalError> {
        let Tools { bus, journal, host, card, printer, merchant, desk } = tools;
        let (mut pending, mut unprinted) = (Vec::new(), Vec::new());
        for mut transaction in journal.open_items().await? {
            if let Some(end) = transaction.recover(host.no_answer_reason()) {
                journal.record(&mut transaction, &end, now()).await?;
                log::warn!(id = transaction.id; "ended a transaction that was open: {}", transaction.reason);
            }
            if transaction.reversal == Some(Reversal::Pending) {
                pending.push(transaction);
            } else if transaction.wants_receipt() {
                unprinted.push(transaction);
            }
        }
        let teller =
            Teller { bus, journal, host, card, printer, merchant, desk, pending, pending_count, unprinted };
        teller.tell_pending();
        Ok(teller)
    }

    /// Works until asked to stop.
    pub(crate) async fn work(
        mut self,
        mut sales: mpsc::Receiver<Sale>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), String> {
        let watched = self.printer.inner().receive_owner_changed().await;
        let mut printers =
            watched.map_err(|error| format!("the printer daemon can't be watched: {error}"))?;
        let mut attempt = 0;
        self.print_owed().await.map_err(|error| error.to_string())?;
        loop {
            let delay = self.host.reversal_delay(attempt);
            let sale = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                sale = sales.recv() => sale,
                Some(owner) = printers.next() => {
                    if owner.is_some() {
                        self.print_owed().await.map_err(|error| error.to_string())?;
                    }
                    continue;
                }
                settled = self.settle_after(delay), if !self.pending.is_empty() => {
                    attempt = self.note_settled(settled, attempt)?;
                    continue;
                }
            };
            let Some(sale) = sale else { break };
            self.serve(&sale, &mut stop).await.map_err(|error| error.to_string())?;
            attempt = 0;
        }
        self.journal.close().await;
        Ok(())
    }

    /// Runs one sale to its end. Asked to stop, it calls off what can be called off, and ends the rest first.
    async fn serve(&mut self, sale: &Sale, stop: &mut watch::Receiver<bool>) -> Result<(), JournalError> {
        let mut run = std::pin::pin!(sale::run(self, sale));
        tokio::select! {
            biased;
            ended = &mut run => return ended,
            _ = stop.wait_for(|stop| *stop) => sale.cancel("the terminal is stopping"),
        }
        run.await
    }

    async fn settle_after(&mut self, delay: Duration) -> Result<(), HostError> {
        tokio::time::sleep(delay).await;
        self.prepare().await
    }

    /// The next attempt's number. Only the journal's own failure ends the work.
    fn note_settled(&self, settled: Result<(), HostError>, attempt: usize) -> Result<usize, String> {
        match settled {
            Ok(()) => Ok(0),
            Err(HostError::Journal(error)) => Err(error.to_string()),
            Err(error) => {
                log::warn!(pending = self.pending.len(); "a reversal is still to be acknowledged: {error}");
                Ok(attempt.saturating_add(1))
            }
        }
    }

    /// Does what has to come before any other online transaction: sign-on, and reversals until the host acknowledged each.
    pub(crate) async fn prepare(&mut self) -> Result<(), HostError> {
        let sign_on = self.host.needs_sign_on().await?;
        if !sign_on && self.pending.is_empty() {
            return Ok(());
        }
        let mut link = self.host.connect().await?;
        if sign_on {
            self.host.sign_on(&mut link).await?;
        }
        while let Some(sale) = self.pending.first().cloned() {
            let code = self.host.reverse(&mut link, &sale).await?;
            let mut acknowledged = sale;
            self.journal.record(&mut acknowledged, &Event::ReversalAcknowledged { code }, now()).await?;
            log::info!(stan = acknowledged.stan; "the host acknowledged a reversal");
            if let Some(shown) = self.desk.find(acknowledged.id) {
                shown.update(acknowledged).await;
            }
            self.pending.remove(0);
            self.tell_pending();
        }
        Ok(())
    }

    /// Records a step of `sale`, and shows it.
    pub(crate) async fn record(&mut self, sale: &Sale, event: &Event) -> Result<(), JournalError> {
        let mut transaction = sale.transaction();
        self.journal.record(&mut transaction, event, now()).await?;
        sale.update(transaction).await;
        Ok(())
    }

    /// Ends `sale`, prints its receipt, and tells the end.
    pub(crate) async fn finish(&mut self, sale: &Sale, end: &Event) -> Result<(), JournalError> {
        let mut transaction = sale.transaction();
        self.journal.record(&mut transaction, end, now()).await?;
        if transaction.reversal.is_some() {
            self.pending.push(transaction.clone());
            self.tell_pending();
        }
        if transaction.wants_receipt() {
            self.unprinted.push(transaction.clone());
            self.print_owed().await?;
        }
        // A receipt that was taken has shown the end already, with its job.
        if !sale.is_final() {
            sale.update(transaction).await;
        }
        Ok(())
    }

    /// Arms the reversal of `sale`: from here on the host may know of it.
    pub(crate) async fn authorize(&mut self, sale: &Sale, card: &OnlineCard) -> Result<(), JournalError> {
        let mut transaction = sale.transaction();
        let chip_data = hex::encode(&card.chip_data);
        let acceptor = self.host.acceptor();
        self.journal.authorize(&mut transaction, acceptor, card.card.clone(), chip_data, now()).await?;
        sale.update(transaction).await;
        Ok(())
    }

    /// Hands the receipts that are owed to the printer, in order. A printer that is away does not undo a sale; what it does
    /// not take now it gets when its daemon is back.
    async fn print_owed(&mut self) -> Result<(), JournalError> {
        while let Some(mut sale) = self.unprinted.first().cloned() {
            let printing = receipt::print(&self.printer, &sale, &self.merchant);
            let job = match tokio::time::timeout(PRINTER_LIMIT, printing).await {
                Ok(Ok(job)) => job.to_string(),
                Ok(Err(error)) if is_refusal(&error) => {
                    log::error!(stan = sale.stan; "the printer daemon refuses a receipt: {error}");
                    "refused".to_string()
                }
                failed => {
                    log::warn!(stan = sale.stan; "the receipt has to wait for the printer daemon: {failed:?}");
                    return Ok(());
                }
            };
            self.journal.record(&mut sale, &Event::ReceiptQueued { job }, now()).await?;
            self.unprinted.remove(0);
            if let Some(shown) = self.desk.find(sale.id) {
                shown.update(sale).await;
            }
        }
        Ok(())
    }

    fn tell_pending(&self) {
        self.pending_count.send_replace(u32::try_from(self.pending.len()).unwrap_or(u32::MAX));
    }

    pub(crate) fn system_bus(&self) -> &Connection {
        &self.bus
    }

    pub(crate) fn card(&self) -> &CardPaymentProxy<'static> {
        &self.card
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn host_mut(&mut self) -> &mut Host {
        &mut self.host
    }
}

/// Whether the printer daemon will never take this document.
fn is_refusal(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, _, _) if name.as_str() == "org.smartpos.Error.InvalidArgument")
}
