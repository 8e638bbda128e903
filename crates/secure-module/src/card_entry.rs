//! The entry of a card that is not there: its number is keyed at the module's pad, and stays in the module.

use std::time::Duration;

use crate::pin::Amount;

/// How a card is to be keyed.
#[derive(Debug, Clone)]
pub struct CardEntryRequest {
    /// Whether its security code is asked for, too; Enter alone leaves it out.
    pub security_code: bool,
    /// How long to wait for the first key.
    pub first_key: Duration,
    /// How long to wait for each further key.
    pub next_key: Duration,
    /// What the module's own display shows.
    pub amount: Option<Amount>,
}

/// What of a card is being keyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardPart {
    /// Its number.
    Number,
    /// Its expiry date, MMYY.
    Expiry,
    /// Its security code.
    SecurityCode,
}

/// How the entry of a card ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardEntryOutcome {
    /// It was keyed: what may be shown of its number.
    Entered {
        /// The first six and the last four digits.
        masked_pan: String,
    },
    /// Who stands at the pad, or [`cancel_pin`](crate::SecureModule::cancel_pin), cancelled.
    Cancelled,
    /// No key was pressed for too long.
    TimedOut,
}
