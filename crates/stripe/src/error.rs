//! What can be wrong with a track.

/// The result of reading a track.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a track is not taken. Nothing of its content is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has more characters than its track holds.
    #[error("the track has more characters than it can hold")]
    TooLong,
    /// It doesn't begin with the track's start sentinel.
    #[error("the track has no start sentinel; swipe the card again, with the stripe to the head")]
    NoStart,
    /// There is no end sentinel: the swipe was too short, or too fast.
    #[error("the track has no end sentinel; swipe the card again, evenly and to the end")]
    NoEnd,
    /// A character that the track's alphabet doesn't have.
    #[error("the track has a character that does not belong on it")]
    BadCharacter,
    /// The longitudinal redundancy check is wrong, or something follows it.
    #[error("the track's check character is wrong; swipe the card again")]
    BadLrc,
    /// Format code of no payment card.
    #[error("the track has another format than those of payment cards")]
    BadFormat,
    /// The PAN isn't one, or its check digit is wrong.
    #[error("the track's card number is none")]
    BadPan,
    /// The name isn't one.
    #[error("the track's cardholder name is none")]
    BadName,
    /// The expiry date is missing, or no month of a year.
    #[error("the track's expiry date is none")]
    BadExpiry,
    /// The service code is missing, or has a digit that stands for nothing.
    #[error("the track's service code is none")]
    BadServiceCode,
    /// A field is missing, or is longer or shorter than it may be.
    #[error("a field of the track is missing, or has a wrong length")]
    BadField,
    /// No track has an account, or the tracks are of different ones.
    #[error("the tracks have no account in common")]
    NoAccount,
}
