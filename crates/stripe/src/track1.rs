//! Track 1 (ISO/IEC 7813, clause 6): format code B, the PAN, the cardholder's name, the expiry date, the service code and the
//! issuer's discretionary data.

use std::fmt;

use keys::Pan;
use zeroize::Zeroizing;

use crate::characters::{self, TRACK_1, field, optional};
use crate::error::{Error, Result};
use crate::expiry::Expiry;
use crate::service_code::ServiceCode;

/// The field separator.
const SEPARATOR: char = '^';
/// How many characters a name has.
const NAME: std::ops::RangeInclusive<usize> = 2..=26;

/// Track 1 of a payment card. It prints as the masked PAN.
#[derive(Clone, PartialEq, Eq)]
pub struct Track1<'t> {
    pan: Pan,
    name: &'t str,
    expiry: Option<Expiry>,
    service_code: Option<ServiceCode>,
    discretionary: &'t str,
}

impl<'t> Track1<'t> {
    /// Reads the characters of a track: `%`, the data, `?`, and the LRC where the reader leaves that to us.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(track: &'t [u8]) -> Result<Self> {
        let data = TRACK_1.data(track)?.strip_prefix('B').ok_or(Error::BadFormat)?;
        let (number, rest) = field(data, SEPARATOR)?;
        let (name, rest) = field(rest, SEPARATOR)?;
        if !NAME.contains(&name.len()) {
            return Err(Error::BadName);
        }
        let (expiry, rest) = optional(rest, 4, SEPARATOR)?;
        let (service_code, discretionary) = optional(rest, 3, SEPARATOR)?;
        if discretionary.contains(SEPARATOR) {
            return Err(Error::BadField);
        }
        Ok(Self {
            pan: crate::pan(number)?,
            name,
            expiry: expiry.map(Expiry::parse).transpose()?,
            service_code: service_code.map(str::parse).transpose()?,
            discretionary,
        })
    }

    /// The characters of a track with `data` between its sentinels, and the LRC: what a head reads.
    ///
    /// # Errors
    /// [`Error::BadCharacter`] and [`Error::TooLong`] where no track has that.
    pub fn encode(data: &str) -> Result<Zeroizing<Vec<u8>>> {
        characters::TRACK_1.track(data)
    }

    /// The PAN.
    #[must_use]
    pub fn pan(&self) -> &Pan {
        &self.pan
    }

    /// The cardholder's name: surname, `/`, given names.
    #[must_use]
    pub fn name(&self) -> &'t str {
        self.name
    }

    /// The expiry date, unless the issuer left it out.
    #[must_use]
    pub fn expiry(&self) -> Option<Expiry> {
        self.expiry
    }

    /// The service code, unless the issuer left it out.
    #[must_use]
    pub fn service_code(&self) -> Option<ServiceCode> {
        self.service_code
    }

    /// What the issuer has put after the service code.
    #[must_use]
    pub fn discretionary(&self) -> &'t str {
        self.discretionary
    }
}

impl fmt::Debug for Track1<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Track1({})", self.pan.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_stand_in_the_order_of_clause_6() {
        let track = Track1::parse(b"%B4111111111111111^DOE/JANE^49122011234567?").unwrap();
        assert_eq!((track.pan().digits(), track.name()), ("4111111111111111", "DOE/JANE"));
        assert_eq!(track.expiry(), Expiry::parse("4912").ok());
        assert_eq!(track.service_code().map(|code| code.to_string()).as_deref(), Some("201"));
        assert_eq!(track.discretionary(), "1234567");
        assert_eq!(format!("{track:?}"), "Track1(411111******1111)");
    }

    #[test]
    fn a_separator_stands_for_a_field_that_the_issuer_has_left_out() {
        let track = Track1::parse(b"%B4111111111111111^DOE/JANE^^^77?").unwrap();
        assert_eq!((track.expiry(), track.service_code(), track.discretionary()), (None, None, "77"));
    }

    #[test]
    fn a_track_that_breaks_the_standard_is_refused_for_what_is_wrong() {
        for (track, wrong) in [
            ("%A4111111111111111^DOE/JANE^4912201?", Error::BadFormat),
            ("%B4111111111111112^DOE/JANE^4912201?", Error::BadPan),
            ("%B41111111^DOE/JANE^4912201?", Error::BadPan),
            ("%B4111111111111111^D^4912201?", Error::BadName),
            ("%B4111111111111111^DOE/JANE WITH A NAME TOO LONG^4912201?", Error::BadName),
            ("%B4111111111111111^DOE/JANE^4913201?", Error::BadExpiry),
            ("%B4111111111111111^DOE/JANE^4912301?", Error::BadServiceCode),
            ("%B4111111111111111^DOE/JANE^49122?", Error::BadField),
            ("%B4111111111111111^DOE/JANE^4912201^?", Error::BadField),
            ("%B4111111111111111?", Error::BadField),
            ("%E?", Error::BadFormat),
        ] {
            assert_eq!(Track1::parse(track.as_bytes()).err(), Some(wrong), "{track}");
        }
    }
}
