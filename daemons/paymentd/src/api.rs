//! `org.smartpos.Payment1` and `org.smartpos.Transaction1`, as seen on the buses.

use service::bus::Buses;
use service::grants::Permission;
use service::guard::{Caller, Guard, Identity};
use service::options::{Dictionary, Options};
use service::request::Key;
use service::{Error, Result};
use tokio::sync::watch;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{OwnedObjectPath, fdo, interface};

use crate::config::Merchant;
use crate::counter::Counter;
use crate::desk::Sale;
use crate::journal::{Filter, is_outcome, is_state};
use crate::transaction::Request;

/// Where the service is.
pub(crate) const PATH: &str = "/org/smartpos/Payment";
/// The largest amount, in minor units: DE 4 has 12 digits.
const MAX_AMOUNT: u64 = 999_999_999_999;
/// Characters of the merchant's own order number.
const MAX_ORDER: usize = 32;
/// Entries on one page.
const MAX_PAGE: u32 = 100;

/// The payment service, on one bus.
pub(crate) struct PaymentService {
    pub(crate) guard: Guard,
    pub(crate) counter: Counter,
    pub(crate) merchant: Merchant,
    pub(crate) pending: watch::Receiver<u32>,
}

/// Takes payments by card.
///
/// Amounts are in minor units of an ISO 4217 currency. Everything that was started is found again by its key.
#[interface(name = "org.smartpos.Payment1")]
impl PaymentService {
    /// Starts a sale and returns its transaction object at once.
    ///
    /// `key` (1 to 64 printable ASCII characters) makes the call idempotent: the same key gives the same object, while it
    /// runs, after it ended, and after a restart. `options`: `order` (s), the merchant's number of the order, up to 32
    /// characters; `print` (b, default true), whether a receipt is printed.
    ///
    /// The object's path is `/org/smartpos/Payment/transaction/OWNER/KEY`, where other characters than ASCII letters and digits
    /// are written `_` and two hex digits.
    ///
    /// Errors: InvalidArgument, NotPermitted (`payment.start`), Busy, Throttled, Internal.
    async fn start_sale(
        &self,
        amount: u64,
        currency: &str,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let admitted = self.guard.admit(&header, Permission::PaymentStart).await?;
        let request = self.read_request(&admitted.caller, amount, currency, key, options)?;
        let sale = self.counter.start(request, &admitted.caller).await?;
        Ok(sale.path().clone())
    }

    /// The transaction object that the caller started with `key`. The operator finds everybody's.
    ///
    /// Errors: InvalidArgument, NotPermitted (`payment.read`), NotFound.
    async fn get_transaction(
        &self,
        key: &str,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let admitted = self.guard.admit(&header, Permission::PaymentRead).await?;
        let sale = self.counter.find(&key.parse()?, &admitted.caller).await?;
        Ok(sale.path().clone())
    }

    /// One page of transactions, newest first, and the cursor of the next page: empty after the last.
    ///
    /// `filter`: `state` (s), `outcome` (s), `since` and `until` (x, milliseconds since 1970). `cursor` is empty for the first page.
    /// `limit` is 1 to 100. An app sees its own transactions, the operator all.
    ///
    /// Errors: InvalidArgument, NotPermitted (`payment.read`).
    #[zbus(out_args("transactions", "next"))]
    async fn list_transactions(
        &self,
        filter: Dictionary,
        cursor: &str,
        limit: u32,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Vec<Dictionary>, String)> {
        let admitted = self.guard.admit(&header, Permission::PaymentRead).await?;
        let filter = read_filter(&admitted.caller, filter)?;
        let before = match cursor {
            "" => i64::MAX,
            text => text.parse().map_err(|_| Error::invalid("cursor", "give what the last page returned"))?,
        };
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(Error::invalid("limit", format!("{limit} is not from 1 to {MAX_PAGE}")));
        }
        let page = self.counter.list(&filter, before, limit).await?;
        let next = match page.last() {
            Some(last) if u32::try_from(page.len()) == Ok(limit) => last.id.to_string(),
            _ => String::new(),
        };
        Ok((page.iter().map(crate::transaction::Transaction::to_dictionary).collect(), next))
    }

    /// `ready`, `busy` while a payment runs, or `reversal-pending` while the host has one to acknowledge.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn state(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<&str> {
        self.check_reader(header).await?;
        Ok(if self.counter.is_busy() {
            "busy"
        } else if *self.pending.borrow() > 0 {
            "reversal-pending"
        } else {
            "ready"
        })
    }

    /// The terminal's number at the acquirer (DE 41).
    #[zbus(property(emits_changed_signal = "const"))]
    async fn terminal(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<&str> {
        self.check_reader(header).await?;
        Ok(&self.merchant.terminal)
    }

    /// The merchant's number at the acquirer (DE 42).
    #[zbus(property(emits_changed_signal = "const"))]
    async fn merchant(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<&str> {
        self.check_reader(header).await?;
        Ok(&self.merchant.merchant)
    }

    /// Reversals that the host has not acknowledged yet.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn pending_reversals(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<u32> {
        self.check_reader(header).await?;
        Ok(*self.pending.borrow())
    }
}

impl PaymentService {
    /// Properties are for those who may see the state of devices.
    async fn check_reader(&self, header: Option<Header<'_>>) -> fdo::Result<()> {
        if let Some(header) = header {
            self.guard.admit(&header, Permission::DeviceStatus).await?;
        }
        Ok(())
    }

    fn read_request(
        &self,
        caller: &Caller,
        amount: u64,
        currency: &str,
        key: &str,
        options: Dictionary,
    ) -> Result<Request> {
        let mut options = Options::new("options", options);
        let order: String = options.take("order")?.unwrap_or_default();
        let print = options.take("print")?.unwrap_or(true);
        options.finish()?;
        if !(1..=MAX_AMOUNT).contains(&amount) {
            return Err(Error::invalid(
                "amount",
                format!("{amount} is not from 1 to {MAX_AMOUNT} minor units"),
            ));
        }
        if currency.len() != 3 || !currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
            return Err(Error::invalid("currency", "give three capital letters of ISO 4217, such as CNY"));
        }
        if currency != self.merchant.currency {
            let problem = format!("this terminal takes {}, not {currency}", self.merchant.currency);
            return Err(Error::invalid("currency", problem));
        }
        if order.chars().count() > MAX_ORDER || order.chars().any(char::is_control) {
            return Err(Error::invalid("options.order", "give up to 32 printable characters"));
        }
        let key: Key = key.parse()?;
        Ok(Request {
            owner: caller.identity.to_string(),
            key,
            amount,
            currency: currency.to_string(),
            order,
            print,
        })
    }
}

fn read_filter(caller: &Caller, values: Dictionary) -> Result<Filter> {
    let mut values = Options::new("filter", values);
    let filter = Filter {
        owner: (caller.identity != Identity::Operator).then(|| caller.identity.to_string()),
        state: values.take("state")?,
        outcome: values.take("outcome")?,
        since: values.take("since")?,
        until: values.take("until")?,
    };
    values.finish()?;
    if let Some(state) = filter.state.as_deref().filter(|state| !is_state(state)) {
        return Err(Error::invalid("filter.state", format!("there is no state `{state}`")));
    }
    if let Some(outcome) = filter.outcome.as_deref().filter(|outcome| !is_outcome(outcome)) {
        return Err(Error::invalid("filter.outcome", format!("there is no outcome `{outcome}`")));
    }
    Ok(filter)
}

/// One transaction, on one bus.
pub(crate) struct TransactionObject {
    pub(crate) guard: Guard,
    pub(crate) sale: Sale,
}

/// One transaction. Only its owner and the operator see it.
#[interface(name = "org.smartpos.Transaction1")]
impl TransactionObject {
    /// Asks to call the transaction off; `Completed` tells whether that came in time.
    ///
    /// Errors: NotPermitted, WrongState when it has ended already.
    async fn cancel(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let admitted = self.guard.admit(&header, Permission::PaymentStart).await?;
        self.check_owner(&admitted.caller)?;
        if self.sale.is_final() {
            return Err(Error::WrongState("the transaction has ended; GetResult tells how".to_string()));
        }
        self.sale.cancel("called off by the app");
        Ok(())
    }

    /// All that is known of the transaction: `type`, `key`, `amount`, `currency`, `state`, and as they become known `outcome`
    /// (`approved`, `declined`, `cancelled`, `failed`, `reversed`), `reason`, `masked_pan`, `stan`, `approval`, `reference` …
    ///
    /// Errors: NotPermitted.
    async fn get_result(&self, #[zbus(header)] header: Header<'_>) -> Result<Dictionary> {
        let admitted = self.guard.admit(&header, Permission::PaymentRead).await?;
        self.check_owner(&admitted.caller)?;
        Ok(self.sale.transaction().to_dictionary())
    }

    /// `created`, `authorizing` (the host may know of it), `answered` (the host approved) or `final`.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn state(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<String> {
        self.check_reader(header).await?;
        Ok(self.sale.transaction().state.as_str().to_string())
    }

    /// What the transaction waits for: `insert-card`, `pin`, `host` …
    #[zbus(property(emits_changed_signal = "false"))]
    async fn progress(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<String> {
        self.check_reader(header).await?;
        Ok(self.sale.current_progress())
    }

    /// Whether `Cancel` can still stop it.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn cancellable(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<bool> {
        self.check_reader(header).await?;
        Ok(self.sale.cancellable())
    }

    /// Sent to those who started or fetched it, at each step.
    #[zbus(signal)]
    pub(crate) async fn state_changed(
        emitter: &SignalEmitter<'_>,
        state: &str,
        progress: &str,
        details: Dictionary,
    ) -> zbus::Result<()>;

    /// Sent to those who started or fetched it, once, when it is final.
    #[zbus(signal)]
    pub(crate) async fn completed(
        emitter: &SignalEmitter<'_>,
        outcome: &str,
        result: Dictionary,
    ) -> zbus::Result<()>;
}

impl TransactionObject {
    fn check_owner(&self, caller: &Caller) -> Result<()> {
        let owner = self.sale.transaction().request.owner;
        if caller.identity == Identity::Operator || caller.identity.to_string() == owner {
            return Ok(());
        }
        Err(Error::NotPermitted("this transaction belongs to somebody else".to_string()))
    }

    async fn check_reader(&self, header: Option<Header<'_>>) -> fdo::Result<()> {
        let Some(header) = header else { return Ok(()) };
        let admitted = self.guard.admit(&header, Permission::PaymentRead).await?;
        Ok(self.check_owner(&admitted.caller)?)
    }
}

/// Serves `sale` on the bus that `caller` is on.
pub(crate) async fn serve(sale: &Sale, buses: &Buses, guard: &Guard, caller: &Caller) -> Result<()> {
    let object = TransactionObject { guard: guard.clone(), sale: sale.clone() };
    buses.get(caller.bus).object_server().at(sale.path().clone(), object).await?;
    Ok(())
}

/// Takes `sale` off both buses; it is served again when it is asked for.
pub(crate) async fn withdraw(sale: &Sale, buses: &Buses) {
    for connection in [&buses.system, &buses.app] {
        // Not being served there is what is wanted.
        let _ = connection.object_server().remove::<TransactionObject, _>(sale.path().clone()).await;
    }
}
