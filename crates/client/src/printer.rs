//! `org.smartpos.Printer`: receipts on paper.

use std::collections::HashMap;

use zbus::{OwnedObjectPath, OwnedVariant, Variant, proxy};

/// A receipt document: its elements, each a kind and its properties.
pub type Document<'a> = Vec<(&'a str, HashMap<&'a str, Variant<'a>>)>;

/// The printer.
#[proxy(
    interface = "org.smartpos.Printer1",
    default_service = "org.smartpos.Printer",
    default_path = "/org/smartpos/Printer"
)]
pub trait Printer {
    /// Prints `document` and returns its job object; the same `key` gives the same job.
    fn print(
        &self,
        document: &Document<'_>,
        key: &str,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<OwnedObjectPath>;

    /// The dots that `document` would put on paper, as a PNG file.
    fn preview(&self, document: &Document<'_>, options: HashMap<&str, Variant<'_>>) -> zbus::Result<Vec<u8>>;

    /// The job object that was started with `key`.
    fn get_job(&self, key: &str) -> zbus::Result<OwnedObjectPath>;

    /// `ready`, `printing`, `paper-out`, `offline` …
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<String>;

    /// `ok`, `near-end`, `out` or `unknown`.
    #[zbus(property(emits_changed_signal = "false"))]
    fn paper(&self) -> zbus::Result<String>;

    /// Half-width characters on a line.
    #[zbus(property(emits_changed_signal = "const"))]
    fn columns(&self) -> zbus::Result<u32>;

    /// Dots on a line.
    #[zbus(property(emits_changed_signal = "const"))]
    fn dots(&self) -> zbus::Result<u32>;

    /// The printer's state changed.
    #[zbus(signal)]
    fn state_changed(&self, old: &str, new: &str, reason: &str) -> zbus::Result<()>;
}

/// One print job.
#[proxy(interface = "org.smartpos.PrintJob1", default_service = "org.smartpos.Printer")]
pub trait PrintJob {
    /// Asks to call the job off; `Completed` tells whether that came in time.
    fn cancel(&self) -> zbus::Result<()>;

    /// All that is known of the job.
    fn get_result(&self) -> zbus::Result<HashMap<String, OwnedVariant>>;

    /// `queued`, `printing`, `waiting` or `final`.
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<String>;

    /// What the job waits for.
    #[zbus(property(emits_changed_signal = "false"))]
    fn progress(&self) -> zbus::Result<String>;

    /// Whether `Cancel` can still stop it.
    #[zbus(property(emits_changed_signal = "false"))]
    fn cancellable(&self) -> zbus::Result<bool>;

    /// Sent to the owner alone, once: `printed`, `printed-duplicate`, `cancelled` or `failed`.
    #[zbus(signal)]
    fn completed(&self, outcome: &str, result: HashMap<String, OwnedVariant>) -> zbus::Result<()>;
}
