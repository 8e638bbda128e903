//! The magnetic stripe of payment cards: ISO/IEC 7813 (tracks 1 and 2) and ISO/IEC 4909 (track 3), as a head reads them in the
//! characters of ISO/IEC 7811.
//!
//! A track is read in place: what is parsed borrows from the bytes that came, whose owner wipes them. Nothing here prints more of a
//! card than its masked PAN. [`Swipe`] is what a terminal keeps of a card that was swiped.

mod characters;
mod error;
mod expiry;
mod service_code;
mod swipe;
mod track1;
mod track2;
mod track3;

pub use error::{Error, Result};
pub use expiry::Expiry;
pub use service_code::{Authorisation, Interchange, PinRule, Range, ServiceCode, Services};
pub use swipe::{Swipe, Tracks};
pub use track1::Track1;
pub use track2::Track2;
pub use track3::Track3;

/// The PAN in `digits`, with a check digit that is right (ISO/IEC 7812-1, Annex B).
fn pan(digits: &str) -> Result<keys::Pan> {
    let pan = keys::Pan::new(digits).map_err(|_| Error::BadPan)?;
    if pan.luhn_valid() { Ok(pan) } else { Err(Error::BadPan) }
}
