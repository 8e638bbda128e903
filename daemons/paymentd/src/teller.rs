//! The one who works: runs a sale at a time, and between sales sends what the host has not acknowledged.

use std::time::Duration;

use client::card::CardPaymentProxy;
use client::printer::PrinterProxy;
use tokio::sync::{mpsc, watch};
use zbus::Connection;

use crate::config::Merchant;
use crate::desk::Sale;
use crate::host::{Host, HostError, OnlineCard};
use crate::journal::{Filter, Journal, JournalError};
use crate::receipt;
use crate::sale::{self, now};
use crate::transaction::{Event, Transaction};

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
    /// Sales whose reversals the host has not acknowledged, oldest first.
    pending: Vec<Transaction>,
    pending_count: watch::Sender<u32>,
}

/// What a teller works with.
pub(crate) struct Tools {
    pub(crate) bus: Connection,
    pub(crate) journal: Journal,
    pub(crate) host: Host,
    pub(crate) card: CardPaymentProxy<'static>,
    pub(crate) printer: PrinterProxy<'static>,
    pub(crate) merchant: Merchant,
}

impl Teller {
    /// Makes a teller and ends, in the journal, what was open when the terminal went down.
    pub(crate) async fn new(tools: Tools, pending_count: watch::Sender<u32>) -> Result<Teller, JournalError> {
        let Tools { bus, journal, host, card, printer, merchant } = tools;
        let mut pending = Vec::new();
        for mut transaction in journal.open_items().await? {
            if let Some(end) = transaction.recover(host.no_answer_reason()) {
                journal.record(&mut transaction, &end, now()).await?;
                log::warn!(id = transaction.id; "ended a transaction that was open: {}", transaction.reason);
            }
            if transaction.reversal.is_some() {
                pending.push(transaction);
            }
        }
        let teller = Teller { bus, journal, host, card, printer, merchant, pending, pending_count };
        teller.tell_pending();
        // The receipt of the last sale may not have reached the printer; asking again prints it once.
        let approved = Filter { outcome: Some("approved".to_string()), ..Filter::default() };
        for mut last in teller.journal.list(&approved, i64::MAX, 1).await? {
            teller.print_receipt(&mut last).await?;
        }
        Ok(teller)
    }

    /// Works until asked to stop.
    pub(crate) async fn work(
        mut self,
        mut sales: mpsc::Receiver<Sale>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), String> {
        let mut attempt = 0;
        loop {
            let delay = self.host.reversal_delay(attempt);
            let sale = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                sale = sales.recv() => sale,
                settled = self.settle_after(delay), if !self.pending.is_empty() => {
                    attempt = self.note_settled(settled, attempt)?;
                    continue;
                }
            };
            let Some(sale) = sale else { break };
            sale::run(&mut self, &sale).await.map_err(|error| error.to_string())?;
            attempt = 0;
        }
        self.journal.close().await;
        Ok(())
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
        self.print_receipt(&mut transaction).await?;
        sale.update(transaction).await;
        Ok(())
    }

    /// Arms the reversal of `sale`: from here on the host may know of it.
    pub(crate) async fn authorize(&mut self, sale: &Sale, card: &OnlineCard) -> Result<(), JournalError> {
        let mut transaction = sale.transaction();
        let chip_data = hex::encode(&card.chip_data);
        self.journal.authorize(&mut transaction, card.card.clone(), chip_data, now()).await?;
        sale.update(transaction).await;
        Ok(())
    }

    /// Hands the receipt of an approved sale to the printer. A printer that is away does not undo a sale.
    async fn print_receipt(&self, transaction: &mut Transaction) -> Result<(), JournalError> {
        if !transaction.wants_receipt() {
            return Ok(());
        }
        let printing = receipt::print(&self.printer, transaction, &self.merchant);
        match tokio::time::timeout(PRINTER_LIMIT, printing).await {
            Ok(Ok(job)) => {
                self.journal
                    .record(transaction, &Event::ReceiptQueued { job: job.to_string() }, now())
                    .await?;
            }
            Ok(Err(error)) => log::warn!(stan = transaction.stan; "the receipt was not printed: {error}"),
            Err(_) => {
                log::warn!(stan = transaction.stan; "the receipt was not printed: the printer daemon is silent")
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
