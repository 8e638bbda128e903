//! `org.smartpos.Payment`: payments.

use std::collections::HashMap;

use zbus::{OwnedObjectPath, OwnedVariant, Variant, proxy};

/// The payment service.
#[proxy(
    interface = "org.smartpos.Payment1",
    default_service = "org.smartpos.Payment",
    default_path = "/org/smartpos/Payment"
)]
pub trait Payment {
    /// Starts a sale of `amount` minor units of `currency` (ISO 4217, three letters) and returns its transaction object.
    ///
    /// The same `key` gives the same transaction, whatever happened in between.
    fn start_sale(
        &self,
        amount: u64,
        currency: &str,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Charges the wallet whose code the customer showed; `code` is the text of what was scanned.
    fn start_code_payment(
        &self,
        amount: u64,
        currency: &str,
        code: &str,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Gets a code for the customer to scan; its text is in the transaction's progress `show-code` and its `shown_code`.
    fn start_merchant_code(
        &self,
        amount: u64,
        currency: &str,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Voids the approved sale, completion or payment by code that was started with the key `original`.
    fn start_void(
        &self,
        original: &str,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Gives money back: of the sale, completion or payment by code `original`, or where that is empty to whatever card is presented.
    fn start_refund(
        &self,
        amount: u64,
        currency: &str,
        original: &str,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Adds `tip` minor units to the sale `original` of the open batch, once; without the card.
    fn start_tip_adjustment(
        &self,
        original: &str,
        tip: u64,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Reserves an amount on a card.
    fn start_preauthorisation(
        &self,
        amount: u64,
        currency: &str,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Reserves more for the pre-authorisation `original`.
    fn start_increment(
        &self,
        amount: u64,
        original: &str,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Takes what the pre-authorisation `original` reserved, once.
    fn start_completion(
        &self,
        amount: u64,
        original: &str,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Gives up the pre-authorisation `original`.
    fn start_cancellation(
        &self,
        original: &str,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Asks what a card has.
    fn start_balance_inquiry(
        &self,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Records a sale that was paid in cash.
    fn record_cash(
        &self,
        amount: u64,
        currency: &str,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Closes the batch.
    fn start_settlement(
        &self,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// What the open batch comes to.
    fn get_totals(&self) -> zbus::Result<HashMap<String, OwnedVariant>>;

    /// Prints the receipt of an approved transaction once more, marked as a duplicate.
    fn reprint(&self, key: &str) -> zbus::Result<()>;

    /// The transaction object that was started with `key`.
    fn get_transaction(&self, key: &str) -> zbus::Result<OwnedObjectPath>;

    /// One page of the caller's transactions, newest first, and the cursor of the next page (empty after the last).
    ///
    /// `filter` knows `type` (s), `state` (s), `outcome` (s), `since` and `until` (x, milliseconds since 1970). `limit` is 1 to 100.
    fn list_transactions(
        &self,
        filter: HashMap<&str, Variant<'_>>,
        cursor: &str,
        limit: u32,
    ) -> zbus::Result<(Vec<HashMap<String, OwnedVariant>>, String)>;

    /// The journal's identity, the number of its last event, and that event's link (`crates/audit`). For the operator.
    fn get_journal_head(&self) -> zbus::Result<(String, i64, String)>;

    /// Up to `limit` (1 to 100) events above the number `after`, oldest first: of each its number, its transaction's,
    /// milliseconds since 1970, what happened, and its link. For the operator.
    fn read_journal(&self, after: i64, limit: u32) -> zbus::Result<Vec<(i64, i64, i64, String, String)>>;

    /// One page of the secure module's seals over the journal, oldest first, that cover more than the event `after`: of each the
    /// last event that it covers, milliseconds since 1970, that event's link, the module's public key and its signature. For the
    /// operator alone.
    fn read_seals(&self, after: i64, limit: u32) -> zbus::Result<Vec<(i64, i64, String, String, String)>>;

    /// `ready`, `busy`, or `reversal-pending`.
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<String>;

    /// The terminal's number at the acquirer (DE 41).
    #[zbus(property(emits_changed_signal = "const"))]
    fn terminal(&self) -> zbus::Result<String>;

    /// The merchant's number at the acquirer (DE 42).
    #[zbus(property(emits_changed_signal = "const"))]
    fn merchant(&self) -> zbus::Result<String>;

    /// Reversals that the host has not acknowledged yet, and cancels and refunds that the QR gateway has not answered.
    #[zbus(property(emits_changed_signal = "false"))]
    fn pending_reversals(&self) -> zbus::Result<u32>;

    /// Sales that were approved offline and that the host has not acknowledged yet.
    #[zbus(property(emits_changed_signal = "false"))]
    fn stored_sales(&self) -> zbus::Result<u32>;

    /// Transactions of whose issuer scripts the host has still to be told what became of them.
    #[zbus(property(emits_changed_signal = "false"))]
    fn untold_scripts(&self) -> zbus::Result<u32>;

    /// What the operator should look at, a sentence each.
    #[zbus(property(emits_changed_signal = "false"))]
    fn warnings(&self) -> zbus::Result<Vec<String>>;
}

/// One transaction.
#[proxy(interface = "org.smartpos.Transaction1", default_service = "org.smartpos.Payment")]
pub trait Transaction {
    /// Asks to call the transaction off; `Completed` tells whether that came in time.
    fn cancel(&self) -> zbus::Result<()>;

    /// Goes on with this one, from 0, of the card's applications.
    fn choose_application(&self, index: u32) -> zbus::Result<()>;

    /// Approves, as a supervisor, what is over a limit. For operators.
    fn approve(&self) -> zbus::Result<()>;

    /// Denies it; `reason` is for a person, up to 64 characters.
    fn deny(&self, reason: &str) -> zbus::Result<()>;

    /// All that is known of the transaction.
    fn get_result(&self) -> zbus::Result<HashMap<String, OwnedVariant>>;

    /// `created`, `approval`, `authorizing`, `answered` or `final`.
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<String>;

    /// What the transaction waits for: `insert-card`, `reading`, `pin`, `host` …
    #[zbus(property(emits_changed_signal = "false"))]
    fn progress(&self) -> zbus::Result<String>;

    /// The names of the card's applications that the customer is to choose from; empty while nothing is to be chosen.
    #[zbus(property(emits_changed_signal = "false"))]
    fn applications(&self) -> zbus::Result<Vec<String>>;

    /// The text of the QR code that the customer is to scan; empty while there is none.
    #[zbus(property(emits_changed_signal = "false"))]
    fn shown_code(&self) -> zbus::Result<String>;

    /// Whether `Cancel` can still stop it.
    #[zbus(property(emits_changed_signal = "false"))]
    fn cancellable(&self) -> zbus::Result<bool>;

    /// Sent to the owner alone at each step.
    #[zbus(signal)]
    fn state_changed(
        &self,
        state: &str,
        progress: &str,
        details: HashMap<String, OwnedVariant>,
    ) -> zbus::Result<()>;

    /// Sent to the owner alone, once.
    #[zbus(signal)]
    fn completed(&self, outcome: &str, result: HashMap<String, OwnedVariant>) -> zbus::Result<()>;
}
