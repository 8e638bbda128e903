//! `org.smartpos.Printer1`, the printer's object.

use escpos::status::{Paper, Status};
use service::grants::Permission;
use service::guard::{Admitted, Caller, Guard, Identity};
use service::options::{Dictionary, Options};
use service::request::Key;
use service::{Error, Result};
use tokio::sync::{mpsc, oneshot, watch};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{OwnedObjectPath, fdo, interface};

use crate::elements::{self, Elements};
use crate::works::Ask;

/// Where the printer is.
pub(crate) const PATH: &str = "/org/smartpos/Printer";

/// The payment daemon prints receipts, whichever user it runs as.
const PAYMENT: &str = "org.smartpos.Payment";

/// The printer's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// It answers.
    pub(crate) connected: bool,
    /// A job is on its way to paper.
    pub(crate) printing: bool,
    /// What it said last.
    pub(crate) status: Status,
    /// What it said of its paper; none if it did not.
    pub(crate) paper: Option<Paper>,
}

impl State {
    /// `ready`, `printing`, `paper-out`, `cover-open`, `error` or `offline`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            State { connected: false, .. } => "offline",
            State { status: Status { cover_open: true, .. }, .. } => "cover-open",
            State { paper: Some(Paper::Out), .. } => "paper-out",
            State {
                status: Status { cutter_error: true, .. } | Status { unrecoverable: true, .. }, ..
            } => "error",
            State { status: Status { offline: true, .. }, .. } => "offline",
            State { printing: true, .. } => "printing",
            _ => "ready",
        }
    }

    /// Why it is so, for a person.
    pub(crate) fn reason(self) -> &'static str {
        match self.name() {
            "cover-open" => "close the cover",
            "paper-out" => "put a new roll in",
            "error" if self.status.cutter_error => "the cutter is stuck: clear it",
            "error" => "switch the printer off and on",
            "offline" if self.connected => "the printer was set off line, or is too hot",
            "offline" => "the printer is not connected",
            _ => "",
        }
    }

    /// What a job waits for; nothing if it need not.
    pub(crate) fn obstacle(self) -> &'static str {
        match self.name() {
            "ready" | "printing" => "",
            name => name,
        }
    }
}

/// The printer: receipts are documents of text, columns, pictures and codes, printed once each.
#[derive(Debug)]
pub(crate) struct Printer {
    pub(crate) guard: Guard,
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) columns: u32,
    pub(crate) dots: u32,
}

impl Printer {
    /// Lets in who may print: an app or operator with the permission, or the payment daemon.
    /// Its calls count until what is returned is dropped.
    async fn admit(&self, header: &Header<'_>) -> Result<(Caller, Option<Admitted>)> {
        let caller = self.guard.caller(header).await?;
        if caller.identity == Identity::Service {
            self.guard.admit_daemon(header, PAYMENT).await?;
            return Ok((caller, None));
        }
        let admitted = self.guard.admit(header, Permission::PrinterPrint).await?;
        Ok((caller, Some(admitted)))
    }

    async fn see(&self, header: Option<Header<'_>>) -> fdo::Result<State> {
        if let Some(header) = header {
            let caller = self.guard.caller(&header).await?;
            if caller.identity != Identity::Service {
                self.guard.authorize(&caller, Permission::DeviceStatus)?;
            }
        }
        Ok(*self.state.borrow())
    }
}

/// Asks the worker, which lives as long as the process does.
pub(crate) async fn ask<T>(
    asks: &mpsc::Sender<Ask>,
    question: impl FnOnce(oneshot::Sender<Result<T>>) -> Ask,
) -> Result<T> {
    let (reply, answer) = oneshot::channel();
    let stopping = || Error::DeviceGone("the printer daemon is stopping; ask again in a moment".to_string());
    asks.send(question(reply)).await.map_err(|_| stopping())?;
    answer.await.map_err(|_| stopping())?
}

#[interface(name = "org.smartpos.Printer1")]
impl Printer {
    /// Prints a document: element kinds, each with its properties. The job's object is
    /// `/org/smartpos/Printer/job/OWNER/KEY`; the same key gives the same job, which is never printed twice unmarked.
    /// Once this returns, the job is on disk and survives a loss of power.
    /// Options: `priority` (s), `normal` or, for the operator and the payment daemon alone, `payment`.
    async fn print(
        &self,
        document: Elements,
        key: String,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath> {
        let (caller, _admitted) = self.admit(&header).await?;
        let key: Key = key.parse()?;
        let mut options = Options::new("options", options);
        let priority = options.take::<String>("priority")?;
        options.finish()?;
        let urgent = match (priority.as_deref(), &caller.identity) {
            (None | Some("normal"), _) => false,
            (Some("payment"), Identity::App(app)) => {
                return Err(Error::NotPermitted(format!(
                    "{app} may not print with the priority of payments"
                )));
            }
            (Some("payment"), _) => true,
            (Some(_), _) => return Err(Error::invalid("options.priority", "use normal or payment")),
        };
        let document = elements::document(document)?;
        ask(&self.asks, |reply| Ask::Print { caller, document, key, urgent, reply }).await
    }

    /// The dots that a document would put on paper, as a PNG file. It takes no options yet.
    async fn preview(
        &self,
        document: Elements,
        options: Dictionary,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<u8>> {
        let _admitted = self.admit(&header).await?;
        Options::new("options", options).finish()?;
        let document = elements::document(document)?;
        ask(&self.asks, |reply| Ask::Preview { document, reply }).await
    }

    /// The object of the job that the caller started with this key.
    async fn get_job(&self, key: String, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath> {
        let (caller, _admitted) = self.admit(&header).await?;
        let key: Key = key.parse()?;
        ask(&self.asks, |reply| Ask::Find { caller, key, reply }).await
    }

    /// `ready`, `printing`, `paper-out`, `cover-open`, `error` or `offline`.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn state(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<String> {
        Ok(self.see(header).await?.name().to_string())
    }

    /// `ok`, `near-end`, `out` or `unknown`.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn paper(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<String> {
        let paper = match self.see(header).await?.paper {
            Some(Paper::Present) => "ok",
            Some(Paper::NearEnd) => "near-end",
            Some(Paper::Out) => "out",
            None => "unknown",
        };
        Ok(paper.to_string())
    }

    /// Half-width characters on a line.
    #[zbus(property(emits_changed_signal = "const"))]
    async fn columns(&self) -> u32 {
        self.columns
    }

    /// Dots on a line.
    #[zbus(property(emits_changed_signal = "const"))]
    async fn dots(&self) -> u32 {
        self.dots
    }

    /// The printer's state changed; the reason is for a person.
    #[zbus(signal)]
    pub(crate) async fn state_changed(
        emitter: &SignalEmitter<'_>,
        old: &str,
        new: &str,
        reason: &str,
    ) -> zbus::Result<()>;
}
