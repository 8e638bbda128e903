//! The counter that callers stand at: takes requests, knows each by its key, hands one at a time to the teller.

use std::sync::Arc;

use service::bus::{BusKind, Buses, vanished};
use service::guard::{Caller, Guards, Identity};
use service::request::{self, Key};
use service::{Error, Result};
use tokio::sync::mpsc;

use crate::api;
use crate::desk::{Desk, Sale};
use crate::journal::{Filter, Journal};
use crate::sale::now;
use crate::transaction::{Request, Transaction};

/// Where requests are taken; clones are the same counter.
#[derive(Clone)]
pub(crate) struct Counter {
    shared: Arc<Shared>,
}

struct Shared {
    buses: Buses,
    guards: Guards,
    journal: Journal,
    teller: mpsc::Sender<Sale>,
    /// Taken while a request is looked up or begun, so that two with one key can't both begin.
    door: tokio::sync::Mutex<()>,
    desk: Desk,
}

impl Counter {
    pub(crate) fn new(
        buses: Buses,
        guards: Guards,
        journal: Journal,
        desk: Desk,
        teller: mpsc::Sender<Sale>,
    ) -> Counter {
        let shared = Shared { buses, guards, journal, teller, door: Default::default(), desk };
        Counter { shared: Arc::new(shared) }
    }

    /// Whether a transaction runs.
    pub(crate) fn is_busy(&self) -> bool {
        self.shared.desk.is_busy()
    }

    /// Begins the sale that is asked for, or finds it.
    pub(crate) async fn start(&self, request: Request, caller: &Caller) -> Result<Sale> {
        let _door = self.shared.door.lock().await;
        if let Some(known) = self.look_up(Some(&request.owner), &request.key).await? {
            if known.request != request {
                let problem = "it was used before with another amount, currency or options";
                return Err(Error::invalid("key", problem));
            }
            return self.show(known, caller).await;
        }
        if self.is_busy() {
            return Err(Error::Busy("a payment is running; start this one when it has ended".to_string()));
        }
        let place = self.shared.teller.try_reserve();
        let place =
            place.map_err(|_| Error::Busy("the payment before is just ending; try again".to_string()))?;
        let transaction = self.shared.journal.create(request, now()).await;
        let transaction = transaction.map_err(|error| match error.is_full() {
            true => Error::internal("the sale was not begun, because the terminal's storage is full", error),
            false => Error::internal("the sale was not begun", error),
        })?;
        let sale = self.show(transaction, caller).await?;
        place.send(sale.clone());
        Ok(sale)
    }

    /// The transaction that `caller` may see under `key`.
    pub(crate) async fn find(&self, key: &Key, caller: &Caller) -> Result<Sale> {
        let _door = self.shared.door.lock().await;
        let own = self.look_up(Some(&caller.identity.to_string()), key).await?;
        let found = match own {
            None if caller.identity == Identity::Operator => self.look_up(None, key).await?,
            own => own,
        };
        match found {
            Some(transaction) => self.show(transaction, caller).await,
            None => Err(Error::NotFound(format!("no transaction was started with the key `{key}`"))),
        }
    }

    pub(crate) async fn list(&self, filter: &Filter, before: i64, limit: u32) -> Result<Vec<Transaction>> {
        let listed = self.shared.journal.list(filter, before, limit).await;
        listed.map_err(|error| Error::internal("the journal can't be listed", error))
    }

    async fn look_up(&self, owner: Option<&str>, key: &Key) -> Result<Option<Transaction>> {
        let found = self.shared.journal.find(owner, key).await;
        found.map_err(|error| Error::internal("the key can't be looked up", error))
    }

    /// Serves `transaction` where `caller` is, and lets it follow.
    async fn show(&self, transaction: Transaction, caller: &Caller) -> Result<Sale> {
        let sale = match self.shared.desk.find(transaction.id) {
            Some(sale) => sale,
            None => self.put_on(transaction).await?,
        };
        let guard = match caller.bus {
            BusKind::System => &self.shared.guards.system,
            BusKind::App => &self.shared.guards.app,
        };
        api::serve(&sale, &self.shared.buses, guard, caller).await?;
        if sale.follow(caller.clone()) && !sale.is_final() {
            self.cancel_when_gone(&sale, caller);
        }
        Ok(sale)
    }

    async fn put_on(&self, transaction: Transaction) -> Result<Sale> {
        let owner = &transaction.request.owner;
        let path = request::path("/org/smartpos/Payment/transaction", owner, &transaction.request.key)?;
        let sale = Sale::new(&self.shared.buses, path, transaction);
        if let Some(oldest) = self.shared.desk.put(sale.clone()) {
            api::withdraw(&oldest, &self.shared.buses).await;
        }
        Ok(sale)
    }

    /// Before the point of no return, a sale whose callers have all vanished is called off.
    fn cancel_when_gone(&self, sale: &Sale, caller: &Caller) {
        let connection = self.shared.buses.get(caller.bus).clone();
        let (sale, caller) = (sale.clone(), caller.clone());
        tokio::spawn(async move {
            tokio::select! {
                gone = vanished(&connection, caller.name.clone()) => match gone {
                    Ok(()) => sale.left(&caller),
                    Err(error) => log::warn!("{} can't be watched: {error}", caller.identity),
                },
                () = sale.ended() => {}
            }
        });
    }
}
