//! Track 3 (ISO/IEC 4909, clause 8). Few terminals write it any more; what is read of it tells whether it is of the same account as
//! track 2.

use std::fmt;

use keys::Pan;
use zeroize::Zeroizing;

use crate::characters::{self, TRACK_3, digits, field, optional};
use crate::error::Result;
use crate::expiry::Expiry;

/// The field separator.
const SEPARATOR: char = '=';
/// Field 2 of the layout in Table 1. What others hold after the PAN their issuers know.
const TABLE_1: &str = "01";

/// Track 3 of a payment card. It prints as the masked PAN.
#[derive(Clone, PartialEq, Eq)]
pub struct Track3<'t> {
    format: &'t str,
    pan: Option<Pan>,
    expiry: Option<Expiry>,
    sequence: Option<&'t str>,
}

impl<'t> Track3<'t> {
    /// Reads the characters of a track: `;` or, from a keyboard, `+`, then the data, `?`, and the LRC where the reader leaves that
    /// to us.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(track: &'t [u8]) -> Result<Self> {
        let (format, rest) = digits(TRACK_3.data(track)?, 2)?;
        let (number, rest) = field(rest, SEPARATOR)?;
        // Where track 2 has it, track 3 may leave it out.
        let pan = if number.is_empty() { None } else { Some(crate::pan(number)?) };
        if format != TABLE_1 {
            return Ok(Self { format, pan, expiry: None, sequence: None });
        }
        let (expiry, sequence) = table_1(rest)?;
        let expiry = expiry.map(Expiry::parse).transpose()?;
        Ok(Self { format, pan, expiry, sequence: Some(sequence) })
    }

    /// The characters of a track with `data` between its sentinels, and the LRC: what a head reads.
    ///
    /// # Errors
    /// [`Error::BadCharacter`](crate::Error::BadCharacter) and [`Error::TooLong`](crate::Error::TooLong) where no track has that.
    pub fn encode(data: &str) -> Result<Zeroizing<Vec<u8>>> {
        characters::TRACK_3.track(data)
    }

    /// Field 2: the format code, two digits.
    #[must_use]
    pub fn format(&self) -> &'t str {
        self.format
    }

    /// Field 3: the PAN, unless track 2 alone has it.
    #[must_use]
    pub fn pan(&self) -> Option<&Pan> {
        self.pan.as_ref()
    }

    /// Field 18 of format 01: the expiry date, unless the issuer left it out.
    #[must_use]
    pub fn expiry(&self) -> Option<Expiry> {
        self.expiry
    }

    /// Field 19 of format 01: the card sequence number, one digit.
    #[must_use]
    pub fn sequence(&self) -> Option<&'t str> {
        self.sequence
    }
}

/// Fields 5 to 26 of Table 1: all of them must be there. Returns the fields 18 and 19.
fn table_1(data: &str) -> Result<(Option<&str>, &str)> {
    // Field 5: country code, which the edition of 2006 always leaves out.
    let (_, rest) = optional(data, 3, SEPARATOR)?;
    // Fields 6 to 12: currency and its exponent, amounts, cycle, retry count.
    let (_, rest) = digits(rest, 3 + 1 + 4 + 4 + 4 + 2 + 1)?;
    // Field 13: how the PIN is checked.
    let (_, rest) = optional(rest, 6, SEPARATOR)?;
    // Fields 14 to 17: interchange control, account types and restrictions.
    let (_, rest) = digits(rest, 1 + 2 + 2 + 2)?;
    let (expiry, rest) = optional(rest, 4, SEPARATOR)?;
    let (sequence, rest) = digits(rest, 1)?;
    // Field 20: card security number; 21 to 24: two subsidiary accounts.
    let (_, rest) = optional(rest, 9, SEPARATOR)?;
    let (_, rest) = field(rest, SEPARATOR)?;
    let (_, rest) = field(rest, SEPARATOR)?;
    // Fields 25 and 26: relay marker, crypto check digits; what follows is the issuer's.
    let (_, rest) = digits(rest, 1)?;
    optional(rest, 6, SEPARATOR)?;
    Ok((expiry, sequence))
}

impl fmt::Debug for Track3<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = self.pan.as_ref().map(Pan::masked).unwrap_or_default();
        write!(f, "Track3({masked})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    /// Each field of Table 1 in its length; country code, PIN parameters, security number and check digits left out.
    const FIELDS: &str = concat!(
        "01",
        "4111111111111111",
        "=",
        "=",
        "156",
        "2",
        "0000",
        "0000",
        "0000",
        "00",
        "0",
        "=",
        "1",
        "20",
        "00",
        "00",
        "4912",
        "3",
        "=",
        "61",
        "=",
        "",
        "=",
        "0",
        "=",
        "77"
    );

    fn track(data: &str) -> Vec<u8> {
        [b";", data.as_bytes(), b"?"].concat()
    }

    #[test]
    fn the_fields_stand_in_the_order_of_table_1() {
        let bytes = track(FIELDS);
        let track = Track3::parse(&bytes).unwrap();
        assert_eq!(track.pan().map(Pan::digits), Some("4111111111111111"));
        assert_eq!((track.format(), track.sequence()), ("01", Some("3")));
        assert_eq!(track.expiry(), Expiry::parse("4912").ok());
        assert_eq!(format!("{track:?}"), "Track3(411111******1111)");
    }

    #[test]
    fn of_an_issuers_own_format_the_account_is_known_and_the_account_may_be_on_track_2() {
        let bytes = track("994111111111111111=156156000000");
        let own = Track3::parse(&bytes).unwrap();
        assert_eq!((own.pan().map(Pan::digits), own.expiry()), (Some("4111111111111111"), None));
        let bytes = [b"+", &track("99=1")[1..]].concat();
        assert_eq!(Track3::parse(&bytes).unwrap().pan(), None);
    }

    #[test]
    fn a_track_that_breaks_the_standard_is_refused_for_what_is_wrong() {
        for (data, wrong) in [
            ("", Error::BadField),
            ("0", Error::BadField),
            ("994111111111111111", Error::BadField),
            ("994111111111111112=", Error::BadPan),
            ("014111111111111111==15620000", Error::BadField),
            (FIELDS.split_at(40).0, Error::BadField),
        ] {
            assert_eq!(Track3::parse(&track(data)).err(), Some(wrong), "{data}");
        }
    }
}
