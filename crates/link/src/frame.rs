//! Frames: a kind, a session, a number and a payload, closed by a CRC-32, stuffed (COBS), between zero bytes.
//!
//! ```text
//! 00 | COBS( kind 1 | session 4 | number 2 | payload 0..4096 | CRC-32 4 ) | 00
//! ```
//!
//! Sealed ones do without the session, whose keys they have, and without the CRC, since nothing passes a seal that was changed:
//!
//! ```text
//! 00 | COBS( kind 1 | number 2 | payload 18..4114 ) | 00
//! ```

use zeroize::Zeroizing;

use crate::cobs::{stuff, unstuff};
use crate::crc::crc32;
use crate::error::{Error, Result};
use crate::protection::SEAL;

/// The most bytes of a message.
pub const MAX_PAYLOAD: usize = 4096;
/// The most payload bytes of a sealed frame: a message and its seal.
const MAX_SEALED: usize = MAX_PAYLOAD + SEAL;

/// The most bytes of a frame: kind and number of a sealed one. Another one has 11 more than its payload.
const LONGEST: usize = 1 + 2 + MAX_SEALED;

/// The longest stuffed frame: one byte more for each 254, and one.
const MAX_STUFFED: usize = LONGEST + LONGEST / 254 + 1;

/// The most bytes of a frame on the line, delimiters included.
pub(crate) const MAX_FRAME: usize = MAX_STUFFED + 2;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Host: open a session.
    Hello,
    /// Module: the session is open.
    Welcome,
    /// Host: do this.
    Request,
    /// Module: this came of it.
    Response,
    /// Module: the request was received, its response takes longer.
    Working,
    /// Module: this happened.
    Event,
    /// Host: the event of this number was received.
    Ack,
    /// Module: no such session is open.
    Closed,
    /// A [`Request`](Kind::Request) of a protected session.
    SealedRequest,
    /// A [`Response`](Kind::Response) of a protected session.
    SealedResponse,
    /// A [`Working`](Kind::Working) of a protected session.
    SealedWorking,
    /// An [`Event`](Kind::Event) of a protected session.
    SealedEvent,
    /// An [`Ack`](Kind::Ack) of a protected session.
    SealedAck,
}

impl Kind {
    /// All kinds, and their codes. One bit that flips makes no sealed frame of another one, whose CRC then would not be asked for.
    const ALL: [(Kind, u8); 13] = [
        (Kind::Hello, 0x01),
        (Kind::Welcome, 0x02),
        (Kind::Request, 0x03),
        (Kind::Response, 0x04),
        (Kind::Working, 0x05),
        (Kind::Event, 0x06),
        (Kind::Ack, 0x07),
        (Kind::Closed, 0x08),
        (Kind::SealedRequest, 0x33),
        (Kind::SealedResponse, 0x34),
        (Kind::SealedWorking, 0x35),
        (Kind::SealedEvent, 0x36),
        (Kind::SealedAck, 0x37),
    ];

    /// What is said in a session, in the clear and sealed.
    const PAIRS: [(Kind, Kind); 5] = [
        (Kind::Request, Kind::SealedRequest),
        (Kind::Response, Kind::SealedResponse),
        (Kind::Working, Kind::SealedWorking),
        (Kind::Event, Kind::SealedEvent),
        (Kind::Ack, Kind::SealedAck),
    ];

    pub(crate) fn code(self) -> u8 {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, code)| *code)
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == code).map(|(kind, _)| *kind)
    }

    /// The same, sealed; none for what is said in the clear on every line.
    pub(crate) fn sealed(self) -> Option<Self> {
        Self::PAIRS.iter().find(|(clear, _)| *clear == self).map(|(_, sealed)| *sealed)
    }

    /// What was sealed; none for what is not sealed.
    pub(crate) fn opened(self) -> Option<Self> {
        Self::PAIRS.iter().find(|(_, sealed)| *sealed == self).map(|(clear, _)| *clear)
    }
}

/// One frame. Its payload is wiped on drop, and doesn't print.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// The session it belongs to; 0 of a sealed one, which only its session opens.
    pub session: u32,
    /// The number of the request (also in its answers) or of the event; 0 elsewhere.
    pub number: u16,
    /// The message.
    pub payload: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Frame { kind, session, number, payload } = self;
        write!(f, "{kind:?} {number} of session {session:08x}, {} bytes", payload.len())
    }
}

impl Frame {
    /// A frame without payload.
    pub(crate) fn bare(kind: Kind, session: u32, number: u16) -> Self {
        Self { kind, session, number, payload: Zeroizing::default() }
    }

    /// The bytes to send.
    ///
    /// # Errors
    /// [`Error::TooLong`] if the payload exceeds [`MAX_PAYLOAD`] and its seal.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>> {
        let sealed = self.kind.opened().is_some();
        if self.payload.len() > if sealed { MAX_SEALED } else { MAX_PAYLOAD } {
            return Err(Error::TooLong);
        }
        let mut content = Zeroizing::new(Vec::with_capacity(LONGEST));
        content.push(self.kind.code());
        if !sealed {
            content.extend(self.session.to_be_bytes());
        }
        content.extend(self.number.to_be_bytes());
        content.extend(self.payload.iter());
        if !sealed {
            let crc = crc32(content.iter());
            content.extend(crc.to_be_bytes());
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FRAME));
        bytes.push(0);
        stuff(&content, &mut bytes);
        bytes.push(0);
        Ok(bytes)
    }

    /// The frame in stuffed bytes without their delimiters; none if anything is wrong with it. Whether a sealed one is right only its
    /// session can say.
    fn decode(stuffed: &[u8]) -> Option<Self> {
        let content = unstuff(stuffed)?;
        let kind = Kind::from_code(*content.first()?)?;
        let (session, number, payload) = match kind.opened() {
            Some(_) => {
                let (number, payload) = content.get(1..)?.split_first_chunk()?;
                (0, number, payload)
            }
            None => {
                let (body, crc) = content.split_last_chunk()?;
                if crc32(body) != u32::from_be_bytes(*crc) {
                    return None;
                }
                let (session, body) = body.get(1..)?.split_first_chunk()?;
                let (number, payload) = body.split_first_chunk()?;
                (u32::from_be_bytes(*session), number, payload)
            }
        };
        let (number, payload) = (u16::from_be_bytes(*number), Zeroizing::new(payload.to_vec()));
        let longest = if kind.opened().is_some() { MAX_SEALED } else { MAX_PAYLOAD };
        (payload.len() <= longest).then_some(Self { kind, session, number, payload })
    }
}

/// Finds frames in a stream of bytes, whatever else is in it. It holds at most one frame.
pub struct Decoder {
    stuffed: Zeroizing<Vec<u8>>,
    /// More came than a frame can have: drop everything up to the next delimiter.
    overrun: bool,
    dropped: u64,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { stuffed: Zeroizing::new(Vec::with_capacity(MAX_STUFFED)), overrun: false, dropped: 0 }
    }
}

impl Decoder {
    /// Takes the next bytes of the stream, and returns the good frames that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        bytes.iter().filter_map(|byte| self.push_byte(*byte)).collect()
    }

    /// How many pieces of the stream were no good frames, since the start: the quality of the line.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether a frame has begun that may still become a good one.
    pub(crate) fn arriving(&self) -> bool {
        !self.stuffed.is_empty() && !self.overrun
    }

    fn push_byte(&mut self, byte: u8) -> Option<Frame> {
        if byte != 0 {
            self.overrun |= self.stuffed.len() == MAX_STUFFED;
            if !self.overrun {
                self.stuffed.push(byte);
            }
            return None;
        }
        let frame = if self.overrun { None } else { Frame::decode(&self.stuffed) };
        if frame.is_none() && (self.overrun || !self.stuffed.is_empty()) {
            self.dropped += 1;
        }
        self.overrun = false;
        // Wipes the bytes but keeps their room.
        zeroize::Zeroize::zeroize(&mut *self.stuffed);
        frame
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(payload: Vec<u8>) -> Frame {
        Frame { kind: Kind::Request, session: 0xDEAD_0042, number: 7, payload: Zeroizing::new(payload) }
    }

    #[test]
    fn a_kind_has_the_code_of_the_specification() {
        assert_eq!(Kind::Hello.code(), 1);
        assert_eq!(Kind::Closed.code(), 8);
        assert_eq!(Kind::SealedAck.code(), 0x37);
        assert_eq!(Kind::from_code(0), None);
        assert_eq!(Kind::from_code(9), None);
        assert_eq!(Kind::from_code(0x32), None);
    }

    #[test]
    fn the_longest_payload_passes_and_a_longer_one_is_refused() {
        let sealed = |payload| Frame {
            kind: Kind::SealedRequest,
            session: 0,
            number: 7,
            payload: Zeroizing::new(payload),
        };
        for (longest, longer) in [
            (frame(vec![1; MAX_PAYLOAD]), frame(vec![1; MAX_PAYLOAD + 1])),
            (sealed(vec![1; MAX_SEALED]), sealed(vec![1; MAX_SEALED + 1])),
        ] {
            let bytes = longest.encode().unwrap();
            assert!(bytes.len() <= MAX_FRAME);
            assert_eq!(Decoder::default().push(&bytes), [longest]);
            assert_eq!(longer.encode().err(), Some(Error::TooLong));
        }
    }

    #[test]
    fn a_frame_after_an_endless_one_is_found() {
        let mut decoder = Decoder::default();
        for _ in 0..100 {
            assert!(decoder.push(&[0x55; 1000]).is_empty());
        }
        let good = frame(vec![1, 2, 3]);
        assert_eq!(decoder.push(&good.encode().unwrap()), [good]);
        assert_eq!(decoder.dropped(), 1);
    }

    /// What looks like a sealed frame has no check sum of its own: its session, which has the key, drops it.
    fn none_or_sealed(frames: &[Frame]) -> bool {
        frames.iter().all(|frame| frame.kind.opened().is_some())
    }

    proptest! {
        #[test]
        fn frames_pass_however_the_stream_is_cut(payloads in proptest::collection::vec(any::<Vec<u8>>(), 1..5), cut in 1_usize..40) {
            let frames: Vec<Frame> = payloads.into_iter().map(frame).collect();
            let stream: Vec<u8> = frames.iter().flat_map(|frame| frame.encode().unwrap().to_vec()).collect();
            let mut decoder = Decoder::default();
            let got: Vec<Frame> = stream.chunks(cut).flat_map(|chunk| decoder.push(chunk)).collect();
            prop_assert_eq!(got, frames);
            prop_assert_eq!(decoder.dropped(), 0);
        }

        #[test]
        fn garbage_gives_no_frame_and_the_next_one_is_found(garbage in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let mut decoder = Decoder::default();
            prop_assert!(none_or_sealed(&decoder.push(&garbage)));
            let good = frame(vec![0, 1, 0]);
            // Its delimiter also ends what the garbage left open.
            let mut frames = decoder.push(&good.encode().unwrap());
            prop_assert_eq!(frames.pop(), Some(good));
            prop_assert!(none_or_sealed(&frames));
        }

        #[test]
        fn a_frame_with_a_flipped_bit_is_dropped(payload: Vec<u8>, place: prop::sample::Index, bit in 0..8) {
            let mut bytes = frame(payload).encode().unwrap();
            // The delimiters are left alone: a changed one leaves the frame itself whole.
            let place = 1 + place.index(bytes.len() - 2);
            bytes[place] ^= 1_u8 << bit;
            prop_assert!(none_or_sealed(&Decoder::default().push(&bytes)));
        }

        #[test]
        fn a_frame_with_a_piece_missing_is_dropped(payload: Vec<u8>, from: prop::sample::Index, length in 1_usize..9) {
            let bytes = frame(payload).encode().unwrap().to_vec();
            let from = 1 + from.index(bytes.len() - 2);
            let to = (from + length).min(bytes.len() - 1);
            let cut = [&bytes[..from], &bytes[to..]].concat();
            prop_assert!(none_or_sealed(&Decoder::default().push(&cut)));
        }
    }
}
