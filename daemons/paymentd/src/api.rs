//! `org.smartpos.Payment1`, as seen on the buses.

mod arguments;
mod transaction_object;

use service::grants::Permission;
use service::guard::Guard;
use service::options::Dictionary;
use service::{Error, Result};
use tokio::sync::watch;
use zbus::message::Header;
use zbus::{OwnedObjectPath, fdo, interface};

use crate::config::Merchant;
use crate::counter::Counter;
use crate::services::Service;
use arguments::Call;

pub(crate) use transaction_object::{TransactionObject, serve, withdraw};

/// Where the service is.
pub(crate) const PATH: &str = "/org/smartpos/Payment";

/// The payment service, on one bus.
pub(crate) struct PaymentService {
    pub(crate) guard: Guard,
    pub(crate) counter: Counter,
    pub(crate) merchant: Merchant,
    pub(crate) pending: watch::Receiver<u32>,
    pub(crate) host_clock: watch::Receiver<String>,
}

/// Takes payments by card.
///
/// Amounts are in minor units of an ISO 4217 currency. Everything that was started is found again by its key.
#[interface(name = "org.smartpos.Payment1")]
impl PaymentService {
    /// Starts a sale and returns its transaction object at once.
    ///
    /// `key` (1 to 64 printable ASCII characters) makes the call idempotent: the same key gives the same object, while it
    /// runs, after it ended, and after a restart. That holds for every `Start…` and for `RecordCash`, and one key is one
    /// transaction, of whatever service.
    ///
    /// All of them know these `options`: `order` (s), the merchant's number of the order, up to 32 characters; `operator`
    /// (s), who stands at the till, up to 3 letters or digits; `print` (b, default true, of a balance inquiry false), whether
    /// a receipt is printed. A sale knows `tip` (t), the part of `amount` that is one.
    ///
    /// The object's path is `/org/smartpos/Payment/transaction/OWNER/KEY`, where other characters than ASCII letters and digits
    /// are written `_` and two hex digits.
    ///
    /// Errors: InvalidArgument, NotPermitted (`payment.start`), NotSupported, Busy, LimitExceeded, Throttled, Internal.
    async fn start_sale(
        &self,
        amount: u64,
        currency: &str,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let money = Some((amount, currency));
        self.start(Call { service: Service::Sale, money, original: "", key, options }, &header).await
    }

    /// Voids an approved sale or completion of the open batch, whole. The card is read again: it has to be the same one.
    /// `original` is the key that the original was started with, by the same caller; the operator finds everybody's.
    ///
    /// Errors: as of StartSale (`payment.void`); NotFound for the original; WrongState where it can't be voided, with what to
    /// do instead.
    async fn start_void(
        &self,
        original: &str,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        self.start(Call { service: Service::Void, money: None, original, key, options }, &header).await
    }

    /// Gives money back: for the sale or completion `original`, also of a closed batch, in parts up to its amount; or, where
    /// `original` is empty, to whatever card is presented.
    ///
    /// Errors: as of StartVoid (`payment.refund`).
    async fn start_refund(
        &self,
        amount: u64,
        currency: &str,
        original: &str,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let money = Some((amount, currency));
        self.start(Call { service: Service::Refund, money, original, key, options }, &header).await
    }

    /// Reserves an amount on a card.
    ///
    /// Errors: as of StartSale (`payment.preauthorise`).
    async fn start_preauthorisation(
        &self,
        amount: u64,
        currency: &str,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let (service, money) = (Service::Preauthorisation, Some((amount, currency)));
        self.start(Call { service, money, original: "", key, options }, &header).await
    }

    /// Reserves `amount` more for the pre-authorisation `original`.
    ///
    /// Errors: as of StartVoid (`payment.preauthorise`).
    async fn start_increment(
        &self,
        amount: u64,
        original: &str,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let money = Some((amount, self.merchant.currency.as_str()));
        self.start(Call { service: Service::Increment, money, original, key, options }, &header).await
    }

    /// Takes `amount` of what the pre-authorisation `original` and its increments reserved, once; up to the part more that
    /// the acquirer allows.
    ///
    /// Errors: as of StartVoid (`payment.preauthorise`).
    async fn start_completion(
        &self,
        amount: u64,
        original: &str,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let money = Some((amount, self.merchant.currency.as_str()));
        self.start(Call { service: Service::Completion, money, original, key, options }, &header).await
    }

    /// Gives up the pre-authorisation `original` with its increments.
    ///
    /// Errors: as of StartVoid (`payment.preauthorise`).
    async fn start_cancellation(
        &self,
        original: &str,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let service = Service::PreauthorisationCancel;
        self.start(Call { service, money: None, original, key, options }, &header).await
    }

    /// Asks what a card has; the result has it as `balance`.
    ///
    /// Errors: as of StartSale (`payment.start`).
    async fn start_balance_inquiry(
        &self,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        self.start(Call { service: Service::Balance, money: None, original: "", key, options }, &header).await
    }

    /// Records a sale that was paid in cash, for the totals and the receipt; it is final at once.
    ///
    /// Errors: as of StartSale (`payment.start`).
    async fn record_cash(
        &self,
        amount: u64,
        currency: &str,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let money = Some((amount, currency));
        self.start(Call { service: Service::Cash, money, original: "", key, options }, &header).await
    }

    /// Closes the batch: the sums are compared with the host's, where they differ the batch is uploaded, and the next batch
    /// begins. Once the host was asked it goes on until the host answers, and nothing else goes online before.
    ///
    /// Errors: as of StartSale (`payment.settle`).
    async fn start_settlement(
        &self,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let service = Service::Settlement;
        self.start(Call { service, money: None, original: "", key, options }, &header).await
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
        let ticket = self.counter.find(&key.parse()?, &admitted.caller).await?;
        Ok(ticket.path().clone())
    }

    /// One page of transactions, newest first, and the cursor of the next page: empty after the last.
    ///
    /// `filter`: `type` (s), `state` (s), `outcome` (s), `since` and `until` (x, milliseconds since 1970). `cursor` is empty for the first page.
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
        let filter = arguments::filter(&admitted.caller, filter)?;
        let before = match cursor {
            "" => i64::MAX,
            text => text.parse().map_err(|_| Error::invalid("cursor", "give what the last page returned"))?,
        };
        arguments::check_page(limit)?;
        let page = self.counter.list(&filter, before, limit).await?;
        let next = match page.last() {
            Some(last) if u32::try_from(page.len()) == Ok(limit) => last.id.to_string(),
            _ => String::new(),
        };
        Ok((page.iter().map(crate::transaction::Transaction::to_dictionary).collect(), next))
    }

    /// Prints the receipt of the approved transaction under `key` once more, marked as a duplicate. Each call prints one.
    ///
    /// Errors: InvalidArgument, NotPermitted (`payment.read`), NotFound, WrongState, DeviceGone, Timeout.
    async fn reprint(&self, key: &str, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let admitted = self.guard.admit(&header, Permission::PaymentRead).await?;
        self.counter.reprint(&key.parse()?, &admitted.caller).await
    }

    /// What the open batch comes to: `batch` s, `currency` s, `debit_count` u and `debit_amount` t (sales and completions),
    /// `credit_count` u and `credit_amount` t (refunds), and `services` a{s(ut)}: count and amount of each. Voids, and what
    /// they undid, count in neither sum. These are everybody's transactions, not the caller's alone.
    ///
    /// Errors: NotPermitted (`payment.settle`).
    async fn get_totals(&self, #[zbus(header)] header: Header<'_>) -> Result<Dictionary> {
        let _admitted = self.guard.admit(&header, Permission::PaymentSettle).await?;
        let (batch, sums) = self.counter.totals().await?;
        arguments::totals(batch, &self.merchant.currency, &sums)
    }

    /// Which journal this terminal keeps, and where its chain of hashes is: the journal's identity, the number of its last event,
    /// and that event's link. Who keeps a head can tell later whether the journal still holds what it held
    /// (`posctl audit verify --head`). For the operator alone.
    ///
    /// Errors: NotPermitted, Throttled.
    #[zbus(out_args("journal", "last", "head"))]
    async fn get_journal_head(&self, #[zbus(header)] header: Header<'_>) -> Result<(String, i64, String)> {
        let _admitted = self.guard.admit_operator(&header).await?;
        let (journal, chain) = self.counter.chain().await?;
        Ok((journal.to_string(), chain.last, chain.head.to_string()))
    }

    /// One page of the journal's events, oldest first, above the number `after`; 0 for the first page. `limit` is 1 to 100. Of
    /// each: its number, its transaction's, milliseconds since 1970, what happened (JSON), and its link. For the operator alone.
    ///
    /// Errors: InvalidArgument, NotPermitted, Throttled.
    #[zbus(out_args("events"))]
    async fn read_journal(
        &self,
        after: i64,
        limit: u32,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<(i64, i64, i64, String, String)>> {
        let _admitted = self.guard.admit_operator(&header).await?;
        arguments::check_page(limit)?;
        let page = self.counter.events(after, limit).await?;
        Ok(page.into_iter().map(arguments::event).collect())
    }

    /// `ready`, `busy` while a transaction runs, or `reversal-pending` while the host has one to acknowledge.
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

    /// What the operator should look at, a sentence each; empty where all is well.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn warnings(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<Vec<String>> {
        self.check_reader(header).await?;
        let clock = self.host_clock.borrow().clone();
        Ok(Some(clock).into_iter().filter(|warning| !warning.is_empty()).collect())
    }
}

impl PaymentService {
    async fn start(&self, call: Call<'_>, header: &Header<'_>) -> Result<OwnedObjectPath> {
        let admitted = self.guard.admit(header, call.service.permission()).await?;
        let request = arguments::request(call, &admitted.caller, &self.merchant.currency)?;
        let ticket = self.counter.start(request, &admitted.caller).await?;
        Ok(ticket.path().clone())
    }

    /// Properties are for those who may see the state of devices.
    async fn check_reader(&self, header: Option<Header<'_>>) -> fdo::Result<()> {
        if let Some(header) = header {
            self.guard.admit(&header, Permission::DeviceStatus).await?;
        }
        Ok(())
    }
}
