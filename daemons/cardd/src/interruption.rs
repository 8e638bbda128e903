//! What can end a transaction from outside of the card: the payment daemon, the cardholder's hand, the
//! module.

use std::future::Future;
use std::time::Duration;

use secure_module::{CardPart, Error as ModuleError, SwipeResult};
use service::options::Dictionary;
use service::{Error, Result};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use zbus::{Array, OwnedVariant, Variant};

use crate::supervisor::View;

/// Signals that wait for the bus.
const SIGNALS: usize = 16;
/// Requests that wait for the transaction.
const REQUESTS: usize = 4;

/// What the transaction tells who started it.
#[derive(Debug)]
pub(crate) enum Signal {
    /// A step, with details.
    Progress(&'static str, Dictionary),
    /// The host has to decide.
    OnlineRequested(Dictionary),
    /// The end: `approved`, `declined`, `cancelled` or `failed`.
    Completed(&'static str, Dictionary),
}

/// What the transaction is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Call it off.
    Cancel,
    /// The customer chose this one of the card's applications.
    ChooseApplication(usize),
    /// The host answered.
    Authorise(HostAnswer),
    /// The host can't be reached.
    UnableToGoOnline,
    /// Who started it has gone away.
    OwnerGone,
}

/// The host's answer.
#[derive(Debug)]
pub(crate) struct HostAnswer {
    /// DE 39.
    pub(crate) code: [u8; 2],
    /// DE 55.
    pub(crate) issuer_data: Vec<u8>,
}

/// Why a transaction ends without a decision of the card.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Interruption {
    /// `cancelled`, `failed` or `declined`.
    pub(crate) outcome: &'static str,
    /// Why, for a person.
    pub(crate) reason: String,
}

impl Interruption {
    pub(crate) fn cancelled(reason: impl Into<String>) -> Interruption {
        Interruption { outcome: "cancelled", reason: reason.into() }
    }

    pub(crate) fn failed(reason: impl Into<String>) -> Interruption {
        Interruption { outcome: "failed", reason: reason.into() }
    }

    pub(crate) fn declined(reason: impl Into<String>) -> Interruption {
        Interruption { outcome: "declined", reason: reason.into() }
    }

    pub(crate) fn card_removed() -> Interruption {
        Interruption::failed("the card was removed")
    }
}

impl From<ModuleError> for Interruption {
    fn from(error: ModuleError) -> Interruption {
        match error {
            ModuleError::NoCard => Interruption::card_removed(),
            error => Interruption::failed(error.to_string()),
        }
    }
}

struct Request {
    command: Command,
    reply: oneshot::Sender<Result<()>>,
}

/// The way to tell a transaction something.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    requests: mpsc::Sender<Request>,
}

impl Line {
    /// Tells the transaction `command`.
    ///
    /// # Errors
    /// [`Error::WrongState`] when the transaction is not, or no longer, where it can follow.
    pub(crate) async fn tell(&self, command: Command) -> Result<()> {
        let ended = || Error::WrongState("the transaction has ended".to_string());
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request { command, reply }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

/// How far the transaction has come, as far as it matters to what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    BeforeHost,
    Host,
    AfterHost,
}

/// The time between two moments at which the slot was found empty: during one it holds one card at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stay(u64);

/// A transaction's view of what is around it.
pub(crate) struct Watch {
    view: watch::Receiver<View>,
    session: u64,
    card: Option<u64>,
    /// Whether the transaction ends where the card leaves.
    needs_card: bool,
    stay: Option<Stay>,
    /// The step that is told as soon as the pad asks, with its details.
    prompt: Option<(&'static str, Dictionary)>,
    asked: u64,
    keystrokes: u64,
    phase: Phase,
    requests: mpsc::Receiver<Request>,
    signals: mpsc::Sender<Signal>,
}

/// A watch over a transaction with the module of `session`; the way to talk to it, and what it says.
pub(crate) fn watch(view: watch::Receiver<View>, session: u64) -> (Watch, Line, mpsc::Receiver<Signal>) {
    let (request_sender, requests) = mpsc::channel(REQUESTS);
    let (signals, told) = mpsc::channel(SIGNALS);
    let (asked, keystrokes) = (view.borrow().asked, view.borrow().keystrokes);
    let watch = Watch {
        view,
        session,
        card: None,
        needs_card: true,
        stay: None,
        prompt: None,
        asked,
        keystrokes,
        phase: Phase::BeforeHost,
        requests,
        signals,
    };
    (watch, Line { requests: request_sender }, told)
}

impl Watch {
    /// Tells who started the transaction. Nobody may be listening any more.
    pub(crate) async fn signal(&self, signal: Signal) {
        let _ = self.signals.send(signal).await;
    }

    /// Tells a step that has no details.
    pub(crate) async fn progress(&self, step: &'static str) {
        self.signal(Signal::Progress(step, Dictionary::new())).await;
    }

    /// Waits for a card. One that is in the slot already will do, unless it was `used` in this stay: it has to
    /// leave first, or who forgets a card would pay for the next customer.
    /// `stripe`: a card that is swiped will do, too, which is waited for elsewhere.
    pub(crate) async fn card_inserted(
        &mut self,
        limit: Duration,
        used: Option<Stay>,
        stripe: bool,
    ) -> std::result::Result<(), Interruption> {
        let deadline = Instant::now() + limit;
        let is_used = |view: &View| view.holds_used(used);
        if is_used(&self.view.borrow()) {
            self.progress("remove-card").await;
            let left = self.seen(|view| !is_used(view), deadline);
            left.await?.ok_or_else(|| Interruption::cancelled("the last card was not taken out in time"))?;
        }
        if self.view.borrow().card.is_none() {
            let details = Dictionary::from([("stripe".to_string(), stripe.into())]);
            self.signal(Signal::Progress("insert-card", details)).await;
        }
        let inserted = self.seen(|view| view.card.is_some() && !is_used(view), deadline);
        let view = inserted.await?.ok_or_else(|| Interruption::cancelled("no card was inserted in time"))?;
        (self.card, self.stay) = (view.card, Some(Stay(view.emptied)));
        Ok(())
    }

    /// Whether a card is in the slot that will do.
    pub(crate) fn card_waits(&self, used: Option<Stay>) -> bool {
        let view = self.view.borrow();
        view.card.is_some() && !view.holds_used(used)
    }

    /// The swipes from now on.
    pub(crate) fn swipes(&self) -> Swipes {
        let seen = self.view.borrow().swipes;
        Swipes { view: self.view.clone(), seen, signals: self.signals.clone() }
    }

    /// The view once it is as `wanted`; none where it is not by the `deadline`.
    async fn seen(
        &mut self,
        wanted: impl Fn(&View) -> bool,
        deadline: Instant,
    ) -> std::result::Result<Option<View>, Interruption> {
        let mut view = self.view.clone();
        let seen = async move { view.wait_for(|view| wanted(view)).await.map(|view| view.clone()) };
        match timeout_at(deadline, self.unless_interrupted(seen)).await {
            Ok(Ok(Ok(view))) => Ok(Some(view)),
            Ok(Ok(Err(_))) => Err(lost()),
            Ok(Err(interruption)) => Err(interruption),
            Err(_) => Ok(None),
        }
    }

    /// The stay of this transaction's card in the slot; none before it was inserted.
    pub(crate) fn stay(&self) -> Option<Stay> {
        self.stay
    }

    /// The card has said all that is needed of it: it may leave.
    pub(crate) fn release_card(&mut self) {
        self.needs_card = false;
    }

    /// Whether the host has been asked.
    pub(crate) fn has_asked_host(&self) -> bool {
        self.phase != Phase::BeforeHost
    }

    /// Whether the card of this transaction is still in the slot.
    pub(crate) fn card_is_in(&self) -> bool {
        self.card.is_some() && self.view.borrow().card == self.card
    }

    /// Does `work`, unless something happens that ends it.
    pub(crate) async fn unless_interrupted<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> std::result::Result<T, Interruption> {
        tokio::select! {
            biased;
            interruption = self.interruption() => Err(interruption),
            result = work => Ok(result),
        }
    }

    /// Does `work`, which is an entry at the pad: the step `prompt` is told when the pad asks, since what is typed before may go to others.
    pub(crate) async fn entry<T>(
        &mut self,
        prompt: &'static str,
        details: Dictionary,
        work: impl Future<Output = secure_module::Result<T>>,
    ) -> std::result::Result<secure_module::Result<T>, Interruption> {
        self.prompt = Some((prompt, details));
        let entered = self.unless_interrupted(work).await;
        let prompt = self.prompt.take();
        // What was over at once was asked for, too.
        if let (Some((step, details)), Ok(Ok(_))) = (prompt, &entered) {
            self.signal(Signal::Progress(step, details)).await;
        }
        entered
    }

    /// Waits for what ends the work that goes on. Nothing is lost if it is not waited for to the end.
    async fn interruption(&mut self) -> Interruption {
        loop {
            self.show_keystrokes().await;
            if let Some(interruption) = self.loss() {
                return interruption;
            }
            tokio::select! {
                // Without a supervisor nobody would notice that the module goes away.
                changed = self.view.changed() => if changed.is_err() { return lost() },
                Some(request) = self.requests.recv() => {
                    if let Some(interruption) = self.take(request) {
                        return interruption;
                    }
                }
            }
        }
    }

    /// Whether the card or the module that the transaction works with is there no more.
    fn loss(&mut self) -> Option<Interruption> {
        let view = self.view.borrow_and_update();
        if view.session != self.session {
            return Some(lost());
        }
        if view.status().is_none_or(|status| status.tampered) {
            return Some(ModuleError::Tampered.into());
        }
        if self.needs_card && self.card.is_some() && view.card != self.card {
            return Some(Interruption::card_removed());
        }
        None
    }

    async fn show_keystrokes(&mut self) {
        let (asked, keystrokes, digits, part) = {
            let view = self.view.borrow();
            (view.asked, view.keystrokes, u32::from(view.digits), view.part)
        };
        if asked != self.asked {
            self.asked = asked;
            if let Some((step, details)) = self.prompt.take() {
                self.signal(Signal::Progress(step, details)).await;
            }
        }
        if keystrokes != self.keystrokes {
            self.keystrokes = keystrokes;
            let step = match part {
                None => "pin-digits",
                Some(CardPart::Number) => "number-digits",
                Some(CardPart::Expiry) => "expiry-digits",
                Some(CardPart::SecurityCode) => "code-digits",
            };
            let details = Dictionary::from([("count".to_string(), digits.into())]);
            self.signal(Signal::Progress(step, details)).await;
        }
    }

    /// Answers what is asked while the terminal works, by itself, with the card.
    fn take(&self, request: Request) -> Option<Interruption> {
        let before = self.phase == Phase::BeforeHost;
        let (answer, interruption) = match request.command {
            Command::Cancel if before => {
                (Ok(()), Some(Interruption::cancelled("called off by the payment daemon")))
            }
            Command::OwnerGone if before => {
                (Ok(()), Some(Interruption::cancelled("the payment daemon went away")))
            }
            // The card finishes what the host has decided.
            Command::OwnerGone => (Ok(()), None),
            Command::Cancel => (Err(wrong("the card is asked for its last word; wait for Completed")), None),
            Command::ChooseApplication(_) => (Err(no_choice()), None),
            Command::Authorise(_) | Command::UnableToGoOnline if before => {
                (Err(wrong("the card has not asked for the host; wait for OnlineRequested")), None)
            }
            Command::Authorise(_) | Command::UnableToGoOnline => {
                (Err(wrong("the card has been told of the host already; wait for Completed")), None)
            }
        };
        // Who asked may have gone away meanwhile.
        let _ = request.reply.send(answer);
        interruption
    }

    /// What the transaction is told next; none by the `deadline`.
    async fn told(&mut self, deadline: Instant) -> std::result::Result<Option<Request>, Interruption> {
        loop {
            if let Some(interruption) = self.loss() {
                return Err(interruption);
            }
            tokio::select! {
                changed = self.view.changed() => if changed.is_err() { return Err(lost()) },
                Some(request) = self.requests.recv() => return Ok(Some(request)),
                () = sleep_until(deadline) => return Ok(None),
            }
        }
    }

    /// Has the customer choose one of the card's applications, which are called `labels`: its index.
    pub(crate) async fn choice(
        &mut self,
        labels: Vec<&str>,
        limit: Duration,
    ) -> std::result::Result<usize, Interruption> {
        let count = labels.len();
        let names = OwnedVariant::try_from(Variant::from(Array::from(labels)));
        let details = names.into_iter().map(|names| ("applications".to_string(), names)).collect();
        self.signal(Signal::Progress("choose-application", details)).await;
        let deadline = Instant::now() + limit;
        loop {
            let Some(request) = self.told(deadline).await? else {
                return Err(Interruption::cancelled("none of the card's applications was chosen in time"));
            };
            match request.command {
                Command::ChooseApplication(index) if index < count => {
                    let _ = request.reply.send(Ok(()));
                    return Ok(index);
                }
                Command::ChooseApplication(index) => {
                    let problem = format!("{index} is none of the {count} applications; the first is 0");
                    let _ = request.reply.send(Err(Error::invalid("index", problem)));
                }
                _ => {
                    if let Some(interruption) = self.take(request) {
                        return Err(interruption);
                    }
                }
            }
        }
    }

    /// Asks for the host's decision about `card`, and waits for it: none where the host can't be reached.
    ///
    /// Where who started the transaction goes away, nobody will bring an answer: the host can't be reached.
    pub(crate) async fn ask_host(
        &mut self,
        card: Dictionary,
        limit: Duration,
    ) -> std::result::Result<Option<HostAnswer>, Interruption> {
        self.phase = Phase::Host;
        self.signal(Signal::OnlineRequested(card)).await;
        let deadline = Instant::now() + limit;
        let answer = loop {
            let Some(Request { command, reply }) = self.told(deadline).await? else { break None };
            let told =
                if matches!(command, Command::ChooseApplication(_)) { Err(no_choice()) } else { Ok(()) };
            let _ = reply.send(told);
            match command {
                Command::Cancel => return Err(Interruption::cancelled("called off by the payment daemon")),
                Command::Authorise(answer) => break Some(answer),
                Command::UnableToGoOnline | Command::OwnerGone => break None,
                Command::ChooseApplication(_) => {}
            }
        };
        self.phase = Phase::AfterHost;
        Ok(answer)
    }
}

impl View {
    /// Whether the card in the slot has been there since the stay `used`.
    fn holds_used(&self, used: Option<Stay>) -> bool {
        self.card.is_some() && Some(Stay(self.emptied)) == used
    }
}

/// What is swiped while a transaction waits.
pub(crate) struct Swipes {
    view: watch::Receiver<View>,
    seen: u64,
    signals: mpsc::Sender<Signal>,
}

impl Swipes {
    /// What the next swipe came to.
    pub(crate) async fn next(&mut self) -> std::result::Result<SwipeResult, Interruption> {
        loop {
            let (count, result) = {
                let view = self.view.wait_for(|view| view.swipes != self.seen).await.map_err(|_| lost())?;
                (view.swipes, view.swipe)
            };
            self.seen = count;
            if let Some(result) = result {
                return Ok(result);
            }
        }
    }

    /// Tells a step that has no details.
    pub(crate) async fn tell(&self, step: &'static str) {
        // Nobody may be listening any more.
        let _ = self.signals.send(Signal::Progress(step, Dictionary::new())).await;
    }
}

fn wrong(problem: &str) -> Error {
    Error::WrongState(problem.to_string())
}

fn no_choice() -> Error {
    wrong("no application is to be chosen now; wait for `choose-application`")
}

fn lost() -> Interruption {
    Interruption::failed("the secure card module went away or restarted")
}
