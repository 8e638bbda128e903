//! The counter that callers stand at: takes requests, knows each by its key, hands one at a time to the teller.

use std::sync::Arc;
use std::time::Duration;

use audit::chain::Chain;
use audit::seal::Seal;
use client::printer::PrinterProxy;
use qr::wallet::{PaymentCode, Wallets};
use service::bus::{BusKind, Buses, vanished};
use service::guard::{Caller, Guards, Identity};
use service::request::Key;
use service::{Error, Result};
use tokio::sync::{mpsc, watch};

use crate::config::Merchant;
use crate::desk::{Desk, Ticket};
use crate::journal::{Filter, Journal, JournalError, Linked, ServiceSum, Terms};
use crate::limits::OwnerLimits;
use crate::originals::Bounds;
use crate::services::{Offers, Service};
use crate::terminal_parameters::TerminalParameters;
use crate::transaction::{Outcome, Request, Transaction};
use crate::{api, now, receipt};

/// The printer daemon takes a job at once, or is away.
const PRINTER_LIMIT: Duration = Duration::from_secs(3);

/// Where requests are taken; clones are the same counter.
#[derive(Clone)]
pub(crate) struct Counter {
    means: Arc<Means>,
    /// Taken while a request is looked up or begun, so that two with one key can't both begin.
    door: Arc<tokio::sync::Mutex<()>>,
}

/// What a counter works with.
pub(crate) struct Means {
    pub(crate) buses: Buses,
    pub(crate) guards: Guards,
    pub(crate) journal: Journal,
    pub(crate) desk: Desk,
    pub(crate) printer: PrinterProxy<'static>,
    pub(crate) merchant: Merchant,
    pub(crate) rules: Rules,
    /// What the host says of this terminal.
    pub(crate) said: watch::Receiver<TerminalParameters>,
    pub(crate) teller: mpsc::Sender<Ticket>,
}

/// What may be begun.
pub(crate) struct Rules {
    pub(crate) offers: Offers,
    pub(crate) limits: OwnerLimits,
    /// How many days back a sale may be that is refunded; 0 is any.
    pub(crate) refund_days: u16,
    /// Whose codes are taken, where there is a QR gateway.
    pub(crate) wallets: Option<Wallets>,
}

impl Rules {
    /// Whether `service` is offered, and `code` one of a wallet that is taken: the gateway is not asked for others.
    fn check(&self, service: Service, code: Option<&PaymentCode>) -> Result<()> {
        self.offers.check(service)?;
        let (Some(code), Some(wallets)) = (code, &self.wallets) else { return Ok(()) };
        match wallets.owner(code) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Error::invalid("code", "no wallet that this terminal takes has such codes")),
            Err(error) => Err(Error::invalid("code", error)),
        }
    }
}

impl Counter {
    pub(crate) fn new(means: Means) -> Counter {
        Counter { means: Arc::new(means), door: Arc::default() }
    }

    /// Whether a transaction runs.
    pub(crate) fn is_busy(&self) -> bool {
        self.means.desk.is_busy()
    }

    /// Begins the transaction that is asked for, or finds it.
    ///
    /// `code` is what the customer showed, of which the request has only a masked form.
    pub(crate) async fn start(
        &self,
        request: Request,
        code: Option<PaymentCode>,
        caller: &Caller,
    ) -> Result<Ticket> {
        let _door = self.door.lock().await;
        if let Some(known) = self.look_up(Some(&request.owner), &request.key).await? {
            if !known.request.is_repeated_by(&request) {
                let problem =
                    "it was used before with another service, amount, currency, code, original or options";
                return Err(Error::invalid("key", problem));
            }
            return self.show(known, caller).await;
        }
        self.means.rules.offers.check_instalments(request.instalments)?;
        let original = match &request.original {
            Some(key) => Some(self.look_up_for(key, caller, "original").await?),
            None => None,
        };
        let of_original = original.as_ref().map(|original| request.service.upon(original.service()));
        self.means.rules.check(of_original.unwrap_or(request.service), code.as_ref())?;
        if original.as_ref().map_or(request.moto, Transaction::is_moto) {
            self.means.rules.offers.check_keyed(of_original.unwrap_or(request.service))?;
        }
        let original = original.map(|original| original.id);
        if self.is_busy() {
            return Err(Error::Busy(
                "another transaction is running; start this one when it has ended".to_string(),
            ));
        }
        let place = self.means.teller.try_reserve();
        let place =
            place.map_err(|_| Error::Busy("the transaction before is just ending; try again".to_string()))?;
        let Rules { offers, limits, refund_days, .. } = &self.means.rules;
        let tip = self.means.said.borrow().tip_percent(offers.tip_percent);
        let completion = offers.completion_percent;
        let terms = Terms { bounds: Bounds { completion, tip, refund_days: *refund_days }, limits };
        let begun = self.means.journal.create(request, original, &terms, now()).await;
        let ticket = self.show(begun.map_err(not_begun)?, caller).await?;
        if let Some(code) = code {
            ticket.keep_code(code);
        }
        place.send(ticket.clone());
        Ok(ticket)
    }

    /// The transaction that `caller` may see under `key`.
    pub(crate) async fn find(&self, key: &Key, caller: &Caller) -> Result<Ticket> {
        let _door = self.door.lock().await;
        let found = self.look_up_for(key, caller, "transaction").await?;
        self.show(found, caller).await
    }

    pub(crate) async fn list(&self, filter: &Filter, before: i64, limit: u32) -> Result<Vec<Transaction>> {
        let listed = self.means.journal.list(filter, before, limit).await;
        listed.map_err(|error| Error::internal("the journal can't be listed", error))
    }

    /// The open batch's number, and what each service came to in it.
    pub(crate) async fn totals(&self) -> Result<(u32, Vec<ServiceSum>)> {
        let totals = self.means.journal.open_totals().await;
        totals.map_err(|error| Error::internal("the totals can't be read", error))
    }

    /// Which journal this is, and where its chain is.
    pub(crate) async fn chain(&self) -> Result<(audit::Identity, Chain)> {
        let chain = self.means.journal.chain().await;
        chain.map_err(|error| Error::internal("the journal's chain can't be read", error))
    }

    /// Up to `limit` events of the journal, oldest first, above the number `after`.
    pub(crate) async fn events(&self, after: i64, limit: u32) -> Result<Vec<Linked>> {
        let events = self.means.journal.events(after, limit).await;
        events.map_err(|error| Error::internal("the journal can't be read", error))
    }

    /// Up to `limit` seals of the journal, oldest first, that cover more than the event `after`.
    pub(crate) async fn seals(&self, after: i64, limit: u32) -> Result<Vec<Seal>> {
        let seals = self.means.journal.seals(after, limit).await;
        seals.map_err(|error| Error::internal("the journal's seals can't be read", error))
    }

    /// Prints the receipt of the transaction under `key` once more, marked as a duplicate.
    pub(crate) async fn reprint(&self, key: &Key, caller: &Caller) -> Result<()> {
        let transaction = self.look_up_for(key, caller, "transaction").await?;
        if transaction.outcome != Some(Outcome::Approved) {
            return Err(Error::WrongState(format!("`{key}` was not approved: it has no receipt")));
        }
        let merchant = self.means.merchant.named_by(&self.means.said.borrow());
        let printing = receipt::reprint(&self.means.printer, &transaction, &merchant, now());
        match tokio::time::timeout(PRINTER_LIMIT, printing).await {
            Ok(Ok(_job)) => Ok(()),
            Ok(Err(error)) => Err(Error::DeviceGone(format!("the printer daemon takes no receipt: {error}"))),
            Err(_) => Err(Error::Timeout("the printer daemon does not answer".to_string())),
        }
    }

    async fn look_up(&self, owner: Option<&str>, key: &Key) -> Result<Option<Transaction>> {
        let found = self.means.journal.find(owner, key).await;
        found.map_err(|error| Error::internal("the key can't be looked up", error))
    }

    /// The caller's own under `key`, or for the operator anybody's.
    async fn look_up_for(&self, key: &Key, caller: &Caller, what: &str) -> Result<Transaction> {
        let own = self.look_up(Some(&caller.identity.to_string()), key).await?;
        let found = match own {
            None if caller.identity == Identity::Operator => self.look_up(None, key).await?,
            own => own,
        };
        found.ok_or_else(|| Error::NotFound(format!("{what}: nothing was started with the key `{key}`")))
    }

    /// Serves `transaction` where `caller` is, and lets it follow.
    async fn show(&self, transaction: Transaction, caller: &Caller) -> Result<Ticket> {
        let ticket = match self.means.desk.find(transaction.id) {
            Some(ticket) => ticket,
            None => self.put_on(transaction).await?,
        };
        let guard = match caller.bus {
            BusKind::System => &self.means.guards.system,
            BusKind::App => &self.means.guards.app,
        };
        api::serve(&ticket, &self.means.buses, guard, caller).await?;
        if ticket.follow(caller.clone()) && !ticket.is_final() {
            self.cancel_when_gone(&ticket, caller);
        }
        Ok(ticket)
    }

    async fn put_on(&self, transaction: Transaction) -> Result<Ticket> {
        let ticket = Ticket::new(&self.means.buses, transaction)?;
        if let Some(oldest) = self.means.desk.put(ticket.clone()) {
            api::withdraw(&oldest, &self.means.buses).await;
        }
        Ok(ticket)
    }

    /// Before the point of no return, a transaction whose callers have all vanished is called off.
    fn cancel_when_gone(&self, ticket: &Ticket, caller: &Caller) {
        let connection = self.means.buses.get(caller.bus).clone();
        let (ticket, caller) = (ticket.clone(), caller.clone());
        tokio::spawn(async move {
            tokio::select! {
                gone = vanished(&connection, caller.name.clone()) => match gone {
                    Ok(()) => ticket.left(&caller),
                    Err(error) => log::warn!("{} can't be watched: {error}", caller.identity),
                },
                () = ticket.ended() => {}
            }
        });
    }
}

/// Why a transaction could not be begun.
fn not_begun(error: JournalError) -> Error {
    match error {
        JournalError::Refused(refusal) => refusal,
        error if error.is_full() => {
            Error::internal("nothing was begun, because the terminal's storage is full", error)
        }
        error => Error::internal("nothing was begun", error),
    }
}
