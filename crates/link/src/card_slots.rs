//! What is said of the card slots.

use crate::error::{Error, Result};
use crate::wire::{Reader, Writer};

/// What a slot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardSlotKind {
    /// Cards of customers: slot 0.
    Contact,
    /// A secure access module of an acquirer or a scheme (PSAM), which stays in the terminal: slots 1 to 4.
    Sam,
}

/// A card slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardSlotInfo {
    /// Its number.
    pub slot: u8,
    /// What it is for.
    pub kind: CardSlotKind,
    /// Whether a card is in it.
    pub present: bool,
}

impl CardSlotInfo {
    pub(crate) fn encode_all(slots: &[Self], to: &mut Writer) -> Result<()> {
        to.u8(u8::try_from(slots.len()).map_err(|_| Error::TooLong)?);
        for slot in slots {
            to.u8(slot.slot);
            to.u8(match slot.kind {
                CardSlotKind::Contact => 0,
                CardSlotKind::Sam => 1,
            });
            to.u8(slot.present.into());
        }
        Ok(())
    }

    pub(crate) fn decode_all(from: &mut Reader<'_>) -> Result<Vec<Self>> {
        let count = from.u8()?;
        (0..count).map(|_| Self::decode(from)).collect()
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self> {
        let slot = from.u8()?;
        let kind = match (from.u8()?, slot) {
            (0, 0) => CardSlotKind::Contact,
            (1, 1..=4) => CardSlotKind::Sam,
            _ => return Err(Error::Value("card slot")),
        };
        Ok(Self { slot, kind, present: from.flag("card present")? })
    }
}
