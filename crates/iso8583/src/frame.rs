//! Messages on a byte stream, as UnionPay's direct terminals frame them.
//!
//! `length (2 bytes, big-endian, of all that follows) | TPDU (5) | header (6) | message`. The TPDU is an
//! identifier, the address of the destination and that of the source, so an answer carries the two swapped.
//! The first byte of the header is the class of the application; the rest are versions and states that a host
//! may change in its answer.

use std::fmt::Write;

use serde::Deserialize;

use crate::Error;

const TPDU: usize = 5;
const HEADER: usize = 6;
const LENGTH: usize = 2;
/// The MTI and a bitmap: no message is shorter.
const SHORTEST_MESSAGE: usize = 10;
const SHORTEST: usize = TPDU + HEADER + SHORTEST_MESSAGE;

/// How the frames of one link look.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawFraming")]
pub struct Framing {
    /// The terminal's TPDU.
    pub tpdu: [u8; TPDU],
    /// The terminal's header.
    pub header: [u8; HEADER],
    /// The longest frame, in bytes without its length: 64 to 4096.
    pub max_bytes: usize,
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
    pub header: [u8; HEADER],
    /// Its message, for [`crate::Profile::parse`].
    pub message: Vec<u8>,
}

impl Framing {
    /// The frame, as bytes for the stream, of a message that `end` sends.
    ///
    /// # Errors
    /// [`Error::FrameLength`] if the message is too long for this link, or shorter than any message.
    pub fn encode(&self, end: End, message: &[u8]) -> Result<Vec<u8>, Error> {
        let length = TPDU + HEADER + message.len();
        let prefix = u16::try_from(length).ok().filter(|_| self.allows(length));
        let prefix = prefix.ok_or_else(|| self.wrong_length(length))?;
        let mut frame = Vec::with_capacity(LENGTH + length);
        frame.extend(prefix.to_be_bytes());
        frame.extend(self.tpdu_from(end));
        frame.extend(self.header);
        frame.extend(message);
        Ok(frame)
    }

    /// The TPDU of what `end` sends.
    fn tpdu_from(&self, end: End) -> [u8; TPDU] {
        let [id, d1, d2, s1, s2] = self.tpdu;
        match end {
            End::Terminal => self.tpdu,
            End::Host => [id, s1, s2, d1, d2],
        }
    }

    fn allows(&self, length: usize) -> bool {
        (SHORTEST..=self.max_bytes).contains(&length)
    }

    fn wrong_length(&self, got: usize) -> Error {
        Error::FrameLength { min: SHORTEST, max: self.max_bytes, got }
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
        let rest = self.fill(LENGTH, bytes);
        let Some(prefix) = self.buffer.first_chunk::<LENGTH>() else { return Ok((None, rest)) };
        let length = usize::from(u16::from_be_bytes(*prefix));
        if !self.framing.allows(length) {
            return Err(self.framing.wrong_length(length));
        }
        let rest = self.fill(LENGTH + length, rest);
        if self.buffer.len() < LENGTH + length {
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
        let cut = |bytes: &[u8]| self.framing.wrong_length(bytes.len());
        let bytes = self.buffer.get(LENGTH..).unwrap_or_default();
        let (tpdu, bytes) = bytes.split_first_chunk::<TPDU>().ok_or_else(|| cut(bytes))?;
        let (header, message) = bytes.split_first_chunk::<HEADER>().ok_or_else(|| cut(bytes))?;
        let peer = if self.end == End::Host { End::Terminal } else { End::Host };
        let expected = self.framing.tpdu_from(peer);
        if *tpdu != expected {
            return Err(Error::Address { part: "TPDU", expected: hex(&expected), got: hex(tpdu) });
        }
        let (class, got) = (self.framing.header.first_chunk::<1>(), header.first_chunk::<1>());
        if class != got {
            let show = |byte: Option<&[u8; 1]>| byte.map(|byte| hex(byte)).unwrap_or_default();
            return Err(Error::Address { part: "header class", expected: show(class), got: show(got) });
        }
        Ok(Frame { header: *header, message: message.to_vec() })
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
    tpdu: String,
    header: String,
    max_bytes: usize,
}

impl TryFrom<RawFraming> for Framing {
    type Error = Error;

    fn try_from(raw: RawFraming) -> Result<Framing, Error> {
        if !(64..=4096).contains(&raw.max_bytes) {
            return Err(unusable("max_bytes: write 64 to 4096"));
        }
        let tpdu = unhex(&raw.tpdu).ok_or_else(|| unusable("tpdu: write 10 hex digits"))?;
        let header = unhex(&raw.header).ok_or_else(|| unusable("header: write 12 hex digits"))?;
        Ok(Framing { tpdu, header, max_bytes: raw.max_bytes })
    }
}

fn unusable(problem: &str) -> Error {
    Error::Profile { at: crate::Place::Frame, problem: problem.to_owned() }
}

fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut nibbles = digits.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok());
    let mut bytes = [0; N];
    for byte in &mut bytes {
        *byte = nibbles.next()?? << 4 | nibbles.next()??;
    }
    nibbles.next().is_none().then_some(bytes)
}
