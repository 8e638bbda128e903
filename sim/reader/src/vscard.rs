//! The messages of VSCard 0.0.2, as QEMU's `ccid-card-passthru` understands them (`VSCARD_VERSION` of libcacard's
//! `vscard_common.h`).
//!
//! Each begins with three numbers of 32 bits in network order: type, reader, length of what follows.

/// `VSC_Init`: "VSCD", the version, and a word of capabilities, of which there are none.
const INIT: &[u8; 12] = b"VSCD\x00\x00\x00\x02\x00\x00\x00\x00";
/// What a version says of itself ends before the capabilities.
const MAGIC_AND_VERSION: usize = 8;

/// `VSCARD_UNDEFINED_READER_ID`, for messages that are of no reader.
const NO_READER: u32 = u32::MAX;
/// `VSCARD_MINIMAL_READER_ID`: QEMU's reader is the only one.
const THE_READER: u32 = 0;

/// `VSC_GENERAL_ERROR`; QEMU tells the guest of each code the same, that the command has failed.
const GENERAL_ERROR: u32 = 1;

const HEADER: usize = 12;
/// The longest payload, in bytes: QEMU's reader takes messages of the guest up to this length.
const LONGEST: usize = 64 * 1024;

/// What the card's side says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToReader<'a> {
    /// We speak VSCard.
    Init,
    /// There is a reader, by this name.
    ReaderAdd(&'a str),
    /// A card is in, with this answer to reset.
    Atr(&'a [u8]),
    /// The card is out.
    CardRemove,
    /// The card's answer.
    Apdu(&'a [u8]),
    /// The card does not answer.
    Failed,
}

impl ToReader<'_> {
    /// The message as bytes, at the end of `out`.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        let failed = GENERAL_ERROR.to_be_bytes();
        let (kind, reader, payload): (u32, u32, &[u8]) = match &self {
            ToReader::Init => (1, NO_READER, INIT),
            ToReader::Failed => (2, THE_READER, &failed),
            ToReader::ReaderAdd(name) => (3, NO_READER, name.as_bytes()),
            ToReader::Atr(atr) => (5, THE_READER, atr),
            ToReader::CardRemove => (6, THE_READER, &[]),
            ToReader::Apdu(apdu) => (7, THE_READER, apdu),
        };
        // All that a card says fits a short APDU.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        for number in [kind, reader, length] {
            out.extend(number.to_be_bytes());
        }
        out.extend(payload);
    }
}

/// What the reader says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FromReader {
    /// A reader speaks VSCard: it answers our [`Init`](ToReader::Init), or it has just been plugged in.
    Init,
    /// A command for the card.
    Apdu(Vec<u8>),
    /// What became of our message: 0 is success.
    Outcome(u32),
}

/// Why what came is not VSCard. The stream is out of step then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a message of {0} bytes; the longest has {LONGEST}")]
    TooLong(usize),
    #[error("VSC_Init is not of VSCard 0.0.2: {0:02X?}")]
    Version(Vec<u8>),
    #[error("VSC_Error without a code: {0:02X?}")]
    NoCode(Vec<u8>),
    #[error("a message of type {0}, which a reader does not send")]
    Type(u32),
}

/// Takes the first message off `bytes`, if all of it is there.
pub(crate) fn take(bytes: &mut Vec<u8>) -> Result<Option<FromReader>, Malformed> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let [k0, k1, k2, k3, _, _, _, _, l0, l1, l2, l3] = *header;
    let kind = u32::from_be_bytes([k0, k1, k2, k3]);
    let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(Malformed::TooLong(length));
    }
    let Some(payload) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
    bytes.drain(..HEADER + length);
    match kind {
        1 if payload.get(..MAGIC_AND_VERSION) == INIT.get(..MAGIC_AND_VERSION) => Ok(Some(FromReader::Init)),
        1 => Err(Malformed::Version(payload)),
        2 => match <[u8; 4]>::try_from(payload.as_slice()) {
            Ok(code) => Ok(Some(FromReader::Outcome(u32::from_be_bytes(code)))),
            Err(_) => Err(Malformed::NoCode(payload)),
        },
        7 => Ok(Some(FromReader::Apdu(payload))),
        _ => Err(Malformed::Type(kind)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0, length][..], payload].concat()
    }

    #[test]
    fn a_card_announces_itself_in_the_bytes_that_qemu_reads() {
        let mut out = Vec::new();
        ToReader::Init.encode(&mut out);
        let header = [0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 12];
        assert_eq!(out, [&header[..], b"VSCD", &[0, 0, 0, 2, 0, 0, 0, 0]].concat());
        out.clear();
        ToReader::Atr(&[0x3B, 0x60, 0, 0]).encode(&mut out);
        assert_eq!(out, [0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 4, 0x3B, 0x60, 0, 0]);
    }

    #[test]
    fn messages_are_taken_one_by_one_and_half_of_one_waits() {
        let apdu = [0, 0xA4, 4, 0];
        let mut bytes = [message(1, INIT), message(2, &[0, 0, 0, 3]), message(7, &apdu)].concat();
        let last = bytes.pop().unwrap();
        assert_eq!(take(&mut bytes), Ok(Some(FromReader::Init)));
        assert_eq!(take(&mut bytes), Ok(Some(FromReader::Outcome(3))));
        assert_eq!(take(&mut bytes), Ok(None));
        bytes.push(last);
        assert_eq!(take(&mut bytes), Ok(Some(FromReader::Apdu(apdu.to_vec()))));
        assert!(bytes.is_empty());
    }

    #[test]
    fn what_is_not_vscard_is_named() {
        let mut other = *INIT;
        other[7] = 3;
        for (mut bytes, words) in [
            (message(1, &other), "0.0.2"),
            (message(1, b"VSC"), "0.0.2"),
            (message(2, &[1]), "without a code"),
            (message(5, &[0x3B, 0]), "type 5"),
            (vec![0, 0, 0, 7, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF], "4294967295"),
        ] {
            let error = take(&mut bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_from_outside_make_more_than_there_were(mut bytes: Vec<u8>) {
            let before = bytes.len();
            if let Ok(Some(FromReader::Apdu(apdu))) = take(&mut bytes) {
                prop_assert_eq!(HEADER + apdu.len() + bytes.len(), before);
            }
        }
    }
}
