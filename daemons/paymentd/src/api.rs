//! `org.smartpos.Payment1`, as seen on the buses.

mod arguments;
mod parameters;
mod transaction_object;

use qr::wallet::PaymentCode;
use service::grants::Permission;
use service::guard::Guard;
use service::options::Dictionary;
use service::{Error, Result};
use tokio::sync::watch;
use zbus::message::Header;
use zbus::{OwnedObjectPath, fdo, interface};

use crate::config::Merchant;
use crate::counter::Counter;
use crate::journal::Waiting;
use crate::services::Service;
use arguments::Call;

pub(crate) use parameters::{PARAMETERS_PATH, ParametersService};
pub(crate) use transaction_object::{TransactionObject, serve, withdraw};

/// Where the service is.
pub(crate) const PATH: &str = "/org/smartpos/Payment";

/// The payment service, on one bus.
pub(crate) struct PaymentService {
    pub(crate) guard: Guard,
    pub(crate) counter: Counter,
    pub(crate) merchant: Merchant,
    pub(crate) pending: watch::Receiver<u32>,
    pub(crate) stored: watch::Receiver<Waiting>,
    pub(crate) host_clock: watch::Receiver<String>,
}

/// Takes payments by card and by code.
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
    /// a receipt is printed. A sale knows `tip` (t), the part of `amount` that is one, and `instalments` (u), in how many the cardholder
    /// pays: 0, the default, is at once; others are those that the acquirer offers. What is paid so is voided or refunded whole.
    ///
    /// Those that read a card know `choose_application` (b): where the card has several applications, or wants its one confirmed, the
    /// customer chooses: show what the progress `choose-application` has in `applications` (as), and call `Transaction1.ChooseApplication`.
    /// Else the first by the card's priority is taken that needs no confirmation; a card that has none such is refused.
    ///
    /// A sale, and a refund without an original, know `moto` (b): it is a mail or telephone order (`payment.moto`). The card is not
    /// there: its number, expiry date and security code are keyed at the PIN pad (progress `key-card`), and come to no app. What
    /// voids or refunds such a sale has the card keyed again.
    ///
    /// One that is over a limit of the terminal's owner is refused, or waits for a supervisor, as the owner has it
    /// (`Transaction1.Approve`).
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

    /// Charges the wallet whose code the customer shows, through the QR gateway. `code` is the text of what was scanned: digits,
    /// or an EMV consumer-presented code. Whose it is, is told by the terminal's table of wallets; one that is nobody's is
    /// refused before anything is begun. The customer may have to confirm (progress `customer`); meanwhile `Cancel` works.
    ///
    /// Errors: as of StartSale (`payment.start`); NotSupported where the terminal has no QR gateway.
    async fn start_code_payment(
        &self,
        amount: u64,
        currency: &str,
        code: &str,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let money = Some((amount, currency));
        let call = Call { service: Service::CodePayment, money, original: "", key, options };
        self.start_with(call, Some(code), &header).await
    }

    /// Gets a code from the QR gateway for the customer to scan with a wallet. Its text is in the progress `show-code` (`code` s,
    /// `valid_until` x, milliseconds since 1970) and the property `ShownCode`: show it as a QR code until the transaction ends.
    ///
    /// Errors: as of StartCodePayment.
    async fn start_merchant_code(
        &self,
        amount: u64,
        currency: &str,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let money = Some((amount, currency));
        self.start(Call { service: Service::MerchantCode, money, original: "", key, options }, &header).await
    }

    /// Voids an approved sale, completion or payment by code of the open batch, whole. A card is read again: it has to be the
    /// same one. A sale that was approved offline and has not been sent to the host needs no card: the host never hears of it.
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

    /// Gives money back: for the sale, completion or payment by code `original`, also of a closed batch, in parts up to its
    /// amount; or, where `original` is empty, to whatever card is presented. To a wallet it takes as long as the QR gateway needs
    /// to answer: meanwhile other transactions can be started.
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

    /// Adds `tip` to the sale `original` of the open batch, once; the card is not needed. With a tip that the sale had already
    /// it may be so much of the sale as the terminal's owner and the acquirer allow. Then the sale can be refunded, with its tip,
    /// and no longer voided.
    ///
    /// Errors: as of StartVoid (`payment.tip`).
    async fn start_tip_adjustment(
        &self,
        original: &str,
        tip: u64,
        key: &str,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let money = Some((tip, self.merchant.currency.as_str()));
        self.start(Call { service: Service::TipAdjustment, money, original, key, options }, &header).await
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

    /// Closes the batch: the sums are compared with the host's, where they differ the batch is uploaded, the
    /// host gets the cards' certificates where it wants them, and the next batch begins. Once the host was asked it goes on until
    /// the host answers, and nothing else goes online before.
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
    /// `filter`: `type` (s), `state` (s), `outcome` (s), `since` and `until` (x, milliseconds since 1970). `cursor` is empty for
    /// the first page. `limit` is 1 to 100. An app sees its own transactions, the operator all.
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
    /// `credit_count` u and `credit_amount` t (refunds), the same four with `code_` before them for what went through the QR
    /// gateway, and `services` a{s(ut)}: count and amount of each. Voids, and what they undid, count in no sum. These are
    /// everybody's transactions, not the caller's alone.
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
        let admitted = self.guard.admit_operator(&header).await?;
        self.guard.authorize(&admitted.caller, Permission::PaymentRead)?;
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
        let admitted = self.guard.admit_operator(&header).await?;
        self.guard.authorize(&admitted.caller, Permission::PaymentRead)?;
        arguments::check_page(limit)?;
        let page = self.counter.events(after, limit).await?;
        Ok(page.into_iter().map(arguments::event).collect())
    }

    /// One page of the secure module's seals over the journal, oldest first, that cover more than the event `after`; 0 for the first
    /// page. `limit` is 1 to 100. Of each: the last event that it covers, milliseconds since 1970, that event's link, the module's
    /// public key and its signature. For the operator alone.
    ///
    /// Errors: InvalidArgument, NotPermitted, Throttled.
    #[zbus(out_args("seals"))]
    async fn read_seals(
        &self,
        after: i64,
        limit: u32,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<(i64, i64, String, String, String)>> {
        let _admitted = self.guard.admit_operator(&header).await?;
        arguments::check_page(limit)?;
        let page = self.counter.seals(after, limit).await?;
        Ok(page.into_iter().map(arguments::seal).collect())
    }

    /// `ready`, `busy` while a transaction runs, or `reversal-pending` while the host has one to acknowledge, or the QR gateway
    /// a cancel or a refund to answer.
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

    /// Reversals that the host has not acknowledged yet, and cancels and refunds that the QR gateway has not answered.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn pending_reversals(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<u32> {
        self.check_reader(header).await?;
        Ok(*self.pending.borrow())
    }

    /// Sales that were approved offline and that the host has not acknowledged yet.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn stored_sales(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<u32> {
        self.check_reader(header).await?;
        Ok(self.stored.borrow().count)
    }

    /// Transactions of whose issuer scripts the host has still to be told what became of them.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn untold_scripts(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<u32> {
        self.check_reader(header).await?;
        Ok(self.stored.borrow().scripts)
    }

    /// What the operator should look at, a sentence each; empty where all is well.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn warnings(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<Vec<String>> {
        self.check_reader(header).await?;
        let clock = self.host_clock.borrow().clone();
        let stored = arguments::stored_warnings(&self.stored.borrow(), &self.merchant);
        Ok([clock].into_iter().chain(stored).filter(|warning| !warning.is_empty()).collect())
    }
}

impl PaymentService {
    async fn start(&self, call: Call<'_>, header: &Header<'_>) -> Result<OwnedObjectPath> {
        self.start_with(call, None, header).await
    }

    /// Starts what is paid with the customer's `code`, where there is one.
    async fn start_with(
        &self,
        call: Call<'_>,
        code: Option<&str>,
        header: &Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let admitted = self.guard.admit(header, call.service.permission()).await?;
        let mut request = arguments::request(call, &admitted.caller, &self.merchant.currency)?;
        if request.moto {
            self.guard.authorize(&admitted.caller, Permission::PaymentMoto)?;
        }
        let code = code.map(PaymentCode::new).transpose();
        let code = code.map_err(|error| Error::InvalidArgument(error.to_string()))?;
        request.code = code.as_ref().map(PaymentCode::masked).unwrap_or_default();
        let ticket = self.counter.start(request, code, &admitted.caller).await?;
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
