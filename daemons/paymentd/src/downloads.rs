//! What is to be fetched from the host, for the EMV kernel and for the terminal itself: what the host says is due, and what the
//! operator asks for. The teller fetches it while there is nothing else to do; a transaction that comes meanwhile goes first, and
//! it begins anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use service::bus::Buses;
use service::guard::Caller;
use service::options::Dictionary;
use service::{Error, Result};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use zbus::Variant;

use crate::api::{PARAMETERS_PATH, ParametersService};
use crate::now;

/// Operators who are told of one download.
const MAX_FOLLOWERS: usize = 4;

/// What a host has records of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// Certification authority public keys.
    Capks,
    /// Applications that the terminal accepts.
    Applications,
    /// What the host says of the terminal itself.
    Terminal,
}

impl Set {
    const ALL: [Set; 3] = [Set::Capks, Set::Applications, Set::Terminal];

    /// Those that the host has.
    pub(crate) fn offered(downloads: &iso8583::Downloads) -> impl Iterator<Item = Set> {
        let terminal = downloads.terminal.is_some();
        Set::ALL.into_iter().filter(move |set| *set != Set::Terminal || terminal)
    }

    /// What the API and the card daemon call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Set::Capks => "capks",
            Set::Applications => "applications",
            Set::Terminal => "terminal",
        }
    }

    /// By which digit the host says that it is due.
    pub(crate) fn due(self, downloads: &iso8583::Downloads) -> Option<char> {
        match self {
            Set::Capks => downloads.capks.due,
            Set::Applications => downloads.applications.due,
            Set::Terminal => downloads.terminal.as_ref().and_then(|terminal| terminal.due),
        }
    }
}

/// How far a set has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) set: Set,
    pub(crate) done: usize,
    pub(crate) total: usize,
}

/// How a download ended.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// `completed`, `failed` or `cancelled`.
    pub(crate) outcome: &'static str,
    /// Why it did not succeed.
    pub(crate) reason: String,
    /// The records of each set that was taken.
    pub(crate) taken: Vec<(Set, usize)>,
}

/// What is to be fetched; clones are the same.
#[derive(Clone)]
pub(crate) struct Downloads {
    shared: Arc<Shared>,
}

struct Shared {
    buses: Buses,
    /// What the host has.
    offered: Vec<Set>,
    view: Mutex<View>,
    /// Something is wanted that was not.
    called: Notify,
    /// Whether what runs is called off.
    cancelled: watch::Sender<bool>,
}

#[derive(Default)]
struct View {
    /// What the host says is due.
    due: Vec<Set>,
    /// How often in a row that could not be fetched, and when it is tried again.
    failures: usize,
    again: Option<Instant>,
    /// Whether the operator asks for everything.
    asked: bool,
    running: bool,
    progress: Option<Progress>,
    followers: Vec<Caller>,
    last: Option<(End, i64)>,
}

/// One attempt. Dropped before its end, all is wanted as before.
pub(crate) struct Attempt {
    downloads: Downloads,
    pub(crate) sets: Vec<Set>,
    by_operator: bool,
    ended: bool,
}

impl Downloads {
    /// `offered` is what the host has.
    pub(crate) fn new(buses: Buses, offered: Vec<Set>) -> Downloads {
        let (view, called, cancelled) = Default::default();
        Downloads { shared: Arc::new(Shared { buses, offered, view, called, cancelled }) }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.shared.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has everything fetched for `caller`, who is told of it.
    pub(crate) fn ask(&self, caller: Caller) -> Result<()> {
        if self.shared.offered.is_empty() {
            let problem = "the acquirer's host has no parameters for terminals; they come with the image";
            return Err(Error::NotSupported(problem.to_string()));
        }
        let mut view = self.view();
        if !view.followers.iter().any(|follower| follower.name == caller.name) {
            if view.followers.len() == MAX_FOLLOWERS {
                return Err(Error::Throttled("others wait for this download already".to_string()));
            }
            view.followers.push(caller);
        }
        view.asked = true;
        drop(view);
        self.shared.called.notify_one();
        Ok(())
    }

    /// Takes note of what the host says is due.
    pub(crate) fn note_due(&self, due: &[Set]) {
        let mut view = self.view();
        let new: Vec<Set> = due.iter().copied().filter(|set| !view.due.contains(set)).collect();
        view.due.extend(new);
    }

    /// When something is to be fetched the next time; `None` where nothing is.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let view = self.view();
        let now = Instant::now();
        match view.asked {
            true => Some(now),
            false => (!view.due.is_empty()).then(|| view.again.unwrap_or(now)),
        }
    }

    /// Returns when the operator asks for something.
    pub(crate) async fn called(&self) {
        self.shared.called.notified().await;
    }

    /// Returns when what runs is called off.
    pub(crate) async fn cancelled(&self) {
        // The sender is ours: it is never gone.
        let _ = self.shared.cancelled.subscribe().wait_for(|cancelled| *cancelled).await;
    }

    /// Calls off what the operator asked for.
    pub(crate) async fn cancel(&self) -> Result<()> {
        let running = {
            let mut view = self.view();
            if !view.asked && !view.running {
                return Err(Error::WrongState(
                    "nothing is being fetched; GetResult tells how it ended".to_string(),
                ));
            }
            view.asked = false;
            view.running
        };
        if running {
            self.shared.cancelled.send_replace(true);
        } else {
            self.tell_end(End::cancelled()).await;
        }
        Ok(())
    }

    /// Begins to fetch what is wanted.
    pub(crate) fn begin(&self) -> Attempt {
        self.shared.cancelled.send_replace(false);
        let mut view = self.view();
        view.running = true;
        let sets = if view.asked { self.shared.offered.clone() } else { view.due.clone() };
        Attempt { downloads: self.clone(), sets, by_operator: view.asked, ended: false }
    }

    /// `idle`, `waiting` or `running`.
    pub(crate) fn state(&self) -> &'static str {
        let view = self.view();
        match view.running {
            true => "running",
            false if view.asked || !view.due.is_empty() => "waiting",
            false => "idle",
        }
    }

    /// The set that is being fetched; empty while none is.
    pub(crate) fn current(&self) -> &'static str {
        self.view().progress.map(|progress| progress.set.name()).unwrap_or_default()
    }

    /// How the last one ended; empty before there was one.
    pub(crate) fn result(&self) -> Dictionary {
        self.view().last.as_ref().map(|(end, at)| end.dictionary(*at)).unwrap_or_default()
    }

    async fn tell_end(&self, end: End) {
        let at = now();
        let followers = {
            let mut view = self.view();
            view.last = Some((end.clone(), at));
            std::mem::take(&mut view.followers)
        };
        for follower in followers {
            let Ok(emitter) = follower.emitter(&self.shared.buses, &PARAMETERS_PATH) else { continue };
            let told = ParametersService::completed(&emitter, end.outcome, end.dictionary(at)).await;
            if let Err(error) = told {
                log::warn!("{} can't be told: {error}", follower.identity);
            }
        }
    }
}

impl Attempt {
    /// Tells how far it is.
    pub(crate) async fn progress(&self, progress: Progress) {
        let followers = {
            let mut view = self.downloads.view();
            view.progress = Some(progress);
            view.followers.clone()
        };
        let count = |count: usize| Variant::from(u32::try_from(count).unwrap_or(u32::MAX));
        for follower in followers {
            let Ok(emitter) = follower.emitter(&self.downloads.shared.buses, &PARAMETERS_PATH) else {
                continue;
            };
            let details = dictionary(vec![("done", count(progress.done)), ("total", count(progress.total))]);
            let set = progress.set.name();
            if let Err(error) = ParametersService::state_changed(&emitter, "running", set, details).await {
                log::warn!("{} can't be told: {error}", follower.identity);
            }
        }
    }

    /// How often in a row what the host says is due could not be fetched.
    pub(crate) fn failures(&self) -> usize {
        self.downloads.view().failures
    }

    /// Ends it. What the host says is due, and could not be fetched, is tried again after `pause`; what is `settled` is not due
    /// any more.
    pub(crate) fn end(mut self, end: End, settled: &[Set], pause: Duration) {
        self.ended = true;
        let succeeded = end.outcome == "completed";
        let told = {
            let mut view = self.downloads.view();
            view.due.retain(|set| !settled.contains(set));
            if succeeded {
                (view.failures, view.again) = (0, None);
            } else {
                view.failures = view.failures.saturating_add(1);
                view.again = Some(Instant::now() + pause);
            }
            if self.by_operator {
                view.asked = false;
            }
            // Who asked while one ran that was due waits for the next, unless that was called off.
            self.by_operator || (!view.asked && !view.followers.is_empty())
        };
        let downloads = self.downloads.clone();
        drop(self);
        if told {
            // A transaction that comes now must not keep it from them.
            tokio::spawn(async move { downloads.tell_end(end).await });
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let called_off = {
            let mut view = self.downloads.view();
            (view.running, view.progress) = (false, None);
            !self.ended && !view.asked && !view.followers.is_empty()
        };
        if called_off {
            let downloads = self.downloads.clone();
            tokio::spawn(async move { downloads.tell_end(End::cancelled()).await });
        }
    }
}

impl End {
    pub(crate) fn cancelled() -> End {
        End { outcome: "cancelled", reason: "called off by the operator".to_string(), taken: Vec::new() }
    }

    fn dictionary(&self, at: i64) -> Dictionary {
        let mut values = vec![
            ("outcome", Variant::from(self.outcome)),
            ("reason", self.reason.as_str().into()),
            ("finished", at.into()),
        ];
        for (set, count) in &self.taken {
            values.push((set.name(), u32::try_from(*count).unwrap_or(u32::MAX).into()));
        }
        dictionary(values)
    }
}

fn dictionary(values: Vec<(&str, Variant<'_>)>) -> Dictionary {
    let owned =
        values.into_iter().filter_map(|(key, value)| Some((key.to_string(), value.try_into_owned().ok()?)));
    owned.collect()
}
