//! `org.smartpos.PrintJob1`, one print job's object. Only its owner may see it.

use service::guard::{Caller, Guard};
use service::options::Dictionary;
use service::{Error, Result};
use tokio::sync::{mpsc, watch};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{fdo, interface};

use crate::printer::ask;
use crate::spool::{Job, Stage};
use crate::works::Ask;

/// Below which all jobs are.
pub(crate) const PREFIX: &str = "/org/smartpos/Printer/job";

/// What a job's object shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    key: String,
    stage: Stage,
    duplicate: bool,
    missing: String,
    /// What the printer needs; empty if nothing.
    waits_for: &'static str,
}

impl View {
    /// The view of `job`, while the printer `waits_for` something.
    pub(crate) fn of(job: &Job, waits_for: &'static str) -> View {
        View {
            key: job.key.clone(),
            stage: job.stage,
            duplicate: job.doubtful,
            missing: job.missing.clone(),
            waits_for,
        }
    }

    fn state(&self) -> &'static str {
        match self.stage {
            Stage::Queued | Stage::Sent if !self.waits_for.is_empty() => "waiting",
            Stage::Queued => "queued",
            Stage::Sent => "printing",
            _ => "final",
        }
    }

    /// All that is known.
    pub(crate) fn result(&self) -> Dictionary {
        let mut result = Dictionary::from([
            ("state".to_string(), text(self.state())),
            ("key".to_string(), text(&self.key)),
            ("duplicate".to_string(), self.duplicate.into()),
        ]);
        if let Some(outcome) = self.stage.outcome() {
            result.insert("outcome".to_string(), text(outcome));
        }
        if !self.missing.is_empty() {
            result.insert("missing".to_string(), text(&self.missing));
        }
        result
    }
}

fn text(text: &str) -> zbus::OwnedVariant {
    zbus::Str::from(text.to_string()).into()
}

/// A print job.
#[derive(Debug)]
pub(crate) struct PrintJob {
    pub(crate) guard: Guard,
    pub(crate) owner: String,
    pub(crate) number: u64,
    pub(crate) view: watch::Receiver<View>,
    pub(crate) asks: mpsc::Sender<Ask>,
}

impl PrintJob {
    /// Lets only the owner in; to others there is no such job.
    async fn own(&self, header: &Header<'_>) -> Result<Caller> {
        let caller = self.guard.caller(header).await?;
        if caller.identity.to_string() == self.owner {
            return Ok(caller);
        }
        Err(Error::NotFound(format!("{} has no such print job", caller.identity)))
    }

    async fn see(&self, header: Option<Header<'_>>) -> fdo::Result<View> {
        if let Some(header) = header {
            self.own(&header).await?;
        }
        Ok(self.view.borrow().clone())
    }
}

#[interface(name = "org.smartpos.PrintJob1")]
impl PrintJob {
    /// Asks to call the job off; `Completed` tells whether that came before the first byte was sent.
    async fn cancel(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        self.own(&header).await?;
        let number = self.number;
        ask(&self.asks, |reply| Ask::Cancel { number, reply }).await
    }

    /// All that is known of the job: `state`, `key`, `duplicate` (it may have been printed before, and was marked),
    /// `outcome` once it is final, and `missing`, the characters that the printer lacks and that were printed as 〓.
    async fn get_result(&self, #[zbus(header)] header: Header<'_>) -> Result<Dictionary> {
        self.own(&header).await?;
        Ok(self.view.borrow().result())
    }

    /// `queued`, `printing`, `waiting` or `final`.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn state(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<String> {
        Ok(self.see(header).await?.state().to_string())
    }

    /// What the job waits for: `paper-out`, `offline`, `cover-open`, `error`, or nothing.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn progress(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<String> {
        Ok(self.see(header).await?.waits_for.to_string())
    }

    /// Whether `Cancel` can still stop it.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn cancellable(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<bool> {
        Ok(self.see(header).await?.stage == Stage::Queued)
    }

    /// Sent to the owner alone, once: `printed`, `printed-duplicate`, `cancelled` or `failed`.
    #[zbus(signal)]
    pub(crate) async fn completed(
        emitter: &SignalEmitter<'_>,
        outcome: &str,
        result: Dictionary,
    ) -> zbus::Result<()>;
}
