//! The actor that owns a reader: one call after the other, and in between it listens to the interrupt pipe.

use std::time::Duration;

use ccid::{Body, Card, Command, Descriptor, Dialogue, Icc, Progress, Reply, SlotChange, Step};
use secure_module::{CardSlot, Error, Event, Result, Secret};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use super::pipes::{Incoming, Pipes};

/// How long the reader may take for an answer, and for each waiting time that it asks for. The longest block waiting time
/// that EMV allows a card (BWI 4) is 1.4 s.
const WAIT: Duration = Duration::from_secs(5);
/// How long one call may take, however often the card asks for time.
pub(super) const LONGEST_CALL: Duration = Duration::from_secs(30);
/// How often a reader without an interrupt pipe is asked for its card.
const LOOK: Duration = Duration::from_millis(500);

/// What the handle asks of the actor; where there is a moment, until then.
pub(super) enum Call {
    CardPresent(oneshot::Sender<Result<bool>>),
    PowerOn(Instant, oneshot::Sender<Result<Vec<u8>>>),
    PowerOff(oneshot::Sender<Result<()>>),
    Transmit(Secret, Instant, oneshot::Sender<Result<Secret>>),
}

/// Why a command brought nothing.
#[derive(Debug)]
enum Failure {
    /// The card, or what the reader said.
    Ccid(ccid::Error),
    /// The pipes, or time.
    Module(Error),
}

impl From<ccid::Error> for Failure {
    fn from(error: ccid::Error) -> Self {
        Failure::Ccid(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Module(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let error = match failure {
            Failure::Module(error) => return error,
            Failure::Ccid(error) => error,
        };
        match error {
            ccid::Error::NoCard => Error::NoCard,
            ccid::Error::Command => Error::Invalid(error.to_string()),
            ccid::Error::Mute
            | ccid::Error::Resynchronised
            | ccid::Error::Card(_)
            | ccid::Error::Refused(_) => {
                log::warn!("the card in the reader: {error}");
                Error::CardMute
            }
            _ => Error::Protocol(error.to_string()),
        }
    }
}

type Outcome<T> = std::result::Result<T, Failure>;

pub(super) struct Slot<P> {
    pipes: P,
    descriptor: Descriptor,
    dialogue: Dialogue,
    /// The card, while it has power and is known to be well.
    card: Option<Card>,
    /// Whether a card is in the slot, as far as was told.
    present: bool,
    calls: mpsc::Receiver<Call>,
    reports: mpsc::Sender<Event>,
}

impl<P: Pipes> Slot<P> {
    pub(super) fn new(
        pipes: P,
        descriptor: Descriptor,
        slot: u8,
        calls: mpsc::Receiver<Call>,
        reports: mpsc::Sender<Event>,
    ) -> Self {
        Self { pipes, descriptor, dialogue: Dialogue::new(slot), card: None, present: false, calls, reports }
    }

    /// Works until the reader or every handle is gone. Dropping the senders then tells everyone who waits.
    pub(super) async fn run(mut self) {
        loop {
            let turned = tokio::select! {
                call = self.calls.recv() => match call {
                    Some(call) => self.carry_out(call).await,
                    None => return,
                },
                incoming = self.pipes.next(false) => incoming.and_then(|incoming| self.hear(&incoming).map(drop)),
                () = sleep(LOOK), if !self.pipes.notifies() => self.look().await.map(drop),
            };
            match turned {
                Ok(()) => {}
                Err(Error::Gone) => return log::warn!("the smart-card reader was unplugged"),
                Err(error) => return log::warn!("the smart-card reader is given up: {error}"),
            }
        }
    }

    /// Fails only when the reader can't be worked with any more.
    async fn carry_out(&mut self, call: Call) -> Result<()> {
        let fault = match call {
            Call::CardPresent(reply) => answer(reply, self.look().await),
            Call::PowerOn(until, reply) => answer(reply, self.power_on(until).await.map_err(Error::from)),
            Call::PowerOff(reply) => {
                answer(reply, self.power_off(Instant::now() + WAIT).await.map_err(Error::from))
            }
            Call::Transmit(command, until, reply) => {
                answer(reply, self.transmit(&command, until).await.map_err(Error::from))
            }
        };
        match fault {
            Some(Error::Gone) => Err(Error::Gone),
            // A reader that answers now has only lost its card.
            Some(Error::Timeout) => self.look().await.map(drop),
            _ => Ok(()),
        }
    }

    /// Asks whether a card is there.
    async fn look(&mut self) -> Result<bool> {
        let until = Instant::now() + WAIT;
        match self.ask(&Command::SlotStatus, until).await {
            Ok(_) | Err(Failure::Ccid(ccid::Error::NoCard | ccid::Error::Refused(_))) => Ok(self.present),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn power_off(&mut self, until: Instant) -> Outcome<()> {
        self.card = None;
        match self.ask(&Command::PowerOff, until).await {
            Ok(_) | Err(Failure::Ccid(ccid::Error::NoCard)) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// A cold reset at each voltage until the card answers; a warm one where its answer can't be worked with (EMV Book 1, 8.4).
    async fn power_on(&mut self, until: Instant) -> Outcome<Vec<u8>> {
        self.power_off(until).await?;
        let voltages: Vec<_> = self.descriptor.voltages().collect();
        let mut last = Failure::Ccid(ccid::Error::Mute);
        for voltage in voltages {
            for _ in 0..2 {
                match self.reset(&Command::PowerOn(voltage), until).await {
                    Err(failure @ Failure::Ccid(ccid::Error::Card(_) | ccid::Error::Mute)) => last = failure,
                    Err(failure @ Failure::Ccid(ccid::Error::Refused(_))) => {
                        last = failure;
                        break;
                    }
                    done => return done,
                }
            }
            self.power_off(until).await?;
        }
        Err(last)
    }

    async fn reset(&mut self, power_on: &Command<'_>, until: Instant) -> Outcome<Vec<u8>> {
        let Body::Data(_, atr) = self.ask(power_on, until).await? else {
            return Err(ccid::Error::Value("bMessageType").into());
        };
        let (mut card, mut step) = Card::begin(&atr, &self.descriptor)?;
        if card.atr().contactless {
            log::warn!("the card in the reader is contactless, and is taken for one with contacts");
        }
        while step != Step::Ready {
            step = self.follow(&mut card, step, until).await?;
        }
        self.card = Some(card);
        Ok(atr.to_vec())
    }

    async fn transmit(&mut self, command: &[u8], until: Instant) -> Outcome<Secret> {
        // Whatever goes wrong leaves a card that has to be reset.
        let mut card = self.card.take().ok_or(ccid::Error::Mute)?;
        let mut step = match card.transmit(command) {
            Err(error @ ccid::Error::Command) => {
                self.card = Some(card);
                return Err(error.into());
            }
            begun => begun?,
        };
        loop {
            match self.follow(&mut card, step, until).await {
                Ok(Step::Response(response)) => {
                    self.card = Some(card);
                    return Ok(response);
                }
                Ok(next) => step = next,
                Err(failure @ Failure::Ccid(ccid::Error::Resynchronised)) => {
                    self.card = Some(card);
                    return Err(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Does one step, and hands the card what came of it.
    async fn follow(&mut self, card: &mut Card, step: Step, until: Instant) -> Outcome<Step> {
        let done = match &step {
            Step::Transfer(block) => {
                self.ask(&Command::Transfer(block.bwi, block.level, &block.data), until).await
            }
            Step::SetParameters(parameters) => self.ask(&Command::SetParameters(parameters), until).await,
            Step::Ready | Step::Response(_) => return Ok(step),
        };
        Ok(match done {
            Ok(Body::Data(chain, data)) => card.take(Reply::Data(chain, &data))?,
            Ok(_) => card.take(Reply::Done)?,
            Err(Failure::Ccid(ccid::Error::Refused(error))) if error.is_transmission() => {
                card.take(Reply::Nothing)?
            }
            Err(failure) => return Err(failure),
        })
    }

    /// Sends a command and waits for its answer, but not after the moment `until`, nor for a card that was pulled out.
    async fn ask(&mut self, command: &Command<'_>, until: Instant) -> Outcome<Body> {
        let message = self.dialogue.ask(command)?;
        self.pipes.send(message).await?;
        let mut patience = until.min(Instant::now() + WAIT);
        loop {
            let incoming = match timeout_at(patience, self.pipes.next(true)).await {
                Ok(incoming) => incoming?,
                Err(_) => return Err(Error::Timeout.into()),
            };
            if self.hear(&incoming)? {
                return Err(ccid::Error::NoCard.into());
            }
            let Incoming::Message(message) = incoming else { continue };
            match self.dialogue.take(&message)? {
                Progress::Other => {}
                Progress::Extended(times) => {
                    patience = until.min(Instant::now() + WAIT * u32::from(times));
                }
                Progress::Answered(answer) => {
                    self.see(answer.icc)?;
                    return Ok(answer.outcome()?);
                }
            }
        }
    }

    /// Takes a notification; returns whether the card that was there is gone.
    fn hear(&mut self, incoming: &Incoming) -> Result<bool> {
        let Incoming::Notification(bytes) = incoming else { return Ok(false) };
        let Some(change) = SlotChange::parse(bytes, self.dialogue.slot()) else { return Ok(false) };
        // A card that was changed for another one while nobody listened has gone, too.
        let gone = self.present && (change.changed || !change.present);
        if gone {
            self.set_present(false)?;
        }
        self.set_present(change.present)?;
        Ok(gone)
    }

    /// Takes what an answer says of the card.
    fn see(&mut self, icc: Icc) -> Result<()> {
        if icc != Icc::Active {
            self.card = None;
        }
        self.set_present(icc != Icc::Absent)
    }

    fn set_present(&mut self, present: bool) -> Result<()> {
        if present == self.present {
            return Ok(());
        }
        self.present = present;
        self.card = None;
        let event = if present { Event::CardInserted } else { Event::CardRemoved };
        // Nobody takes events: the daemon has given this reader up.
        self.reports.try_send(event(CardSlot::Contact)).map_err(|_| Error::Gone)
    }
}

/// Tells who asked, if somebody still waits, and returns what went wrong.
fn answer<T>(reply: oneshot::Sender<Result<T>>, outcome: Result<T>) -> Option<Error> {
    let fault = outcome.as_ref().err().cloned();
    let _ = reply.send(outcome);
    fault
}
