//! One swipe: up to three tracks of one card, and what a terminal keeps of them.

use std::fmt;

use keys::Pan;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::service_code::ServiceCode;
use crate::track1::Track1;
use crate::track2::Track2;
use crate::track3::Track3;

/// The characters of each track that a head has read; none of one that has none.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Tracks<'t> {
    /// Track 1.
    pub one: Option<&'t [u8]>,
    /// Track 2.
    pub two: Option<&'t [u8]>,
    /// Track 3.
    pub three: Option<&'t [u8]>,
}

impl<'t> Tracks<'t> {
    /// The tracks in what a reader types that passes for a keyboard: each with its sentinels, one after the other, and at the end
    /// perhaps Enter. Track 3 begins with `+`, or is what begins with `;` a second time. Readers of this kind check the LRC, and
    /// leave it out.
    #[must_use]
    pub fn typed(text: &'t [u8]) -> Self {
        let mut tracks = Self::default();
        for track in text.split_inclusive(|byte| *byte == b'?') {
            let place = match track.first() {
                Some(b'%') => &mut tracks.one,
                Some(b';') if tracks.two.is_none() => &mut tracks.two,
                Some(b';' | b'+') => &mut tracks.three,
                _ => continue,
            };
            *place = Some(track);
        }
        tracks
    }
}

/// How many tracks there are: never what is on them.
impl fmt::Debug for Tracks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = [self.one, self.two, self.three].iter().flatten().count();
        write!(f, "Tracks({there})")
    }
}

/// A card that was swiped: its account, by track 2. It is wiped on drop, and prints as the masked PAN.
#[derive(Clone, PartialEq, Eq)]
pub struct Swipe {
    pan: Pan,
    service_code: ServiceCode,
    track2: Zeroizing<Vec<u8>>,
}

impl Swipe {
    /// The card of these tracks. Track 2 has to be whole, with expiry date and service code. The others may be damaged, but may not
    /// be of another account.
    ///
    /// # Errors
    /// What is wrong with track 2; [`Error::NoAccount`] if there is none, or the tracks contradict each other.
    pub fn read(tracks: &Tracks<'_>) -> Result<Self> {
        let track2 = Track2::parse(tracks.two.ok_or(Error::NoAccount)?)?;
        track2.expiry().ok_or(Error::BadExpiry)?;
        let service_code = track2.service_code().ok_or(Error::BadServiceCode)?;
        let one = tracks.one.map(Track1::parse).and_then(Result::ok);
        let three = tracks.three.map(Track3::parse).and_then(Result::ok);
        let others = [one.as_ref().map(Track1::pan), three.as_ref().and_then(Track3::pan)];
        if others.into_iter().flatten().any(|pan| pan != track2.pan()) {
            return Err(Error::NoAccount);
        }
        Ok(Self { pan: track2.pan().clone(), service_code, track2: track2.to_bytes() })
    }

    /// The PAN.
    #[must_use]
    pub fn pan(&self) -> &Pan {
        &self.pan
    }

    /// The service code.
    #[must_use]
    pub fn service_code(&self) -> ServiceCode {
        self.service_code
    }

    /// Track 2 as tag 57 and DE 35 have it, to be sealed.
    #[must_use]
    pub fn track2(&self) -> &[u8] {
        &self.track2
    }
}

impl fmt::Debug for Swipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Swipe({})", self.pan.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] = b"%B4111111111111111^DOE/JANE^49122011234567?";
    const TWO: &[u8] = b";4111111111111111=49122011234567?";

    #[test]
    fn a_swipe_has_the_account_of_its_tracks_and_is_what_the_host_can_open() {
        let swipe = Swipe::read(&Tracks { one: Some(ONE), two: Some(TWO), three: None }).unwrap();
        assert_eq!(
            (swipe.pan().digits(), swipe.service_code().to_string()),
            ("4111111111111111", "201".into())
        );
        assert_eq!(format!("{swipe:?}"), "Swipe(411111******1111)");
        let track = keys::Track2::from_bytes(swipe.track2()).unwrap();
        assert_eq!((track.expiry(), track.discretionary()), ("4912", "1234567"));
    }

    #[test]
    fn track_2_is_needed_and_the_others_may_be_damaged_but_not_of_another_card() {
        let two = |one, two| Swipe::read(&Tracks { one, two, three: None }).err();
        assert_eq!(two(Some(b"%E?"), Some(TWO)), None);
        assert_eq!(two(Some(ONE), None), Some(Error::NoAccount));
        assert_eq!(two(Some(ONE), Some(b";E?")), Some(Error::BadCharacter));
        assert_eq!(two(Some(b"%B4000000000000002^DOE/JANE^4912201?"), Some(TWO)), Some(Error::NoAccount));
        assert_eq!(two(None, Some(b";4111111111111111==2011?")), Some(Error::BadExpiry));
        assert_eq!(two(None, Some(b";4111111111111111=4912=1?")), Some(Error::BadServiceCode));
        let three: &[u8] = b"+994000000000000002=1?";
        let swipe = Swipe::read(&Tracks { one: None, two: Some(TWO), three: Some(three) });
        assert_eq!(swipe.err(), Some(Error::NoAccount));
    }

    #[test]
    fn what_a_keyboard_types_is_taken_apart_by_its_sentinels() {
        let text = [ONE, TWO, b"+994111111111111111=1?\r"].concat();
        let tracks = Tracks::typed(&text);
        assert_eq!((tracks.one, tracks.two), (Some(ONE), Some(TWO)));
        assert!(tracks.three.is_some_and(|three| three.starts_with(b"+99")));
        assert_eq!(Tracks::typed(b"12345\r"), Tracks::default());
        assert_eq!(Tracks::typed(b";1?;2?").three, Some(&b";2?"[..]));
        assert_eq!(format!("{tracks:?}"), "Tracks(3)");
    }
}
