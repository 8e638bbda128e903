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

    /// The transaction object that was started with `key`.
    fn get_transaction(&self, key: &str) -> zbus::Result<OwnedObjectPath>;

    /// One page of the caller's transactions, newest first, and the cursor of the next page (empty after the last).
    ///
    /// `filter` knows `state` (s), `outcome` (s), `since` and `until` (x, milliseconds since 1970). `limit` is 1 to 100.
    fn list_transactions(
        &self,
        filter: HashMap<&str, Variant<'_>>,
        cursor: &str,
        limit: u32,
    ) -> zbus::Result<(Vec<HashMap<String, OwnedVariant>>, String)>;

    /// `ready`, `busy`, or `reversal-pending`.
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<String>;

    /// The terminal's number at the acquirer (DE 41).
    #[zbus(property(emits_changed_signal = "const"))]
    fn terminal(&self) -> zbus::Result<String>;

    /// The merchant's number at the acquirer (DE 42).
    #[zbus(property(emits_changed_signal = "const"))]
    fn merchant(&self) -> zbus::Result<String>;

    /// Reversals that the host has not acknowledged yet.
    #[zbus(property(emits_changed_signal = "false"))]
    fn pending_reversals(&self) -> zbus::Result<u32>;
}

/// One transaction.
#[proxy(interface = "org.smartpos.Transaction1", default_service = "org.smartpos.Payment")]
pub trait Transaction {
    /// Asks to call the transaction off; `Completed` tells whether that came in time.
    fn cancel(&self) -> zbus::Result<()>;

    /// All that is known of the transaction.
    fn get_result(&self) -> zbus::Result<HashMap<String, OwnedVariant>>;

    /// `created`, `authorizing`, `answered` or `final`.
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<String>;

    /// What the transaction waits for: `insert-card`, `reading`, `pin`, `host` …
    #[zbus(property(emits_changed_signal = "false"))]
    fn progress(&self) -> zbus::Result<String>;

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
