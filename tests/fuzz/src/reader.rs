//! What comes from a USB smart-card reader and from the card in it.

use ccid::{Answer, Assembler, Card, Descriptor, Reply, SlotChange, Step};

const COMMAND: &[u8] = b"\x00\xA4\x04\x00\x0E1PAY.SYS.DDF01\x00";

/// Data and status of the longest response that there is.
const LONGEST_RESPONSE: usize = 65_536 + 2;

/// The bytes as a descriptor, as packets and as messages; then as an answer to reset and what the card says afterwards. Its
/// first byte chooses the reader. Every card is done with one command in the end, and never says more than an APDU holds.
pub(crate) fn ccid_reader(bytes: &[u8]) -> bool {
    let mut taken = Descriptor::parse(bytes).is_ok() | Answer::parse(bytes).is_ok();
    let _ = SlotChange::parse(bytes, 3);
    let mut assembler = Assembler::new(271);
    for packet in bytes.chunks(8) {
        if let Ok(Some(message)) = assembler.push(packet, 8) {
            assert!(message.len() <= 271 + 8, "a message longer than the longest");
        }
    }
    let Some((kind, mut rest)) = bytes.split_first() else { return taken };
    let reader = Descriptor::parse(&descriptor(*kind)).expect("a descriptor");
    let Ok((mut card, first)) = Card::begin(next(&mut rest), &reader) else { return taken };
    let mut step = Ok(first);
    let mut steps = 0;
    loop {
        step = match step {
            Ok(Step::Transfer(_)) if rest.is_empty() => card.take(Reply::Nothing),
            Ok(Step::Transfer(_)) => {
                let data = next(&mut rest);
                card.take(Reply::Data(*kind >> 4, data))
            }
            Ok(Step::SetParameters(_)) => card.take(Reply::Done),
            Ok(Step::Ready) => card.transmit(COMMAND),
            Ok(Step::Response(response)) => {
                assert!((2..=LONGEST_RESPONSE).contains(&response.len()), "no response APDU");
                taken = true;
                break;
            }
            Err(_) => break,
        };
        steps += 1;
        assert!(steps < 10_000, "a card that is never done");
    }
    taken
}

/// A piece of the input; its first byte says how long it is.
fn next<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let Some((length, bytes)) = rest.split_first() else { return &[] };
    let (piece, after) = bytes.split_at(bytes.len().min(usize::from(*length)));
    *rest = after;
    piece
}

/// A reader of TPDUs, of short or of extended APDUs, that leaves everything to its host.
fn descriptor(kind: u8) -> Vec<u8> {
    let mut bytes = vec![54, 0x21, 0x10, 0x01, 0, 7, 3, 0, 0, 0];
    bytes.extend([4000_u32, 4000].map(u32::to_le_bytes).concat());
    bytes.push(0);
    bytes.extend([10_753_u32, 344_086].map(u32::to_le_bytes).concat());
    bytes.push(0);
    let level = [0x1_0000_u32, 0x2_0000, 0x4_0000].into_iter().nth(usize::from(kind % 3)).unwrap_or(0x1_0000);
    bytes.extend([254, 0, 0, level, 271].map(u32::to_le_bytes).concat());
    bytes.resize(54, 0);
    bytes
}
