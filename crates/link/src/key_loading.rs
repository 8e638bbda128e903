//! What is said of the key slots, and of keys that custodians enter.

use crate::error::{Error, Result};
use crate::message::key_name;
use crate::wire::{Reader, Writer};

/// The longest check value that is told (ANSI X9.24-1, annex A).
const LONGEST_CHECK: usize = 5;

/// A key slot, and what is in it: never the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySlotInfo {
    /// The slot.
    pub name: String,
    /// What the slot takes, or the key in it is for: a usage of X9.143 (`P0`), or a word where that has none.
    pub usage: String,
    /// The algorithm of the key in it, as X9.143 has it, or a word; empty where there is no key.
    pub algorithm: String,
    /// The check value of the key in it: 3 bytes, 5 of AES; empty where there is none to tell.
    pub check: Vec<u8>,
}

impl KeySlotInfo {
    pub(crate) fn encode_all(slots: &[Self], to: &mut Writer) -> Result<()> {
        to.u8(u8::try_from(slots.len()).map_err(|_| Error::TooLong)?);
        for slot in slots {
            to.text(&slot.name);
            to.text(&slot.usage);
            to.text(&slot.algorithm);
            to.data(&slot.check);
        }
        Ok(())
    }

    pub(crate) fn decode_all(from: &mut Reader<'_>) -> Result<Vec<Self>> {
        let count = from.u8()?;
        (0..count).map(|_| Self::decode(from)).collect()
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            name: key_name(from)?,
            usage: from.text("usage")?.to_string(),
            algorithm: from.text("algorithm")?.to_string(),
            check: check_value(from)?,
        })
    }
}

/// A key that custodians are to enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntryRequest {
    /// The slot that it goes to.
    pub key: String,
    /// Its algorithm, as X9.143 has it: `T` or `A`.
    pub algorithm: u8,
    /// Its length in bytes.
    pub length: u8,
    /// How many components it has: 2 or 3.
    pub components: u8,
}

impl KeyEntryRequest {
    pub(crate) fn encode(&self, to: &mut Writer) {
        to.text(&self.key);
        to.u8(self.algorithm);
        to.u8(self.length);
        to.u8(self.components);
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { key: key_name(from)?, algorithm: from.u8()?, length: from.u8()?, components: from.u8()? })
    }
}

/// How far a key is that custodians enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyEntryState {
    /// None was begun.
    Idle,
    /// The pad waits for a custodian with this component; the check value of the one before it, if there is one.
    Waits {
        /// From 1.
        component: u8,
        /// As the pad shows it.
        previous: Vec<u8>,
    },
    /// The key is in its slot.
    Loaded {
        /// Its check value.
        check: Vec<u8>,
    },
    /// It ended without a key; the slot has what it had.
    Ended {
        /// Why, for a person.
        reason: String,
    },
}

impl KeyEntryState {
    pub(crate) fn encode(&self, to: &mut Writer) {
        match self {
            Self::Idle => to.u8(0),
            Self::Waits { component, previous } => {
                to.u8(1);
                to.u8(*component);
                to.data(previous);
            }
            Self::Loaded { check } => {
                to.u8(2);
                to.data(check);
            }
            Self::Ended { reason } => {
                to.u8(3);
                to.text(reason);
            }
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Result<Self> {
        match from.u8()? {
            0 => Ok(Self::Idle),
            1 => Ok(Self::Waits { component: from.u8()?, previous: check_value(from)? }),
            2 => Ok(Self::Loaded { check: check_value(from)? }),
            3 => Ok(Self::Ended { reason: from.text("reason")?.to_string() }),
            _ => Err(Error::Value("state of the key entry")),
        }
    }
}

fn check_value(from: &mut Reader<'_>) -> Result<Vec<u8>> {
    let value = from.data()?;
    if value.len() <= LONGEST_CHECK { Ok(value.to_vec()) } else { Err(Error::Value("check value")) }
}
