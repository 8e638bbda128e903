//! The PIN pad of the development kit: a keypad of the terminal, of which this daemon sees every key. Nobody certifies that.
//!
//! The PIN is wiped as soon as it is enciphered; it is neither logged nor told. What is shown is how many digits there are.

mod keypad;
#[cfg(test)]
mod tests;
mod typing;

use std::ops::{ControlFlow, RangeInclusive};
use std::path::PathBuf;
use std::sync::{Mutex as Lock, MutexGuard, PoisonError};
use std::time::Duration;

use keys::Pin;
use secure_module::{
    CardEntryOutcome, CardEntryRequest, Error, Event, KeySlot, OfflinePinOutcome, OfflinePinRequest,
    PinOutcome, PinRequest, Result,
};
use tokio::sync::mpsc::WeakSender;
use tokio::sync::{Mutex, Notify};
use tokio::time::{sleep, timeout};

use self::keypad::{InputDevice, Keypad};
use self::typing::{CardTyping, KeyedCard, PinTyping, Typed, TypedPin, Typing};
use super::keys::SoftwareKeys;

/// The digits that a PIN may have (ISO 9564-1, 9.1).
const PIN_DIGITS: RangeInclusive<u8> = 4..=12;
/// The most digits of a keyed card: number, expiry date and security code.
const CARD_DIGITS: u8 = 19 + 4 + 4;
/// How often an entry may be typed anew, with the longest pause before each key.
const CORRECTIONS: u32 = 4;

/// A keypad, and what was keyed at it.
pub(super) struct Pad {
    keypad: Box<dyn Keypad>,
    /// Held by the entry that goes on.
    entry: Mutex<()>,
    cancelled: Notify,
    /// The card that was keyed last.
    card: Lock<Option<KeyedCard>>,
}

/// How an entry ended.
enum End<T> {
    Typed(T),
    Cancelled,
    TimedOut,
}

impl Pad {
    /// The pad whose input device has the node `node`. It is opened for each entry.
    pub(super) fn new(node: PathBuf) -> Self {
        Self::on(Box::new(InputDevice(node)))
    }

    fn on(keypad: Box<dyn Keypad>) -> Self {
        Self { keypad, entry: Mutex::new(()), cancelled: Notify::new(), card: Lock::new(None) }
    }

    /// As [`SecureModule::enter_pin`](secure_module::SecureModule::enter_pin), but dropping the future ends the entry.
    pub(super) async fn enter_pin(
        &self,
        request: &PinRequest,
        keys: &SoftwareKeys,
        reports: &WeakSender<Event>,
    ) -> Result<PinOutcome> {
        let pan = request.pan.as_ref().ok_or(Error::NotSupported)?;
        // Nobody types a PIN for a key that is not there.
        let key = keys.pin_key(&request.key)?;
        let times = [request.first_key, request.next_key];
        Ok(match self.type_pin(&request.digits, request.bypass, times, reports).await? {
            End::Typed(TypedPin::Entered(pin)) => PinOutcome::Entered(key.encipher(&pin, pan)?),
            End::Typed(TypedPin::Bypassed) => PinOutcome::Bypassed,
            End::Typed(TypedPin::Cancelled) | End::Cancelled => PinOutcome::Cancelled,
            End::TimedOut => PinOutcome::TimedOut,
        })
    }

    /// Has a PIN typed for the card: the PIN, or how the entry ended without one. Dropping the future ends the entry.
    pub(super) async fn enter_offline_pin(
        &self,
        request: &OfflinePinRequest,
        reports: &WeakSender<Event>,
    ) -> Result<ControlFlow<OfflinePinOutcome, Pin>> {
        let times = [request.first_key, request.next_key];
        Ok(match self.type_pin(&request.digits, request.bypass, times, reports).await? {
            End::Typed(TypedPin::Entered(pin)) => ControlFlow::Continue(pin),
            End::Typed(TypedPin::Bypassed) => ControlFlow::Break(OfflinePinOutcome::Bypassed),
            End::Typed(TypedPin::Cancelled) | End::Cancelled => {
                ControlFlow::Break(OfflinePinOutcome::Cancelled)
            }
            End::TimedOut => ControlFlow::Break(OfflinePinOutcome::TimedOut),
        })
    }

    async fn type_pin(
        &self,
        digits: &RangeInclusive<u8>,
        bypass: bool,
        times: [Duration; 2],
        reports: &WeakSender<Event>,
    ) -> Result<End<TypedPin>> {
        let (shortest, longest) = (*digits.start(), *digits.end());
        if !PIN_DIGITS.contains(&shortest) || !PIN_DIGITS.contains(&longest) || shortest > longest {
            return Err(Error::Invalid("a PIN has 4 to 12 digits".to_owned()));
        }
        self.run(PinTyping::new(shortest, longest, bypass), longest, times, reports).await
    }

    /// As [`SecureModule::enter_card`](secure_module::SecureModule::enter_card), but dropping the future ends the entry.
    pub(super) async fn enter_card(
        &self,
        request: &CardEntryRequest,
        reports: &WeakSender<Event>,
    ) -> Result<CardEntryOutcome> {
        // An entry that comes to nothing leaves no card.
        self.forget_keyed_card();
        let typing = CardTyping::new(request.security_code);
        let times = [request.first_key, request.next_key];
        let ended = self.run(typing, CARD_DIGITS, times, reports).await?;
        Ok(match ended {
            End::Typed(Some(card)) => {
                let masked_pan = card.pan.masked();
                *self.card() = Some(card);
                CardEntryOutcome::Entered { masked_pan }
            }
            End::Typed(None) | End::Cancelled => CardEntryOutcome::Cancelled,
            End::TimedOut => CardEntryOutcome::TimedOut,
        })
    }

    pub(super) fn cancel(&self) {
        self.cancelled.notify_waiters();
    }

    pub(super) fn seal_keyed_card(&self, keys: &SoftwareKeys, slot: &KeySlot) -> Result<Vec<u8>> {
        let track2 = self.card().as_ref().ok_or(Error::NoCard)?.track2();
        let track2 = track2.ok_or_else(|| Error::Invalid("the keyed card makes no track 2".to_owned()))?;
        keys.seal_track2(slot, &track2)
    }

    pub(super) fn keyed_card_token(&self, keys: &SoftwareKeys, slot: &KeySlot) -> Result<Vec<u8>> {
        keys.card_token(slot, &self.card().as_ref().ok_or(Error::NoCard)?.pan)
    }

    pub(super) fn forget_keyed_card(&self) {
        *self.card() = None;
    }

    /// Takes the keypad, and what is pressed at it until that is an end: `typing`'s, or a silence of one of the times, which are
    /// until the first key and until each further one. Who goes on pressing keys has the time of [`CORRECTIONS`] entries of so many
    /// `digits`.
    async fn run<T: Typing>(
        &self,
        mut typing: T,
        digits: u8,
        [first_key, next_key]: [Duration; 2],
        reports: &WeakSender<Event>,
    ) -> Result<End<T::Outcome>> {
        if first_key.is_zero() || next_key.is_zero() {
            return Err(Error::Invalid("a timeout of zero leaves no time to type".to_owned()));
        }
        let _entry = self.entry.try_lock().map_err(|_| Error::Busy)?;
        let typed = async {
            let mut presses = self.keypad.take().await.map_err(broken)?;
            report(reports, Event::PadAsks)?;
            let mut patience = first_key;
            while let Ok(press) = timeout(patience, presses.next()).await {
                patience = next_key;
                match typing.press(press.map_err(broken)?) {
                    Typed::Nothing => {}
                    Typed::Shows(event) => report(reports, event)?,
                    Typed::Ended(outcome) => return Ok(End::Typed(outcome)),
                }
            }
            Ok(End::TimedOut)
        };
        let limit = first_key.saturating_add(next_key.saturating_mul(u32::from(digits) * CORRECTIONS));
        tokio::select! {
            biased;
            () = self.cancelled.notified() => Ok(End::Cancelled),
            ended = typed => ended,
            () = sleep(limit) => Ok(End::TimedOut),
        }
    }

    fn card(&self) -> MutexGuard<'_, Option<KeyedCard>> {
        self.card.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the daemon, which follows the reader's events: without it there is nobody to type for.
fn report(reports: &WeakSender<Event>, event: Event) -> Result<()> {
    reports.upgrade().ok_or(Error::Gone)?.try_send(event).map_err(|_| Error::Gone)
}

fn broken(error: std::io::Error) -> Error {
    log::warn!("the keypad can't be used as a PIN pad: {error}");
    Error::PinPadBroken
}
