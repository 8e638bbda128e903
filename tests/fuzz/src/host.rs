//! What an acquirer's host sends: ISO 8583 messages, and the frames that they come in.

use std::sync::LazyLock;

use iso8583::frame::{Decoder, End, Frame, Framing};
use iso8583::{Builder, Class, Error, Host, Message, Profile};

static HOST: LazyLock<Host> = LazyLock::new(|| {
    toml::from_str(include_str!("../../../config/hosts/unionpay-direct.toml")).expect("the shipped profile")
});

/// What the shipped profile has not: ASCII, a secondary bitmap, each other kind of length.
static ASCII: LazyLock<Profile> = LazyLock::new(|| {
    toml::from_str(
        r#"
        mti = "ascii"
        bitmap = "ascii"
        digits = "ascii"
        length = "ascii"
        [fields]
        2  = { name = "digits", class = "n", ll = 19 }
        3  = { name = "odd, right", class = "n", fixed = 3, encoding = "bcd", fill = 15 }
        4  = { name = "counted in bytes", class = "n", lll = 12, encoding = "bcd", unit = "bytes", length = "binary" }
        35 = { name = "track", class = "z", ll = 37, encoding = "bcd", align = "left", length = "binary" }
        36 = { name = "track in ASCII", class = "z", lll = 104 }
        55 = { name = "bytes in hex", class = "b", lll = 255, encoding = "ascii" }
        43 = { name = "letters", class = "a", fixed = 3 }
        90 = { name = "beyond 64", class = "ans", lll = 200, length = "bcd" }
        128 = { name = "MAC", class = "b", fixed = 8 }
        "#,
    )
    .expect("a profile")
});

/// A message that is taken is packed again into the same bytes: from its values, and from their texts.
pub(crate) fn iso8583_message(bytes: &[u8]) -> bool {
    let mut taken = false;
    for profile in [&HOST.codec, &ASCII] {
        let Ok(message) = profile.parse(bytes) else { continue };
        taken = true;
        assert_eq!(echoed(profile, &message).as_deref(), Ok(bytes), "echoed");
        assert_eq!(spelled(profile, &message).as_deref(), Ok(bytes), "spelled");
        for value in message.fields() {
            let number = value.to_u64();
            assert!(number.is_err() || value.field().class == Class::N, "a number that is none");
        }
        for number in [64, 128] {
            if let Ok(input) = message.mac_input(number) {
                assert_eq!(bytes.len() - input.len(), 8, "a MAC ends the message");
            }
        }
    }
    taken
}

fn echoed(profile: &Profile, message: &Message<'_>) -> Result<Vec<u8>, Error> {
    let mut builder = Builder::new(profile, message.mti());
    for value in message.fields() {
        builder.echo(value.number(), Some(value));
    }
    packed(&builder)
}

fn spelled(profile: &Profile, message: &Message<'_>) -> Result<Vec<u8>, Error> {
    let texts: Vec<String> = message.fields().map(|value| value.text()).collect();
    let contents: Vec<_> = message.fields().map(|value| value.content()).collect();
    let mut builder = Builder::new(profile, message.mti());
    for ((value, text), content) in message.fields().zip(&texts).zip(&contents) {
        if value.field().class == Class::B {
            builder.bytes(value.number(), content);
        } else {
            builder.text(value.number(), text);
        }
    }
    packed(&builder)
}

fn packed(builder: &Builder<'_>) -> Result<Vec<u8>, Error> {
    let mut out = vec![0; usize::from(u16::MAX)];
    let length = builder.pack(&mut out)?;
    out.truncate(length);
    Ok(out)
}

/// The first byte says in what pieces the stream of the others arrives. The frames are the same in whatever pieces, and
/// encoded again they are the stream.
pub(crate) fn iso8583_frame(bytes: &[u8]) -> bool {
    let Some((step, stream)) = bytes.split_first() else { return false };
    let (whole, fault) = frames(stream, stream.len().max(1));
    assert_eq!(frames(stream, usize::from(*step).max(1)), (whole.clone(), fault), "in pieces");
    let again: Vec<u8> = whole.iter().flat_map(encoded).collect();
    assert!(stream.starts_with(&again), "a frame is not what was sent");
    !whole.is_empty()
}

/// The frames that a terminal finds in `stream`, handed over in pieces, and whether the stream was lost.
fn frames(stream: &[u8], step: usize) -> (Vec<Frame>, bool) {
    let mut decoder = Decoder::new(HOST.framing.clone(), End::Terminal);
    let mut found = Vec::new();
    for piece in stream.chunks(step) {
        let mut rest = piece;
        while !rest.is_empty() {
            match decoder.push(rest) {
                Ok((frame, left)) => {
                    found.extend(frame);
                    rest = left;
                }
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let framing = Framing { header: frame.header.clone(), ..HOST.framing.clone() };
    framing.encode(End::Host, &frame.message).expect("it was short enough")
}
