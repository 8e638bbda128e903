//! The host's end of the line.

use std::collections::VecDeque;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::VERSION;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::frame::{Decoder, Frame, Kind, MAX_PAYLOAD};
use crate::message::{Hello, Request, Response, Welcome, capability};
use crate::module::following;
use crate::noise::Initiator;
use crate::pace::{Pace, Patience};
use crate::parts::{self, Arriving};
use crate::protection::{Channel, Protection};

/// The number of a Closed that turns away a Hello because of its protection.
pub(crate) const NOT_PROTECTED: u16 = u16::MAX;

/// How often a request is sent before a module that gives no sign of life counts as silent.
const ATTEMPTS: u8 = 6;

/// How long the same word of a module is not answered again: less than what it waits before it repeats itself.
const PAUSE: Duration = Duration::from_millis(100);

/// What happened on the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A session is open: requests may be made. Whatever the module did for an earlier one has ended.
    Opened(Welcome),
    /// The request that was under way is answered.
    Answered(Response),
    /// The request that was under way failed. Whether the module carried it out isn't known. A new session is
    /// being opened.
    Failed(Fault),
    /// The module reports something.
    Event(Event),
    /// The module speaks no version that this end does.
    WrongVersion,
    /// One end demands a protected line and the other offers none, or they were not paired with each other.
    NotProtected,
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The module was silent, or took longer than allowed.
    Timeout,
    /// The module closed the session: it has restarted.
    Restarted,
    /// The module answered against the protocol.
    Protocol(Error),
}

/// The host's end of the line: one session at a time, one request at a time.
pub struct Host {
    session: u32,
    open: bool,
    /// What the line is protected with; none leaves it open to whoever is on it.
    protection: Option<Protection>,
    /// What opens the session, to be said until it is answered.
    hello: Greeting,
    /// The keys of the session, on a protected line.
    channel: Option<Channel>,
    /// The capabilities that both ends have.
    agreed: u32,
    decoder: Decoder,
    output: VecDeque<Zeroizing<Vec<u8>>>,
    happenings: VecDeque<Happening>,
    /// The number of the latest request.
    latest: u16,
    /// The number of the latest event.
    event: u16,
    /// Until when its repetitions are left alone, and until when nobody has the host say Hello again.
    acknowledged: Duration,
    greeted: Duration,
    pending: Option<Pending>,
    /// With the hello or the request that is not answered yet.
    patience: Patience,
}

#[derive(Default)]
struct Greeting {
    payload: Zeroizing<Vec<u8>>,
    handshake: Option<Initiator>,
}

struct Pending {
    operation: u8,
    frame: Frame,
    attempts: u8,
    until: Duration,
    /// The parts of the request that are still to be sent.
    parts: VecDeque<Zeroizing<Vec<u8>>>,
    /// The parts of the response that have come.
    arriving: Option<Arriving>,
}

impl Pending {
    /// Takes an answer: the response, or none if more is to be sent before it is there.
    fn take(&mut self, payload: &[u8]) -> Result<Option<Response>> {
        if !self.parts.is_empty() {
            return match Response::decode(parts::PART, payload)? {
                Response::Done => Ok(None),
                refused => Ok(Some(refused)),
            };
        }
        if let Some(arriving) = &mut self.arriving {
            let whole = arriving.push(payload)?;
            return whole.map(|whole| Response::decode(self.operation, &whole)).transpose();
        }
        self.arriving = Arriving::begin(self.operation, payload)?;
        match self.arriving {
            Some(_) => Ok(None),
            None => Response::decode(self.operation, payload).map(Some),
        }
    }
}

impl Host {
    /// An end that opens its first session, on a line of this pace that is not protected. `session` is a random number.
    #[must_use]
    pub fn new(session: u32, pace: Pace, now: Duration) -> Self {
        Self::with(session, None, pace, now)
    }

    /// Likewise, and no session that is not protected.
    #[must_use]
    pub fn protected(session: u32, protection: Protection, pace: Pace, now: Duration) -> Self {
        Self::with(session, Some(protection), pace, now)
    }

    fn with(session: u32, protection: Option<Protection>, pace: Pace, now: Duration) -> Self {
        let mut host = Self {
            session: session.max(1),
            open: false,
            protection,
            hello: Greeting::default(),
            channel: None,
            agreed: 0,
            decoder: Decoder::default(),
            output: VecDeque::new(),
            happenings: VecDeque::new(),
            latest: 0,
            event: 0,
            acknowledged: Duration::ZERO,
            greeted: Duration::ZERO,
            pending: None,
            patience: Patience::at(pace),
        };
        host.begin_session();
        host.say_hello(now);
        host
    }

    /// Sends a request, which may take as long as `limit` beside the time that its bytes and those of its response take on the line.
    ///
    /// # Errors
    /// [`Error::NotReady`] without a session or while another request is under way; [`Error::NotAgreed`];
    /// [`Error::TooLong`].
    pub fn request(&mut self, request: &Request, limit: Duration, now: Duration) -> Result<()> {
        if !self.ready() {
            return Err(Error::NotReady);
        }
        if !self.agrees(request.capabilities()) {
            return Err(Error::NotAgreed);
        }
        let message = request.encode()?;
        let parts = match message.len() {
            ..=MAX_PAYLOAD => VecDeque::from([message]),
            _ if self.agreed & capability::PARTS != 0 => parts::of_request(&message).into(),
            _ => return Err(Error::TooLong),
        };
        let frame = Frame::bare(Kind::Request, self.session, 0);
        let operation = request.operation();
        // When the time is over, a response may just be arriving.
        let until = now + limit + self.patience.pace.longest();
        let pending = Pending { operation, frame, attempts: 0, until, parts, arriving: None };
        self.send_next(pending, now);
        Ok(())
    }

    /// Sends the next part of what is under way, or asks for the rest of its response.
    fn send_next(&mut self, mut pending: Pending, now: Duration) {
        self.latest = following(self.latest);
        let payload = pending.parts.pop_front().unwrap_or_else(|| vec![parts::REST].into());
        pending.frame = Frame { kind: Kind::Request, session: self.session, number: self.latest, payload };
        pending.attempts = 1;
        self.send(&pending.frame);
        pending.until += self.patience.begin(now);
        self.pending = Some(pending);
    }

    /// Whether a request may be sent now.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.open && self.pending.is_none()
    }

    /// Whether both ends have these [capabilities](crate::capability), in the session that is open.
    #[must_use]
    pub fn agrees(&self, capabilities: u32) -> bool {
        capabilities & !self.agreed == 0
    }

    /// Takes bytes from the line.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) {
        for frame in self.decoder.push(bytes) {
            self.take(&frame, now);
        }
        self.patience.leave(now);
        if self.decoder.arriving() {
            self.patience.arriving(now);
        }
    }

    /// Sends again what wasn't answered in time, and gives up what took too long.
    pub fn tick(&mut self, now: Duration) {
        let again = self.patience.over() <= now;
        if !self.open {
            if again {
                self.say_hello(now);
            }
            return;
        }
        let Some(pending) = &mut self.pending else { return };
        if pending.until <= now || (again && pending.attempts >= ATTEMPTS) {
            self.start_over(Fault::Timeout, now);
        } else if again {
            pending.attempts += 1;
            let frame = pending.frame.clone();
            self.send(&frame);
            self.patience.begin(now);
        }
    }

    /// When to call [`tick`](Self::tick) at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match &self.pending {
            Some(pending) => Some(self.patience.over().min(pending.until)),
            None if self.open => None,
            None => Some(self.patience.over()),
        }
    }

    /// The next bytes to send.
    pub fn output(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        self.output.pop_front()
    }

    /// What happened next.
    pub fn happening(&mut self) -> Option<Happening> {
        self.happenings.pop_front()
    }

    fn take(&mut self, frame: &Frame, now: Duration) {
        // Session 0 is no session: a module that has just started says that none is open.
        let started = frame.kind == Kind::Closed && frame.session == 0;
        let sealed = frame.kind.opened().is_some();
        if frame.session != self.session && !started && !sealed {
            return;
        }
        match frame.kind {
            Kind::Welcome => self.welcome(frame),
            Kind::Response | Kind::Working | Kind::Event => self.take_from_session(frame, now),
            Kind::SealedResponse | Kind::SealedWorking | Kind::SealedEvent => {
                self.take_from_session(frame, now);
            }
            Kind::Closed if self.open => self.start_over(Fault::Restarted, now),
            Kind::Closed if frame.number == NOT_PROTECTED => {
                self.happenings.push_back(Happening::NotProtected);
            }
            Kind::Closed if frame.number != 0 => self.happenings.push_back(Happening::WrongVersion),
            // A module that has just started, before the session opens: the hello may have been too early.
            Kind::Closed => self.greet(now),
            // The host's own kinds: an echo.
            Kind::Hello | Kind::Request | Kind::Ack | Kind::SealedRequest | Kind::SealedAck => {}
        }
    }

    /// What is said in an open session alone.
    fn take_from_session(&mut self, frame: &Frame, now: Duration) {
        let opened = match &mut self.channel {
            Some(channel) => channel.open(frame),
            None => frame.kind.opened().is_none().then(|| frame.clone()),
        };
        let Some(frame) = opened.filter(|_| self.open) else { return };
        match frame.kind {
            Kind::Response => self.response(&frame, now),
            Kind::Event => self.event(&frame, now),
            _ => {
                if let Some(pending) =
                    self.pending.as_mut().filter(|pending| pending.frame.number == frame.number)
                {
                    pending.attempts = 1;
                }
            }
        }
    }

    fn welcome(&mut self, frame: &Frame) {
        let Ok(welcome) = Welcome::decode(&frame.payload) else { return };
        if self.open {
            return;
        }
        if welcome.version != VERSION {
            self.happenings.push_back(Happening::WrongVersion);
            return;
        }
        if let Some(protection) = &self.protection {
            if welcome.capabilities & capability::PROTECTION == 0 {
                self.happenings.push_back(Happening::NotProtected);
                return;
            }
            let Some(hello) = &self.hello.handshake else { return };
            let Some((fields, message)) = frame.payload.split_at_checked(Welcome::LENGTH) else { return };
            // Somebody else's is none; the module's own may still come.
            let welcomed = protection.welcomed(self.session, hello, fields, message);
            let Some(channel) = welcomed else { return };
            self.channel = Some(channel);
        }
        self.open = true;
        // With its keys, whoever recorded the session could read it.
        self.hello = Default::default();
        self.agreed = welcome.capabilities & capability::ALL;
        self.happenings.push_back(Happening::Opened(welcome));
    }

    fn response(&mut self, frame: &Frame, now: Duration) {
        let Some(mut pending) = self.pending.take_if(|pending| pending.frame.number == frame.number) else {
            return;
        };
        pending.until += self.patience.pace.time(frame.payload.len());
        match pending.take(&frame.payload) {
            Ok(Some(response)) => self.happenings.push_back(Happening::Answered(response)),
            Ok(None) => self.send_next(pending, now),
            Err(error) => {
                self.pending = Some(pending);
                self.start_over(Fault::Protocol(error), now);
            }
        }
    }

    fn event(&mut self, frame: &Frame, now: Duration) {
        if frame.number == following(self.event) {
            self.event = frame.number;
            // An event that this version doesn't know is passed over.
            self.happenings.extend(Event::decode(&frame.payload).ok().map(Happening::Event));
        } else if frame.number != self.event || now < self.acknowledged {
            return;
        }
        self.acknowledged = now + PAUSE;
        self.send(&Frame::bare(Kind::Ack, self.session, frame.number));
    }

    fn start_over(&mut self, fault: Fault, now: Duration) {
        if self.pending.take().is_some() {
            self.happenings.push_back(Happening::Failed(fault));
        }
        self.session = self.session.wrapping_add(1).max(1);
        self.begin_session();
        self.greet(now);
    }

    fn begin_session(&mut self) {
        self.open = false;
        self.channel = None;
        self.latest = 0;
        self.event = 0;
        let protected = if self.protection.is_some() { capability::PROTECTION } else { 0 };
        let hello = Hello { lowest: VERSION, highest: VERSION, capabilities: capability::ALL | protected };
        let mut payload = hello.encode().unwrap_or_default();
        let handshake = self.protection.as_mut().map(|protection| {
            let (handshake, message) = protection.hello(self.session, &payload);
            payload.extend(message);
            handshake
        });
        self.hello = Greeting { payload, handshake };
    }

    /// Says Hello, but not to each Closed of a module that says nothing else.
    fn greet(&mut self, now: Duration) {
        if now < self.greeted {
            self.patience.until(self.greeted);
        } else {
            self.say_hello(now);
        }
    }

    fn say_hello(&mut self, now: Duration) {
        let payload = self.hello.payload.clone();
        self.send(&Frame { payload, ..Frame::bare(Kind::Hello, self.session, 0) });
        self.greeted = now + self.patience.begin(now) + PAUSE;
    }

    fn send(&mut self, frame: &Frame) {
        let sealed = match &mut self.channel {
            // None is sealed any more when the session is worn out: nothing is answered then, and a new one begins.
            Some(channel) => channel.seal(frame),
            None => Some(frame.clone()),
        };
        if let Some(bytes) = sealed.and_then(|frame| frame.encode().ok()) {
            self.patience.give(bytes.len());
            self.output.push_back(bytes);
        }
    }
}
