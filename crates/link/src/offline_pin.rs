//! A PIN that the card verifies: it goes from the module's pad to the card.

use crate::entry::{Amount, decode_amount, decode_manner, encode_amount, encode_manner};
use crate::error::{Error, Result};
use crate::wire::{Reader, Writer};

/// On the line, the tries of a card that told none.
const UNTOLD: u8 = 0xFF;

/// The entry of a PIN for the card that the module is to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflinePinEntry {
    /// The number of this entry, by which its events name it.
    pub entry: u16,
    /// Where the card is.
    pub slot: u8,
    /// How many tries it has left, where it told; less than 255.
    pub tries_left: Option<u8>,
    /// The fewest digits.
    pub shortest: u8,
    /// The most digits.
    pub longest: u8,
    /// How long to wait for the first key, in milliseconds.
    pub first_key: u32,
    /// How long to wait for each further key, in milliseconds.
    pub next_key: u32,
    /// Whether Enter without a digit is a bypass.
    pub bypass: bool,
    /// Whether the pad helps who does not see it.
    pub accessible: bool,
    /// The amount for the display in minor units, its ISO 4217 code, and how many digits the minor unit has.
    pub amount: Option<Amount>,
    /// What the PIN is enciphered with; in the clear without.
    pub encipherment: Option<PinEncipherment>,
}

/// What a PIN is enciphered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinEncipherment {
    /// The card's RSA modulus.
    pub modulus: Vec<u8>,
    /// Its public exponent.
    pub exponent: Vec<u8>,
    /// The card's unpredictable number.
    pub challenge: [u8; 8],
}

impl OfflinePinEntry {
    pub(crate) fn encode(&self, to: &mut Writer) {
        to.u16(self.entry);
        to.u8(self.slot);
        to.u8(self.tries_left.unwrap_or(UNTOLD));
        to.u8(self.shortest);
        to.u8(self.longest);
        to.u32(self.first_key);
        to.u32(self.next_key);
        encode_manner(self.bypass, self.accessible, to);
        encode_amount(self.amount, to);
        to.u8(self.encipherment.is_some().into());
        if let Some(PinEncipherment { modulus, exponent, challenge }) = &self.encipherment {
            to.data(modulus);
            to.data(exponent);
            to.raw(challenge);
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Self> {
        let (entry, slot) = (from.u16()?, from.u8()?);
        let tries_left = match from.u8()? {
            UNTOLD => None,
            0 => return Err(Error::Value("tries left")),
            tries => Some(tries),
        };
        let (shortest, longest, first_key, next_key) = (from.u8()?, from.u8()?, from.u32()?, from.u32()?);
        let (bypass, accessible) = decode_manner(from)?;
        let amount = decode_amount(from)?;
        let encipherment = if from.flag("encipherment")? {
            let (modulus, exponent) = (from.data()?.to_vec(), from.data()?.to_vec());
            Some(PinEncipherment { modulus, exponent, challenge: from.array()? })
        } else {
            None
        };
        Ok(Self {
            entry,
            slot,
            tries_left,
            shortest,
            longest,
            first_key,
            next_key,
            bypass,
            accessible,
            amount,
            encipherment,
        })
    }
}
