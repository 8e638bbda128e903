//! The card slot (ISO/IEC 7816-3), with a virtual card in it or none.

use std::collections::HashMap;

use link::{Event, Refusal};
use sim_cards::Card;
use zeroize::Zeroizing;

use crate::{Refused, refused};

/// The slot, and what the cards that were in it remember.
#[derive(Default)]
pub(crate) struct CardSlot {
    inserted: Option<Inserted>,
    /// The application transaction counter of each card that left: a host refuses one that comes twice.
    counters: HashMap<String, u16>,
}

struct Inserted {
    name: String,
    card: Card,
    powered: bool,
}

impl CardSlot {
    /// The name of the card in the slot.
    pub(crate) fn card(&self) -> Option<&str> {
        self.inserted.as_ref().map(|inserted| inserted.name.as_str())
    }

    /// Puts a card in, if the slot is free.
    pub(crate) fn insert(&mut self, name: &str, card: Card) -> bool {
        let free = self.inserted.is_none();
        if free {
            self.inserted = Some(Inserted { name: name.to_owned(), card, powered: false });
        }
        free
    }

    /// Takes the card out, and returns its name.
    pub(crate) fn remove(&mut self) -> Option<String> {
        let inserted = self.inserted.take()?;
        self.counters.insert(base(&inserted.name).to_owned(), inserted.card.atc());
        Some(inserted.name)
    }

    /// The counter of a card that was in the slot before.
    pub(crate) fn counter(&self, name: &str) -> Option<u16> {
        self.counters.get(base(name)).copied()
    }

    /// Powers the card up, or resets it: the answer to reset.
    pub(crate) fn power_on(&mut self) -> Result<Vec<u8>, Refused> {
        let inserted = self.inserted()?;
        inserted.card.reset();
        let atr = inserted.card.atr();
        inserted.powered = atr.is_some();
        atr.ok_or_else(|| (Refusal::CardMute, "the card gives no answer to reset".to_owned()))
    }

    /// Takes the card's power away.
    pub(crate) fn power_off(&mut self) {
        if let Some(inserted) = &mut self.inserted {
            inserted.powered = false;
        }
    }

    /// Exchanges an APDU. A card may be pulled out by it, which is an event of its own.
    pub(crate) fn transmit(
        &mut self,
        command: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<Zeroizing<Vec<u8>>, Refused> {
        if !(4..=261).contains(&command.len()) {
            return refused(Refusal::Invalid, "a short command APDU has 4 to 261 bytes");
        }
        let inserted = self.inserted()?;
        if !inserted.powered {
            return refused(Refusal::CardMute, "the card has no power");
        }
        if let Some(response) = inserted.card.transmit(command) {
            return Ok(Zeroizing::new(response));
        }
        if inserted.card.is_removed() {
            self.remove();
            events.push(Event::CardRemoved { slot: 0 });
            return refused(Refusal::NoCard, "the card was pulled out");
        }
        refused(Refusal::CardMute, "the card does not answer")
    }

    fn inserted(&mut self) -> Result<&mut Inserted, Refused> {
        self.inserted.as_mut().ok_or_else(|| (Refusal::NoCard, "no card is in the slot".to_owned()))
    }
}

/// The card's name without its parameter: `removed-early:3` and `removed-early:4` are one card.
fn base(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}
