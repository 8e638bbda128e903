//! What the pad takes for a PIN (ISO 9564-1, 9.1), whoever it is for.

use std::time::Duration;

use keys::Pin;
use link::{Event, Refusal};

use crate::{Refused, refused};

/// How a PIN may be typed.
pub(crate) struct Rules {
    pub(crate) shortest: u8,
    pub(crate) longest: u8,
    /// How long to wait for each further key, in milliseconds.
    pub(crate) next_key: u32,
    pub(crate) bypass: bool,
}

/// What came of digits and Enter.
pub(crate) enum Taken {
    Pin(Pin),
    Bypassed,
    /// It was too short to be a PIN: the pad waits on.
    Cleared,
}

impl Rules {
    /// Whether a PIN can be typed by them; `first_key` is how long to wait for the first key, in milliseconds.
    pub(crate) fn check(&self, first_key: u32) -> Result<(), Refused> {
        if self.shortest < 4 || self.longest > 12 || self.shortest > self.longest {
            return refused(Refusal::Invalid, "a PIN has 4 to 12 digits");
        }
        if first_key == 0 || self.next_key == 0 {
            return refused(Refusal::Invalid, "a timeout of zero leaves no time to type");
        }
        Ok(())
    }

    /// How long to wait for a further key.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.next_key.into())
    }

    /// Takes digits and Enter. A PIN that is too short is cleared.
    pub(crate) fn take(&self, digits: &str, entry: u16, events: &mut Vec<Event>) -> Taken {
        if digits.is_empty() && self.bypass {
            return Taken::Bypassed;
        }
        // The pad takes no digit beyond the longest PIN.
        let taken = digits.get(..usize::from(self.longest)).unwrap_or(digits);
        let count = u8::try_from(taken.len()).unwrap_or(self.longest);
        events.extend((1..=count).map(|count| Event::PinDigits { entry, count }));
        match Pin::new(taken) {
            Ok(pin) if count >= self.shortest => Taken::Pin(pin),
            _ => {
                events.push(Event::PinDigits { entry, count: 0 });
                Taken::Cleared
            }
        }
    }
}
