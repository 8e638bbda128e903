//! The card slot (ISO/IEC 7816-3), with a virtual card in it or none.

use emv::trace::Answer;
use link::Refusal;
use sim_cards::{Card, Drawer};
use zeroize::Zeroizing;

use crate::trace::Recorder;
use crate::{Refused, refused};

/// The slot, and the drawer that its cards come from.
pub(crate) struct CardSlot {
    drawer: Drawer,
    inserted: Option<Inserted>,
    /// What the card was told since its reset; it outlives the card in the slot.
    pub(crate) recorder: Recorder,
}

struct Inserted {
    card: Card,
    powered: bool,
    /// How many commands it has got.
    heard: u32,
}

impl CardSlot {
    /// An empty slot.
    pub(crate) fn new(drawer: Drawer) -> Self {
        Self { drawer, inserted: None, recorder: Recorder::default() }
    }

    /// A slot with a card of the drawer in it, which stays there.
    pub(crate) fn with(drawer: &Drawer, name: &str) -> Self {
        let mut slot = Self::new(drawer.clone());
        // The drawer has it: a test of the crate `sim-cards` loads each card.
        let _ = slot.insert(name);
        slot
    }

    /// The name of the card in the slot.
    pub(crate) fn card(&self) -> Option<&str> {
        self.inserted.as_ref().map(|inserted| inserted.card.profile().name.as_str())
    }

    /// How many commands the card in the slot has got since it was put in.
    pub(crate) fn heard(&self) -> u32 {
        self.inserted.as_ref().map_or(0, |inserted| inserted.heard)
    }

    /// Takes a card from the drawer and puts it in; the error is for the tester.
    pub(crate) fn insert(&mut self, name: &str) -> Result<(), String> {
        if self.inserted.is_some() {
            return Err("a card is in the slot; say `card remove` first".to_owned());
        }
        let card = self.drawer.take(name);
        let card = card.map_err(|error| format!("{error}; `card list` shows the cards"))?;
        self.inserted = Some(Inserted { card, powered: false, heard: 0 });
        Ok(())
    }

    /// Takes the card out, and returns its name.
    pub(crate) fn remove(&mut self) -> Option<String> {
        let Inserted { card, .. } = self.inserted.take()?;
        if !card.is_removed() {
            self.recorder.removed();
        }
        self.drawer.put_back(&card);
        Some(card.profile().name.clone())
    }

    /// Powers the card up, or resets it: the answer to reset.
    pub(crate) fn power_on(&mut self) -> Result<Vec<u8>, Refused> {
        let inserted = self.inserted()?;
        inserted.card.reset();
        let atr = inserted.card.atr();
        inserted.powered = atr.is_some();
        self.recorder.begin();
        atr.ok_or_else(|| (Refusal::CardMute, "the card gives no answer to reset".to_owned()))
    }

    /// Refuses unless a card is in and has power.
    pub(crate) fn check_power(&mut self) -> Result<(), Refused> {
        if self.inserted()?.powered { Ok(()) } else { refused(Refusal::CardMute, "the card has no power") }
    }

    /// Whether a card has power.
    pub(crate) fn has_power(&self) -> bool {
        self.inserted.as_ref().is_some_and(|inserted| inserted.powered)
    }

    /// Takes the card's power away.
    pub(crate) fn power_off(&mut self) {
        if let Some(inserted) = &mut self.inserted {
            inserted.powered = false;
        }
    }

    /// Exchanges an APDU, and tells whether the card was pulled out by it.
    pub(crate) fn transmit(&mut self, command: &[u8]) -> (Result<Zeroizing<Vec<u8>>, Refused>, bool) {
        let answer = self.exchange(command);
        let pulled = self.inserted.as_ref().is_some_and(|inserted| inserted.card.is_removed());
        if pulled {
            self.remove();
        }
        (answer, pulled)
    }

    fn exchange(&mut self, command: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        if !(4..=261).contains(&command.len()) {
            return refused(Refusal::Invalid, "a short command APDU has 4 to 261 bytes");
        }
        self.check_power()?;
        let inserted = self.inserted()?;
        inserted.heard += 1;
        let response = inserted.card.transmit(command);
        let removed = inserted.card.is_removed();
        self.recorder.exchange(
            command,
            match &response {
                Some(response) => Answer::Response(response.clone()),
                None if removed => Answer::Removed,
                None => Answer::Mute,
            },
        );
        if let Some(response) = response {
            return Ok(Zeroizing::new(response));
        }
        if removed {
            return refused(Refusal::NoCard, "the card was pulled out");
        }
        refused(Refusal::CardMute, "the card does not answer")
    }

    fn inserted(&mut self) -> Result<&mut Inserted, Refused> {
        self.inserted.as_mut().ok_or_else(|| (Refusal::NoCard, "no card is in the slot".to_owned()))
    }
}
