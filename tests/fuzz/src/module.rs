//! What comes over the line from a secure module, and the key blocks that are loaded into one.

use keys::key_block::{self, Destination, Header, Optional, Request, Version};
use keys::{Algorithm, Attributes, Key, Mode, Usage};
use link::frame::{Decoder, Frame, Kind, MAX_PAYLOAD};
use link::{Event, Response};
use zeroize::Zeroizing;

/// The stream as it is, then the same bytes as the payload of a frame that is sent after it.
pub(crate) fn link_frame(bytes: &[u8]) -> bool {
    let mut decoder = Decoder::default();
    let whole = decoder.push(bytes);
    let mut pieces = Decoder::default();
    let found: Vec<Frame> = bytes.chunks(7).flat_map(|piece| pieces.push(piece)).collect();
    assert!(whole == found && decoder.dropped() == pieces.dropped(), "in pieces");
    let payload = Zeroizing::new(bytes.get(..MAX_PAYLOAD).unwrap_or(bytes).to_vec());
    let sent = Frame { kind: Kind::Event, session: 0xDEAD_0042, number: 7, payload };
    let taken = !whole.is_empty();
    for frame in whole.into_iter().chain([sent]) {
        let line = frame.encode().expect("a payload within its limit");
        assert!(decoder.push(&line).last() == Some(&frame), "a frame is not found behind noise");
    }
    taken
}

/// The bytes as a request, as an event, and as an operation with the response to it: what is taken is encoded again
/// into the same bytes.
pub(crate) fn link_message(bytes: &[u8]) -> bool {
    let mut taken = false;
    if let Ok(request) = link::Request::decode(bytes) {
        let again = request.encode().expect("what was taken fits");
        assert_eq!(again.as_slice(), bytes, "request");
        taken = true;
    }
    if let Ok(event) = Event::decode(bytes) {
        assert_eq!(event.encode().expect("what was taken fits").as_slice(), bytes, "event");
        taken = true;
    }
    if let Some((operation, payload)) = bytes.split_first()
        && let Ok(response) = Response::decode(*operation, payload)
    {
        let again = response.encode(*operation).expect("what was taken fits");
        assert_eq!(again.as_slice(), payload, "response");
        taken = true;
    }
    taken
}

/// A block opens only under its key; whatever a header says of a key, a block that says so can be made, and opened.
pub(crate) fn keys_key_block(bytes: &[u8]) -> bool {
    let Ok(header) = Header::parse(bytes) else { return false };
    let protection = protection(header.version);
    if let Ok(opened) = key_block::unwrap(&protection, bytes) {
        assert_eq!(opened.header, header);
    }
    // A check value of another key is rightly refused.
    let optionals: Vec<Optional<'_>> =
        header.optionals().filter(|optional| !matches!(&optional.id, b"KC" | b"KP")).collect();
    let keys = [8, 16, 24].map(|length| Key::new(header.attributes, &vec![0x5A; length]));
    for key in keys.into_iter().flatten() {
        let destination = Destination::Storage;
        let request =
            Request { version: header.version, destination, optionals: &optionals, hide_length: true };
        let mut block = String::new();
        if key_block::wrap(&protection, &key, &request, &[0xC3; 32], &mut block).is_err() {
            continue;
        }
        let opened = key_block::unwrap(&protection, block.as_bytes()).expect("what was made is opened");
        assert!(opened.key == key && opened.header.attributes == header.attributes, "another key");
        assert!(opened.header.optionals().eq(optionals.iter().copied()), "other optional blocks");
    }
    true
}

fn protection(version: Version) -> Key {
    let (usage, algorithm, length) = match version {
        Version::A | Version::B | Version::C => (Usage::KeyBlockProtection, Algorithm::Tdes, 24),
        Version::D => (Usage::KeyBlockProtection, Algorithm::Aes, 32),
        Version::E => (Usage::Iso20038Protection, Algorithm::Aes, 32),
    };
    Key::new(Attributes::new(usage, algorithm, Mode::Both), &vec![0x89; length]).expect("a protection key")
}
