//! `org.smartpos.Parameters1`, as seen on the system bus.

use service::Result;
use service::grants::Permission;
use service::guard::{Admitted, Guard};
use service::options::{Dictionary, Options};
use tokio::sync::watch;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{ObjectPath, fdo, interface};

use crate::downloads::Downloads;
use crate::terminal_parameters::TerminalParameters;

/// Where the object is.
pub(crate) const PARAMETERS_PATH: ObjectPath<'static> =
    ObjectPath::from_static_str_unchecked("/org/smartpos/Payment/parameters");

/// Parameters from the host, on the system bus.
pub(crate) struct ParametersService {
    pub(crate) guard: Guard,
    pub(crate) downloads: Downloads,
    /// What the host says of this terminal.
    pub(crate) said: watch::Receiver<TerminalParameters>,
}

/// What the host has: CA keys and applications for the EMV kernel, and what it says of this terminal. There is one download at a
/// time; who asks while one runs joins it.
#[interface(name = "org.smartpos.Parameters1")]
impl ParametersService {
    /// Fetches all of it, as soon as no transaction runs and nothing is owed to the host. Transactions go first: one that comes
    /// meanwhile has it begin anew. Each set is replaced whole, or not at all. It knows no options yet. `Completed` follows.
    ///
    /// The host may say by itself, when the terminal signs on, that something is due; that is fetched without being asked for, and
    /// tried again until it is there.
    ///
    /// Errors: InvalidArgument, NotPermitted (`payment.parameters`, of operators), NotSupported, Throttled.
    async fn download(&self, options: Dictionary, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let admitted = self.admit(&header).await?;
        Options::new("options", options).finish()?;
        self.downloads.ask(admitted.caller.clone())
    }

    /// Calls it off; `Completed` follows. What was replaced already stays.
    ///
    /// Errors: NotPermitted (`payment.parameters`), WrongState where nothing is being fetched.
    async fn cancel(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let _admitted = self.admit(&header).await?;
        self.downloads.cancel().await
    }

    /// How the last one that was asked for ended, since the daemon started: `outcome` s (`completed`, `failed`, `cancelled`),
    /// `reason` s, `finished` x, and how many records were taken: `capks` u, `applications` u, `terminal` u (its
    /// values).
    ///
    /// Errors: NotPermitted (`payment.parameters`).
    async fn get_result(&self, #[zbus(header)] header: Header<'_>) -> Result<Dictionary> {
        let _admitted = self.admit(&header).await?;
        Ok(self.downloads.result())
    }

    /// `idle`, `waiting` (something is to be fetched when there is time for it) or `running`.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn state(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<&str> {
        self.check_reader(header).await?;
        Ok(self.downloads.state())
    }

    /// What the host says of this terminal, and is in force: `answer_timeout_s` u, `tips` b (whether they may be added afterwards),
    /// `tip_percent` u, `merchant_name` s; what it does not say is not there. It can make the owner's limits
    /// tighter, never wider; the owner's name for the merchant and the owner's timeout come first.
    ///
    /// Errors: NotPermitted (`payment.parameters`).
    async fn get_terminal(&self, #[zbus(header)] header: Header<'_>) -> Result<Dictionary> {
        let _admitted = self.admit(&header).await?;
        Ok(self.said.borrow().dictionary())
    }

    /// The set that is being fetched: `capks`, `applications` or `terminal`; empty while none is.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn progress(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<&str> {
        self.check_reader(header).await?;
        Ok(self.downloads.current())
    }

    /// Whether `Cancel` can still stop it.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn cancellable(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<bool> {
        self.check_reader(header).await?;
        Ok(self.downloads.state() != "idle")
    }

    /// Sent to those who asked, at each record: of the set `progress`, `details` has `done` u and `total` u.
    #[zbus(signal)]
    pub(crate) async fn state_changed(
        emitter: &SignalEmitter<'_>,
        state: &str,
        progress: &str,
        details: Dictionary,
    ) -> zbus::Result<()>;

    /// Sent to those who asked, once. `result` is that of GetResult.
    #[zbus(signal)]
    pub(crate) async fn completed(
        emitter: &SignalEmitter<'_>,
        outcome: &str,
        result: Dictionary,
    ) -> zbus::Result<()>;
}

impl ParametersService {
    async fn admit(&self, header: &Header<'_>) -> Result<Admitted> {
        let admitted = self.guard.admit_operator(header).await?;
        self.guard.authorize(&admitted.caller, Permission::PaymentParameters)?;
        Ok(admitted)
    }

    async fn check_reader(&self, header: Option<Header<'_>>) -> fdo::Result<()> {
        if let Some(header) = header {
            self.guard.admit(&header, Permission::DeviceStatus).await?;
        }
        Ok(())
    }
}
