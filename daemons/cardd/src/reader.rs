//! The card reader: one transaction at a time, each an object on the system bus.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use emv::Kernel;
use service::bus::Buses;
use service::guard::{Caller, Guard};
use service::{Error, Result};
use tokio::task::JoinHandle;
use zbus::OwnedObjectPath;
use zbus::object_server::SignalEmitter;

use crate::api::TransactionObject;
use crate::claims::{End, Places};
use crate::config::Config;
use crate::interruption::{Command, Line, Signal, watch};
use crate::keyed::Keyed;
use crate::owner;
use crate::parameters::Parameters;
use crate::supervisor::{ModuleHandle, refusal};
use crate::terms::{ENTROPY, Entry, Terms};
use crate::transaction::Transaction;

/// Where transactions are served.
const PREFIX: &str = "/org/smartpos/Card/transaction";

/// What a reader works with.
pub(crate) struct Tools {
    pub(crate) buses: Buses,
    /// The guard of the system bus.
    pub(crate) guard: Guard,
    pub(crate) module: ModuleHandle,
    pub(crate) emv: Parameters,
    pub(crate) config: Config,
    /// Who has the one place runs a transaction.
    pub(crate) places: Places,
}

/// The reader; clones are the same one.
#[derive(Clone)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
}

struct Shared {
    tools: Tools,
    count: AtomicU64,
    /// The last transaction: it stays on the bus until the next one, so that a late call is told that it is
    /// late.
    last: Mutex<Option<Last>>,
}

struct Last {
    path: OwnedObjectPath,
    line: Line,
    /// Ends when the last signal is on the bus.
    told: JoinHandle<()>,
}

impl Reader {
    pub(crate) fn new(tools: Tools) -> Reader {
        Reader { shared: Arc::new(Shared { tools, count: AtomicU64::new(1), last: Mutex::new(None) }) }
    }

    /// Begins a transaction for `caller` and returns its object.
    pub(crate) async fn start(&self, terms: &Terms, caller: &Caller) -> Result<OwnedObjectPath> {
        let Tools { buses, guard, module: handle, emv, config, places } = &self.shared.tools;
        let place = places.take(End::Payment).await?;
        let (module, session) = handle.ready()?;
        let (watch, line, signals) = watch(handle.watch(), session);
        let run: Pin<Box<dyn Future<Output = ()> + Send>> = match terms.entry() {
            Entry::Keyed { security_code } => {
                let (config, amount) = (config.clone(), terms.amount());
                Box::pin(Keyed { config, module, amount, security_code, watch }.run(place))
            }
            Entry::Card => {
                let entropy = module.random(ENTROPY).await.map_err(refusal)?;
                let entropy = <[u8; 8]>::try_from(entropy.as_slice())
                    .map_err(|error| Error::internal("the module's random number", error))?;
                let transaction = Transaction {
                    config: config.clone(),
                    module,
                    kernel: Kernel::new(emv.in_force(), terms.transaction(entropy)),
                    choose_application: terms.choose_application(),
                    amount: terms.amount(),
                    protection: terms.protection(),
                    swipe: terms.swipe().filter(|_| config.stripe.accepted),
                    key_serial: None,
                    watch,
                };
                Box::pin(transaction.run(place))
            }
        };

        let path = self.next_path()?;
        let object =
            TransactionObject { guard: guard.clone(), owner: caller.name.clone(), line: line.clone() };
        let server = buses.get(caller.bus).object_server();
        let last = self.take_last();
        if let Some(last) = last {
            // Not being served is what is wanted.
            let _ = server.remove::<TransactionObject, _>(last.path).await;
        }
        server.at(path.clone(), object).await?;
        let emitter = caller.emitter(buses, &path)?;
        tokio::spawn(run);
        let teller = line.clone();
        // A transaction that has just ended needs no telling.
        let left = async move { drop(teller.tell(Command::OwnerGone).await) };
        let told = tokio::spawn(owner::attend(buses.clone(), caller.clone(), emitter, signals, left));
        *self.lock() = Some(Last { path: path.clone(), line, told });
        Ok(path)
    }

    /// Calls off what runs, where that is still possible, and waits for its end.
    pub(crate) async fn stop(&self) {
        // Kept until the end: nobody claims the slot any more.
        let _place = self.shared.tools.places.take(End::Stopping).await;
        let Some(last) = self.take_last() else { return };
        // One that has ended, or that the card is just ending, can't be called off.
        let _ = last.line.tell(Command::Cancel).await;
        if let Err(error) = last.told.await {
            log::error!("a transaction did not end: {error}");
        }
    }

    fn next_path(&self) -> Result<OwnedObjectPath> {
        let number = self.shared.count.fetch_add(1, Ordering::Relaxed);
        OwnedObjectPath::try_from(format!("{PREFIX}/{number}"))
            .map_err(|error| Error::internal("making an object's path", error))
    }

    fn take_last(&self) -> Option<Last> {
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Last>> {
        self.shared.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl owner::Signal for Signal {
    async fn emit(self, emitter: &SignalEmitter<'static>) -> zbus::Result<()> {
        match self {
            Signal::Progress(step, details) => TransactionObject::progress(emitter, step, details).await,
            Signal::OnlineRequested(card) => TransactionObject::online_requested(emitter, card).await,
            Signal::Completed(outcome, result) => {
                TransactionObject::completed(emitter, outcome, result).await
            }
        }
    }
}
