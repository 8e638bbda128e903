//! Packed decimal digits (ISO 8583 §4: two digits in a byte, the first one in the high nibble).

use crate::profile::Align;

/// The number of bytes that `digits` nibbles take.
pub(crate) fn packed_len(digits: usize) -> usize {
    digits.div_ceil(2)
}

/// The nibbles of `bytes`, in order.
pub(crate) fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> + Clone + '_ {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F])
}

/// The `digits` nibbles of `bytes` that count: without the one that fills up an odd number.
pub(crate) fn content(bytes: &[u8], digits: usize, align: Align) -> impl Iterator<Item = u8> + '_ {
    let skip = if digits % 2 == 1 && align == Align::Right { 1 } else { 0 };
    nibbles(bytes).skip(skip).take(digits)
}

/// The nibble that fills up an odd number of digits.
pub(crate) fn fill(bytes: &[u8], digits: usize, align: Align) -> Option<u8> {
    match (digits % 2, align) {
        (0, _) => None,
        (_, Align::Right) => bytes.first().map(|byte| byte >> 4),
        (_, Align::Left) => bytes.last().map(|byte| byte & 0x0F),
    }
}

/// Packs `digits` nibbles, an odd number filled up with `fill`, into `out`, which has the right length.
pub(crate) fn pack(nibbles: impl Iterator<Item = u8>, digits: usize, align: Align, fill: u8, out: &mut [u8]) {
    let odd = digits % 2 == 1;
    let before = (odd && align == Align::Right).then_some(fill);
    let after = (odd && align == Align::Left).then_some(fill);
    let mut all = before.into_iter().chain(nibbles).chain(after);
    for byte in out {
        let high = all.next().unwrap_or(fill);
        let low = all.next().unwrap_or(fill);
        *byte = high << 4 | low;
    }
}

/// A decimal number of 0 to 9999 as BCD, such as a length prefix: `123` is `0x0123`.
pub(crate) fn from_number(number: u16) -> u16 {
    let digit = |place: u16| number / place % 10;
    digit(1000) << 12 | digit(100) << 8 | digit(10) << 4 | digit(1)
}
