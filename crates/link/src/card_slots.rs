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
        (0..count).filter_map(|_| Self::decode(from).transpose()).collect()
    }

    /// None of a kind that is not known here.
    fn decode(from: &mut Reader<'_>) -> Result<Option<Self>> {
        let (slot, kind, present) = (from.u8()?, from.u8()?, from.flag("card present")?);
        let kind = match (kind, slot) {
            (0, 0) => CardSlotKind::Contact,
            (1, 1..=4) => CardSlotKind::Sam,
            (0 | 1, _) => return Err(Error::Value("card slot")),
            _ => return Ok(None),
        };
        Ok(Some(Self { slot, kind, present }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_of_an_unknown_kind_leaves_the_others() {
        let slots = CardSlotInfo::decode_all(&mut Reader::new(&[3, 0, 0, 1, 5, 2, 0, 1, 1, 1]));
        let numbers: Vec<u8> = slots.unwrap().iter().map(|slot| slot.slot).collect();
        assert_eq!(numbers, [0, 1]);
        assert!(CardSlotInfo::decode_all(&mut Reader::new(&[1, 5, 1, 1])).is_err(), "a PSAM has 1 to 4");
    }
}
