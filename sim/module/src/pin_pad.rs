//! The PIN pad: one entry at a time (ISO 9564-1, 6), of a PIN or of a card, typed by whoever holds `simctl`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use keys::pin_block::{self, Format, PinBlock};
use keys::{Algorithm, Key, Pan, Pin};
use link::{CardEntry, Event, OfflinePinEntry, PinEntry, PinResult, Refusal};
use zeroize::Zeroizing;

use crate::card_slot::CardSlot;
use crate::keyed_card::{KeyedCard, Keying};
use crate::offline_pin::Presenting;
use crate::pin_pace::PinPace;
use crate::pin_rules::{Rules, Taken};
use crate::{Refused, refused};

/// What the cardholder will do when the pad asks.
#[derive(Clone)]
pub(crate) enum Deed {
    /// Types these digits, and Enter.
    Type(Zeroizing<String>),
    /// Keys a card: its number, its expiry date, and its security code if that is asked for.
    KeyCard([Zeroizing<String>; 3]),
    /// Presses Cancel.
    Cancel,
    /// Walks away.
    WalkAway,
}

/// The pad, and the cardholder before it.
pub(crate) struct PinPad {
    pace: PinPace,
    deeds: VecDeque<Deed>,
    entry: Option<Entry>,
    /// What was heard of the latest entry that helps who does not see the pad.
    sounds: Vec<&'static str>,
    /// The card that was keyed last.
    pub(crate) card: Option<KeyedCard>,
}

/// What is being entered.
enum Entry {
    Pin(Entering),
    /// A PIN for the card in the slot.
    OfflinePin(Presenting),
    Card(Keying),
}

struct Entering {
    entry: u16,
    rules: Rules,
    pan: Pan,
    key: Key,
    /// When the pad gives up.
    until: Duration,
}

impl PinPad {
    /// A pad on which so many PINs may be entered at once, and one more each 30 s.
    pub(crate) fn new(pins: u32) -> Self {
        Self {
            pace: PinPace::new(pins, Instant::now()),
            deeds: VecDeque::new(),
            entry: None,
            sounds: Vec::new(),
            card: None,
        }
    }

    /// Begins an entry for `pan` under `key`.
    pub(crate) fn begin(
        &mut self,
        request: PinEntry,
        pan: Pan,
        key: Key,
        now: Duration,
    ) -> Result<(), Refused> {
        self.check_free()?;
        let PinEntry { entry, shortest, longest, first_key, next_key, bypass, .. } = request;
        let rules = Rules { shortest, longest, next_key, bypass };
        rules.check(first_key)?;
        self.check_pace()?;
        self.sounds = first_sounds(request.accessible);
        let until = now + Duration::from_millis(first_key.into());
        self.entry = Some(Entry::Pin(Entering { entry, rules, pan, key, until }));
        Ok(())
    }

    /// Begins the entry of a PIN for the card.
    pub(crate) fn begin_offline(
        &mut self,
        request: OfflinePinEntry,
        card: &mut CardSlot,
        now: Duration,
    ) -> Result<(), Refused> {
        self.check_free()?;
        let sounds = first_sounds(request.accessible);
        let presenting = Presenting::new(request, card, now)?;
        self.check_pace()?;
        self.sounds = sounds;
        self.entry = Some(Entry::OfflinePin(presenting));
        Ok(())
    }

    /// Begins the entry of a card. What was keyed before is wiped.
    pub(crate) fn begin_card(&mut self, request: CardEntry, now: Duration) -> Result<(), Refused> {
        self.check_free()?;
        if request.first_key == 0 || request.next_key == 0 {
            return refused(Refusal::Invalid, "a timeout of zero leaves no time to type");
        }
        self.card = None;
        self.entry = Some(Entry::Card(Keying::new(request, now)));
        Ok(())
    }

    fn check_free(&self) -> Result<(), Refused> {
        match self.entry {
            Some(_) => refused(Refusal::Busy, "an entry is going on"),
            None => Ok(()),
        }
    }

    fn check_pace(&mut self) -> Result<(), Refused> {
        match self.pace.wait(Instant::now()) {
            Some(wait) => refused(
                Refusal::Busy,
                format!("no more PINs than one in 30 s: the next one in {} s", wait.as_secs() + 1),
            ),
            None => Ok(()),
        }
    }

    /// Whether a PIN for the card is being entered.
    pub(crate) fn has_card(&self) -> bool {
        matches!(self.entry, Some(Entry::OfflinePin(_)))
    }

    /// The card has left, or lost its power: there is nobody any more to enter a PIN for.
    pub(crate) fn lose_card(&mut self) -> Option<Event> {
        match self.entry.take_if(|entry| matches!(entry, Entry::OfflinePin(_)))? {
            Entry::OfflinePin(pin) => Some(pin.ended(PinResult::CardMute)),
            Entry::Pin(_) | Entry::Card(_) => None,
        }
    }

    /// Whether an entry is going on.
    pub(crate) fn asks(&self) -> bool {
        self.entry.is_some()
    }

    /// What was heard of the latest entry, where it helps who does not see the pad: the same sound for each digit.
    pub(crate) fn sounds(&self) -> &[&'static str] {
        &self.sounds
    }

    /// How many deeds wait for an entry.
    pub(crate) fn queued(&self) -> usize {
        self.deeds.len()
    }

    /// Has the cardholder do something at the next entry, or at the one that is going on.
    pub(crate) fn queue(&mut self, deed: Deed) {
        self.deeds.push_back(deed);
    }

    /// Forgets what was queued.
    pub(crate) fn forget(&mut self) {
        self.deeds.clear();
    }

    /// Ends the entry without a word, and wipes what was keyed: who asked for it is gone.
    pub(crate) fn abandon(&mut self) {
        self.entry = None;
        self.card = None;
    }

    /// Forgets all but its pace, which no service gives anew.
    pub(crate) fn service(&mut self) {
        self.abandon();
        self.forget();
    }

    /// Ends the entry as cancelled.
    pub(crate) fn cancel(&mut self) -> Option<Event> {
        self.entry.take().map(Entry::cancelled)
    }

    /// When to call [`poll`](Self::poll) at the latest.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.entry.as_ref().map(Entry::until)
    }

    /// Lets the cardholder act, and the time run out; returns what the module reports.
    pub(crate) fn poll(&mut self, now: Duration, card: &mut CardSlot) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(mut entry) = self.entry.take() {
            let deed = match self.deeds.pop_front() {
                None if entry.until() <= now => Deed::WalkAway,
                None => {
                    self.entry = Some(entry);
                    break;
                }
                Some(deed) => deed,
            };
            match (&mut entry, deed) {
                (_, Deed::Cancel) => events.push(entry.cancelled()),
                (_, Deed::WalkAway) => events.push(entry.timed_out()),
                (Entry::Pin(pin), Deed::Type(digits)) => match pin.type_digits(&digits, now, &mut events) {
                    Some(result) => {
                        events.push(pin.ended(result));
                        self.count(result);
                    }
                    None => self.entry = Some(entry),
                },
                (Entry::OfflinePin(pin), Deed::Type(digits)) => {
                    match pin.type_digits(&digits, now, card, &mut events) {
                        Some(result) => {
                            events.push(pin.ended(result));
                            self.count(result);
                        }
                        None => self.entry = Some(entry),
                    }
                }
                // It is no PIN.
                (Entry::Pin(_) | Entry::OfflinePin(_), Deed::KeyCard(_)) => self.entry = Some(entry),
                (Entry::Card(_), Deed::Type(digits)) => self.key(entry, &[digits], now, &mut events),
                (Entry::Card(_), Deed::KeyCard(parts)) => self.key(entry, &parts, now, &mut events),
            }
        }
        self.sound(&events);
        events
    }

    /// Lets who does not see the pad hear what happens, and no digit.
    fn sound(&mut self, events: &[Event]) {
        if !self.sounds.is_empty() {
            self.sounds.extend(events.iter().filter_map(|event| match event {
                Event::PinDigits { count: 0, .. } => Some("clear"),
                Event::PinDigits { .. } => Some("key"),
                Event::PinEnded { .. } => Some("end"),
                _ => None,
            }));
        }
    }

    /// Counts a PIN that was tried. A card that says nothing about one has still had it.
    fn count(&mut self, result: PinResult) {
        if matches!(
            result,
            PinResult::Entered(_) | PinResult::EnteredLong(_) | PinResult::Presented(_) | PinResult::CardMute
        ) {
            self.pace.entered(Instant::now());
        }
    }

    /// Types `parts` of a card, as far as they are asked for, each with Enter.
    fn key(&mut self, mut entry: Entry, parts: &[Zeroizing<String>], now: Duration, events: &mut Vec<Event>) {
        if let Entry::Card(card) = &mut entry {
            self.card = parts.iter().find_map(|part| card.type_digits(part, now, events));
            if self.card.is_some() {
                events.push(card.entered());
                return;
            }
        }
        self.entry = Some(entry);
    }
}

/// The sound with which an entry begins; none where nobody has to hear it.
fn first_sounds(accessible: bool) -> Vec<&'static str> {
    if accessible { vec!["asks"] } else { Vec::new() }
}

impl Entry {
    fn until(&self) -> Duration {
        match self {
            Entry::Pin(pin) => pin.until,
            Entry::OfflinePin(pin) => pin.until(),
            Entry::Card(card) => card.until(),
        }
    }

    fn cancelled(self) -> Event {
        match self {
            Entry::Pin(pin) => pin.ended(PinResult::Cancelled),
            Entry::OfflinePin(pin) => pin.ended(PinResult::Cancelled),
            Entry::Card(card) => card.cancelled(),
        }
    }

    fn timed_out(self) -> Event {
        match self {
            Entry::Pin(pin) => pin.ended(PinResult::TimedOut),
            Entry::OfflinePin(pin) => pin.ended(PinResult::TimedOut),
            Entry::Card(card) => card.timed_out(),
        }
    }
}

impl Entering {
    /// Takes digits and Enter; how the entry ended, unless the pad waits on.
    fn type_digits(&mut self, digits: &str, now: Duration, events: &mut Vec<Event>) -> Option<PinResult> {
        match self.rules.take(digits, self.entry, events) {
            Taken::Pin(pin) => Some(self.enciphered(&pin)),
            Taken::Bypassed => Some(PinResult::Bypassed),
            Taken::Cleared => {
                self.until = now + self.rules.patience();
                None
            }
        }
    }

    /// The PIN in the format that goes with the key.
    fn enciphered(&self, pin: &Pin) -> PinResult {
        let format = match self.key.attributes().algorithm {
            Algorithm::Sm4 => Format::UnionPaySm4(&self.pan),
            Algorithm::Aes => Format::Iso4(&self.pan),
            _ => Format::Iso0(&self.pan),
        };
        // Format 4 alone takes anything random.
        let mut random = [0; 16];
        // A pad that can't encipher behaves as one that nobody types on.
        if getrandom::fill(&mut random).is_err() {
            return PinResult::TimedOut;
        }
        match pin_block::encrypt(&self.key, format, pin, &random) {
            Ok(PinBlock::Short(block)) => PinResult::Entered(block),
            Ok(PinBlock::Long(block)) => PinResult::EnteredLong(block),
            Err(_) => PinResult::TimedOut,
        }
    }

    fn ended(&self, result: PinResult) -> Event {
        Event::PinEnded { entry: self.entry, result }
    }
}

#[cfg(test)]
mod tests {
    use keys::{Attributes, Mode, TdesKey, Usage};
    use sim_cards::Drawer;

    use super::*;

    const PAN: &str = "6217001234567890123";

    fn request() -> PinEntry {
        PinEntry {
            entry: 9,
            key: "pik".to_owned(),
            pan: Zeroizing::new(PAN.to_owned()),
            shortest: 4,
            longest: 6,
            first_key: 30_000,
            next_key: 10_000,
            bypass: false,
            accessible: false,
            amount: None,
        }
    }

    fn pan() -> Pan {
        Pan::new(PAN).unwrap()
    }

    fn pik(algorithm: Algorithm) -> Key {
        Key::new(Attributes::new(Usage::PinEncryption, algorithm, Mode::Both), &[5; 16]).unwrap()
    }

    fn pad(request: PinEntry, deeds: &[&str]) -> PinPad {
        let mut pad = PinPad::new(9);
        for digits in deeds {
            pad.queue(Deed::Type(Zeroizing::new((*digits).to_owned())));
        }
        pad.begin(request, pan(), pik(Algorithm::Tdes), Duration::ZERO).unwrap();
        pad
    }

    fn no_card() -> CardSlot {
        CardSlot::new(Drawer::new(1))
    }

    fn end(events: &[Event]) -> PinResult {
        match events.last() {
            Some(Event::PinEnded { entry: 9, result }) => *result,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn digits_that_wait_are_typed_as_soon_as_the_pad_asks() {
        let events = pad(request(), &["123456"]).poll(Duration::ZERO, &mut no_card());
        assert_eq!(events.len(), 7);
        assert_eq!(events[5], Event::PinDigits { entry: 9, count: 6 });
        let PinResult::Entered(block) = end(&events) else { panic!("{events:?}") };
        let pin = pin_block::decipher(&TdesKey::new([5; 16]), block, &pan());
        assert_eq!(pin, Ok(Pin::new("123456").unwrap()));
    }

    #[test]
    fn under_a_key_of_sm4_the_block_has_16_bytes() {
        let mut pad = PinPad::new(9);
        pad.queue(Deed::Type(Zeroizing::new("123456".to_owned())));
        pad.begin(request(), pan(), pik(Algorithm::Sm4), Duration::ZERO).unwrap();
        let PinResult::EnteredLong(block) = end(&pad.poll(Duration::ZERO, &mut no_card())) else {
            panic!("a short block")
        };
        let pin = pin_block::decrypt(&pik(Algorithm::Sm4), Format::UnionPaySm4(&pan()), &block);
        assert_eq!(pin, Ok(Pin::new("123456").unwrap()));
    }

    #[test]
    fn a_digit_too_many_is_not_taken() {
        let events = pad(request(), &["1234567"]).poll(Duration::ZERO, &mut no_card());
        let PinResult::Entered(block) = end(&events) else { panic!("{events:?}") };
        let pin = pin_block::decipher(&TdesKey::new([5; 16]), block, &pan());
        assert_eq!(pin, Ok(Pin::new("123456").unwrap()));
    }

    #[test]
    fn a_pin_too_short_is_cleared_and_may_be_typed_again() {
        let mut pad = pad(request(), &["123"]);
        assert_eq!(
            pad.poll(Duration::ZERO, &mut no_card()).last(),
            Some(&Event::PinDigits { entry: 9, count: 0 })
        );
        pad.queue(Deed::Type(Zeroizing::new("1234".to_owned())));
        assert!(matches!(end(&pad.poll(Duration::from_secs(1), &mut no_card())), PinResult::Entered(_)));
    }

    #[test]
    fn who_does_not_see_the_pad_hears_each_key_and_no_digit() {
        let accessible = || PinEntry { accessible: true, ..request() };
        let heard = |digits| {
            let mut pad = pad(accessible(), &["12", digits]);
            pad.poll(Duration::ZERO, &mut no_card());
            pad.sounds().join(" ")
        };
        assert_eq!(heard("1111"), "asks key key clear key key key key end");
        assert_eq!(heard("1111"), heard("9753"));
        let mut silent = pad(request(), &["1234"]);
        silent.poll(Duration::ZERO, &mut no_card());
        assert!(silent.sounds().is_empty());
    }

    #[test]
    fn enter_alone_bypasses_only_where_that_is_allowed() {
        assert_eq!(
            end(&pad(PinEntry { bypass: true, ..request() }, &[""]).poll(Duration::ZERO, &mut no_card())),
            PinResult::Bypassed
        );
        assert!(
            pad(request(), &[""])
                .poll(Duration::ZERO, &mut no_card())
                .iter()
                .all(|event| matches!(event, Event::PinDigits { .. }))
        );
    }

    #[test]
    fn an_entry_times_out_at_its_deadline() {
        let mut pad = pad(request(), &[]);
        assert_eq!(pad.poll(Duration::from_millis(29_999), &mut no_card()), []);
        assert_eq!(pad.deadline(), Some(Duration::from_secs(30)));
        assert_eq!(end(&pad.poll(Duration::from_secs(30), &mut no_card())), PinResult::TimedOut);
        assert!(!pad.asks());
    }

    #[test]
    fn who_tries_pins_has_to_wait_and_who_enters_none_does_not_count() {
        let mut pad = PinPad::new(2);
        for (digits, may) in [("", true), ("1234", true), ("1235", true), ("1236", false)] {
            let begun = pad.begin(
                PinEntry { bypass: true, ..request() },
                pan(),
                pik(Algorithm::Tdes),
                Duration::ZERO,
            );
            assert_eq!(begun.map_err(|(refusal, _)| refusal), if may { Ok(()) } else { Err(Refusal::Busy) });
            pad.queue(Deed::Type(Zeroizing::new(digits.to_owned())));
            pad.poll(Duration::ZERO, &mut no_card());
            pad.forget();
        }
        assert!(
            pad.begin_card(
                CardEntry { entry: 1, security_code: false, first_key: 1, next_key: 1, amount: None },
                Duration::ZERO
            )
            .is_ok(),
            "a card is no PIN"
        );
    }

    #[test]
    fn a_second_entry_is_refused_while_one_goes_on() {
        let mut pad = pad(request(), &[]);
        let again = pad.begin(request(), pan(), pik(Algorithm::Tdes), Duration::ZERO);
        assert_eq!(again.unwrap_err().0, Refusal::Busy);
    }
}
