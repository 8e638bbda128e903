//! The slot of the reader: what QEMU is told of the card in it, and how the card answers.

use sim_cards::{Card, Drawer};

use crate::vscard::{self, FromReader, Malformed, ToReader};

/// What VSCard calls the reader; the guest does not see it.
const NAME: &str = "smartpos";

/// No response APDU: it has no room for SW1 SW2.
const GARBAGE: &[u8] = &[0xFF];

/// How commands to the card are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Conduct {
    /// As the card answers.
    #[default]
    Truthful,
    /// Not at all.
    Silent,
    /// With a byte that means nothing.
    Garbage,
}

/// The reader, seen from the card's side. It outlives the line to QEMU.
#[derive(Debug)]
pub struct Reader {
    drawer: Drawer,
    card: Option<Card>,
    pub(crate) conduct: Conduct,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl Reader {
    /// An empty reader, with a drawer of cards beside it.
    #[must_use]
    pub fn new(drawer: Drawer) -> Self {
        Self { drawer, card: None, conduct: Conduct::default(), incoming: Vec::new(), outgoing: Vec::new() }
    }

    /// A line to QEMU begins.
    pub(crate) fn opened(&mut self) {
        self.incoming.clear();
        self.outgoing.clear();
        self.say(ToReader::Init);
    }

    /// What is to be sent to QEMU.
    pub(crate) fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// Takes what QEMU sent; returns what it complained about.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Vec<String>, Malformed> {
        self.incoming.extend_from_slice(bytes);
        let mut complaints = Vec::new();
        while let Some(message) = vscard::take(&mut self.incoming)? {
            match message {
                FromReader::Init => self.announce(),
                FromReader::Apdu(command) => self.transmit(&command),
                FromReader::Outcome(0) => {}
                FromReader::Outcome(code) => {
                    complaints.push(format!("QEMU refuses a message with error {code}"))
                }
            }
        }
        Ok(complaints)
    }

    /// The name of the card in the slot.
    pub(crate) fn card(&self) -> Option<&str> {
        self.card.as_ref().map(|card| card.profile().name.as_str())
    }

    /// Takes a card from the drawer and puts it in; the error is for the tester.
    pub(crate) fn insert(&mut self, name: &str) -> Result<(), String> {
        if self.card.is_some() {
            return Err("a card is in the reader; say `reader remove` first".to_owned());
        }
        let card = self.drawer.take(name).map_err(|error| error.to_string())?;
        if card.atr().is_none() {
            return Err(format!("{name} gives no answer to reset; QEMU's reader can't hold such a card"));
        }
        self.card = Some(card);
        self.tell_the_slot();
        Ok(())
    }

    /// Pulls the card out, and returns its name.
    pub(crate) fn remove(&mut self) -> Option<String> {
        let card = self.card.take()?;
        self.drawer.put_back(&card);
        self.tell_the_slot();
        Some(card.profile().name.clone())
    }

    /// A reader is there, perhaps a new one, or one that knew an earlier process of ours.
    fn announce(&mut self) {
        self.say(ToReader::ReaderAdd(NAME));
        self.tell_the_slot();
    }

    fn tell_the_slot(&mut self) {
        match self.card.as_ref().and_then(Card::atr) {
            Some(atr) => self.say(ToReader::Atr(&atr)),
            None => self.say(ToReader::CardRemove),
        }
    }

    fn transmit(&mut self, command: &[u8]) {
        let Some(card) = &mut self.card else { return self.say(ToReader::Failed) };
        match self.conduct {
            Conduct::Silent => {}
            Conduct::Garbage => self.say(ToReader::Apdu(GARBAGE)),
            Conduct::Truthful => match card.transmit(command) {
                Some(response) => self.say(ToReader::Apdu(&response)),
                None if card.is_removed() => {
                    self.remove();
                }
                None => self.say(ToReader::Failed),
            },
        }
    }

    fn say(&mut self, message: ToReader<'_>) {
        message.encode(&mut self.outgoing);
    }
}
