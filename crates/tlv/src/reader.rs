//! EMV Book 3 Annex B: reading BER-TLV data objects.

use core::fmt;

use crate::{Error, Tag, is_sensitive};

/// How deep templates may be nested in what [`find`] searches. EMV nests four deep (6F, A5, BF0C, 61).
pub const MAX_DEPTH: usize = 8;

/// One data object, borrowed from the bytes that it was read from.
///
/// Its `Debug` leaves out the values of sensitive data elements, also within templates.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The tag.
    pub tag: Tag,
    /// The value field.
    pub value: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// Reads the data object that `bytes` start with, and returns it with the bytes that follow. Padding is not
    /// skipped.
    ///
    /// # Errors
    /// [`Error`] if the bytes don't start with a whole data object.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        let (tag, rest) = Tag::parse(bytes)?;
        let (length, rest) = parse_length(rest)?;
        let (value, rest) = rest.split_at_checked(length).ok_or(Error::Truncated)?;
        Ok((Self { tag, value }, rest))
    }

    /// The data objects within a template; nothing for a primitive object.
    pub fn children(&self) -> Reader<'a> {
        Reader::new(if self.tag.is_constructed() { self.value } else { &[] })
    }
}

/// Book 3 Annex B2: one byte up to 127, else `81`, `82` or `83` and as many bytes.
fn parse_length(bytes: &[u8]) -> Result<(usize, &[u8]), Error> {
    let (&first, rest) = bytes.split_first().ok_or(Error::Truncated)?;
    let count = match first {
        0..=0x7F => return Ok((usize::from(first), rest)),
        0x81..=0x83 => usize::from(first & 0x7F),
        _ => return Err(Error::BadLength),
    };
    let (digits, rest) = rest.split_at_checked(count).ok_or(Error::Truncated)?;
    let length = digits.iter().fold(0_usize, |length, &digit| (length << 8) | usize::from(digit));
    Ok((length, rest))
}

impl fmt::Debug for Tlv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self, f, 0)
    }
}

/// `TAG=VALUE`, or `TAG=[…]` for a template; sensitive values, and what nests too deep, only by length.
fn show(tlv: &Tlv<'_>, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
    write!(f, "{}=", tlv.tag)?;
    if is_sensitive(tlv.tag) || depth > MAX_DEPTH {
        return write!(f, "<{} bytes>", tlv.value.len());
    }
    if !tlv.tag.is_constructed() {
        return tlv.value.iter().try_for_each(|byte| write!(f, "{byte:02X}"));
    }
    f.write_str("[")?;
    for (position, child) in tlv.children().flatten().enumerate() {
        f.write_str(if position == 0 { "" } else { ", " })?;
        show(&child, f, depth + 1)?;
    }
    f.write_str("]")
}

/// Iterates over the data objects of one level. `00` bytes between objects are padding (Book 3 Annex B1).
///
/// After an error it ends.
#[derive(Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Tlv<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((0x00, rest)) = self.rest.split_first() {
            self.rest = rest;
        }
        if self.rest.is_empty() {
            return None;
        }
        match Tlv::parse(self.rest) {
            Ok((tlv, rest)) => {
                self.rest = rest;
                Some(Ok(tlv))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

/// The value of the first data object with this tag, depth first, templates included.
///
/// # Errors
/// [`Error`] if what comes before the object can't be read, or nests deeper than [`MAX_DEPTH`].
pub fn find(bytes: &[u8], tag: Tag) -> Result<Option<&[u8]>, Error> {
    find_at(bytes, tag, 0)
}

fn find_at(bytes: &[u8], tag: Tag, depth: usize) -> Result<Option<&[u8]>, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    for tlv in Reader::new(bytes) {
        let tlv = tlv?;
        if tlv.tag == tag {
            return Ok(Some(tlv.value));
        }
        if tlv.tag.is_constructed()
            && let Some(value) = find_at(tlv.value, tag, depth + 1)?
        {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Buffer, write};
    use proptest::prelude::*;

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text.replace(' ', "")).unwrap()
    }

    #[test]
    fn a_select_response_is_searched_through_its_templates() {
        let fci = bytes("6F1A 840E315041592E5359532E4444463031 A508 880101 5F2D027A68");
        assert_eq!(find(&fci, Tag::new(0x88)), Ok(Some(&[1][..])));
        assert_eq!(find(&fci, Tag::new(0x5F2D)), Ok(Some(&b"zh"[..])));
        assert_eq!(find(&fci, Tag::new(0x9F38)), Ok(None));
    }

    #[test]
    fn zero_bytes_before_between_and_after_objects_are_padding() {
        let padded = bytes("00 5A0112 0000 5F340101 00");
        let tags: Vec<_> = Reader::new(&padded).map(|tlv| tlv.unwrap().tag.number()).collect();
        assert_eq!(tags, [0x5A, 0x5F34]);
    }

    #[test]
    fn a_truncated_or_indefinite_length_is_refused() {
        let cases = [
            ("5A", Error::Truncated),
            ("5A02 01", Error::Truncated),
            ("5A82 01", Error::Truncated),
            ("7080 0000", Error::BadLength),
            ("5A84 00000001 00", Error::BadLength),
        ];
        for (text, error) in cases {
            let all: Vec<_> = Reader::new(&bytes(text)).map(|tlv| tlv.map(|tlv| tlv.tag)).collect();
            assert_eq!(all, [Err(error)], "{text}");
        }
    }

    #[test]
    fn an_object_after_a_broken_one_is_not_found() {
        assert_eq!(find(&bytes("5A02 01"), Tag::new(0x82)), Err(Error::Truncated));
    }

    #[test]
    fn nesting_is_bounded() {
        let mut nested = bytes("5A0112");
        for _ in 0..=MAX_DEPTH {
            let mut outer = Vec::new();
            write(&mut outer, Tag::new(0x70), &nested).unwrap();
            nested = outer;
        }
        assert_eq!(find(&nested, Tag::new(0x5A)), Err(Error::TooDeep));
        let (_, inner) = nested.split_at(2);
        assert_eq!(find(inner, Tag::new(0x5A)), Ok(Some(&[0x12][..])));
    }

    #[test]
    fn debug_shows_no_pan_even_inside_a_template() {
        let record = bytes("7010 5A086228480000001234 5F24033012 31");
        let (tlv, _) = Tlv::parse(&record).unwrap();
        assert_eq!(format!("{tlv:?}"), "70=[5A=<8 bytes>, 5F24=301231]");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in proptest::collection::vec(any::<u8>(), 0..700)) {
            let mut room = [0_u8; 800];
            let mut buffer = Buffer::new(&mut room);
            write(&mut buffer, Tag::new(0x9F10), &value).unwrap();
            let (tlv, rest) = Tlv::parse(buffer.written()).unwrap();
            prop_assert_eq!(tlv.value, &value[..]);
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_read_in_bounded_time(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Reader::new(&noise).count() <= noise.len());
            let _ = find(&noise, Tag::new(0x9F26));
            let template = Tlv { tag: Tag::new(0x70), value: &noise };
            let shown = format!("{template:?}");
            prop_assert!(shown.starts_with("70=["));
        }
    }
}
