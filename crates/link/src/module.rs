//! The module's end of the line.

use std::collections::VecDeque;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::VERSION;
use crate::error::Error;
use crate::event::Event;
use crate::frame::{Decoder, Frame, Kind, MAX_PAYLOAD};
use crate::host::NOT_PROTECTED;
use crate::message::{Hello, Refusal, Request, Response, Secret, Welcome, capability};
use crate::pace::{Pace, Patience};
use crate::parts::{Assembly, LAST, Outgoing, PART, REST};
use crate::protection::{Channel, Protection};

/// The most events that wait for the host. One that doesn't take them has lost touch.
const MAX_EVENTS: usize = 32;

/// What came from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A session was opened: end a PIN entry and take the card's power away, for who wanted them is gone.
    Opened,
    /// Do this, and [respond](Module::respond).
    Request(Request),
}

/// The module's end of the line.
pub struct Module {
    boot: u32,
    /// What the line is protected with; none leaves it open to whoever is on it.
    protection: Option<Protection>,
    decoder: Decoder,
    session: Option<Session>,
    output: VecDeque<Zeroizing<Vec<u8>>>,
    /// With the event that is not acknowledged yet.
    patience: Patience,
}

struct Session {
    id: u32,
    /// The hello that opened it, and what that was answered.
    hello: Zeroizing<Vec<u8>>,
    welcome: Frame,
    /// Its keys, on a protected line.
    channel: Option<Channel>,
    /// The capabilities that both ends have.
    agreed: u32,
    /// The number of the latest request, 0 before the first.
    latest: u16,
    /// The operation of the latest request.
    operation: u8,
    /// The answer to it, once there is one: it is sent again if the request comes again.
    answer: Option<Frame>,
    /// The parts of a long request that have come.
    parts: Assembly,
    /// The response that the host fetches in parts.
    rest: Option<Outgoing>,
    /// Events that the host hasn't acknowledged; the first one is on its way.
    events: VecDeque<Event>,
    /// The number of the first event.
    event: u16,
}

impl Module {
    /// An end without a session. `boot` is a random number drawn at each start. The line opens with the news
    /// that no session is open, so that a host notices the restart at once. It opens any, and protects none.
    #[must_use]
    pub fn new(boot: u32) -> Self {
        Self::with(boot, None)
    }

    /// Likewise, but it opens none that is not protected.
    #[must_use]
    pub fn protected(boot: u32, protection: Protection) -> Self {
        Self::with(boot, Some(protection))
    }

    fn with(boot: u32, protection: Option<Protection>) -> Self {
        let (decoder, patience) = (Decoder::default(), Patience::default());
        let mut module = Self { boot, protection, decoder, session: None, output: VecDeque::new(), patience };
        module.send(&Frame::bare(Kind::Closed, 0, 0));
        module
    }

    /// The same end on a line of another pace than the default one.
    #[must_use]
    pub fn at(mut self, pace: Pace) -> Self {
        self.patience.pace = pace;
        self
    }

    /// Takes bytes from the line, and returns what the host wants.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) -> Vec<Incoming> {
        let frames = self.decoder.push(bytes);
        let incoming = frames.into_iter().filter_map(|frame| self.take(&frame, now)).collect();
        if self.decoder.arriving() {
            self.patience.arriving(now);
        }
        self.patience.leave(now);
        incoming
    }

    /// Answers the request that came last. An answer that comes after its session has ended is dropped.
    pub fn respond(&mut self, response: &Response) {
        let Some(session) = &mut self.session else { return };
        if session.answer.is_some() || session.latest == 0 {
            return;
        }
        let refused = || {
            let reason = "the answer does not fit into a message".to_owned();
            Response::Refused { refusal: Refusal::Invalid, reason }.encode(session.operation)
        };
        let in_parts = session.agreed & capability::PARTS != 0;
        let fits = |payload: &Secret| in_parts || payload.len() <= MAX_PAYLOAD;
        let encoded = response.encode(session.operation).ok().filter(fits);
        let mut payload = encoded.map_or_else(refused, Ok).unwrap_or_default();
        if payload.len() > MAX_PAYLOAD {
            let (rest, first) = Outgoing::new(payload);
            session.rest = Some(rest);
            payload = first;
        }
        self.answer(payload);
    }

    /// Answers the request that came last with these bytes.
    fn answer(&mut self, payload: Secret) {
        let Some(session) = &mut self.session else { return };
        let frame = Frame { kind: Kind::Response, session: session.id, number: session.latest, payload };
        session.answer = Some(frame.clone());
        self.send(&frame);
    }

    /// Reports an event. It is sent until the host acknowledges it; without a session it is dropped, for a host
    /// asks for the status when it opens one.
    pub fn report(&mut self, event: Event, now: Duration) {
        let Some(session) = &mut self.session else { return };
        if session.events.len() >= MAX_EVENTS {
            let closed = Frame::bare(Kind::Closed, session.id, 0);
            self.session = None;
            self.send(&closed);
            return;
        }
        session.events.push_back(event);
        if session.events.len() == 1 {
            self.send_event(now);
        }
    }

    /// Sends again what the host hasn't acknowledged in time. Called after [`respond`](Self::respond), too, it tells when that was.
    pub fn tick(&mut self, now: Duration) {
        self.patience.leave(now);
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.send_event(now);
        }
    }

    /// When to call [`tick`](Self::tick) at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let session = self.session.as_ref()?;
        (!session.events.is_empty()).then(|| self.patience.over())
    }

    /// The next bytes to send.
    pub fn output(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        self.output.pop_front()
    }

    fn take(&mut self, frame: &Frame, now: Duration) -> Option<Incoming> {
        match frame.kind {
            Kind::Hello => self.hello(frame),
            Kind::Request | Kind::SealedRequest => {
                let frame = self.opened(frame)?;
                self.request(&frame)
            }
            Kind::Ack | Kind::SealedAck => {
                let frame = self.opened(frame)?;
                self.acknowledged(&frame, now);
                None
            }
            // The module's own kinds: an echo.
            _ => None,
        }
    }

    fn hello(&mut self, frame: &Frame) -> Option<Incoming> {
        let hello = Hello::decode(&frame.payload).ok()?;
        let again = |session: &&Session| session.id == frame.session && session.hello == frame.payload;
        if let Some(session) = self.session.as_ref().filter(again) {
            // A repeated hello opens nothing: its welcome was lost.
            let welcome = session.welcome.clone();
            self.send(&welcome);
            return None;
        }
        if !(hello.lowest..=hello.highest).contains(&VERSION) {
            return self.turn_away(frame.session, VERSION.into());
        }
        let ours = capability::ALL | if self.protection.is_some() { capability::PROTECTION } else { 0 };
        let agreed = hello.capabilities & ours;
        let welcome = Welcome { version: VERSION, capabilities: agreed, boot: self.boot };
        let mut payload = welcome.encode().unwrap_or_default();
        let mut channel = None;
        if let Some(protection) = &mut self.protection {
            let (fields, message) = frame.payload.split_at_checked(Hello::LENGTH)?;
            // A hello without protection has no message, and is turned away with those of strangers.
            let Some((opened, answer)) = protection.welcome(frame.session, fields, message, &payload) else {
                return self.turn_away(frame.session, NOT_PROTECTED);
            };
            payload.extend(answer);
            channel = Some(opened);
        }
        let welcome = Frame { payload, ..Frame::bare(Kind::Welcome, frame.session, 0) };
        self.send(&welcome);
        self.session = Some(Session {
            id: frame.session,
            hello: frame.payload.clone(),
            welcome,
            channel,
            agreed,
            latest: 0,
            operation: 0,
            answer: None,
            parts: Assembly::default(),
            rest: None,
            events: VecDeque::new(),
            event: 1,
        });
        Some(Incoming::Opened)
    }

    fn turn_away(&mut self, session: u32, why: u16) -> Option<Incoming> {
        self.send(&Frame::bare(Kind::Closed, session, why));
        None
    }

    /// A frame of the open session, as the host said it.
    fn opened(&mut self, frame: &Frame) -> Option<Frame> {
        let sealed = frame.kind.opened().is_some();
        // A sealed frame names no session: it is of the one that opens it.
        match self.session.as_mut().filter(|session| sealed || session.id == frame.session) {
            Some(Session { channel: Some(channel), .. }) => channel.open(frame),
            Some(_) => (!sealed).then(|| frame.clone()),
            None => {
                if matches!(frame.kind, Kind::Request | Kind::SealedRequest) {
                    self.send(&Frame::bare(Kind::Closed, frame.session, 0));
                }
                None
            }
        }
    }

    fn request(&mut self, frame: &Frame) -> Option<Incoming> {
        let session = self.session.as_mut()?;
        if frame.number == session.latest && session.latest != 0 {
            let working = Frame::bare(Kind::Working, session.id, session.latest);
            let again = session.answer.clone().unwrap_or(working);
            self.send(&again);
            return None;
        }
        if frame.number != following(session.latest) {
            return None;
        }
        session.latest = frame.number;
        session.answer = None;
        let message = match self.message(&frame.payload) {
            Ok(message) => message?,
            Err((operation, error)) => {
                self.refuse(operation, error);
                return None;
            }
        };
        let session = self.session.as_mut()?;
        let operation = message.first().copied().unwrap_or_default();
        session.operation = operation;
        let without = !session.agreed;
        let agreed = |request: Request| match request.capabilities() & without {
            0 => Ok(request),
            _ => Err(Error::Operation(operation)),
        };
        match Request::decode(&message).and_then(agreed) {
            Ok(request) => Some(Incoming::Request(request)),
            Err(error) => {
                self.refuse(operation, error);
                None
            }
        }
    }

    /// The whole request that a payload is, or completes; none where a part was answered.
    fn message(&mut self, payload: &Secret) -> std::result::Result<Option<Secret>, (u8, Error)> {
        let Some(session) = &mut self.session else { return Ok(None) };
        let (operation, part) = payload.split_first().unwrap_or((&0, &[]));
        let operation = *operation;
        if session.agreed & capability::PARTS == 0 || !matches!(operation, PART | LAST | REST) {
            session.parts = Assembly::default();
            session.rest = None;
            return Ok(Some(payload.clone()));
        }
        if operation == REST {
            let (part, last) = match &mut session.rest {
                Some(rest) if part.is_empty() => rest.next(),
                _ => return Err((REST, Error::NotReady)),
            };
            if last {
                session.rest = None;
            }
            self.answer(part);
            return Ok(None);
        }
        session.rest = None;
        session.parts.push(part).map_err(|error| (operation, error))?;
        if operation == LAST {
            return Ok(Some(session.parts.take()));
        }
        self.answer(Zeroizing::new(vec![PART, 0]));
        Ok(None)
    }

    fn refuse(&mut self, operation: u8, error: Error) {
        let refusal = if let Error::Operation(_) = error { Refusal::NotSupported } else { Refusal::Invalid };
        let refused = Response::Refused { refusal, reason: error.to_string() };
        self.answer(refused.encode(operation).unwrap_or_default());
    }

    fn acknowledged(&mut self, frame: &Frame, now: Duration) {
        let Some(session) = self.session.as_mut() else { return };
        if session.event != frame.number || session.events.is_empty() {
            return;
        }
        session.events.pop_front();
        session.event = following(session.event);
        self.send_event(now);
    }

    fn send_event(&mut self, now: Duration) {
        let Some(session) = &mut self.session else { return };
        let Some(event) = session.events.front() else { return };
        let payload = event.encode().unwrap_or_default();
        let frame = Frame { kind: Kind::Event, session: session.id, number: session.event, payload };
        self.send(&frame);
        self.patience.begin(now);
    }

    fn send(&mut self, frame: &Frame) {
        // What opens and ends sessions is said in the clear.
        let in_clear = matches!(frame.kind, Kind::Welcome | Kind::Closed);
        let channel = self.session.as_mut().and_then(|session| session.channel.as_mut());
        let sealed = match channel.filter(|_| !in_clear) {
            // None is sealed any more when the session is worn out: the host opens another one.
            Some(channel) => channel.seal(frame),
            None => Some(frame.clone()),
        };
        // Only payloads that the writer has measured get here, so every frame fits.
        if let Some(bytes) = sealed.and_then(|frame| frame.encode().ok()) {
            self.patience.give(bytes.len());
            self.output.push_back(bytes);
        }
    }
}

/// The number after `number`: 1 to 65535, then 1 again.
pub(crate) fn following(number: u16) -> u16 {
    number.checked_add(1).unwrap_or(1)
}
