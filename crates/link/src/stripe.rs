//! What the module tells of the card that was swiped.

use crate::error::Result;
use crate::wire::{Reader, Writer};

/// What may be known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwipedCard {
    /// The first six and the last four digits of its number, with asterisks between.
    pub masked_pan: String,
    /// Its service code, three digits.
    pub service_code: String,
}

impl SwipedCard {
    pub(crate) fn encode(&self, to: &mut Writer) {
        to.text(&self.masked_pan);
        to.text(&self.service_code);
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            masked_pan: from.text("masked PAN")?.to_string(),
            service_code: from.text("service code")?.to_string(),
        })
    }
}
