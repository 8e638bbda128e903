//! ISO/IEC 7811-2 and 7811-6: the two alphabets of the stripe, the sentinels, and the longitudinal redundancy check (LRC).

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The most characters of any track: those of track 3, with sentinels and LRC.
const LONGEST: usize = 107;

/// What a track is written in, and how many characters fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alphabet {
    start: u8,
    /// The character whose code is 0; the others follow as in ASCII.
    first: u8,
    last: u8,
    /// With sentinels and LRC.
    longest: usize,
}

/// Of every alphabet.
const END: u8 = b'?';
/// The start sentinel of track 3 as a keyboard types it, to tell it from that of track 2, which has the same code.
const TYPED_START_3: u8 = b'+';

/// Track 1: six bits and parity, space to underscore.
pub(crate) const TRACK_1: Alphabet = Alphabet { start: b'%', first: b' ', last: b'_', longest: 79 };
/// Track 2: four bits and parity, `0` to `?`.
pub(crate) const TRACK_2: Alphabet = Alphabet { start: b';', first: b'0', last: b'?', longest: 40 };
/// Track 3: as track 2.
pub(crate) const TRACK_3: Alphabet = Alphabet { start: b';', first: b'0', last: b'?', longest: LONGEST };

impl Alphabet {
    /// The data between the sentinels of `track`, as ASCII. An LRC behind the end sentinel is checked; readers that have
    /// checked it themselves leave it out.
    pub(crate) fn data(self, track: &[u8]) -> Result<&str> {
        if track.len() > self.longest {
            return Err(Error::TooLong);
        }
        let (start, rest) = track.split_first().ok_or(Error::NoStart)?;
        if *start != self.start && !(self == TRACK_3 && *start == TYPED_START_3) {
            return Err(Error::NoStart);
        }
        let end = rest.iter().position(|byte| *byte == END).ok_or(Error::NoEnd)?;
        let (data, tail) = rest.split_at(end);
        if !self.writes(data) {
            return Err(Error::BadCharacter);
        }
        match tail {
            [_] => {}
            [_, lrc] if *lrc == self.lrc(data) => {}
            _ => return Err(Error::BadLrc),
        }
        std::str::from_utf8(data).map_err(|_| Error::BadCharacter)
    }

    /// Whether all of `data` can stand between sentinels.
    fn writes(self, data: &[u8]) -> bool {
        let sentinel = |byte| byte == self.start || byte == END;
        data.iter().all(|byte| (self.first..=self.last).contains(byte) && !sentinel(*byte))
    }

    /// The LRC of `data` between its sentinels: each of its bits, but for parity, makes the count of such bits even.
    fn lrc(self, data: &[u8]) -> u8 {
        let code = |byte: u8| byte.wrapping_sub(self.first);
        let sum = data.iter().fold(code(self.start) ^ code(END), |sum, byte| sum ^ code(*byte));
        self.first.wrapping_add(sum)
    }

    /// `data` with sentinels and LRC: what a head reads of a track that has them.
    ///
    /// # Errors
    /// [`Error::BadCharacter`] and [`Error::TooLong`] where no track has that.
    pub(crate) fn track(self, data: &str) -> Result<Zeroizing<Vec<u8>>> {
        if data.len() + 3 > self.longest {
            return Err(Error::TooLong);
        }
        if !self.writes(data.as_bytes()) {
            return Err(Error::BadCharacter);
        }
        // Room for all of it from the start: growing would leave a clear copy behind.
        let mut track = Zeroizing::new(Vec::with_capacity(LONGEST));
        track.push(self.start);
        track.extend(data.as_bytes());
        track.push(END);
        track.push(self.lrc(data.as_bytes()));
        Ok(track)
    }
}

/// Splits `data` at the separator of its track; all of a field must be there, up to the separator.
pub(crate) fn field(data: &str, separator: char) -> Result<(&str, &str)> {
    data.split_once(separator).ok_or(Error::BadField)
}

/// A field of `length` digits, or the separator that stands for one that the issuer has left out.
pub(crate) fn optional(data: &str, length: usize, separator: char) -> Result<(Option<&str>, &str)> {
    if let Some(rest) = data.strip_prefix(separator) {
        return Ok((None, rest));
    }
    let (field, rest) = digits(data, length)?;
    Ok((Some(field), rest))
}

/// A field of `length` digits.
pub(crate) fn digits(data: &str, length: usize) -> Result<(&str, &str)> {
    let (field, rest) = data.split_at_checked(length).ok_or(Error::BadField)?;
    if field.bytes().all(|byte| byte.is_ascii_digit()) { Ok((field, rest)) } else { Err(Error::BadField) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lrc_makes_the_bits_of_each_column_even() {
        // By hand: ; B, ? F, 1 1, 2 2, = D; B^F^1^2^D = A.
        assert_eq!(TRACK_2.data(b";12=?:"), Ok("12="));
        assert_eq!(TRACK_2.data(b";12=?;"), Err(Error::BadLrc));
        assert_eq!(TRACK_2.data(b";12=?::"), Err(Error::BadLrc));
        // % 05, ? 1F, B 22: 05^1F^22 = 38, which is X.
        assert_eq!(TRACK_1.data(b"%B?X"), Ok("B"));
    }

    #[test]
    fn a_track_lies_between_its_own_sentinels_and_in_its_alphabet() {
        assert_eq!(TRACK_2.data(b"%12?"), Err(Error::NoStart));
        assert_eq!(TRACK_2.data(b""), Err(Error::NoStart));
        assert_eq!(TRACK_2.data(b";12"), Err(Error::NoEnd));
        assert_eq!(TRACK_2.data(b";1A?"), Err(Error::BadCharacter));
        assert_eq!(TRACK_1.data(b"%a?"), Err(Error::BadCharacter));
        assert_eq!(TRACK_2.data(&[b';'; 41]), Err(Error::TooLong));
        assert_eq!(TRACK_2.track("1;2"), Err(Error::BadCharacter));
        assert_eq!(TRACK_2.track("1?2"), Err(Error::BadCharacter));
    }
}
