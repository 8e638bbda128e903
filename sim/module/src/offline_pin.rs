//! A PIN for the card in the slot (EMV Book 3, 10.5.1): what is typed at the pad goes to the card, and to nobody else.

use std::time::Duration;

use keys::offline_pin::{self, CardKey};
use keys::{Pin, Result};
use link::{Event, OfflinePinEntry, PinResult, Refusal};
use zeroize::Zeroizing;

use crate::card_slot::CardSlot;
use crate::pin_rules::{Rules, Taken};
use crate::{Refused, refused};

/// The slot with customers' cards: no other has cards that take a PIN.
const CUSTOMERS: u8 = 0;

/// An entry that goes on.
pub(crate) struct Presenting {
    entry: u16,
    rules: Rules,
    /// What the PIN is enciphered with.
    encipherment: Option<(CardKey, [u8; 8])>,
    /// When the pad gives up.
    until: Duration,
}

impl Presenting {
    /// Checks what is asked for. The card is to have power.
    pub(crate) fn new(
        request: OfflinePinEntry,
        card: &mut CardSlot,
        now: Duration,
    ) -> std::result::Result<Self, Refused> {
        if request.slot != CUSTOMERS {
            return refused(Refusal::NotSupported, "PINs are verified by the card in slot 0 alone");
        }
        card.check_power()?;
        let rules = Rules {
            shortest: request.shortest,
            longest: request.longest,
            next_key: request.next_key,
            bypass: request.bypass,
        };
        rules.check(request.first_key)?;
        let encipherment = match request.encipherment {
            Some(with) => match CardKey::new(&with.modulus, &with.exponent) {
                Ok(key) => Some((key, with.challenge)),
                Err(error) => return refused(Refusal::Invalid, error.to_string()),
            },
            None => None,
        };
        let until = now + Duration::from_millis(request.first_key.into());
        Ok(Self { entry: request.entry, rules, encipherment, until })
    }

    pub(crate) fn until(&self) -> Duration {
        self.until
    }

    pub(crate) fn ended(&self, result: PinResult) -> Event {
        Event::PinEnded { entry: self.entry, result }
    }

    /// Takes digits and Enter; how the entry ended, unless the pad waits on.
    pub(crate) fn type_digits(
        &mut self,
        digits: &str,
        now: Duration,
        card: &mut CardSlot,
        events: &mut Vec<Event>,
    ) -> Option<PinResult> {
        match self.rules.take(digits, self.entry, events) {
            Taken::Pin(pin) => Some(self.present(&pin, card, events)),
            Taken::Bypassed => Some(PinResult::Bypassed),
            Taken::Cleared => {
                self.until = now + self.rules.patience();
                None
            }
        }
    }

    /// VERIFY, once.
    fn present(&self, pin: &Pin, card: &mut CardSlot, events: &mut Vec<Event>) -> PinResult {
        // A pad that can't encipher behaves as one that nobody types on.
        let Ok(command) = self.command(pin) else { return PinResult::TimedOut };
        let (answer, pulled) = card.transmit(&command);
        if pulled {
            events.push(Event::CardRemoved { slot: CUSTOMERS });
        }
        match answer.as_deref().map(|answer| answer.split_last_chunk()) {
            Ok(Some((_, status))) => PinResult::Presented(u16::from_be_bytes(*status)),
            _ => PinResult::CardMute,
        }
    }

    fn command(&self, pin: &Pin) -> Result<Zeroizing<Vec<u8>>> {
        let Some((key, challenge)) = &self.encipherment else { return Ok(offline_pin::plaintext(pin)) };
        let mut padding = Zeroizing::new(vec![0; key.padding_length()]);
        // Without randomness the padding's length is wrong, and nothing is enciphered.
        if getrandom::fill(&mut padding).is_err() {
            padding.clear();
        }
        offline_pin::enciphered(pin, key, challenge, &padding)
    }
}
