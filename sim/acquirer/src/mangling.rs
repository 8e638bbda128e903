//! Answers that are right until they are put on the line: cut, too long, unreadable, or sent twice.

use iso8583::frame::Framing;

/// What happens to an answer on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mangling {
    /// Half of its frame is sent, then the connection is closed.
    Truncated,
    /// Its frame is longer than the profile allows, and says so in its length.
    Oversized,
    /// Its frame is well-formed, but what is in it is no message.
    Garbage,
    /// Its frame is sent twice, one right behind the other.
    Repeated,
}

impl Mangling {
    /// What to send instead of `frame`.
    #[must_use]
    pub fn apply(self, frame: &[u8], framing: &Framing) -> Vec<u8> {
        let prefix = framing.length.size();
        let message = prefix + framing.overhead();
        match self {
            Mangling::Truncated => frame.iter().copied().take(frame.len() / 2).collect(),
            Mangling::Oversized => {
                let length = u16::try_from(framing.max_bytes + 1).unwrap_or(u16::MAX);
                let mut bytes = framing.length.encode(length);
                bytes.extend(frame.iter().skip(prefix));
                bytes.resize(usize::from(length) + prefix, 0);
                bytes
            }
            // No MTI and no bitmap begins with these digits.
            Mangling::Garbage => {
                let mut bytes: Vec<u8> = frame.iter().copied().take(message).collect();
                bytes.resize(frame.len(), 0xFF);
                bytes
            }
            Mangling::Repeated => frame.repeat(2),
        }
    }

    /// Whether the connection is closed after it.
    #[must_use]
    pub fn closes(self) -> bool {
        self == Mangling::Truncated
    }
}

#[cfg(test)]
mod tests {
    use iso8583::frame::{Decoder, End, LengthPrefix};

    use super::*;

    /// What a terminal makes of an answer that was mangled: the messages, or an error.
    fn received(mangling: Mangling) -> Result<Vec<Vec<u8>>, iso8583::Error> {
        let framing = Framing {
            length: LengthPrefix::Binary,
            tpdu: Some([0x60, 0, 3, 0, 0]),
            header: vec![0x60, 0x22, 0, 0, 0, 0],
            max_bytes: 256,
        };
        let frame = framing.encode(End::Host, &[2; 40]).unwrap();
        let bytes = mangling.apply(&frame, &framing);
        let mut decoder = Decoder::new(framing, End::Terminal);
        let (mut rest, mut messages) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            let (frame, left) = decoder.push(rest)?;
            messages.extend(frame.map(|frame| frame.message));
            rest = left;
        }
        Ok(messages)
    }

    #[test]
    fn each_mangling_is_wrong_in_its_own_way_alone() {
        assert_eq!(received(Mangling::Truncated).unwrap(), Vec::<Vec<u8>>::new());
        assert!(matches!(received(Mangling::Oversized), Err(iso8583::Error::FrameLength { got: 257, .. })));
        assert_eq!(received(Mangling::Garbage).unwrap(), [[0xFF; 40]]);
        assert_eq!(received(Mangling::Repeated).unwrap(), [[2; 40], [2; 40]]);
    }
}
