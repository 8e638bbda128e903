//! EMV Book 3 Annex B1: coding of the tag field of BER-TLV data objects.

use core::fmt;
use core::ops::Deref;
use core::str::FromStr;

use crate::Error;

/// A tag of one to four bytes, held as the number that its bytes spell: `9F26` is `0x9F26`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u32);

impl Tag {
    /// A tag from the number that its bytes spell. For tags known when the code is written; outside bytes go
    /// through [`Tag::parse`].
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Reads the tag that `bytes` start with, and returns it with the bytes that follow.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the bytes end within the tag, [`Error::BadTag`] if it is longer than four bytes
    /// or its first subsequent byte is `80` (a needless leading zero).
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (&first, mut rest) = bytes.split_first().ok_or(Error::Truncated)?;
        let mut number = u32::from(first);
        if first & 0x1F != 0x1F {
            return Ok((Self(number), rest));
        }
        for position in 1..4 {
            let (&byte, after) = rest.split_first().ok_or(Error::Truncated)?;
            if position == 1 && byte == 0x80 {
                return Err(Error::BadTag);
            }
            number = (number << 8) | u32::from(byte);
            rest = after;
            if byte & 0x80 == 0 {
                return Ok((Self(number), rest));
            }
        }
        Err(Error::BadTag)
    }

    /// The number that the tag's bytes spell.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Whether the value holds data objects (bit 6 of the first byte).
    pub fn is_constructed(self) -> bool {
        self.encoded().first().is_some_and(|first| first & 0x20 != 0)
    }

    /// The bytes of the tag.
    pub fn encoded(self) -> TagBytes {
        let bytes = self.0.to_be_bytes();
        let zeros = bytes.iter().take(3).take_while(|&&byte| byte == 0).count();
        TagBytes { bytes, zeros }
    }
}

/// The bytes of a [`Tag`].
#[derive(Clone, Copy)]
pub struct TagBytes {
    bytes: [u8; 4],
    zeros: usize,
}

impl Deref for TagBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.zeros..).unwrap_or_default()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.encoded().iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Tag {
    type Err = Error;

    /// Reads a tag as people write it: `"9F26"`.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() || text.len() > 8 || !text.len().is_multiple_of(2) {
            return Err(Error::BadTag);
        }
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::BadTag);
        }
        let tag = Self(u32::from_str_radix(text, 16).map_err(|_| Error::BadTag)?);
        let encoded = tag.encoded();
        let same_length = encoded.len() * 2 == text.len();
        match Self::parse(&encoded)? {
            (_, []) if same_length => Ok(tag),
            _ => Err(Error::BadTag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tag_is_read_to_its_last_byte_and_no_further() {
        assert_eq!(Tag::parse(&[0x9F, 0x26, 0x08]), Ok((Tag::new(0x9F26), &[0x08][..])));
        assert_eq!(Tag::parse(&[0x5A, 0x08]), Ok((Tag::new(0x5A), &[0x08][..])));
        assert_eq!(Tag::parse(&[0xDF, 0x81, 0x29]), Ok((Tag::new(0xDF8129), &[][..])));
    }

    #[test]
    fn tags_that_end_early_or_run_on_are_refused() {
        assert_eq!(Tag::parse(&[]), Err(Error::Truncated));
        assert_eq!(Tag::parse(&[0x9F]), Err(Error::Truncated));
        assert_eq!(Tag::parse(&[0x9F, 0x81]), Err(Error::Truncated));
        assert_eq!(Tag::parse(&[0x9F, 0x81, 0x81, 0x81, 0x01]), Err(Error::BadTag));
        assert_eq!(Tag::parse(&[0x9F, 0x80, 0x01]), Err(Error::BadTag));
    }

    #[test]
    fn text_that_is_not_one_whole_tag_is_refused() {
        assert_eq!("9f26".parse(), Ok(Tag::new(0x9F26)));
        for text in ["", "9F", "5A01", "005A", "+F", "é5A"] {
            assert!(text.parse::<Tag>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_constructed_bit_is_that_of_the_first_byte() {
        assert!(Tag::new(0x70).is_constructed());
        assert!(Tag::new(0xBF0C).is_constructed());
        assert!(!Tag::new(0x9F36).is_constructed());
    }

    proptest! {
        #[test]
        fn a_tag_that_is_read_is_written_and_shown_as_it_was(bytes: [u8; 5]) {
            if let Ok((tag, rest)) = Tag::parse(&bytes) {
                let length = bytes.len() - rest.len();
                prop_assert_eq!(&*tag.encoded(), &bytes[..length]);
                prop_assert_eq!(tag.to_string().parse(), Ok(tag));
            }
        }
    }
}
