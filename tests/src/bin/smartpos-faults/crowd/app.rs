//! One app of the crowd: what it asks, and what it was told.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::Dictionary;
use client::payment::TransactionProxy;
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;
use smartpos_tests::{Sale, Shop, option, text};
use tokio::time::timeout;
use zbus::{Connection, DBusError, OwnedObjectPath, connection};

use super::Counts;
use crate::dice::Dice;

/// A call to a daemon that is killed is not always answered.
const CALL_LIMIT: Duration = Duration::from_secs(3);
/// An app waits so long for the end of its sale, then it asks again.
const END_LIMIT: Duration = Duration::from_secs(3);
/// At most so long between two requests of an app, in milliseconds.
const PAUSE: u64 = 150;

/// What an app knows of one of its keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// The terminal answered with the transaction's object.
    pub(super) accepted: bool,
    /// A request was not answered: the transaction is there or not.
    pub(super) doubtful: bool,
    /// The outcome that was told.
    pub(super) outcome: Option<String>,
}

/// How a request ended that was not accepted.
enum Refusal {
    /// `Busy`: nothing was begun.
    Busy,
    /// The daemon went away over it.
    Gone,
}

/// One app.
pub(super) struct App {
    pub(super) owner: String,
    number: u32,
    uid: Option<u32>,
    socket: PathBuf,
    pub(super) shop: Shop,
    dice: Dice,
    /// What it asked for, by the number in the key.
    pub(super) known: BTreeMap<u32, Known>,
    pub(super) counts: Counts,
}

impl App {
    pub(super) async fn new(
        number: u32,
        owner: String,
        uid: Option<u32>,
        socket: &Path,
        seed: u64,
    ) -> Result<App, String> {
        let bus = connect(socket, uid).await?;
        let shop = Shop::new(bus, &owner).await;
        // Far apart in the one sequence that the generator has.
        let dice = Dice(seed ^ u64::from(number + 1).rotate_left(40));
        let (known, counts) = (BTreeMap::new(), Counts::new());
        Ok(App { owner, number, uid, socket: socket.to_owned(), shop, dice, known, counts })
    }

    /// Makes `requests` requests.
    pub(super) async fn ask(&mut self, requests: u32) -> Result<(), String> {
        for _ in 0..requests {
            let newest = self.known.last_key_value().map_or(0, |(order, _)| *order);
            let earlier = u32::try_from(self.dice.below(u64::from(newest.max(1)))).unwrap_or_default() + 1;
            match self.dice.below(10) {
                0..6 => self.sell(newest + 1).await?,
                6..9 => self.sell(earlier).await?,
                _ => self.ask_for_another_amount(earlier).await?,
            }
            let pause = Duration::from_millis(self.dice.below(PAUSE));
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    pub(super) fn key(&self, order: u32) -> String {
        format!("crowd-{}-{order}", self.number)
    }

    /// No two sales of the crowd have the same.
    fn amount(&self, order: u32) -> u64 {
        u64::from(order) * 10 + u64::from(self.number)
    }

    /// Asks for the sale, and then does one of what people do.
    async fn sell(&mut self, order: u32) -> Result<(), String> {
        let known = self.known.entry(order).or_default().clone();
        self.count(if known.accepted { "asked again" } else { "asked for" });
        let sale = match self.start(order).await? {
            Ok(sale) => sale,
            Err(Refusal::Busy) => {
                self.count("busy");
                return match known.accepted {
                    true => Err(format!("{} exists, and the terminal says Busy of it", self.key(order))),
                    false => Ok(()),
                };
            }
            Err(Refusal::Gone) => {
                self.count("not answered");
                self.known.entry(order).or_default().doubtful = true;
                return Ok(());
            }
        };
        self.known.entry(order).or_default().accepted = true;
        match self.dice.below(10) {
            0..5 => self.wait(order, sale).await,
            5..7 => {
                self.count("cancels");
                self.judge_cancel(order, timeout(CALL_LIMIT, sale.proxy.cancel()).await)?;
                self.wait(order, sale).await
            }
            7 => self.tap_twice(order).await,
            8 => {
                self.count("vanished");
                drop(sale);
                let bus = connect(&self.socket, self.uid).await?;
                self.shop = Shop::new(bus, &self.owner).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn start(&self, order: u32) -> Result<Result<Sale, Refusal>, String> {
        let key = self.key(order);
        let followed = self.shop.follow(&key, self.call(order, &key, self.amount(order)));
        match timeout(CALL_LIMIT, followed).await {
            Ok(Ok(sale)) => Ok(Ok(sale)),
            Ok(Err(error)) => refusal(&error).map(Err).ok_or_else(|| format!("{key}: {error}")),
            Err(_) => Ok(Err(Refusal::Gone)),
        }
    }

    /// The bare request.
    async fn call(&self, order: u32, key: &str, amount: u64) -> zbus::Result<OwnedObjectPath> {
        // A receipt takes as long as the rest of a sale.
        let options = option("print", order.is_multiple_of(4));
        self.shop.payment.start_sale(amount, "CNY", key, options).await
    }

    /// The same request twice, at the same moment.
    async fn tap_twice(&mut self, order: u32) -> Result<(), String> {
        self.count("tapped twice");
        let key = self.key(order);
        let tap = || timeout(CALL_LIMIT, self.call(order, &key, self.amount(order)));
        let (first, second) = tokio::join!(tap(), tap());
        for tapped in [first, second] {
            match tapped {
                Ok(Ok(path)) if path == self.shop.path(&key) => {}
                Ok(Err(error)) if matches!(refusal(&error), Some(Refusal::Gone)) => {}
                Err(_) => {}
                other => return Err(format!("{key} was tapped twice: {other:?}")),
            }
        }
        Ok(())
    }

    /// A key is one sale: asked for with another amount it is an error, and nothing is begun.
    async fn ask_for_another_amount(&mut self, order: u32) -> Result<(), String> {
        if !self.known.get(&order).is_some_and(|known| known.accepted) {
            return Ok(());
        }
        self.count("asked with another amount");
        let key = self.key(order);
        match timeout(CALL_LIMIT, self.call(order, &key, self.amount(order) + 1)).await {
            Ok(Err(zbus::Error::MethodError(name, ..))) if name == "org.smartpos.Error.InvalidArgument" => {
                Ok(())
            }
            Ok(Err(error)) if matches!(refusal(&error), Some(Refusal::Gone)) => Ok(()),
            Err(_) => Ok(()),
            other => Err(format!("{key} was asked for with another amount: {other:?}")),
        }
    }

    /// Too late is no error.
    fn judge_cancel(
        &self,
        order: u32,
        cancelled: Result<zbus::Result<()>, tokio::time::error::Elapsed>,
    ) -> Result<(), String> {
        match cancelled {
            Ok(Err(error)) if is(&error, "WrongState") => Ok(()),
            Ok(Err(error)) if !matches!(refusal(&error), Some(Refusal::Gone)) => {
                Err(format!("{} was cancelled: {error}", self.key(order)))
            }
            _ => Ok(()),
        }
    }

    /// Waits for the end, as long as an app has patience.
    async fn wait(&mut self, order: u32, mut sale: Sale) -> Result<(), String> {
        let ended = timeout(END_LIMIT, async {
            // One that had ended before it was asked for again says nothing any more.
            match sale.proxy.get_result().await {
                Ok(result) if text(&result, "state") == "final" => text(&result, "outcome").to_owned(),
                _ => sale.completed().await.0,
            }
        });
        match ended.await {
            Ok(outcome) => self.told(order, outcome),
            Err(_) => {
                self.count("not waited for");
                Ok(())
            }
        }
    }

    /// An outcome is told once and for ever.
    pub(super) fn told(&mut self, order: u32, outcome: String) -> Result<(), String> {
        let key = self.key(order);
        let known = self.known.entry(order).or_default();
        match known.outcome.replace(outcome.clone()) {
            Some(before) if before != outcome => {
                Err(format!("{key} was `{before}`, and afterwards it is `{outcome}`"))
            }
            _ => Ok(()),
        }
    }

    /// What the terminal says of the sale; `None` where it never heard of it.
    pub(super) async fn look_up(&self, order: u32) -> zbus::Result<Option<Dictionary>> {
        let path = match self.shop.payment.get_transaction(&self.key(order)).await {
            Err(zbus::Error::MethodError(name, ..)) if name == "org.smartpos.Error.NotFound" => {
                return Ok(None);
            }
            path => path?,
        };
        let transaction = TransactionProxy::builder(&self.shop.bus).path(path).build().await?;
        transaction.get_result().await.map(Some)
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

/// A new connection to the app bus, as the user `uid`.
async fn connect(socket: &Path, uid: Option<u32>) -> Result<Connection, String> {
    let failed = |error: &dyn std::fmt::Display| format!("the app bus: {error}");
    let stream = match uid {
        // The bus believes what the kernel notes of the thread that connects.
        Some(uid) => as_user(uid, || UnixStream::connect(socket)),
        None => UnixStream::connect(socket),
    };
    let builder = connection::Builder::unix_stream(stream.map_err(|error| failed(&error))?);
    let builder = match uid {
        Some(uid) => builder.user_id(uid),
        None => builder,
    };
    builder.build().await.map_err(|error| failed(&error))
}

/// Does `work` as another user; only root can. It does not wait for anything, so nothing else runs on this thread.
fn as_user<T>(uid: u32, work: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
    let effective = |uid: Uid| set_thread_res_uid(None, uid, None);
    effective(Uid::from_raw(uid))?;
    let done = work();
    effective(Uid::ROOT)?;
    done
}

/// The name of an error that came over the bus.
fn name(error: &zbus::Error) -> Option<String> {
    match error {
        zbus::Error::MethodError(name, ..) => Some(name.to_string()),
        zbus::Error::FDO(error) => Some(DBusError::name(&**error).to_string()),
        _ => None,
    }
}

/// Whether the terminal said the error `word`.
fn is(error: &zbus::Error, word: &str) -> bool {
    name(error).is_some_and(|name| name.strip_prefix("org.smartpos.Error.") == Some(word))
}

/// What may happen to a request while others sell and daemons die; `None` for what may not.
fn refusal(error: &zbus::Error) -> Option<Refusal> {
    match name(error)?.as_str() {
        "org.smartpos.Error.Busy" => Some(Refusal::Busy),
        "org.freedesktop.DBus.Error.NoReply"
        | "org.freedesktop.DBus.Error.ServiceUnknown"
        | "org.freedesktop.DBus.Error.NameHasNoOwner"
        // A daemon that was started again serves the object when it is asked for by its key.
        | "org.freedesktop.DBus.Error.UnknownObject"
        | "org.freedesktop.DBus.Error.UnknownMethod" => Some(Refusal::Gone),
        _ => None,
    }
}
