//! A keypad as the kernel's input layer has it (evdev), for as long as one entry takes.
//!
//! It is grabbed: its events come to nobody else. Which keys are down the kernel tells whoever has the node open, grab or not
//! (`EVIOCGKEY`), so that the node is to be this daemon's alone (udev's role `pin-pad`). Keys are read here and not by the library's stream, which keeps what it has
//! read in memory that nobody wipes.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use evdev::raw_stream::RawDevice;
use evdev::{EventType, InputEvent, KeyCode, SynchronizationCode};
use rustix::fs::{Mode, OFlags};
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::typing::Press;

/// How long keys may still be down from before when an entry begins. Who else reads the keypad is to see them go up. It is short, for
/// until the grab they see what is typed, too.
const RELEASE: Duration = Duration::from_millis(200);

/// The bytes of an event of this processor: the time, then type, code and value.
pub(super) const EVENT: usize = size_of::<InputEvent>();
/// How many events are read at a time.
const EVENTS: usize = 16;

/// The value of a key that went down; 0 is up, 2 the kernel's repetition.
const DOWN: i32 = 1;

/// Where presses come from.
#[async_trait]
pub(super) trait Keypad: Send + Sync {
    /// Takes the keypad for one entry.
    async fn take(&self) -> io::Result<Presses>;
}

/// An input device by its node.
pub(super) struct InputDevice(pub(super) PathBuf);

#[async_trait]
impl Keypad for InputDevice {
    async fn take(&self) -> io::Result<Presses> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let node = rustix::fs::open(&self.0, flags, Mode::empty())?;
        let mut device = RawDevice::from_fd(node.try_clone()?)?;
        if !has_all_keys(&device) {
            return Err(io::Error::other("it lacks digits or Enter: this is no keypad"));
        }
        let mut presses = Presses::new(node)?;
        // A key that is stuck is no reason to go without a PIN.
        if let Ok(released) = timeout(RELEASE, released(&device, &mut presses)).await {
            released?;
        }
        // The grab is the node's, and ends with the last of its descriptors.
        device.grab()?;
        presses.forget()?;
        Ok(presses)
    }
}

fn has_all_keys(device: &RawDevice) -> bool {
    let keys = device.supported_keys();
    let has = |wanted| keys.is_some_and(|keys| keys.iter().any(|key| press(key) == Some(wanted)));
    (0..=9).map(Press::Digit).chain([Press::Enter]).all(has)
}

/// Waits until no key of an entry is down. Another one, which may be stuck, is of no concern.
async fn released(device: &RawDevice, presses: &mut Presses) -> io::Result<()> {
    while device.get_key_state()?.iter().any(|key| press(key).is_some()) {
        presses.read().await?;
    }
    Ok(())
}

/// What a key of a keypad or a keyboard is to an entry.
fn press(key: KeyCode) -> Option<Press> {
    Some(match key {
        KeyCode::KEY_0 | KeyCode::KEY_KP0 | KeyCode::KEY_NUMERIC_0 => Press::Digit(0),
        KeyCode::KEY_1 | KeyCode::KEY_KP1 | KeyCode::KEY_NUMERIC_1 => Press::Digit(1),
        KeyCode::KEY_2 | KeyCode::KEY_KP2 | KeyCode::KEY_NUMERIC_2 => Press::Digit(2),
        KeyCode::KEY_3 | KeyCode::KEY_KP3 | KeyCode::KEY_NUMERIC_3 => Press::Digit(3),
        KeyCode::KEY_4 | KeyCode::KEY_KP4 | KeyCode::KEY_NUMERIC_4 => Press::Digit(4),
        KeyCode::KEY_5 | KeyCode::KEY_KP5 | KeyCode::KEY_NUMERIC_5 => Press::Digit(5),
        KeyCode::KEY_6 | KeyCode::KEY_KP6 | KeyCode::KEY_NUMERIC_6 => Press::Digit(6),
        KeyCode::KEY_7 | KeyCode::KEY_KP7 | KeyCode::KEY_NUMERIC_7 => Press::Digit(7),
        KeyCode::KEY_8 | KeyCode::KEY_KP8 | KeyCode::KEY_NUMERIC_8 => Press::Digit(8),
        KeyCode::KEY_9 | KeyCode::KEY_KP9 | KeyCode::KEY_NUMERIC_9 => Press::Digit(9),
        KeyCode::KEY_ENTER | KeyCode::KEY_KPENTER | KeyCode::KEY_OK => Press::Enter,
        KeyCode::KEY_BACKSPACE | KeyCode::KEY_CLEAR => Press::Clear,
        KeyCode::KEY_ESC | KeyCode::KEY_CANCEL => Press::Cancel,
        _ => return None,
    })
}

/// The presses at a keypad that was taken, until it is dropped. What was read and not asked for yet is wiped then.
pub(super) struct Presses {
    node: AsyncFd<OwnedFd>,
    events: Zeroizing<[u8; EVENT * EVENTS]>,
    /// Which of them are still to come.
    next: usize,
    end: usize,
}

impl Presses {
    /// From a node that does not block.
    #[expect(
        deprecated,
        reason = "unsound only for types whose descriptor can change; an OwnedFd's never does"
    )]
    pub(super) fn new(node: OwnedFd) -> io::Result<Self> {
        let events = Zeroizing::new([0; EVENT * EVENTS]);
        Ok(Self { node: AsyncFd::new(node)?, events, next: 0, end: 0 })
    }

    /// The next press. Dropping the future loses none.
    ///
    /// # Errors
    /// When the keypad was unplugged.
    pub(super) async fn next(&mut self) -> io::Result<Press> {
        loop {
            let event = self.events.get(self.next..self.end).and_then(|events| events.first_chunk::<EVENT>());
            let Some(event) = event else {
                self.read().await?;
                continue;
            };
            let press = pressed(event);
            self.next += EVENT;
            if let Some(press) = press {
                return Ok(press);
            }
        }
    }

    /// Waits for events; those before them are overwritten.
    async fn read(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.node.readable().await?;
            let into = &mut *self.events;
            let Ok(read) = ready.try_io(|node| Ok(rustix::io::read(node.as_fd(), &mut into[..])?)) else {
                continue;
            };
            (self.next, self.end) = (0, read?);
            return if self.end == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) };
        }
    }

    /// Forgets what was typed so far: nobody had asked for it.
    fn forget(&mut self) -> io::Result<()> {
        (self.next, self.end) = (0, 0);
        loop {
            match rustix::io::read(self.node.get_ref(), &mut self.events[..]) {
                Ok(1..) => {}
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The press that an event tells of. Where the kernel had to drop events, what was typed is not what was seen: it is cleared.
fn pressed(event: &[u8; EVENT]) -> Option<Press> {
    let &[t0, t1, c0, c1, v0, v1, v2, v3] = event.last_chunk()?;
    let (kind, code) = (EventType(u16::from_ne_bytes([t0, t1])), u16::from_ne_bytes([c0, c1]));
    match (kind, i32::from_ne_bytes([v0, v1, v2, v3])) {
        (EventType::KEY, DOWN) => press(KeyCode(code)),
        (EventType::SYNCHRONIZATION, _) if SynchronizationCode(code) == SynchronizationCode::SYN_DROPPED => {
            Some(Press::Clear)
        }
        _ => None,
    }
}
