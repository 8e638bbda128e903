//! A card that is keyed at the pad: number, expiry date and, where it is asked for, security code, each with Enter.

use std::time::Duration;

use keys::Pan;
use link::{CardEntry, CardPart, CardResult, Event};
use zeroize::Zeroizing;

/// The fewest and the most digits of a PAN (ISO/IEC 7812-1), as the pad counts them.
const PAN_DIGITS: (usize, usize) = (12, 19);
/// The expiry date: MMYY, as cards show it.
const EXPIRY_DIGITS: (usize, usize) = (4, 4);
/// Of a security code.
const CODE_DIGITS: (usize, usize) = (3, 4);

/// What was keyed. It is wiped on drop.
pub(crate) struct KeyedCard {
    pub(crate) pan: Pan,
    /// YYMM.
    expiry: Zeroizing<String>,
    /// Empty where none was keyed.
    code: Zeroizing<String>,
}

impl KeyedCard {
    /// The equivalent of its track 2, in the form of tag 57: service code 000, the security code as discretionary data.
    pub(crate) fn track2(&self) -> Option<Zeroizing<Vec<u8>>> {
        let KeyedCard { pan, expiry, code } = self;
        let mut text = Zeroizing::new(format!("{}d{}000{}", pan.digits(), expiry.as_str(), code.as_str()));
        if text.len() % 2 == 1 {
            text.push('f');
        }
        hex::decode(&*text).ok().map(Zeroizing::new)
    }
}

/// An entry that goes on.
pub(crate) struct Keying {
    request: CardEntry,
    pan: Option<Pan>,
    expiry: Option<Zeroizing<String>>,
    until: Duration,
}

impl Keying {
    pub(crate) fn new(request: CardEntry, now: Duration) -> Keying {
        let until = now + Duration::from_millis(request.first_key.into());
        Keying { request, pan: None, expiry: None, until }
    }

    /// When the pad gives up.
    pub(crate) fn until(&self) -> Duration {
        self.until
    }

    pub(crate) fn entered(&self) -> Event {
        self.ended(CardResult::Entered)
    }

    pub(crate) fn cancelled(&self) -> Event {
        self.ended(CardResult::Cancelled)
    }

    pub(crate) fn timed_out(&self) -> Event {
        self.ended(CardResult::TimedOut)
    }

    fn ended(&self, result: CardResult) -> Event {
        Event::CardEnded { entry: self.request.entry, result }
    }

    /// Takes digits and Enter for the part that is asked for; the card, once it has all of its parts. What can't be right is
    /// cleared, and the pad waits on.
    pub(crate) fn type_digits(
        &mut self,
        digits: &str,
        now: Duration,
        events: &mut Vec<Event>,
    ) -> Option<KeyedCard> {
        self.until = now + Duration::from_millis(self.request.next_key.into());
        let (part, (shortest, longest)) = match (&self.pan, &self.expiry) {
            (None, _) => (CardPart::Number, PAN_DIGITS),
            (_, None) => (CardPart::Expiry, EXPIRY_DIGITS),
            _ => (CardPart::SecurityCode, CODE_DIGITS),
        };
        // The pad takes no digit beyond the longest.
        let taken = digits.get(..longest).unwrap_or(digits);
        let entry = self.request.entry;
        let count = u8::try_from(taken.len()).unwrap_or_default();
        events.push(Event::CardDigits { entry, part, count });
        let keyed = match part {
            _ if taken.len() < shortest && !(part == CardPart::SecurityCode && taken.is_empty()) => None,
            CardPart::Number => self.take_number(taken),
            CardPart::Expiry => self.take_expiry(taken),
            CardPart::SecurityCode => Some(self.card(taken)),
        };
        match keyed {
            Some(keyed) => keyed,
            None => {
                events.push(Event::CardDigits { entry, part, count: 0 });
                None
            }
        }
    }

    /// None where the number is none; then what there is of the card so far: nothing.
    fn take_number(&mut self, digits: &str) -> Option<Option<KeyedCard>> {
        let pan = Pan::new(digits).ok().filter(Pan::luhn_valid)?;
        self.pan = Some(pan);
        Some(None)
    }

    fn take_expiry(&mut self, digits: &str) -> Option<Option<KeyedCard>> {
        let (month, year) = digits.split_at_checked(2)?;
        if !("01"..="12").contains(&month) {
            return None;
        }
        self.expiry = Some(Zeroizing::new(format!("{year}{month}")));
        Some(if self.request.security_code { None } else { self.card("") })
    }

    fn card(&mut self, code: &str) -> Option<KeyedCard> {
        let code = Zeroizing::new(code.to_owned());
        Some(KeyedCard { pan: self.pan.take()?, expiry: self.expiry.take()?, code })
    }
}

#[cfg(test)]
mod tests {
    use keys::Track2;

    use super::*;

    const PAN: &str = "4111110000000039";

    fn keying(security_code: bool) -> Keying {
        let request =
            CardEntry { entry: 9, security_code, first_key: 30_000, next_key: 10_000, amount: None };
        Keying::new(request, Duration::ZERO)
    }

    /// The card, once these were typed; none where the pad still waits.
    fn typed(keying: &mut Keying, parts: &[&str]) -> Option<Track2> {
        let mut events = Vec::new();
        let mut keyed = None;
        for part in parts {
            keyed = keying.type_digits(part, Duration::ZERO, &mut events);
        }
        keyed.map(|card| Track2::from_bytes(&card.track2().unwrap()).unwrap())
    }

    #[test]
    fn number_and_expiry_become_a_track_of_service_code_000_with_the_code_behind_it() {
        let track = typed(&mut keying(false), &[PAN, "1249"]).unwrap();
        assert_eq!((track.pan().digits(), track.expiry(), track.service_code()), (PAN, "4912", "000"));
        assert_eq!(track.discretionary(), "");
        let track = typed(&mut keying(true), &[PAN, "1249", "039"]).unwrap();
        assert_eq!(track.discretionary(), "039");
        assert_eq!(typed(&mut keying(true), &[PAN, "1249", ""]).unwrap().discretionary(), "");
    }

    #[test]
    fn what_can_not_be_right_is_cleared_and_typed_again() {
        let mut keying = keying(true);
        for wrong in ["4111110000000038", "41111", ""] {
            let mut events = Vec::new();
            assert!(keying.type_digits(wrong, Duration::ZERO, &mut events).is_none());
            let cleared = Event::CardDigits { entry: 9, part: CardPart::Number, count: 0 };
            assert_eq!(events.last(), Some(&cleared), "{wrong}");
        }
        assert!(typed(&mut keying, &[PAN, "1349", "0049", "124", "1249", "1"]).is_none());
        assert!(typed(&mut keying, &["039"]).is_some());
    }
}
