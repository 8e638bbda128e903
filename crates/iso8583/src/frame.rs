//! Messages on a byte stream, as POS hosts frame them.
//!
//! `length, of all that follows | TPDU (5) | header | message`. The length is two bytes, big-endian, or four decimal digits.
//! The TPDU is an identifier, the address of the destination and that of the source, so an answer carries the two swapped.
//! The first byte of the header is the class of the application; the rest are versions and states that a host may change in
//! its answer. Hosts leave out TPDU, header, or both.

use std::fmt::Write;

use serde::Deserialize;

use crate::Error;

const TPDU: usize = 5;
/// The longest header.
const HEADER: usize = 16;
/// The MTI and a bitmap: no message is shorter.
const SHORTEST_MESSAGE: usize = 10;

/// How the frames of one link look.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawFraming")]
pub struct Framing {
    /// How the length is coded.
    pub length: LengthPrefix,
    /// The terminal's TPDU, where the host wants one.
    pub tpdu: Option<[u8; TPDU]>,
    /// The terminal's header; empty where the host wants none.
    pub header: Vec<u8>,
    /// The longest frame, in bytes without its length: 64 to 4096.
    pub max_bytes: usize,
}

/// How the length of a frame is coded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LengthPrefix {
    /// Two bytes, big-endian.
    #[default]
    Binary,
    /// Four decimal digits.
    Ascii,
}

impl LengthPrefix {
    /// The prefix that says `length`, up to 9999.
    #[must_use]
    pub fn encode(self, length: u16) -> Vec<u8> {
        match self {
            LengthPrefix::Binary => length.to_be_bytes().to_vec(),
            LengthPrefix::Ascii => format!("{length:04}").into_bytes(),
        }
    }

    /// The bytes that a prefix has.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            LengthPrefix::Binary => 2,
            LengthPrefix::Ascii => 4,
        }
    }

    /// What a whole prefix says; `None` if it has other characters than digits.
    fn decode(self, prefix: &[u8]) -> Option<usize> {
        match self {
            LengthPrefix::Binary => Some(usize::from(u16::from_be_bytes(*prefix.first_chunk()?))),
            LengthPrefix::Ascii => prefix.iter().try_fold(0, |length, byte| {
                byte.is_ascii_digit().then(|| length * 10 + usize::from(byte - b'0'))
            }),
        }
    }
}

/// Which end of the link this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Sends requests, receives answers.
    Terminal,
    /// Receives requests, sends answers.
    Host,
}

/// A whole frame that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub header: Vec<u8>,
    /// Its message, for [`crate::Profile::parse`].
    pub message: Vec<u8>,
}

impl Framing {
    /// The frame, as bytes for the stream, of a message that `end` sends.
    ///
    /// # Errors
    /// [`Error::FrameLength`] if the message is too long for this link, or shorter than any message.
    pub fn encode(&self, end: End, message: &[u8]) -> Result<Vec<u8>, Error> {
        let length = self.overhead() + message.len();
        let prefix = u16::try_from(length).ok().filter(|_| self.allows(length));
        let prefix = prefix.ok_or_else(|| self.wrong_length(length))?;
        let mut frame = self.length.encode(prefix);
        frame.reserve_exact(length);
        frame.extend(self.tpdu_from(end).iter().flatten());
        frame.extend(&self.header);
        frame.extend(message);
        Ok(frame)
    }

    /// The TPDU of what `end` sends.
    fn tpdu_from(&self, end: End) -> Option<[u8; TPDU]> {
        self.tpdu.map(|[id, d1, d2, s1, s2]| match end {
            End::Terminal => [id, d1, d2, s1, s2],
            End::Host => [id, s1, s2, d1, d2],
        })
    }

    /// The bytes between the length and the message: TPDU and header.
    #[must_use]
    pub fn overhead(&self) -> usize {
        self.tpdu.map_or(0, |tpdu| tpdu.len()) + self.header.len()
    }

    fn shortest(&self) -> usize {
        self.overhead() + SHORTEST_MESSAGE
    }

    fn allows(&self, length: usize) -> bool {
        (self.shortest()..=self.max_bytes).contains(&length)
    }

    fn wrong_length(&self, got: usize) -> Error {
        Error::FrameLength { min: self.shortest(), max: self.max_bytes, got }
    }
}

/// Finds the frames in a byte stream. It holds at most one frame of the longest length.
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    end: End,
    buffer: Vec<u8>,
}

impl Decoder {
    /// A decoder for the stream that `end` receives.
    #[must_use]
    pub fn new(framing: Framing, end: End) -> Decoder {
        Decoder { framing, end, buffer: Vec::new() }
    }

    /// Takes bytes up to the end of a frame; returns that frame, if it is whole, and the bytes left over,
    /// which belong to the next call.
    ///
    /// # Errors
    /// [`Error::FrameLength`] and [`Error::Address`]. The stream has lost its frames then, and each further
    /// call fails as well: close the connection.
    pub fn push<'b>(&mut self, bytes: &'b [u8]) -> Result<(Option<Frame>, &'b [u8]), Error> {
        let prefix = self.framing.length;
        let rest = self.fill(prefix.size(), bytes);
        let Some(digits) = self.buffer.get(..prefix.size()) else { return Ok((None, rest)) };
        // What is no number is no length that any frame has.
        let length = prefix.decode(digits).unwrap_or_default();
        if !self.framing.allows(length) {
            return Err(self.framing.wrong_length(length));
        }
        let rest = self.fill(prefix.size() + length, rest);
        if self.buffer.len() < prefix.size() + length {
            return Ok((None, rest));
        }
        let frame = self.check()?;
        self.buffer.clear();
        Ok((Some(frame), rest))
    }

    /// Whether the stream may end here: not within a frame.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Fills the buffer up to `target` bytes and returns what is left of `bytes`.
    fn fill<'b>(&mut self, target: usize, bytes: &'b [u8]) -> &'b [u8] {
        let missing = target.saturating_sub(self.buffer.len()).min(bytes.len());
        let (taken, rest) = bytes.split_at(missing);
        self.buffer.extend_from_slice(taken);
        rest
    }

    fn check(&self) -> Result<Frame, Error> {
        let bytes = self.buffer.get(self.framing.length.size()..).unwrap_or_default();
        let cut = || self.framing.wrong_length(bytes.len());
        let peer = if self.end == End::Host { End::Terminal } else { End::Host };
        let expected = self.framing.tpdu_from(peer);
        let (tpdu, rest) = bytes.split_at_checked(expected.map_or(0, |tpdu| tpdu.len())).ok_or_else(cut)?;
        if let Some(expected) = expected.filter(|expected| tpdu != expected) {
            return Err(Error::Address { part: "TPDU", expected: hex(&expected), got: hex(tpdu) });
        }
        let (header, message) = rest.split_at_checked(self.framing.header.len()).ok_or_else(cut)?;
        let (class, got) = (self.framing.header.first_chunk::<1>(), header.first_chunk::<1>());
        if class != got {
            let show = |byte: Option<&[u8; 1]>| byte.map(|byte| hex(byte)).unwrap_or_default();
            return Err(Error::Address { part: "header class", expected: show(class), got: show(got) });
        }
        Ok(Frame { header: header.to_vec(), message: message.to_vec() })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02X}");
        hex
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFraming {
    #[serde(default)]
    length: LengthPrefix,
    tpdu: Option<String>,
    #[serde(default)]
    header: String,
    max_bytes: usize,
}

impl TryFrom<RawFraming> for Framing {
    type Error = Error;

    fn try_from(raw: RawFraming) -> Result<Framing, Error> {
        if !(64..=4096).contains(&raw.max_bytes) {
            return Err(unusable("max_bytes: write 64 to 4096"));
        }
        let tpdu = raw.tpdu.map(|digits| unhex(&digits).and_then(|bytes| bytes.try_into().ok()));
        let tpdu = match tpdu {
            Some(None) => return Err(unusable("tpdu: write 10 hex digits, or leave it out")),
            tpdu => tpdu.flatten(),
        };
        let header = unhex(&raw.header).filter(|header| header.len() <= HEADER);
        let header =
            header.ok_or_else(|| unusable("header: write up to 32 hex digits, two for each byte"))?;
        Ok(Framing { length: raw.length, tpdu, header, max_bytes: raw.max_bytes })
    }
}

fn unusable(problem: &str) -> Error {
    Error::Profile { at: crate::Place::Frame, problem: problem.to_owned() }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let nibbles =
        digits.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect::<Option<Vec<_>>>()?;
    let (pairs, rest) = nibbles.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
