//! Entries at the module's pad: a PIN, or a card's number, expiry date and security code.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::message::key_name;
use crate::wire::{Reader, Writer};

/// A PIN entry that the module is to begin.
#[derive(Clone, PartialEq, Eq)]
pub struct PinEntry {
    /// The number of this entry, by which its events name it.
    pub entry: u16,
    /// The slot of the PIN key.
    pub key: String,
    /// The PAN for the format 0 block, in digits; empty for that of the card that was swiped.
    pub pan: Zeroizing<String>,
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
    pub amount: Option<(u64, u16, u8)>,
}

/// The entry of a card at the pad that the module is to begin: its number, its expiry date, and perhaps its security code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardEntry {
    /// The number of this entry, by which its events name it.
    pub entry: u16,
    /// Whether the security code is asked for.
    pub security_code: bool,
    /// How long to wait for the first key, in milliseconds.
    pub first_key: u32,
    /// How long to wait for each further key, in milliseconds.
    pub next_key: u32,
    /// The amount for the display in minor units, its ISO 4217 code, and how many digits the minor unit has.
    pub amount: Option<(u64, u16, u8)>,
}

impl PinEntry {
    pub(crate) fn encode(&self, to: &mut Writer) {
        to.u16(self.entry);
        to.text(&self.key);
        to.text(&self.pan);
        to.u8(self.shortest);
        to.u8(self.longest);
        to.u32(self.first_key);
        to.u32(self.next_key);
        encode_manner(self.bypass, self.accessible, to);
        encode_amount(self.amount, to);
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Self> {
        let (entry, key, pan) = (from.u16()?, key_name(from)?, from.text("PAN")?);
        let (shortest, longest, first_key, next_key) = (from.u8()?, from.u8()?, from.u32()?, from.u32()?);
        let (bypass, accessible) = decode_manner(from)?;
        let amount = decode_amount(from)?;
        Ok(Self { entry, key, pan, shortest, longest, first_key, next_key, bypass, accessible, amount })
    }
}

impl fmt::Debug for PinEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinEntry({})", self.entry)
    }
}

impl CardEntry {
    pub(crate) fn encode(&self, to: &mut Writer) {
        to.u16(self.entry);
        to.u8(self.security_code.into());
        to.u32(self.first_key);
        to.u32(self.next_key);
        encode_amount(self.amount, to);
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            entry: from.u16()?,
            security_code: from.flag("security code")?,
            first_key: from.u32()?,
            next_key: from.u32()?,
            amount: decode_amount(from)?,
        })
    }
}

/// In which manner a PIN is entered: whether it may be bypassed, and whether the pad helps who does not see it.
pub(crate) fn encode_manner(bypass: bool, accessible: bool, to: &mut Writer) {
    to.u8(u8::from(bypass) | u8::from(accessible) << 1);
}

pub(crate) fn decode_manner(from: &mut Reader<'_>) -> Result<(bool, bool)> {
    match from.u8()? {
        manner @ 0..=3 => Ok((manner & 1 != 0, manner & 2 != 0)),
        _ => Err(Error::Value("manner")),
    }
}

/// Minor units, the ISO 4217 code, and how many digits the minor unit has.
pub(crate) type Amount = (u64, u16, u8);

pub(crate) fn encode_amount(amount: Option<Amount>, to: &mut Writer) {
    to.u8(amount.is_some().into());
    if let Some((minor_units, currency, exponent)) = amount {
        to.raw(&minor_units.to_be_bytes());
        to.u16(currency);
        to.u8(exponent);
    }
}

pub(crate) fn decode_amount(from: &mut Reader<'_>) -> Result<Option<Amount>> {
    Ok(if from.flag("amount")? { Some((from.u64()?, from.u16()?, from.u8()?)) } else { None })
}
