//! The life of the secure module: attached, restarted, tampered with, gone, and attached again.
//!
//! One task follows the module and publishes a [`View`] of it; whoever works with the module watches that
//! view.

use std::sync::Arc;
use std::time::Duration;

use secure_module::{CardPart, Error as ModuleError, Event, SecureModule, Status, SwipeResult};
use service::{Error, Result};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::module::Source;

/// The pause after the first attempt to reach a module that is absent. It doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// How seldom an absent module that nobody asks for is looked for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A module that stayed this long was well; the next pause is the first one again.
const LASTING: Duration = Duration::from_secs(5);

/// The secure module at one moment.
#[derive(Clone, Default)]
pub(crate) struct View {
    /// The module and what it said of itself; none while it is absent.
    attached: Option<(Arc<dyn SecureModule>, Status)>,
    /// Counts attachments, restarts and losses. What was begun in one session does not go on in another.
    pub(crate) session: u64,
    /// The card in the slot, by the number of its insertion: a card that was taken out and put in again is
    /// another one.
    pub(crate) card: Option<u64>,
    /// Counts how often the slot was found empty. A card that stays while the module restarts is another one by
    /// its number, but the slot was not empty.
    pub(crate) emptied: u64,
    /// Counts how often the pad has asked for something.
    pub(crate) asked: u64,
    /// Counts changes of what is being entered at the pad.
    pub(crate) keystrokes: u64,
    /// How many digits it has after the last of them.
    pub(crate) digits: u8,
    /// Which part of a card that is; none for a PIN.
    pub(crate) part: Option<CardPart>,
    /// Counts the swipes that the head was armed for.
    pub(crate) swipes: u64,
    /// What the last of them came to.
    pub(crate) swipe: Option<SwipeResult>,
    insertions: u64,
}

impl View {
    /// What the module said of itself when it was attached.
    pub(crate) fn status(&self) -> Option<&Status> {
        self.attached.as_ref().map(|(_, status)| status)
    }

    /// `ready`, `absent` or `tampered`.
    pub(crate) fn state(&self) -> &'static str {
        match self.status() {
            None => "absent",
            Some(status) if status.tampered => "tampered",
            Some(_) => "ready",
        }
    }

    fn begin_session(&mut self, attached: Option<(Arc<dyn SecureModule>, Status)>) {
        let card_present = attached.as_ref().map(|(_, status)| status.card_present);
        self.attached = attached;
        self.session = self.session.wrapping_add(1);
        self.card = None;
        match card_present {
            Some(true) => self.insert_card(),
            Some(false) => self.remove_card(),
            None => {}
        }
    }

    fn insert_card(&mut self) {
        // The report of a card that the status has counted already is no second card.
        if self.card.is_none() {
            self.insertions = self.insertions.wrapping_add(1);
            self.card = Some(self.insertions);
        }
    }

    fn remove_card(&mut self) {
        self.card = None;
        self.emptied = self.emptied.wrapping_add(1);
    }
}

/// The module as the rest of the daemon reaches it.
#[derive(Clone)]
pub(crate) struct ModuleHandle {
    view: watch::Receiver<View>,
    wanted: Arc<Notify>,
}

/// The other end of a [`ModuleHandle`].
pub(crate) struct Supervisor {
    view: watch::Sender<View>,
    wanted: Arc<Notify>,
}

/// A handle to a module that is still absent, and the supervisor that will attach it.
pub(crate) fn new() -> (ModuleHandle, Supervisor) {
    let (sender, view) = watch::channel(View::default());
    let wanted = Arc::new(Notify::new());
    (ModuleHandle { view, wanted: Arc::clone(&wanted) }, Supervisor { view: sender, wanted })
}

impl ModuleHandle {
    /// The module at this moment. Looking at an absent one has the supervisor look for it now.
    pub(crate) fn now(&self) -> View {
        let view = self.view.borrow().clone();
        if view.attached.is_none() {
            self.wanted.notify_one();
        }
        view
    }

    /// For following the module.
    pub(crate) fn watch(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// The module, where it can be worked with, and its session.
    ///
    /// # Errors
    /// [`Error::DeviceGone`] when it is absent or has been tampered with.
    pub(crate) fn ready(&self) -> Result<(Arc<dyn SecureModule>, u64)> {
        let view = self.now();
        match view.attached {
            Some((module, status)) if !status.tampered => Ok((module, view.session)),
            Some(_) => Err(refusal(ModuleError::Tampered)),
            None => Err(Error::DeviceGone(
                "no secure card module is attached; attach it and try again".to_string(),
            )),
        }
    }
}

/// What a method answers when the module could not do its part.
pub(crate) fn refusal(error: ModuleError) -> Error {
    let text = error.to_string();
    match error {
        ModuleError::Gone | ModuleError::Restarted | ModuleError::Tampered => Error::DeviceGone(text),
        ModuleError::NoCard | ModuleError::CardMute | ModuleError::PinPadBroken | ModuleError::Failed => {
            Error::DeviceGone(text)
        }
        ModuleError::Timeout => Error::Timeout(text),
        ModuleError::NoKey => Error::WrongState(text),
        ModuleError::WrongUsage | ModuleError::BadCheckValue | ModuleError::Invalid(_) => {
            Error::InvalidArgument(text)
        }
        ModuleError::Busy => Error::Busy(text),
        // No module that speaks the protocol lacks these functions, and no person can call them off.
        ModuleError::NotSupported | ModuleError::Cancelled | ModuleError::Protocol(_) => {
            Error::Internal(text)
        }
    }
}

impl Supervisor {
    /// Attaches the module at `device` whenever it is there.
    pub(crate) async fn run(self, device: &Source) {
        let mut pause = FIRST_PAUSE;
        let mut reported = false;
        loop {
            match device.open().await {
                Ok(module) => {
                    let attached = Instant::now();
                    let error = self.attend(module).await;
                    log::warn!("the secure card module at {device} is lost: {error}");
                    reported = true;
                    if attached.elapsed() >= LASTING {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(problem) if !reported => {
                    log::warn!("no secure card module, looking for it again and again: {problem}");
                    reported = true;
                }
                Err(problem) => log::debug!("still no secure card module: {problem}"),
            }
            sleep(FIRST_PAUSE).await;
            // Whoever asks for the module meanwhile shortens the pause.
            let _ = timeout(pause.saturating_sub(FIRST_PAUSE), self.wanted.notified()).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// Follows `module` until it is gone.
    pub(crate) async fn attend(&self, module: Arc<dyn SecureModule>) -> ModuleError {
        let error = loop {
            match self.attend_session(&module).await {
                Ok(()) | Err(ModuleError::Restarted) => log::warn!("the secure card module restarted"),
                Err(error) => break error,
            }
        };
        self.view.send_modify(|view| view.begin_session(None));
        error
    }

    /// Follows `module` until it restarts.
    async fn attend_session(&self, module: &Arc<dyn SecureModule>) -> secure_module::Result<()> {
        let status = module.status().await?;
        let certified = if status.certified { "certified" } else { "not certified" };
        log::info!("secure card module: {} {}, {certified}", status.kind, status.firmware);
        if status.tampered {
            log::error!("{}", ModuleError::Tampered);
        }
        self.view.send_modify(|view| view.begin_session(Some((Arc::clone(module), status))));
        loop {
            match module.next_event().await? {
                Event::Reset => return Ok(()),
                event => self.view.send_modify(|view| take(view, event)),
            }
        }
    }
}

fn take(view: &mut View, event: Event) {
    match event {
        Event::CardInserted(_) => view.insert_card(),
        Event::CardRemoved(_) => view.remove_card(),
        Event::PadAsks => view.asked = view.asked.wrapping_add(1),
        Event::PinDigits(digits) => {
            view.keystrokes = view.keystrokes.wrapping_add(1);
            (view.digits, view.part) = (digits, None);
        }
        Event::CardDigits(part, digits) => {
            view.keystrokes = view.keystrokes.wrapping_add(1);
            (view.digits, view.part) = (digits, Some(part));
        }
        Event::CardSwiped(result) => {
            view.swipes = view.swipes.wrapping_add(1);
            view.swipe = Some(result);
        }
        Event::Tampered => {
            log::error!("{}", ModuleError::Tampered);
            if let Some((_, status)) = &mut view.attached {
                status.tampered = true;
            }
        }
        Event::Reset => {}
    }
}

#[cfg(test)]
mod tests {
    use link::{Incoming, Module, Response};
    use secure_module::CardSlot;
    use service::stream::Endpoint;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};

    use super::*;
    use crate::module::Address;

    #[test]
    fn a_card_that_was_put_in_again_is_another_one() {
        let mut view = View::default();
        take(&mut view, Event::CardInserted(CardSlot::Contact));
        let first = view.card;
        take(&mut view, Event::CardRemoved(CardSlot::Contact));
        assert_eq!(view.card, None);
        take(&mut view, Event::CardInserted(CardSlot::Contact));
        assert!(view.card.is_some() && view.card != first);
        let second = view.card;
        take(&mut view, Event::CardInserted(CardSlot::Contact));
        assert_eq!(view.card, second, "a card that is reported twice is one card");
    }

    /// A module that can do nothing.
    struct Nothing;

    impl SecureModule for Nothing {}

    fn attached(card_present: bool) -> Option<(Arc<dyn SecureModule>, Status)> {
        let status = Status {
            certified: false,
            tampered: false,
            card_present,
            kind: "a test".to_owned(),
            firmware: "1".to_owned(),
            serial: "0".to_owned(),
        };
        Some((Arc::new(Nothing), status))
    }

    #[test]
    fn a_card_that_stays_while_the_module_restarts_has_not_left_the_slot() {
        let mut view = View::default();
        view.begin_session(attached(true));
        let before = view.emptied;
        view.begin_session(None);
        view.begin_session(attached(true));
        assert_eq!(view.emptied, before);
        view.begin_session(attached(false));
        assert_ne!(view.emptied, before);
    }

    /// A module that answers every request with its status, until the stream ends.
    async fn serve(mut stream: UnixStream) {
        let mut module = Module::new(1);
        let started = Instant::now();
        let mut buffer = [0; 256];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            for incoming in module.receive(&buffer[..count], started.elapsed()) {
                if let Incoming::Request(_) = incoming {
                    module.respond(&Response::Status(link::Status {
                        certified: false,
                        tampered: false,
                        card_present: true,
                        kind: "a test".to_owned(),
                        firmware: "1".to_owned(),
                        serial: "0".to_owned(),
                    }));
                }
            }
            while let Some(bytes) = module.output() {
                stream.write_all(&bytes).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_module_is_attached_when_it_comes_lost_when_it_goes_and_attached_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("module.sock");
        let device = Source::Link(Address::Stream(Endpoint::Unix(path.clone())), None);
        let (handle, supervisor) = new();
        tokio::spawn(async move { supervisor.run(&device).await });
        assert!(matches!(handle.ready(), Err(Error::DeviceGone(_))));

        let listener = UnixListener::bind(&path).unwrap();
        let mut view = handle.watch();
        let mut sessions = Vec::new();
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.unwrap();
            let served = tokio::spawn(serve(stream));
            let attached = view.wait_for(|view| view.state() == "ready").await.unwrap().clone();
            assert!(attached.card.is_some());
            sessions.push(attached.session);
            drop(attached);
            served.abort();
            let lost = view.wait_for(|view| view.state() == "absent").await.unwrap().clone();
            assert_eq!(lost.card, None);
        }
        assert_ne!(sessions[0], sessions[1], "what was begun before does not go on after");
    }
}
