//! The card's magnetic stripe (ISO/IEC 7813), as a head reads it.

use serde::Deserialize;
use stripe::{Track1, Track2, Tracks};
use zeroize::Zeroizing;

use crate::profile::Profile;

/// What a personalisation says of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Stripe {
    service_code: String,
    /// Which tracks are encoded, of 1 and 2.
    tracks: Vec<u8>,
    /// A character of track 2 is read as another.
    damaged: bool,
}

impl Default for Stripe {
    /// That of an international card with a chip.
    fn default() -> Stripe {
        Stripe { service_code: "201".to_owned(), tracks: vec![1, 2], damaged: false }
    }
}

/// The characters that a head reads, with sentinels and check character.
#[derive(Default)]
pub struct Encoded {
    one: Option<Zeroizing<Vec<u8>>>,
    two: Option<Zeroizing<Vec<u8>>>,
}

impl Encoded {
    /// Each track.
    #[must_use]
    pub fn tracks(&self) -> Tracks<'_> {
        Tracks {
            one: self.one.as_ref().map(|track| &track[..]),
            two: self.two.as_ref().map(|track| &track[..]),
            three: None,
        }
    }
}

impl Profile {
    /// What the head reads as the card is swiped.
    #[must_use]
    pub fn swipe(&self) -> Encoded {
        let ([year, month, _], pan, Stripe { service_code, tracks, damaged }) =
            (self.expiry, self.pan.digits(), &self.stripe);
        let rest = format!("{year:02x}{month:02x}{service_code}{}", self.stripe_data());
        let has = |track| tracks.contains(&track);
        let one = has(1).then(|| Track1::encode(&format!("B{pan}^{}^{rest}", self.cardholder)).ok());
        let mut two = has(2).then(|| Track2::encode(&format!("{pan}={rest}")).ok()).flatten();
        if let Some(digit) = two.as_mut().and_then(|track| track.get_mut(1)).filter(|_| *damaged) {
            // A digit stays one, so that the check character alone tells.
            *digit ^= 1;
        }
        Encoded { one: one.flatten(), two }
    }

    /// The discretionary data of the stripe: they hold a card verification value, which is another one than the chip's and than
    /// the security code that is printed.
    #[must_use]
    pub fn stripe_data(&self) -> String {
        format!("9000000{}", self.security_code())
    }
}

#[cfg(test)]
mod tests {
    use stripe::{Error, Swipe};

    use super::*;

    #[test]
    fn the_stripe_of_each_card_is_read_but_for_a_damaged_one_and_a_psam_that_has_none() {
        for profile in crate::profiles() {
            let encoded = profile.swipe();
            let tracks = encoded.tracks();
            let swiped = Swipe::read(&tracks);
            match profile.name.as_str() {
                "psam" => assert_eq!(tracks, Tracks::default()),
                "stripe-damaged" => assert_eq!(swiped.err(), Some(Error::BadLrc)),
                name => {
                    assert_eq!(swiped.unwrap().pan(), &profile.pan, "{name}");
                    assert_eq!(tracks.one.is_some(), name != "stripe-track-2", "{name}");
                    assert!(tracks.one.is_none_or(|one| Track1::parse(one).is_ok()), "{name}");
                }
            }
        }
    }

    #[test]
    fn the_service_code_tells_of_the_chip() {
        let has_chip = |name: &str| {
            let encoded = Profile::load(name).unwrap().swipe();
            Swipe::read(&encoded.tracks()).unwrap().service_code().has_chip()
        };
        assert!(has_chip("unionpay-credit") && has_chip("unionpay-debit-pin"));
        assert!(!has_chip("stripe-only") && !has_chip("stripe-track-2"));
    }
}
