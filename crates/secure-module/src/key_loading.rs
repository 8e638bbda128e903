//! What is said of keys while they are loaded, which is never the key.

use keys::Algorithm;

use crate::slot::KeySlot;

/// A key slot, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySlotInfo {
    /// The slot.
    pub slot: KeySlot,
    /// What the slot takes, or the key in it is for: a usage of X9.143 (`P0`), or a word where that has none.
    pub usage: String,
    /// The algorithm of the key in it; empty where there is no key.
    pub algorithm: String,
    /// The check value of the key in it (X9.24-1, annex A): 3 bytes, 5 of AES; empty where there is none to tell.
    pub check: Vec<u8>,
}

/// A key that custodians are to enter, each of them one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntryRequest {
    /// The slot that it goes to.
    pub slot: KeySlot,
    /// Its algorithm: TDES or AES.
    pub algorithm: Algorithm,
    /// Its length in bytes.
    pub length: u8,
    /// How many components it has: 2 or 3.
    pub components: u8,
}

/// How far they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyEntryState {
    /// None was begun.
    Idle,
    /// The module's pad waits for a custodian with this component, from 1.
    Waits {
        /// Which one.
        component: u8,
        /// The check value of the one before it; empty before the first.
        previous: Vec<u8>,
    },
    /// The key is in its slot, and has this check value.
    Loaded(Vec<u8>),
    /// It ended without a key, for this reason; the slot has what it had.
    Ended(String),
}
