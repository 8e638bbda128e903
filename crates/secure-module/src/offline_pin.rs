//! A PIN that the card verifies (EMV Book 3, 10.5.1): typed at the module's pad, and handed to the card inside of the module.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::pin::Amount;
use crate::slot::CardSlot;

/// How a PIN is to be entered for the card.
#[derive(Debug, Clone)]
pub struct OfflinePinRequest {
    /// Where the card is.
    pub slot: CardSlot,
    /// How many tries the card has left, where it told: the module's own display says so, or that this is the last one.
    pub tries_left: Option<u8>,
    /// What the PIN is enciphered with; without it the card gets it in the clear.
    pub encipherment: Option<PinEncipherment>,
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

/// What a PIN is enciphered with (EMV Book 2, 7.2). The random padding is the module's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinEncipherment {
    /// The card's RSA modulus, 64 to 248 bytes, big endian.
    pub modulus: Vec<u8>,
    /// Its public exponent, 3 or 65537, big endian.
    pub exponent: Vec<u8>,
    /// The card's unpredictable number.
    pub challenge: [u8; 8],
}

/// How the entry of a PIN for the card ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfflinePinOutcome {
    /// A PIN was typed, and the card has answered VERIFY with this status word: 9000 where it was right.
    Presented(u16),
    /// The cardholder chose to enter none.
    Bypassed,
    /// The cardholder, or [`cancel_pin`](crate::SecureModule::cancel_pin), cancelled.
    Cancelled,
    /// No key was pressed for too long.
    TimedOut,
}
