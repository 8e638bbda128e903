//! The one who works: runs a transaction at a time, and in between sends what the host has not acknowledged.

mod download;
mod ending;
mod owed;
mod scripts;
mod stored;

use std::time::Duration;

use client::card::CardPaymentProxy;
use client::printer::PrinterProxy;
use futures_util::StreamExt as _;
use iso8583::CardFlow;
use service::bus::Buses;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use zbus::Connection;

use crate::approval::OverCardLimit;
use crate::config::Merchant;
use crate::desk::{Desk, Ticket};
use crate::downloads::Downloads;
use crate::host::{Host, HostError, Link};
use crate::inhibitor::Inhibitor;
use crate::journal::{Journal, JournalError, Waiting};
use crate::limits::{OverLimit, OwnerLimits};
use crate::qr_gateway::{GatewayError, QrGateway};
use crate::sealer::Sealer;
use crate::services::Class;
use crate::terminal_parameters::TerminalParameters;
use crate::transaction::{Card, Event, Reversal, Transaction};
use crate::{approval, card_absent, card_payment, code_payment, code_return, now, settlement};
use owed::{Answered, Owed};

pub(crate) use stored::Offline;

/// The printer daemon takes a job at once, or is left alone.
const PRINTER_LIMIT: Duration = Duration::from_secs(3);

/// Runs transactions and reversals, one after the other.
pub(crate) struct Teller {
    bus: Connection,
    journal: Journal,
    host: Host,
    gateway: Option<QrGateway>,
    card: CardPaymentProxy<'static>,
    printer: PrinterProxy<'static>,
    merchant: Merchant,
    limits: OwnerLimits,
    /// How long to wait for a supervisor.
    approval_limit: Duration,
    desk: Desk,
    /// Set when the daemon is asked to stop.
    stop: watch::Receiver<bool>,
    /// The settlement that was under way when the terminal went down.
    settling: Option<Ticket>,
    /// Transactions whose reversals the host has not acknowledged, oldest first.
    pending: Vec<Transaction>,
    /// Transactions of whose issuer scripts the host has still to be told, oldest first.
    scripts: Vec<Transaction>,
    /// How much may wait for the host.
    offline: Offline,
    /// Sales that the host has still to be told of, as the journal has them.
    waiting: watch::Sender<Waiting>,
    /// What is to be fetched from the host when there is nothing else to do.
    downloads: Downloads,
    /// What the host says of this terminal.
    said: watch::Sender<TerminalParameters>,
    /// What the QR gateway has still to answer.
    owed: Owed,
    pending_count: watch::Sender<u32>,
    /// Held from before the host is asked until nothing is in doubt.
    inhibitor: Inhibitor,
    /// Transactions whose receipts the printer has not taken, oldest first.
    unprinted: Vec<Transaction>,
}

/// What was tried of what is owed.
enum Settled {
    Host(Result<(), HostError>),
    Gateway(Result<Option<Answered>, GatewayError>),
    Downloaded,
}

/// What a teller works with.
pub(crate) struct Tools {
    pub(crate) buses: Buses,
    pub(crate) journal: Journal,
    pub(crate) host: Host,
    pub(crate) gateway: Option<QrGateway>,
    pub(crate) card: CardPaymentProxy<'static>,
    pub(crate) printer: PrinterProxy<'static>,
    pub(crate) merchant: Merchant,
    pub(crate) limits: OwnerLimits,
    pub(crate) offline: Offline,
    pub(crate) waiting: watch::Sender<Waiting>,
    pub(crate) downloads: Downloads,
    pub(crate) said: watch::Sender<TerminalParameters>,
    pub(crate) approval_limit: Duration,
    pub(crate) desk: Desk,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Teller {
    /// Makes a teller and ends, in the journal, what was open when the terminal went down. A settlement goes on.
    pub(crate) async fn new(tools: Tools, pending_count: watch::Sender<u32>) -> Result<Teller, String> {
        let Tools {
            buses,
            journal,
            host,
            gateway,
            card,
            printer,
            merchant,
            limits,
            offline,
            waiting,
            downloads,
            said,
            approval_limit,
            desk,
            stop,
        } = tools;
        let (mut pending, mut unprinted, mut settling) = (Vec::new(), Vec::new(), None);
        let mut owed = Owed::default();
        for mut transaction in journal.open_items().await.map_err(|error| error.to_string())? {
            if let Some(end) = transaction.recover(host.no_answer_reason()) {
                let ended = journal.record(&mut transaction, &end, now()).await;
                ended.map_err(|error| error.to_string())?;
                log::warn!(id = transaction.id; "ended a transaction that was open: {}", transaction.reason);
            }
            if !transaction.is_final() {
                let ticket = Ticket::new(&buses, transaction).map_err(|error| error.to_string())?;
                desk.put(ticket.clone());
                if ticket.transaction().service().class() == Class::CodeReturn {
                    ticket.rest();
                    owed.returns.push(ticket);
                } else {
                    settling = Some(ticket);
                }
            } else if transaction.is_cancelled_at_gateway() {
                owed.cancels.push(transaction);
            } else if transaction.reversal == Some(Reversal::Pending) {
                pending.push(transaction);
            } else if transaction.wants_receipt() {
                unprinted.push(transaction);
            }
        }
        let mut scripts = Vec::new();
        for mut transaction in journal.untold_scripts().await.map_err(|error| error.to_string())? {
            if host.takes_scripts_of(&transaction) {
                scripts.push(transaction);
                continue;
            }
            // The acquirer's profile had it once.
            let never = Event::ScriptTold { code: "not-offered".to_string() };
            journal.record(&mut transaction, &never, now()).await.map_err(|error| error.to_string())?;
            log::error!(id = transaction.id; "the host's profile takes no results of scripts: this one stays untold");
        }
        let bus = buses.system;
        let inhibitor = Inhibitor::new(&bus).await.map_err(|error| error.to_string())?;
        let mut teller = Teller {
            bus,
            journal,
            host,
            gateway,
            card,
            printer,
            merchant,
            limits,
            approval_limit,
            desk,
            stop,
            settling,
            pending,
            scripts,
            offline,
            waiting,
            downloads,
            said,
            owed,
            pending_count,
            inhibitor,
            unprinted,
        };
        teller.note_pending();
        teller.note_waiting().await.map_err(|error| error.to_string())?;
        if teller.gateway.is_none() && !teller.owed.is_empty() {
            log::error!(owed = teller.owed.count(); "the QR gateway has still to answer, and no [gateway] is configured");
        }
        if teller.settling.is_some() || !teller.nothing_pends() {
            teller.inhibitor.take().await;
        }
        Ok(teller)
    }

    /// Works until asked to stop.
    pub(crate) async fn work(
        mut self,
        mut tickets: mpsc::Receiver<Ticket>,
        mut sealer: Sealer,
    ) -> Result<(), String> {
        let mut stop = self.stop.clone();
        let watched = self.printer.inner().receive_owner_changed().await;
        let mut printers =
            watched.map_err(|error| format!("the printer daemon can't be watched: {error}"))?;
        let journal = self.journal.clone();
        let line = self.host.line();
        let downloads = self.downloads.clone();
        let mut attempt = 0;
        self.print_owed().await.map_err(|error| error.to_string())?;
        if let Some(ticket) = self.settling.take() {
            self.serve(&ticket).await.map_err(|error| error.to_string())?;
        }
        loop {
            let delay = self.host.reversal_delay(attempt);
            let ticket = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                // A request that the counter could not begin may be there after all: a new start finds out.
                () = journal.in_doubt() => return Err("the journal's disk fails".to_string()),
                ticket = tickets.recv() => ticket,
                Some(owner) = printers.next() => {
                    if owner.is_some() {
                        self.print_owed().await.map_err(|error| error.to_string())?;
                    }
                    continue;
                }
                settled = self.settle_next(delay), if self.owes_something() => {
                    match settled {
                        Settled::Host(settled) => attempt = self.note_settled(settled, attempt)?,
                        Settled::Gateway(asked) => {
                            self.note_attempt(asked).await.map_err(|error| error.to_string())?;
                        }
                        Settled::Downloaded => {}
                    }
                    continue;
                }
                () = downloads.called(), if !self.owes_something() => continue,
                () = sealer.seal(), if sealer.is_owed() => continue,
                never = line.tend(), if self.asks_host_nothing() => match never {},
            };
            let Some(ticket) = ticket else { break };
            self.serve(&ticket).await.map_err(|error| error.to_string())?;
            sealer.note();
            attempt = 0;
        }
        self.journal.close().await;
        Ok(())
    }

    /// Runs one transaction to its end. Asked to stop, it calls off what can be called off, and ends the rest first; what
    /// goes on after a restart it leaves open.
    async fn serve(&mut self, ticket: &Ticket) -> Result<(), JournalError> {
        let mut stop = self.stop.clone();
        let mut run = std::pin::pin!(self.run(ticket));
        tokio::select! {
            biased;
            ended = &mut run => return ended,
            _ = stop.wait_for(|stop| *stop) => ticket.cancel("the terminal is stopping"),
        }
        run.await
    }

    async fn run(&mut self, ticket: &Ticket) -> Result<(), JournalError> {
        if let Some(end) = approval::wait(self, ticket, self.approval_limit).await? {
            return self.finish(ticket, &end).await;
        }
        let end = match ticket.transaction().service().class() {
            Class::Money | Class::Inquiry if self.is_without_card(ticket) => {
                Some(card_absent::run(self, ticket).await?)
            }
            Class::Money | Class::Inquiry => card_payment::run(self, ticket).await?,
            Class::Settlement => settlement::run(self, ticket).await?,
            Class::Code => Some(code_payment::run(self, ticket).await?),
            Class::CodeReturn => {
                let end = code_return::run(self, ticket).await?;
                if end.is_none() {
                    self.leave_open(ticket);
                }
                end
            }
            // A supervisor had to approve it.
            Class::Record if !ticket.is_final() => {
                self.end_record(ticket).await?;
                self.note_withdrawn(&ticket.transaction()).await?;
                None
            }
            // It was final when it came; its end is still to be told.
            Class::Record => {
                self.note_withdrawn(&ticket.transaction()).await?;
                self.print(ticket.transaction()).await?;
                ticket.tell_end().await;
                None
            }
        };
        self.hang_up();
        match end {
            Some(end) => self.finish(ticket, &end).await,
            None => Ok(()),
        }
    }

    fn is_without_card(&self, ticket: &Ticket) -> bool {
        let described = self.host.described(&ticket.transaction());
        described.is_ok_and(|service| service.card == CardFlow::None)
    }

    /// Returns at once when the daemon was asked to stop, else after `delay`: whether to go on.
    pub(crate) async fn pause(&self, delay: Duration) -> bool {
        let mut stop = self.stop.clone();
        tokio::time::timeout(delay, stop.wait_for(|stop| *stop)).await.is_err()
    }

    /// Whether something is to be sent without being asked for.
    fn owes_something(&self) -> bool {
        !self.asks_host_nothing() || self.gateway_due().is_some()
    }

    /// Whether the host is owed nothing, and nothing is to be fetched from it.
    fn asks_host_nothing(&self) -> bool {
        !self.owes_host() && self.downloads.next_at().is_none()
    }

    fn owes_host(&self) -> bool {
        !self.pending.is_empty() || self.has_stored() || !self.scripts.is_empty()
    }

    /// Sends what is owed, to whom its time comes first: to the host after `delay`. Parameters are fetched where no money is owed
    /// to the host.
    async fn settle_next(&mut self, delay: Duration) -> Settled {
        let retry = Instant::now() + delay;
        let downloads = self.downloads.clone();
        loop {
            let (due, fetch) = (self.gateway_due(), downloads.next_at());
            let may_fetch = self.pending.is_empty() && !self.has_stored();
            tokio::select! {
                biased;
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    return Settled::Gateway(self.ask_owed().await);
                }
                () = sleep_until(retry), if self.owes_host() => return Settled::Host(self.settle_host().await),
                () = sleep_until(fetch.unwrap_or_else(Instant::now)), if fetch.is_some() && may_fetch => {
                    self.download().await;
                    return Settled::Downloaded;
                }
                () = downloads.called() => {}
            }
        }
    }

    /// The next attempt's number. Only the journal's own failure ends the work.
    fn note_settled(&self, settled: Result<(), HostError>, attempt: usize) -> Result<usize, String> {
        match settled {
            Ok(()) => Ok(0),
            Err(HostError::Journal(error)) => Err(error.to_string()),
            Err(error) => {
                let (pending, stored) = (self.pending.len(), self.waiting.borrow().count);
                log::warn!(pending, stored; "the host has still to acknowledge: {error}");
                Ok(attempt.saturating_add(1))
            }
        }
    }

    /// Does what has to come before any other online transaction: sign-on, reversals until the host acknowledged each, and the
    /// advices of offline sales.
    pub(crate) async fn prepare(&mut self) -> Result<(), HostError> {
        let sign_on = self.host.needs_sign_on().await?;
        if !sign_on && self.pending.is_empty() && !self.has_stored() {
            return Ok(());
        }
        let mut link = self.host.connect().await?;
        if sign_on {
            self.host.sign_on(&mut link).await?;
            self.downloads.note_due(&self.host.take_due());
        }
        while let Some(reversed) = self.pending.first().cloned() {
            let code = self.host.reverse(&mut link, &reversed).await?;
            let mut acknowledged = reversed;
            self.journal.record(&mut acknowledged, &Event::ReversalAcknowledged { code }, now()).await?;
            log::info!(stan = acknowledged.stan; "the host acknowledged a reversal");
            if let Some(shown) = self.desk.find(acknowledged.id) {
                shown.update(acknowledged).await;
            }
            self.pending.remove(0);
            self.note_pending();
        }
        if self.has_stored() { self.send_advices(&mut link).await } else { Ok(()) }
    }

    /// Connects to the host for what may come to be in doubt there; meanwhile asks that the system stays up.
    pub(crate) async fn connect(&mut self) -> Result<Link, HostError> {
        let (link, ()) = tokio::join!(self.host.connect(), self.inhibitor.take());
        link
    }

    /// What of the limits for one card `transaction` is over with this one; `None` where it is within all.
    pub(crate) async fn over_card_limit(
        &self,
        transaction: &Transaction,
        card: &Card,
    ) -> Result<Option<OverCardLimit>, JournalError> {
        let mut over: Option<OverCardLimit> = None;
        for applied in self.limits.of(transaction).filter(|_| !card.token.is_empty()) {
            let done = self.journal.card_day(&applied, transaction.id, &card.token, now()).await?;
            let Err(service::Error::LimitExceeded(limit)) = applied.check_card(transaction.amount(), done)
            else {
                continue;
            };
            let supervisor = applied.limits.over_limit == OverLimit::Supervisor;
            over = Some(match over {
                None => OverCardLimit { limit, supervisor },
                Some(before) => OverCardLimit {
                    limit: format!("{}; {limit}", before.limit),
                    supervisor: before.supervisor && supervisor,
                },
            });
        }
        Ok(over)
    }

    /// How long to wait for a supervisor.
    pub(crate) fn approval_limit(&self) -> Duration {
        self.approval_limit
    }

    /// Tells how much is owed. It is called when no transaction is open at the host: where nothing is owed, nothing is in
    /// doubt.
    fn note_pending(&mut self) {
        let owed = self.pending.len().saturating_add(self.owed.count());
        self.pending_count.send_replace(u32::try_from(owed).unwrap_or(u32::MAX));
        if self.nothing_pends() {
            self.inhibitor.release();
        }
    }

    fn nothing_pends(&self) -> bool {
        self.pending.is_empty() && self.owed.is_empty()
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
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
