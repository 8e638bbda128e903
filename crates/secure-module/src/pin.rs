//! PIN entry.

use std::ops::RangeInclusive;
use std::time::Duration;

use keys::Pan;
use keys::pin_block::PinBlock;

use crate::slot::KeySlot;

/// How a PIN is to be entered.
#[derive(Debug, Clone)]
pub struct PinRequest {
    /// The PAN that the PIN block is bound to; none for that of the card that was swiped, which stays in the module.
    pub pan: Option<Pan>,
    /// The slot of the PIN key.
    pub key: KeySlot,
    /// How many digits the PIN may have, within 4 to 12.
    pub digits: RangeInclusive<u8>,
    /// How long to wait for the first key.
    pub first_key: Duration,
    /// How long to wait for each further key.
    pub next_key: Duration,
    /// Whether Enter without a digit means "no PIN" (EMV Book 4, 6.3.4.3).
    pub bypass: bool,
    /// Whether the pad helps who does not see it: by sounds that tell no digit.
    pub accessible: bool,
    /// What the module's own display shows; none where no amount is known yet.
    pub amount: Option<Amount>,
}

/// An amount as ISO 4217 counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// The amount in minor units: 1234 for 12.34.
    pub minor_units: u64,
    /// The numeric currency code: 156 for CNY.
    pub currency: u16,
    /// How many digits the minor unit has: 2 for CNY.
    pub exponent: u8,
}

/// How a PIN entry ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinOutcome {
    /// A PIN was typed: its enciphered block, of the format that the PIN key's algorithm has.
    Entered(PinBlock),
    /// The cardholder chose to enter none.
    Bypassed,
    /// The cardholder, or [`cancel_pin`](crate::SecureModule::cancel_pin), cancelled.
    Cancelled,
    /// No key was pressed for too long.
    TimedOut,
}
