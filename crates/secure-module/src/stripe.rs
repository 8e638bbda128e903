//! A card that was swiped: its account stays in the module.

/// What a swipe came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwipeResult {
    /// The card was read, and the module holds it.
    Read,
    /// It could not be read, or what is on it is no payment card's.
    Unreadable,
}

/// What may be known of a card that was swiped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwipedCard {
    /// The first six and the last four digits.
    pub masked_pan: String,
    /// The service code (ISO/IEC 7813), three digits.
    pub service_code: String,
}
