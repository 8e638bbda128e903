//! `org.smartpos.Parameters1`: what the acquirer's host has for the terminal and its EMV kernel.

use std::collections::HashMap;

use zbus::{OwnedVariant, Variant, proxy};

/// Parameters that are fetched from the host, on the system bus alone.
#[proxy(
    interface = "org.smartpos.Parameters1",
    default_service = "org.smartpos.Payment",
    default_path = "/org/smartpos/Payment/parameters"
)]
pub trait Parameters {
    /// Fetches all that the host has, as soon as nothing else is to be done.
    fn download(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<()>;

    /// Calls it off.
    fn cancel(&self) -> zbus::Result<()>;

    /// What the host says of this terminal.
    fn get_terminal(&self) -> zbus::Result<HashMap<String, OwnedVariant>>;

    /// How the last one ended: `outcome`, `reason`, `capks`, `applications`, `terminal`, `finished`.
    fn get_result(&self) -> zbus::Result<HashMap<String, OwnedVariant>>;

    /// `idle`, `waiting` or `running`.
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<String>;

    /// The set that is being fetched; empty while none is.
    #[zbus(property(emits_changed_signal = "false"))]
    fn progress(&self) -> zbus::Result<String>;

    /// Whether `Cancel` can still stop it.
    #[zbus(property(emits_changed_signal = "false"))]
    fn cancellable(&self) -> zbus::Result<bool>;

    /// Sent to those who asked, at each record: how many of `progress` are there (`done`, `total`).
    #[zbus(signal)]
    fn state_changed(
        &self,
        state: &str,
        progress: &str,
        details: HashMap<String, OwnedVariant>,
    ) -> zbus::Result<()>;

    /// Sent to those who asked, once: `completed`, `failed` or `cancelled`.
    #[zbus(signal)]
    fn completed(&self, outcome: &str, result: HashMap<String, OwnedVariant>) -> zbus::Result<()>;
}
