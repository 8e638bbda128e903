//! Track 2 (ISO/IEC 7813, clause 7): the PAN, the expiry date, the service code and the issuer's discretionary data.

use std::fmt;

use keys::Pan;
use zeroize::Zeroizing;

use crate::characters::{self, TRACK_2, field, optional};
use crate::error::Result;
use crate::expiry::Expiry;
use crate::service_code::ServiceCode;

/// The field separator, whose code is D.
const SEPARATOR: char = '=';

/// Track 2 of a payment card. It prints as the masked PAN.
#[derive(Clone, PartialEq, Eq)]
pub struct Track2<'t> {
    data: &'t str,
    pan: Pan,
    expiry: Option<Expiry>,
    service_code: Option<ServiceCode>,
    discretionary: &'t str,
}

impl<'t> Track2<'t> {
    /// Reads the characters of a track: `;`, the data, `?`, and the LRC where the reader leaves that to us.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(track: &'t [u8]) -> Result<Self> {
        let data = TRACK_2.data(track)?;
        let (number, rest) = field(data, SEPARATOR)?;
        let (expiry, rest) = optional(rest, 4, SEPARATOR)?;
        let (service_code, discretionary) = optional(rest, 3, SEPARATOR)?;
        let (discretionary, _) = characters::digits(discretionary, discretionary.len())?;
        Ok(Self {
            data,
            pan: crate::pan(number)?,
            expiry: expiry.map(Expiry::parse).transpose()?,
            service_code: service_code.map(str::parse).transpose()?,
            discretionary,
        })
    }

    /// The characters of a track with `data` between its sentinels, and the LRC: what a head reads.
    ///
    /// # Errors
    /// [`Error::BadCharacter`](crate::Error::BadCharacter) and [`Error::TooLong`](crate::Error::TooLong) where no track has that.
    pub fn encode(data: &str) -> Result<Zeroizing<Vec<u8>>> {
        characters::TRACK_2.track(data)
    }

    /// The PAN.
    #[must_use]
    pub fn pan(&self) -> &Pan {
        &self.pan
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

    /// The data without sentinels and LRC in the codes of the stripe, padded with F: as tag 57 and DE 35 have them.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut codes = self.data.bytes().map(|byte| if byte == b'=' { 0x0D } else { byte & 0x0F });
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.data.len().div_ceil(2)));
        while let Some(high) = codes.next() {
            bytes.push(high << 4 | codes.next().unwrap_or(0x0F));
        }
        bytes
    }
}

impl fmt::Debug for Track2<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Track2({})", self.pan.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn the_fields_stand_in_the_order_of_clause_7() {
        let track = Track2::parse(b";4111111111111111=49122011234567?").unwrap();
        assert_eq!((track.pan().digits(), track.discretionary()), ("4111111111111111", "1234567"));
        assert_eq!(track.expiry(), Expiry::parse("4912").ok());
        assert_eq!(track.service_code().map(|code| code.to_string()).as_deref(), Some("201"));
        assert_eq!(format!("{track:?}"), "Track2(411111******1111)");
        assert_eq!(hex::encode(&*track.to_bytes()), "4111111111111111d49122011234567f");
    }

    #[test]
    fn a_separator_stands_for_a_field_that_the_issuer_has_left_out() {
        let track = Track2::parse(b";4111111111111111===77?").unwrap();
        assert_eq!((track.expiry(), track.service_code(), track.discretionary()), (None, None, "77"));
    }

    #[test]
    fn a_track_that_breaks_the_standard_is_refused_for_what_is_wrong() {
        for (track, wrong) in [
            (";4111111111111112=4912201?", Error::BadPan),
            (";41111111111111111111=4912201?", Error::BadPan),
            (";4111111111111111=4900201?", Error::BadExpiry),
            (";4111111111111111=4912801?", Error::BadServiceCode),
            (";4111111111111111=49122?", Error::BadField),
            (";4111111111111111=4912201=?", Error::BadField),
            (";4111111111111111=4912201:?", Error::BadField),
            (";4111111111111111?", Error::BadField),
            (";4111111111111111=4912201", Error::NoEnd),
            (";E?", Error::BadCharacter),
        ] {
            assert_eq!(Track2::parse(track.as_bytes()).err(), Some(wrong), "{track}");
        }
    }
}
