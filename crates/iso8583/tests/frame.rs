//! Frames on a stream that is cut anywhere.
#![allow(clippy::unwrap_used, reason = "helpers of tests may stop at the first surprise")]

use iso8583::Error;
use iso8583::frame::{Decoder, End, Framing};
use proptest::prelude::*;

fn framing() -> Framing {
    toml::from_str("tpdu = '6000030000'\nheader = '602200000000'\nmax_bytes = 128").unwrap()
}

/// All frames of `stream`, handed over in pieces of `step` bytes.
fn frames(end: End, stream: &[u8], step: usize) -> Result<Vec<Vec<u8>>, Error> {
    let mut decoder = Decoder::new(framing(), end);
    let mut found = Vec::new();
    for piece in stream.chunks(step) {
        let mut rest = piece;
        while !rest.is_empty() {
            let (frame, left) = decoder.push(rest)?;
            found.extend(frame.map(|frame| frame.message));
            rest = left;
        }
    }
    Ok(found)
}

#[test]
fn a_request_has_length_tpdu_and_header_and_an_answer_swaps_the_addresses() {
    let message = [0x11; 10];
    let request = framing().encode(End::Terminal, &message).unwrap();
    assert_eq!(
        hex::encode(request),
        format!("0015 6000030000 602200000000 {}", "11".repeat(10)).replace(' ', "")
    );
    let answer = framing().encode(End::Host, &message).unwrap();
    assert_eq!(hex::encode(&answer[2..7]), "6000000003");
    assert_eq!(frames(End::Terminal, &answer, 3).unwrap(), [message]);
}

#[test]
fn a_length_out_of_bounds_is_refused_before_its_bytes_arrive() {
    for length in [0u16, 20, 129, 0xFFFF] {
        let mut decoder = Decoder::new(framing(), End::Host);
        let error = decoder.push(&length.to_be_bytes()).unwrap_err();
        assert_eq!(error, Error::FrameLength { min: 21, max: 128, got: usize::from(length) });
        assert!(decoder.push(&[0x60; 40]).is_err(), "a stream that lost its frames stays refused");
    }
    assert!(framing().encode(End::Host, &[0; 118]).is_err());
}

#[test]
fn another_tpdu_or_application_class_is_refused() {
    let good = framing().encode(End::Terminal, &[0; 10]).unwrap();
    for (position, part) in [(4, "TPDU"), (7, "header class")] {
        let mut bad = good.clone();
        bad[position] ^= 1;
        let error = frames(End::Host, &bad, 64).unwrap_err();
        assert!(matches!(error, Error::Address { part: found, .. } if found == part), "{error}");
    }
    assert!(frames(End::Terminal, &good, 64).is_err(), "a request is no answer");
}

#[test]
fn a_length_may_be_four_digits_and_nothing_else_before_the_message() {
    let framing: Framing = toml::from_str("length = 'ascii'\nmax_bytes = 128").unwrap();
    let frame = framing.encode(End::Terminal, b"0800800000").unwrap();
    assert_eq!(frame, b"00100800800000");
    let mut decoder = Decoder::new(framing.clone(), End::Host);
    assert_eq!(decoder.push(&frame).unwrap().0.unwrap().message, b"0800800000");
    for prefix in ["0009", "0129", "001x", "+010"] {
        let mut decoder = Decoder::new(framing.clone(), End::Host);
        let error = decoder.push(prefix.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::FrameLength { min: 10, max: 128, .. }), "{prefix}: {error}");
    }
}

proptest! {
    #[test]
    fn frames_are_found_however_the_stream_is_cut(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 10..117), 1..5),
        step in 1usize..200,
    ) {
        let stream: Vec<u8> =
            messages.iter().flat_map(|message| framing().encode(End::Terminal, message).unwrap()).collect();
        prop_assert_eq!(frames(End::Host, &stream, step).unwrap(), messages);
    }
}
