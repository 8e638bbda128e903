//! The one who prints: takes jobs from the bus and news from the device, and writes down each step first.
//!
//! A job counts as printed when the printer has answered the barrier after it. If the stream or this process dies
//! between the first byte and that answer, nobody knows whether the paper came out: the job is printed again, with a mark.

use std::collections::HashMap;
use std::path::Path;

use escpos::profile::Encoding;
use escpos::status::{Paper, Status};
use escpos::{Bitmap, Document, Font, Layout, Profile};
use service::bus::Buses;
use service::guard::{Caller, Guards};
use service::request::Key;
use service::{Error, Result};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot, watch};
use zbus::OwnedObjectPath;
use zbus::object_server::SignalEmitter;

use crate::device::{News, Work};
use crate::job::{self, PrintJob, View};
use crate::printer::{self, Printer, State};
use crate::spool::{Job, Spool, Stage};

/// The unfinished jobs that one owner may have.
const OPEN_JOBS: usize = 32;

/// What the bus asks for.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Print this once.
    Print {
        /// For whom.
        caller: Caller,
        /// What.
        document: Document,
        /// By which key.
        key: Key,
        /// Before the jobs of apps.
        urgent: bool,
        /// The job's object.
        reply: oneshot::Sender<Result<OwnedObjectPath>>,
    },
    /// What would it look like?
    Preview {
        /// What.
        document: Document,
        /// A PNG.
        reply: oneshot::Sender<Result<Vec<u8>>>,
    },
    /// Which job did I start with this key?
    Find {
        /// For whom.
        caller: Caller,
        /// By which key.
        key: Key,
        /// The job's object.
        reply: oneshot::Sender<Result<OwnedObjectPath>>,
    },
    /// Call a job off, if nothing of it was sent.
    Cancel {
        /// Which.
        number: u64,
        /// Whether it was not finished before.
        reply: oneshot::Sender<Result<()>>,
    },
}

/// What the worker needs from its surroundings.
pub(crate) struct Surroundings {
    /// To send signals.
    pub(crate) buses: Buses,
    /// To serve jobs.
    pub(crate) guards: Guards,
    /// To the device.
    pub(crate) work: mpsc::Sender<Work>,
    /// For the jobs' objects, which ask through it.
    pub(crate) asks: mpsc::Sender<Ask>,
}

/// A job that the object servers know.
struct Served {
    view: watch::Sender<View>,
    /// Who is told when it ends: the last connection of its owner that asked for it.
    caller: Option<Caller>,
}

/// The worker.
pub(crate) struct Works {
    surroundings: Surroundings,
    profile: Profile,
    font: Font,
    spool: Spool,
    served: HashMap<u64, Served>,
    state: watch::Sender<State>,
    stream: Option<u64>,
    status: Status,
    paper: Option<Paper>,
    /// The job that was sent and is not proven.
    current: Option<u64>,
}

impl Works {
    /// Opens the spool in `folder` and serves the jobs in it.
    ///
    /// # Errors
    /// What keeps it from working.
    pub(crate) async fn open(
        folder: &Path,
        profile: Profile,
        surroundings: Surroundings,
        state: watch::Sender<State>,
    ) -> std::result::Result<Works, String> {
        profile.check().map_err(|error| error.to_string())?;
        let font = Font::builtin().map_err(|error| error.to_string())?;
        let spool =
            Spool::open(folder).map_err(|error| format!("the spool {}: {error}", folder.display()))?;
        let mut works = Works {
            surroundings,
            profile,
            font,
            spool,
            served: HashMap::new(),
            state,
            stream: None,
            status: Status::default(),
            paper: None,
            current: None,
        };
        let numbers: Vec<u64> = works.spool.jobs().map(|(number, _)| number).collect();
        for number in numbers {
            works.serve(number, None).await.map_err(|error| error.to_string())?;
        }
        Ok(works)
    }

    /// Works until `stop` turns true.
    pub(crate) async fn run(
        mut self,
        mut asks: mpsc::Receiver<Ask>,
        mut news: mpsc::Receiver<News>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            tokio::select! {
                Some(ask) = asks.recv() => self.answer(ask).await,
                Some(news) = news.recv() => self.hear(news).await,
                _ = stop.wait_for(|stop| *stop) => return,
            }
            self.start_next().await;
            self.tell_state().await;
        }
    }

    // A caller that is gone does not wait for its reply: the sends below may fail.
    async fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Print { caller, document, key, urgent, reply } => {
                let _ = reply.send(self.print(caller, document, &key, urgent).await);
            }
            Ask::Preview { document, reply } => {
                let _ = reply.send(self.preview(&document));
            }
            Ask::Find { caller, key, reply } => {
                let _ = reply.send(self.find(caller, &key));
            }
            Ask::Cancel { number, reply } => {
                let _ = reply.send(self.cancel(number).await);
            }
        }
    }

    async fn print(
        &mut self,
        caller: Caller,
        document: Document,
        key: &Key,
        urgent: bool,
    ) -> Result<OwnedObjectPath> {
        let owner = caller.identity.to_string();
        let digest = digest(&document)?;
        if let Some((number, job)) = self.spool.find(&owner, key.as_str()) {
            if job.digest != digest {
                return Err(Error::invalid(
                    "key",
                    format!("{key} was used for another document; take a new key"),
                ));
            }
            let path = object_path(job)?;
            if let Some(served) = self.served.get_mut(&number) {
                served.caller = Some(caller);
            }
            return Ok(path);
        }
        if self.spool.open_jobs(&owner) >= OPEN_JOBS {
            return Err(Error::Throttled(format!(
                "{owner} has {OPEN_JOBS} print jobs already; wait for one to end"
            )));
        }
        let layout = self.layout(&document)?;
        let path = service::request::path(job::PREFIX, &caller.identity.to_string(), key)?;
        let job = Job {
            owner,
            key: key.to_string(),
            path: path.to_string(),
            urgent,
            stage: Stage::Queued,
            doubtful: false,
            missing: layout.missing.iter().collect(),
            document: Some(document),
            digest,
        };
        let number =
            self.spool.add(job).map_err(|error| Error::internal("writing the print job down", error))?;
        self.serve(number, Some(caller)).await?;
        Ok(path)
    }

    fn preview(&mut self, document: &Document) -> Result<Vec<u8>> {
        let layout = self.layout(document)?;
        let sheets = escpos::render(&layout, &mut self.font);
        Bitmap::stacked(&sheets).to_png().map_err(|error| Error::invalid("document", error))
    }

    fn find(&mut self, caller: Caller, key: &Key) -> Result<OwnedObjectPath> {
        let owner = caller.identity.to_string();
        let (number, job) = self
            .spool
            .find(&owner, key.as_str())
            .ok_or_else(|| Error::NotFound(format!("{owner} has no print job with the key {key}")))?;
        let path = object_path(job)?;
        if let Some(served) = self.served.get_mut(&number) {
            served.caller = Some(caller);
        }
        Ok(path)
    }

    async fn cancel(&mut self, number: u64) -> Result<()> {
        let stage = self.spool.get(number).map(|job| (job.stage, job.doubtful));
        match stage {
            Some((Stage::Queued, _)) => {
                self.spool
                    .change(number, |job| job.stage = Stage::Cancelled)
                    .map_err(|error| Error::internal("writing the print job down", error))?;
                self.completed(number).await;
                Ok(())
            }
            // Too late: the job goes on, and `Completed` says how it ended.
            Some((Stage::Sent, _)) => Ok(()),
            _ => Err(Error::WrongState("the print job has ended already".to_string())),
        }
    }

    fn layout(&self, document: &Document) -> Result<Layout> {
        escpos::layout(document, &self.profile, &self.font).map_err(|error| Error::invalid("document", error))
    }

    async fn hear(&mut self, news: News) {
        match news {
            News::Open(stream) => self.stream = Some(stream),
            News::Gone(_) => {
                (self.stream, self.status, self.paper) = (None, Status::default(), None);
                if let Some(number) = self.current.take() {
                    self.change(number, |job| job.doubtful = true);
                }
            }
            News::Status(status) => {
                self.status = status;
                self.paper = Some(status.paper);
            }
            News::Paper(paper) => {
                self.status.paper = paper;
                self.paper = Some(paper);
            }
            News::Proven => {
                if let Some(number) = self.current.take() {
                    self.change(number, |job| {
                        job.stage = if job.doubtful { Stage::PrintedDuplicate } else { Stage::Printed };
                    });
                    self.completed(number).await;
                }
            }
        }
    }

    /// Sends the next job, if the printer is free for it.
    async fn start_next(&mut self) {
        while let (Some(stream), None) = (self.stream, self.current) {
            let Some(number) = self.spool.next() else { return };
            let Some(job) = self.spool.get(number) else { return };
            let (document, doubtful) = (job.document.clone(), job.doubtful);
            match self.bytes(document, doubtful) {
                Ok(bytes) => return self.send(number, stream, bytes),
                Err(error) => {
                    log::error!("the print job {number} can't be printed by {}: {error}", self.profile.name);
                    self.change(number, |job| job.stage = Stage::Failed);
                    self.completed(number).await;
                }
            }
        }
    }

    fn send(&mut self, number: u64, stream: u64, bytes: Vec<u8>) {
        // Written down before the first byte leaves: else a crash would print it twice without a mark.
        if let Err(error) = self.spool.change(number, |job| job.stage = Stage::Sent) {
            log::error!("the print job {number} waits, because its start can't be written down: {error}");
            return;
        }
        match self.surroundings.work.try_send((stream, bytes)) {
            Ok(()) => self.current = Some(number),
            // Nothing was sent: the next event tries again.
            Err(error) => log::error!("the device does not take the print job {number}: {error}"),
        }
        self.show(number);
    }

    fn bytes(
        &mut self,
        document: Option<Document>,
        doubtful: bool,
    ) -> std::result::Result<Vec<u8>, escpos::Error> {
        let mut document =
            document.ok_or_else(|| escpos::Error::Document("is not in the spool".to_string()))?;
        if doubtful {
            document = document.marked(match self.profile.encoding {
                Encoding::Gb18030 => " 重复打印 DUPLICATE ",
                Encoding::Windows1252 => " DUPLICATE ",
            })?;
        }
        let layout = escpos::layout(&document, &self.profile, &self.font)?;
        Ok(escpos::encode(&layout, &self.profile, &mut self.font))
    }

    /// Changes a job on disk. If that fails the disk says less than happened, which prints at worst once more, marked.
    fn change(&mut self, number: u64, change: impl FnOnce(&mut Job)) {
        if let Err(error) = self.spool.change(number, change) {
            log::error!("the print job {number} can't be written down: {error}");
        }
        self.show(number);
    }

    /// Puts a job's object on both buses.
    async fn serve(&mut self, number: u64, caller: Option<Caller>) -> Result<()> {
        let Some(job) = self.spool.get(number) else { return Ok(()) };
        let (view, watching) = watch::channel(View::of(job, self.state.borrow().obstacle()));
        for (connection, guard) in self.surroundings.guards.each() {
            let object = PrintJob {
                guard: guard.clone(),
                owner: job.owner.clone(),
                number,
                view: watching.clone(),
                asks: self.surroundings.asks.clone(),
            };
            connection.object_server().at(object_path(job)?, object).await?;
        }
        self.served.insert(number, Served { view, caller });
        Ok(())
    }

    /// Lets a job's object show how far it is.
    fn show(&self, number: u64) {
        let waits_for = self.state.borrow().obstacle();
        if let (Some(job), Some(served)) = (self.spool.get(number), self.served.get(&number)) {
            served.view.send_replace(View::of(job, waits_for));
        }
    }

    /// Tells a job's owner, and nobody else, that it has ended.
    async fn completed(&mut self, number: u64) {
        self.show(number);
        if let (Some(job), Some(served)) = (self.spool.get(number), self.served.get(&number))
            && let Some(outcome) = job.stage.outcome()
        {
            log::info!(job = number, owner = job.owner.as_str(), outcome; "a print job has ended");
            if let Some(caller) = &served.caller
                && let Err(error) = self.tell_owner(caller, job, outcome).await
            {
                log::warn!("the owner of the print job {number} can't be told: {error}");
            }
        }
        for path in self.spool.prune() {
            for (connection, _) in self.surroundings.guards.each() {
                let _ = connection.object_server().remove::<PrintJob, _>(path.as_str()).await;
            }
        }
        self.served.retain(|number, _| self.spool.get(*number).is_some());
    }

    async fn tell_owner(&self, caller: &Caller, job: &Job, outcome: &str) -> Result<()> {
        let emitter = caller.emitter(&self.surroundings.buses, &object_path(job)?.into())?;
        Ok(PrintJob::completed(&emitter, outcome, View::of(job, "").result()).await?)
    }

    /// Tells both buses when the printer's state has changed.
    async fn tell_state(&mut self) {
        let (old, new) = (*self.state.borrow(), self.current_state());
        if old == new {
            return;
        }
        self.state.send_replace(new);
        if let Some(number) = self.current.or_else(|| self.spool.next()) {
            self.show(number);
        }
        if old.name() == new.name() {
            return;
        }
        for (connection, _) in self.surroundings.guards.each() {
            let Ok(emitter) = SignalEmitter::new(connection, printer::PATH) else { continue };
            if let Err(error) = Printer::state_changed(&emitter, old.name(), new.name(), new.reason()).await {
                log::warn!("the printer's new state can't be told: {error}");
            }
        }
    }

    fn current_state(&self) -> State {
        State {
            connected: self.stream.is_some() || self.paper.is_some(),
            printing: self.current.is_some(),
            status: self.status,
            paper: self.paper,
        }
    }
}

fn object_path(job: &Job) -> Result<OwnedObjectPath> {
    OwnedObjectPath::try_from(job.path.clone())
        .map_err(|error| Error::internal("making an object's path", error))
}

fn digest(document: &Document) -> Result<String> {
    let bytes =
        serde_json::to_vec(document).map_err(|error| Error::internal("writing the document", error))?;
    Ok(hex::encode(Sha256::digest(bytes)))
}
