//! One claim, from the wait for a card until the card has lost its power.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use emv::apdu::{Exchange, Response, Step};
use secure_module::{CardSlot, Error as ModuleError, Secret, SecureModule};
use service::{Error, Result};
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::claims::allowance::Allowance;
use crate::claims::atr::without_historical;
use crate::claims::filter::{Exposed, Filter};
use crate::claims::places::Held;
use crate::supervisor::{View, refusal};

/// How long a card may take for one command of an app, the rest of its response included, or to answer its reset. One card is talked to
/// at a time: who pays next waits as long at most.
const EXCHANGE: Duration = Duration::from_secs(5);
/// How long the end waits for the card to lose its power, and for a module that has begun anew to be back.
const CLOSING: Duration = Duration::from_secs(5);
/// Requests that wait for the card.
const REQUESTS: usize = 4;
/// Signals that wait for the bus.
const SIGNALS: usize = 16;

/// Where a claim stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// No card is in the slot.
    Waiting,
    /// A card is in the slot, without power.
    Present,
    /// It has answered its reset.
    Powered,
    /// The claim is over.
    Ended(End),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Waiting => "waiting",
            State::Present => "present",
            State::Powered => "powered",
            State::Ended(_) => "ended",
        })
    }
}

/// Why a claim ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its app released it.
    Released,
    /// Its app left the bus.
    OwnerGone,
    /// A payment needs the slot.
    Payment,
    /// The operator loads keys.
    KeyLoading,
    /// The operator tests or updates the module.
    Upkeep,
    /// Its time is over.
    TimeLimit,
    /// The card was taken out.
    CardRemoved,
    /// The module went away or began anew.
    ModuleGone,
    /// The daemon stops.
    Stopping,
}

impl End {
    /// What `Revoked` says.
    pub(super) fn reason(self) -> &'static str {
        match self {
            End::Released => "released",
            End::OwnerGone => "owner-gone",
            End::Payment => "payment",
            End::KeyLoading => "key-loading",
            End::Upkeep => "module-upkeep",
            End::TimeLimit => "timeout",
            End::CardRemoved => "card-removed",
            End::ModuleGone => "module-gone",
            End::Stopping => "stopping",
        }
    }

    /// Whether the app does not know of it by itself.
    fn is_news(self) -> bool {
        !matches!(self, End::Released | End::OwnerGone)
    }
}

/// What the claim tells its app.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Where it stands now.
    State(State),
    /// It has ended, and not by its app.
    Revoked(End),
}

/// What the claim is asked for.
#[derive(Debug)]
enum Command {
    PowerOn,
    Exchange(Secret),
}

#[derive(Debug)]
struct Request {
    command: Command,
    reply: oneshot::Sender<Result<Vec<u8>>>,
}

/// The way to a claim; clones lead to the same one.
#[derive(Debug, Clone)]
pub(super) struct Line {
    requests: mpsc::Sender<Request>,
    ending: Arc<watch::Sender<Option<End>>>,
    state: watch::Receiver<State>,
}

/// The claim's end of a [`Line`].
pub(super) struct Told {
    requests: mpsc::Receiver<Request>,
    ending: watch::Receiver<Option<End>>,
    state: watch::Sender<State>,
    signals: mpsc::Sender<Signal>,
}

/// A line, its other end, and what the app is told. The claim stands at `first`.
pub(super) fn line(first: State) -> (Line, Told, mpsc::Receiver<Signal>) {
    let (requests, asked) = mpsc::channel(REQUESTS);
    let (ending, ends) = watch::channel(None);
    let (told, state) = watch::channel(first);
    let line = Line { requests, ending: Arc::new(ending), state };
    let (signals, signalled) = mpsc::channel(SIGNALS);
    (line, Told { requests: asked, ending: ends, state: told, signals }, signalled)
}

impl Line {
    /// Has the claim end. The first cause counts.
    pub(super) fn end(&self, end: End) {
        self.ending.send_if_modified(|ending| match ending {
            Some(_) => false,
            None => {
                *ending = Some(end);
                true
            }
        });
    }

    /// Waits for the end, when the slot is free.
    pub(super) async fn ended(&self) {
        // A claim that is gone without a word has ended, too.
        let _ = self.state.clone().wait_for(|state| matches!(state, State::Ended(_))).await;
    }

    pub(super) fn state(&self) -> State {
        *self.state.borrow()
    }

    pub(super) async fn power_on(&self) -> Result<Vec<u8>> {
        self.ask(Command::PowerOn).await
    }

    pub(super) async fn exchange(&self, command: Vec<u8>) -> Result<Vec<u8>> {
        self.ask(Command::Exchange(command.into())).await
    }

    async fn ask(&self, command: Command) -> Result<Vec<u8>> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request { command, reply }).await.map_err(|_| self.over())?;
        answer.await.map_err(|_| self.over())?
    }

    fn over(&self) -> Error {
        let reason = match self.state() {
            State::Ended(end) => end.reason(),
            // It is ending just now.
            _ => self.ending.borrow().map_or("ended", End::reason),
        };
        Error::NotClaimed(format!("the claim is over ({reason}); claim the slot again"))
    }
}

/// One claim.
pub(super) struct Claim {
    pub(super) slot: CardSlot,
    pub(super) module: Arc<dyn SecureModule>,
    pub(super) filter: Filter,
    pub(super) view: watch::Receiver<View>,
    pub(super) session: u64,
    pub(super) limit: Duration,
    pub(super) allowance: Allowance,
    pub(super) told: Told,
}

impl Claim {
    /// Runs to the end. `held` is given back before the end is told.
    pub(super) async fn run(mut self, held: Held) {
        let mut turn = None;
        let end = self.serve(&held, &mut turn).await;
        self.close(end).await;
        drop((turn, held));
        log::info!("the claim of a card slot ends: {}", end.reason());
        self.told.state.send_replace(State::Ended(end));
        if end.is_news() {
            self.signal(Signal::Revoked(end)).await;
        }
    }

    /// Nobody may be listening any more.
    async fn signal(&self, signal: Signal) {
        let _ = self.told.signals.send(signal).await;
    }

    /// Until the end. The `turn` is kept where the module is lost: it is nobody's until the module is back.
    async fn serve(&mut self, held: &Held, turn: &mut Option<OwnedMutexGuard<()>>) -> End {
        let deadline = Instant::now() + self.limit;
        let (mut card, mut told) = (None, *self.told.state.borrow());
        loop {
            match self.look(&mut card) {
                Ok(()) => {}
                Err(end) => return end,
            }
            let state = *self.told.state.borrow();
            if state != told {
                told = state;
                self.signal(Signal::State(state)).await;
            }
            let request = tokio::select! {
                biased;
                end = ending(&mut self.told.ending) => return end,
                () = sleep_until(deadline) => return End::TimeLimit,
                changed = self.view.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return End::ModuleGone,
                },
                Some(request) = self.told.requests.recv() => request,
            };
            *turn = tokio::select! {
                biased;
                end = ending(&mut self.told.ending) => return end,
                turn = held.turn() => Some(turn),
            };
            if let Err(end) = self.look(&mut card) {
                return end;
            }
            // A command that is on its way can't be called back: what ends the claim meanwhile is seen to after it.
            if self.carry_out(request).await {
                return End::ModuleGone;
            }
            *turn = None;
        }
    }

    /// Does what the app asks for. Whether the module is lost.
    async fn carry_out(&mut self, Request { command, reply }: Request) -> bool {
        let outcome = match (self.allowance.spend(), command) {
            (Err(refused), _) => Err(refused.into()),
            (Ok(()), Command::PowerOn) => self.power_on().await,
            (Ok(()), Command::Exchange(command)) => self.exchange(&command).await,
        };
        if matches!(outcome, Err(Failure::Module(ModuleError::Timeout))) {
            self.allowance.rest();
        }
        answer(reply, outcome)
    }

    /// Follows the card in the slot and the module. One card that has been seen is all that a claim is for.
    fn look(&mut self, card: &mut Option<u64>) -> std::result::Result<(), End> {
        let view = self.view.borrow_and_update().clone();
        if view.session != self.session || view.status().is_none_or(|status| status.tampered) {
            return Err(End::ModuleGone);
        }
        if self.slot != CardSlot::Contact {
            return Ok(());
        }
        if card.is_some() && view.card != *card {
            return Err(End::CardRemoved);
        }
        if card.is_none() && view.card.is_some() {
            *card = view.card;
            self.follow(State::Waiting, State::Present);
        }
        Ok(())
    }

    async fn power_on(&mut self) -> std::result::Result<Vec<u8>, Failure> {
        self.filter.close();
        self.without_power();
        let atr = self.module.card_power_on_within(self.slot, EXCHANGE).await?;
        let shown = without_historical(&atr).ok_or(ModuleError::CardMute)?;
        self.told.state.send_replace(State::Powered);
        Ok(shown)
    }

    async fn exchange(&mut self, command: &[u8]) -> std::result::Result<Vec<u8>, Failure> {
        let state = *self.told.state.borrow();
        match state {
            State::Powered => {}
            State::Waiting => return Err(ModuleError::NoCard.into()),
            State::Present | State::Ended(_) => {
                return Err(Error::WrongState("the card has no power; call PowerOn first".to_string()).into());
            }
        }
        let command = self.filter.admit(command)?;
        let transmitted = self.transmit(Exchange::new(command)).await;
        if transmitted.is_err() {
            self.filter.close();
        }
        let response = transmitted?;
        if let Err(exposed) = self.filter.judge(&response) {
            self.filter.close();
            self.without_power();
            self.module.card_power_off(self.slot).await?;
            return Err(Failure::Refused(Error::NotPermitted(match exposed {
                Exposed::Payment => {
                    "the card answers with a payment application; it has lost its power".to_string()
                }
                Exposed::Unreadable => {
                    "the card's answer to SELECT is no BER-TLV; it has lost its power".to_string()
                }
                Exposed::Another => {
                    "the card answers with another application; it has lost its power".to_string()
                }
            })));
        }
        let mut whole = response.data.to_vec();
        whole.extend(response.status.to_be_bytes());
        Ok(whole)
    }

    /// A command and its whole response.
    async fn transmit(&self, mut exchange: Exchange) -> std::result::Result<Response, Failure> {
        let deadline = Instant::now() + EXCHANGE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let problem = "the card takes longer than 5 s for its response; select the application again";
                return Err(Failure::Refused(Error::Timeout(problem.to_string())));
            }
            let answer = self.module.card_transmit_within(self.slot, exchange.outgoing(), left).await?;
            match exchange.take(&answer) {
                Step::Again => {}
                Step::Done(response) => return Ok(response),
                Step::Malformed => {
                    let problem = "the card's response is longer than 256 bytes, or none at all".to_string();
                    return Err(Failure::Refused(Error::DeviceGone(problem)));
                }
            }
        }
    }

    /// What the app is told of a card that has no power, or is about to lose it.
    fn without_power(&self) {
        self.follow(State::Powered, State::Present);
    }

    /// From one state to the next; from any other one nothing follows.
    fn follow(&self, from: State, to: State) {
        self.told.state.send_if_modified(|state| {
            let follows = *state == from;
            if follows {
                *state = to;
            }
            follows
        });
    }

    /// Leaves the card without power, and the module as one finds it who begins anew.
    async fn close(&mut self, end: End) {
        if end == End::ModuleGone {
            begun_anew(&mut self.view, self.session).await;
        }
        if timeout(CLOSING, self.module.card_power_off(self.slot)).await.is_err() {
            log::warn!("the module does not take the power from a card; it will when it comes to it");
        }
    }
}

/// Waits until the claim is to end.
async fn ending(ending: &mut watch::Receiver<Option<End>>) -> End {
    // Without a sender nobody can use the claim any more.
    ending.wait_for(Option::is_some).await.ok().and_then(|ending| *ending).unwrap_or(End::OwnerGone)
}

/// Waits until a module that was lost in `session` is back: what begins next is to begin in the session that goes on.
pub(super) async fn begun_anew(view: &mut watch::Receiver<View>, session: u64) {
    let _ = timeout(CLOSING, view.wait_for(|view| view.session != session)).await;
}

/// Whether the module begins anew after `error`.
pub(super) fn is_lost(error: &ModuleError) -> bool {
    use ModuleError::{Gone, Protocol, Restarted, Timeout};
    matches!(error, Timeout | Protocol(_) | Restarted | Gone)
}

/// Why an app gets no answer from the card.
enum Failure {
    /// The module or the card did not do its part.
    Module(ModuleError),
    Refused(Error),
}

impl From<ModuleError> for Failure {
    fn from(error: ModuleError) -> Failure {
        Failure::Module(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Refused(error)
    }
}

/// Answers who asked, who may have gone away meanwhile. Whether the module is lost.
fn answer(reply: oneshot::Sender<Result<Vec<u8>>>, answer: std::result::Result<Vec<u8>, Failure>) -> bool {
    let (answer, lost) = match answer {
        Ok(answer) => (Ok(answer), false),
        Err(Failure::Refused(error)) => (Err(error), false),
        Err(Failure::Module(error)) => {
            let lost = is_lost(&error);
            (Err(refusal(error)), lost)
        }
    };
    let _ = reply.send(answer);
    lost
}
