//! The actor that owns the stream to the module: it moves bytes between the stream and the protocol's host
//! end, and hands answers to who asked.
//!
//! One request is on the line at a time, and further ones wait in the channel. An entry at the pad is two quick
//! requests and an event, so it holds the line for nobody, and its cancellation overtakes it.

use std::time::Duration;

use keys::pin_block::PinBlock;
use link::{
    CardEntry, CardResult, Fault, Happening, Host, OfflinePinEntry, PinEntry, PinResult, Refusal, Request,
    Response, capability,
};
use secure_module::{CardPart, CardSlot, Error, Event, OfflinePinOutcome, PinOutcome, Result, SwipeResult};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use zeroize::Zeroizing;

use super::{QUICK, TRANSMIT};

/// How many events wait for a daemon that doesn't take them.
pub(super) const MAX_EVENTS: usize = 64;
/// How long the module may keep its end of the stream full: at 9,600 baud the longest frame takes 4.3 s.
const WRITE: Duration = Duration::from_secs(5);
/// How much longer than its own timeouts an entry may take, since keys can be corrected.
const PATIENCE: u32 = 4;
/// Number, expiry date and security code of a card have as many digits at most.
const CARD_DIGITS: u8 = 27;

/// What the handle asks of the actor.
#[derive(Debug)]
pub(super) enum Command {
    Call { request: Request, limit: Duration, reply: oneshot::Sender<Result<Response>> },
    EnterPin { entry: PinEntry, reply: oneshot::Sender<Result<PinOutcome>> },
    VerifyPin { entry: OfflinePinEntry, reply: oneshot::Sender<Result<OfflinePinOutcome>> },
    EnterCard { entry: CardEntry, reply: oneshot::Sender<Result<CardResult>> },
}

/// Who waits for the request that is on the line.
enum Waiter {
    Caller(oneshot::Sender<Result<Response>>),
    /// The entry that begins with this request.
    Entry,
    /// Nobody: the entry's time was over.
    Nobody,
}

/// An entry at the pad that goes on.
struct Entry {
    number: u16,
    until: Duration,
    reply: Reply,
}

/// Who waits for its end.
enum Reply {
    Pin(oneshot::Sender<Result<PinOutcome>>),
    OfflinePin(oneshot::Sender<Result<OfflinePinOutcome>>),
    Card(oneshot::Sender<Result<CardResult>>),
}

/// How it ended.
enum Ended {
    Pin(PinResult),
    Card(CardResult),
}

pub(super) struct Actor<S> {
    stream: S,
    host: Host,
    started: Instant,
    commands: mpsc::Receiver<Command>,
    reports: mpsc::Sender<Event>,
    waiter: Option<Waiter>,
    entry: Option<Entry>,
    /// When a session was last seen open.
    alive: Duration,
}

/// What woke the actor up.
enum Wake {
    Bytes(usize),
    Command(Option<Command>),
    Time,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Actor<S> {
    pub(super) fn new(
        stream: S,
        host: Host,
        commands: mpsc::Receiver<Command>,
        reports: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            stream,
            host,
            started: Instant::now(),
            commands,
            reports,
            waiter: None,
            entry: None,
            alive: Duration::ZERO,
        }
    }

    /// Opens the first session.
    pub(super) async fn open(&mut self) -> Result<()> {
        let mut buffer = Zeroizing::new([0_u8; 512]);
        loop {
            self.flush().await?;
            self.turn(&mut *buffer).await?;
            while let Some(happening) = self.host.happening() {
                if let Some(problem) = unusable(&happening) {
                    return Err(Error::Protocol(problem.to_owned()));
                }
                if matches!(happening, Happening::Opened(_)) {
                    return Ok(());
                }
            }
        }
    }

    /// Works until the stream ends or every handle is gone.
    pub(super) async fn run(mut self) {
        let mut buffer = Zeroizing::new([0_u8; 512]);
        while self.flush().await.is_ok() && self.turn(&mut *buffer).await.is_ok() {
            while let Some(happening) = self.host.happening() {
                if let Some(problem) = unusable(&happening) {
                    log::error!("the secure module restarted, and can't be used: {problem}");
                    return;
                }
                self.happened(happening);
            }
        }
        // Dropping the senders tells everyone who waits that the module is gone.
    }

    /// Waits for one thing, and takes it in.
    async fn turn(&mut self, buffer: &mut [u8]) -> Result<()> {
        let entry = self.entry.as_ref().filter(|_| self.host.ready());
        let deadline = [self.host.deadline(), entry.map(|entry| entry.until)];
        let deadline = deadline.into_iter().flatten().min();
        // Without a deadline the branch is disabled, and its moment doesn't matter.
        let alarm = self.started + deadline.unwrap_or_default();
        let wake = tokio::select! {
            read = self.stream.read(buffer) => Wake::Bytes(read.map_err(|_| Error::Gone)?),
            command = self.commands.recv(), if self.host.ready() || self.lost() => Wake::Command(command),
            () = sleep_until(alarm), if deadline.is_some() => Wake::Time,
        };
        let now = self.started.elapsed();
        match wake {
            Wake::Bytes(0) | Wake::Command(None) => return Err(Error::Gone),
            Wake::Bytes(count) => self.host.receive(buffer.get(..count).unwrap_or_default(), now),
            Wake::Command(Some(command)) => self.command(command, now),
            Wake::Time => {}
        }
        self.host.tick(now);
        self.give_up_entry(now);
        if self.host.ready() || self.waiter.is_some() {
            self.alive = now;
        }
        Ok(())
    }

    /// Whether there has been no session for so long that callers are told instead of left waiting.
    fn lost(&self) -> bool {
        !self.host.ready()
            && self.waiter.is_none()
            && self.started.elapsed().saturating_sub(self.alive) > QUICK
    }

    async fn flush(&mut self) -> Result<()> {
        while let Some(bytes) = self.host.output() {
            let sent = timeout(WRITE, self.stream.write_all(&bytes)).await;
            sent.map_err(|_| Error::Gone)?.map_err(|_| Error::Gone)?;
        }
        Ok(())
    }

    fn command(&mut self, command: Command, now: Duration) {
        match command {
            Command::Call { request, limit, reply } => {
                self.ask(&request, limit, Waiter::Caller(reply), now);
            }
            Command::EnterPin { reply, .. } if self.entry.is_some() => drop(reply.send(Err(Error::Busy))),
            Command::EnterCard { reply, .. } if self.entry.is_some() => drop(reply.send(Err(Error::Busy))),
            Command::VerifyPin { reply, .. } if self.entry.is_some() => drop(reply.send(Err(Error::Busy))),
            Command::VerifyPin { mut entry, reply } => {
                entry.accessible &= self.host.agrees(capability::ACCESSIBLE_ENTRY);
                let until = now + patience(entry.first_key, entry.next_key, entry.longest) + TRANSMIT;
                self.entry = Some(Entry { number: entry.entry, until, reply: Reply::OfflinePin(reply) });
                self.ask(&Request::VerifyPin(entry), QUICK, Waiter::Entry, now);
            }
            Command::EnterPin { mut entry, reply } => {
                // A pad that can't help is better than none.
                entry.accessible &= self.host.agrees(capability::ACCESSIBLE_ENTRY);
                let until = now + patience(entry.first_key, entry.next_key, entry.longest);
                self.entry = Some(Entry { number: entry.entry, until, reply: Reply::Pin(reply) });
                self.ask(&Request::EnterPin(entry), QUICK, Waiter::Entry, now);
            }
            Command::EnterCard { entry, reply } => {
                let until = now + patience(entry.first_key, entry.next_key, CARD_DIGITS);
                self.entry = Some(Entry { number: entry.entry, until, reply: Reply::Card(reply) });
                self.ask(&Request::EnterCard(entry), QUICK, Waiter::Entry, now);
            }
        }
    }

    fn ask(&mut self, request: &Request, limit: Duration, waiter: Waiter, now: Duration) {
        match self.host.request(request, limit, now) {
            Ok(()) => self.waiter = Some(waiter),
            Err(link::Error::NotReady) => self.answer(waiter, Err(Error::Timeout)),
            Err(link::Error::NotAgreed) => self.answer(waiter, Err(Error::NotSupported)),
            Err(error) => self.answer(waiter, Err(Error::Invalid(error.to_string()))),
        }
    }

    fn answer(&mut self, waiter: Waiter, answer: Result<Response>) {
        match (waiter, answer) {
            // A caller may have gone away meanwhile: nothing to tell it then.
            (Waiter::Caller(reply), answer) => drop(reply.send(answer)),
            (Waiter::Entry, Err(error)) => self.end_entry(Err(error)),
            (Waiter::Entry, Ok(_)) => self.report(Event::PadAsks),
            (Waiter::Nobody, _) => {}
        }
    }

    fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Opened(_) => {
                self.end_entry(Err(Error::Restarted));
                self.report(Event::Reset);
            }
            Happening::Answered(response) => {
                if let Some(waiter) = self.waiter.take() {
                    self.answer(waiter, accepted(response));
                }
            }
            Happening::Failed(fault) => {
                if let Some(waiter) = self.waiter.take() {
                    self.answer(waiter, Err(failure(fault)));
                }
            }
            Happening::Event(event) => self.event(event),
            // The actor ends with them.
            Happening::WrongVersion | Happening::NotProtected => {}
        }
    }

    fn event(&mut self, event: link::Event) {
        let current = |number| self.entry.as_ref().is_some_and(|entry| entry.number == number);
        match event {
            link::Event::CardInserted { slot: 0 } => self.report(Event::CardInserted(CardSlot::Contact)),
            link::Event::CardRemoved { slot: 0 } => self.report(Event::CardRemoved(CardSlot::Contact)),
            link::Event::PinDigits { entry, count } if current(entry) => self.report(Event::PinDigits(count)),
            link::Event::PinEnded { entry, result } if current(entry) => {
                self.end_entry(Ok(Ended::Pin(result)));
            }
            link::Event::CardDigits { entry, part, count } if current(entry) => {
                self.report(Event::CardDigits(card_part(part), count));
            }
            link::Event::CardEnded { entry, result } if current(entry) => {
                self.end_entry(Ok(Ended::Card(result)));
            }
            link::Event::CardSwiped { result } => self.report(Event::CardSwiped(swipe_result(result))),
            link::Event::Tampered => self.report(Event::Tampered),
            other => log::debug!("the secure module reported {other:?}, which concerns nothing here"),
        }
    }

    fn report(&self, event: Event) {
        if self.reports.try_send(event).is_err() {
            log::warn!("nobody takes the secure module's events; {event:?} is lost");
        }
    }

    fn end_entry(&mut self, end: Result<Ended>) {
        let other = || Error::Protocol("an entry ended as one of another kind".to_owned());
        // Who asked may have gone away meanwhile.
        match (self.entry.take().map(|entry| entry.reply), end) {
            (None, _) => {}
            (Some(Reply::Pin(reply)), Ok(Ended::Pin(result))) => {
                drop(reply.send(outcome(result).ok_or_else(other)));
            }
            (Some(Reply::OfflinePin(reply)), Ok(Ended::Pin(result))) => {
                drop(reply.send(offline_outcome(result).unwrap_or_else(|| Err(other()))));
            }
            (Some(Reply::Card(reply)), Ok(Ended::Card(result))) => drop(reply.send(Ok(result))),
            (Some(Reply::OfflinePin(reply)), end) => drop(reply.send(Err(end.err().unwrap_or_else(other)))),
            (Some(Reply::Pin(reply)), end) => drop(reply.send(Err(end.err().unwrap_or_else(other)))),
            (Some(Reply::Card(reply)), end) => drop(reply.send(Err(end.err().unwrap_or_else(other)))),
        }
    }

    /// Ends an entry that the module should have timed out long ago.
    fn give_up_entry(&mut self, now: Duration) {
        if self.host.ready() && self.entry.as_ref().is_some_and(|entry| entry.until <= now) {
            self.end_entry(Err(Error::Timeout));
            self.ask(&Request::CancelPin, QUICK, Waiter::Nobody, now);
        }
    }
}

/// How long an entry of up to `digits` digits may take; the timeouts are its own, in milliseconds.
fn patience(first_key: u32, next_key: u32, digits: u8) -> Duration {
    let keys = u64::from(next_key) * u64::from(digits) * u64::from(PATIENCE);
    QUICK + Duration::from_millis(u64::from(first_key) + keys)
}

fn card_part(part: link::CardPart) -> CardPart {
    match part {
        link::CardPart::Number => CardPart::Number,
        link::CardPart::Expiry => CardPart::Expiry,
        link::CardPart::SecurityCode => CardPart::SecurityCode,
    }
}

fn swipe_result(result: link::SwipeResult) -> SwipeResult {
    match result {
        link::SwipeResult::Read => SwipeResult::Read,
        link::SwipeResult::Unreadable => SwipeResult::Unreadable,
    }
}

/// Why no session can be had with this module, if that is what happened.
fn unusable(happening: &Happening) -> Option<&'static str> {
    match happening {
        Happening::WrongVersion => Some("it speaks another version; update its firmware"),
        Happening::NotProtected => Some(
            "one end demands a protected line and the other has none, or they were not paired with each other; see \
             `protected_line` in cardd.toml and the keys of both ends",
        ),
        _ => None,
    }
}

fn accepted(response: Response) -> Result<Response> {
    let Response::Refused { refusal, reason } = response else { return Ok(response) };
    log::debug!("the secure module refused: {reason}");
    Err(match refusal {
        Refusal::NotSupported => Error::NotSupported,
        Refusal::Invalid => Error::Invalid(reason),
        Refusal::Busy => Error::Busy,
        Refusal::Tampered => Error::Tampered,
        Refusal::NoCard => Error::NoCard,
        Refusal::CardMute => Error::CardMute,
        Refusal::NoKey => Error::NoKey,
        Refusal::WrongUsage => Error::WrongUsage,
        Refusal::BadCheckValue => Error::BadCheckValue,
        Refusal::Failed => Error::Failed,
    })
}

fn failure(fault: Fault) -> Error {
    match fault {
        Fault::Timeout => Error::Timeout,
        Fault::Restarted => Error::Restarted,
        Fault::Protocol(error) => Error::Protocol(error.to_string()),
    }
}

/// How the entry of a PIN for the host ended; none if so ends one for the card alone.
fn outcome(result: PinResult) -> Option<PinOutcome> {
    Some(match result {
        PinResult::Entered(block) => PinOutcome::Entered(PinBlock::Short(block)),
        PinResult::EnteredLong(block) => PinOutcome::Entered(PinBlock::Long(block)),
        PinResult::Bypassed => PinOutcome::Bypassed,
        PinResult::Cancelled => PinOutcome::Cancelled,
        PinResult::TimedOut => PinOutcome::TimedOut,
        PinResult::Presented(_) | PinResult::CardMute => return None,
    })
}

/// How the entry of a PIN for the card ended; none if so ends one for the host alone.
fn offline_outcome(result: PinResult) -> Option<Result<OfflinePinOutcome>> {
    Some(match result {
        PinResult::Presented(status) => Ok(OfflinePinOutcome::Presented(status)),
        PinResult::CardMute => Err(Error::CardMute),
        PinResult::Bypassed => Ok(OfflinePinOutcome::Bypassed),
        PinResult::Cancelled => Ok(OfflinePinOutcome::Cancelled),
        PinResult::TimedOut => Ok(OfflinePinOutcome::TimedOut),
        PinResult::Entered(_) | PinResult::EnteredLong(_) => return None,
    })
}
