//! QR codes (ISO/IEC 18004) and bar codes: Code 128 (ISO/IEC 15417), EAN-13 (ISO/IEC 15420).

use qrcodegen::{QrCode, QrCodeEcc, QrSegment, Version};

use crate::bitmap::Bitmap;
use crate::document::{Ecc, Symbology};

/// The QR code that says `data`, one dot for each module, without the quiet zone.
///
/// # Errors
/// When the data don't fit the largest code of this error correction.
pub fn qr(data: &str, ecc: Ecc) -> Result<Bitmap, &'static str> {
    let level = match ecc {
        Ecc::Low => QrCodeEcc::Low,
        Ecc::Medium => QrCodeEcc::Medium,
        Ecc::Quartile => QrCodeEcc::Quartile,
        Ecc::High => QrCodeEcc::High,
    };
    let segments = QrSegment::make_segments(data);
    // Not boosted: a printer that draws the code itself keeps to the level that it was told.
    let code = QrCode::encode_segments_advanced(&segments, level, Version::MIN, Version::MAX, None, false)
        .map_err(|_| "is too long for a QR code with this `ecc`")?;
    let side = usize::try_from(code.size()).unwrap_or_default();
    let mut bitmap = Bitmap::new(side, side);
    for (y, row) in (0..code.size()).enumerate() {
        for (x, column) in (0..code.size()).enumerate() {
            if code.get_module(column, row) {
                bitmap.set(x, y);
            }
        }
    }
    Ok(bitmap)
}

/// A bar code: its modules from the left, true is a bar, without the quiet zones; and what stands below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bars {
    /// One for each module.
    pub modules: Vec<bool>,
    /// The characters, with the check digit of an EAN.
    pub text: String,
}

/// The bar code that says `data`.
///
/// # Errors
/// What is wrong with the data.
pub fn bars(symbology: Symbology, data: &str) -> Result<Bars, &'static str> {
    match symbology {
        Symbology::Code128 => code128(data),
        Symbology::Ean13 => ean13(data),
    }
}

/// Whether Code 128 packs `data` as pairs of digits (code set C).
#[must_use]
pub fn packs_digits(data: &str) -> bool {
    data.len() >= 4 && data.len().is_multiple_of(2) && data.bytes().all(|byte| byte.is_ascii_digit())
}

/// The values of the digit pairs of `data`.
pub fn digit_pairs(data: &str) -> impl Iterator<Item = u8> {
    data.as_bytes().as_chunks().0.iter().map(|[tens, ones]| 10 * (tens & 0x0F) + (ones & 0x0F))
}

/// Widths of bar, space, bar, space, bar, space for each symbol value 0 to 105.
#[rustfmt::skip]
const CODE128: [[u8; 6]; 106] = [
    [2, 1, 2, 2, 2, 2], [2, 2, 2, 1, 2, 2], [2, 2, 2, 2, 2, 1], [1, 2, 1, 2, 2, 3], [1, 2, 1, 3, 2, 2],
    [1, 3, 1, 2, 2, 2], [1, 2, 2, 2, 1, 3], [1, 2, 2, 3, 1, 2], [1, 3, 2, 2, 1, 2], [2, 2, 1, 2, 1, 3],
    [2, 2, 1, 3, 1, 2], [2, 3, 1, 2, 1, 2], [1, 1, 2, 2, 3, 2], [1, 2, 2, 1, 3, 2], [1, 2, 2, 2, 3, 1],
    [1, 1, 3, 2, 2, 2], [1, 2, 3, 1, 2, 2], [1, 2, 3, 2, 2, 1], [2, 2, 3, 2, 1, 1], [2, 2, 1, 1, 3, 2],
    [2, 2, 1, 2, 3, 1], [2, 1, 3, 2, 1, 2], [2, 2, 3, 1, 1, 2], [3, 1, 2, 1, 3, 1], [3, 1, 1, 2, 2, 2],
    [3, 2, 1, 1, 2, 2], [3, 2, 1, 2, 2, 1], [3, 1, 2, 2, 1, 2], [3, 2, 2, 1, 1, 2], [3, 2, 2, 2, 1, 1],
    [2, 1, 2, 1, 2, 3], [2, 1, 2, 3, 2, 1], [2, 3, 2, 1, 2, 1], [1, 1, 1, 3, 2, 3], [1, 3, 1, 1, 2, 3],
    [1, 3, 1, 3, 2, 1], [1, 1, 2, 3, 1, 3], [1, 3, 2, 1, 1, 3], [1, 3, 2, 3, 1, 1], [2, 1, 1, 3, 1, 3],
    [2, 3, 1, 1, 1, 3], [2, 3, 1, 3, 1, 1], [1, 1, 2, 1, 3, 3], [1, 1, 2, 3, 3, 1], [1, 3, 2, 1, 3, 1],
    [1, 1, 3, 1, 2, 3], [1, 1, 3, 3, 2, 1], [1, 3, 3, 1, 2, 1], [3, 1, 3, 1, 2, 1], [2, 1, 1, 3, 3, 1],
    [2, 3, 1, 1, 3, 1], [2, 1, 3, 1, 1, 3], [2, 1, 3, 3, 1, 1], [2, 1, 3, 1, 3, 1], [3, 1, 1, 1, 2, 3],
    [3, 1, 1, 3, 2, 1], [3, 3, 1, 1, 2, 1], [3, 1, 2, 1, 1, 3], [3, 1, 2, 3, 1, 1], [3, 3, 2, 1, 1, 1],
    [3, 1, 4, 1, 1, 1], [2, 2, 1, 4, 1, 1], [4, 3, 1, 1, 1, 1], [1, 1, 1, 2, 2, 4], [1, 1, 1, 4, 2, 2],
    [1, 2, 1, 1, 2, 4], [1, 2, 1, 4, 2, 1], [1, 4, 1, 1, 2, 2], [1, 4, 1, 2, 2, 1], [1, 1, 2, 2, 1, 4],
    [1, 1, 2, 4, 1, 2], [1, 2, 2, 1, 1, 4], [1, 2, 2, 4, 1, 1], [1, 4, 2, 1, 1, 2], [1, 4, 2, 2, 1, 1],
    [2, 4, 1, 2, 1, 1], [2, 2, 1, 1, 1, 4], [4, 1, 3, 1, 1, 1], [2, 4, 1, 1, 1, 2], [1, 3, 4, 1, 1, 1],
    [1, 1, 1, 2, 4, 2], [1, 2, 1, 1, 4, 2], [1, 2, 1, 2, 4, 1], [1, 1, 4, 2, 1, 2], [1, 2, 4, 1, 1, 2],
    [1, 2, 4, 2, 1, 1], [4, 1, 1, 2, 1, 2], [4, 2, 1, 1, 1, 2], [4, 2, 1, 2, 1, 1], [2, 1, 2, 1, 4, 1],
    [2, 1, 4, 1, 2, 1], [4, 1, 2, 1, 2, 1], [1, 1, 1, 1, 4, 3], [1, 1, 1, 3, 4, 1], [1, 3, 1, 1, 4, 1],
    [1, 1, 4, 1, 1, 3], [1, 1, 4, 3, 1, 1], [4, 1, 1, 1, 1, 3], [4, 1, 1, 3, 1, 1], [1, 1, 3, 1, 4, 1],
    [1, 1, 4, 1, 3, 1], [3, 1, 1, 1, 4, 1], [4, 1, 1, 1, 3, 1], [2, 1, 1, 4, 1, 2], [2, 1, 1, 2, 1, 4],
    [2, 1, 1, 2, 3, 2],
];
const START_B: u8 = 104;
const START_C: u8 = 105;
const STOP_128: [u8; 7] = [2, 3, 3, 1, 1, 1, 2];

fn code128(data: &str) -> Result<Bars, &'static str> {
    if !(1..=48).contains(&data.len()) || !data.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
        return Err("is not 1 to 48 characters of printable ASCII");
    }
    let mut values = Vec::with_capacity(data.len() + 2);
    if packs_digits(data) {
        values.push(START_C);
        values.extend(digit_pairs(data));
    } else {
        values.push(START_B);
        values.extend(data.bytes().map(|byte| byte - 0x20));
    }
    // The check symbol: the start counts once, then each symbol by its position.
    let sum: u32 = values.iter().zip(0_u32..).map(|(value, place)| u32::from(*value) * place.max(1)).sum();
    values.push(u8::try_from(sum % 103).unwrap_or_default());

    let widths = values.iter().filter_map(|value| CODE128.get(usize::from(*value))).flatten();
    let mut modules = Vec::new();
    for (width, bar) in widths.chain(&STOP_128).zip([true, false].into_iter().cycle()) {
        modules.extend(std::iter::repeat_n(bar, usize::from(*width)));
    }
    Ok(Bars { modules, text: data.to_owned() })
}

/// The seven modules of each digit in number set A; set C is its complement, set B is C backwards.
const EAN: [u8; 10] = [
    0b000_1101, 0b001_1001, 0b001_0011, 0b011_1101, 0b010_0011, 0b011_0001, 0b010_1111, 0b011_1011,
    0b011_0111, 0b000_1011,
];
/// For each first digit: which of the six digits on the left are of set B.
const EAN_LEFT: [u8; 10] =
    [0b000000, 0b001011, 0b001101, 0b001110, 0b010011, 0b011001, 0b011100, 0b010101, 0b010110, 0b011010];

fn ean13(data: &str) -> Result<Bars, &'static str> {
    if !matches!(data.len(), 12 | 13) || !data.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is not 12 or 13 digits");
    }
    let mut digits: Vec<u8> = data.bytes().map(|byte| byte & 0x0F).collect();
    let sum: u32 = digits
        .iter()
        .take(12)
        .zip([1, 3].into_iter().cycle())
        .map(|(d, weight)| u32::from(*d) * weight)
        .sum();
    let check = u8::try_from((10 - sum % 10) % 10).unwrap_or_default();
    match digits.get(12) {
        None => digits.push(check),
        Some(given) if *given == check => {}
        Some(_) => return Err("has a wrong check digit: leave it out, or correct it"),
    }
    let text = digits.iter().map(|digit| char::from(b'0' + digit)).collect();

    let set_b =
        digits.first().and_then(|first| EAN_LEFT.get(usize::from(*first))).copied().unwrap_or_default();
    let mut modules = vec![true, false, true];
    for (place, digit) in digits.iter().skip(1).enumerate() {
        let a = EAN.get(usize::from(*digit)).copied().unwrap_or_default();
        let c = !a & 0x7F;
        let seven = match place {
            0..6 if set_b & (0b10_0000 >> place) != 0 => c.reverse_bits() >> 1,
            0..6 => a,
            _ => c,
        };
        if place == 6 {
            modules.extend([false, true, false, true, false]);
        }
        modules.extend((0..7).map(|bit| seven & (0b100_0000 >> bit) != 0));
    }
    modules.extend([true, false, true]);
    Ok(Bars { modules, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn shown(bars: &Bars) -> String {
        bars.modules.iter().map(|bar| if *bar { '1' } else { '0' }).collect()
    }

    #[test]
    fn an_ean_has_the_bars_of_the_published_example() {
        // 5901234123457, the sample symbol of the GS1 documents.
        let bars = bars(Symbology::Ean13, "590123412345").unwrap();
        assert_eq!(bars.text, "5901234123457");
        let wanted = "101 0001011 0100111 0110011 0010011 0111101 0011101 01010 \
            1100110 1101100 1000010 1011100 1001110 1000100 101";
        assert_eq!(shown(&bars), wanted.replace(' ', ""));
    }

    #[test]
    fn a_wrong_check_digit_is_refused() {
        assert!(bars(Symbology::Ean13, "5901234123457").is_ok());
        assert!(bars(Symbology::Ean13, "5901234123450").is_err());
    }

    #[test]
    fn code_128_has_the_check_symbol_of_the_published_example() {
        // "PJJ123C" in code set A has check 54; in set B the start is 104 instead of 103: 55.
        let bars = bars(Symbology::Code128, "PJJ123C").unwrap();
        let check: String = shown(&bars).chars().skip(11 * 8).take(11).collect();
        assert_eq!(check, "11101000110");
        assert_eq!(bars.modules.len(), 11 * 9 + 13);
    }

    #[test]
    fn each_code_128_symbol_is_unlike_the_others_and_well_formed() {
        let all: HashSet<_> = CODE128.iter().collect();
        assert_eq!(all.len(), CODE128.len());
        for widths in CODE128 {
            assert_eq!(widths.iter().sum::<u8>(), 11);
            assert_eq!(widths.iter().step_by(2).sum::<u8>() % 2, 0, "the bars of a symbol are an even sum");
        }
    }

    #[test]
    fn digits_are_packed_in_pairs() {
        assert_eq!(bars(Symbology::Code128, "12345678").unwrap().modules.len(), 11 * 6 + 13);
        assert_eq!(digit_pairs("0099").collect::<Vec<_>>(), [0, 99]);
    }
}
