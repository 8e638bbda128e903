//! ESC/POS as this printer understands it: bytes become commands one at a time, or a reason why not.
//!
//! Written from Epson's command reference, apart from the encoder of crate `escpos`, so that the two check
//! each other. It is stricter than a real printer: an argument out of its range is a fault, not ignored.

/// The most bytes of one command, pictures included.
pub const MAX_COMMAND: usize = 400 * 1024;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `ESC @`.
    Initialise,
    /// Bytes of one character: to be understood in the current character mode.
    Character(Vec<u8>),
    /// `LF`.
    LineFeed,
    /// `ESC a`: 0 left, 1 centre, 2 right.
    Align(u8),
    /// `ESC 3`.
    LineSpacing(u8),
    /// `ESC J`.
    Feed(u8),
    /// `ESC E`.
    Bold(bool),
    /// `ESC -`.
    Underline(bool),
    /// `FS -`.
    ChineseUnderline(bool),
    /// `GS B`.
    Inverted(bool),
    /// `GS !`: times wide, times high.
    Size(u8, u8),
    /// `ESC t`.
    CodePage(u8),
    /// `FS &`, `FS .`.
    Chinese(bool),
    /// `ESC p`: pin 2 or 5.
    Drawer(u8),
    /// `GS V`: whether through.
    Cut(bool),
    /// `GS a`.
    AutoStatus(u8),
    /// `GS r 1`.
    PaperStatus,
    /// `DLE EOT`.
    RealTimeStatus(u8),
    /// `GS h`.
    BarHeight(u8),
    /// `GS w`.
    BarModule(u8),
    /// `GS H`: whether characters stand below.
    BarText(bool),
    /// `GS k 67`.
    Ean13(String),
    /// `GS k 73`.
    Code128(String),
    /// `GS v 0`.
    Raster {
        /// Bytes in a row.
        row: usize,
        /// All rows.
        dots: Vec<u8>,
    },
    /// `GS ( k 49 67`.
    QrModule(u8),
    /// `GS ( k 49 69`: 0 L, 1 M, 2 Q, 3 H.
    QrLevel(u8),
    /// `GS ( k 49 80`.
    QrStore(Vec<u8>),
    /// `GS ( k 49 81`.
    QrPrint,
    /// What changes nothing on virtual paper: the QR model, the density.
    Nothing,
}

/// What the beginning of the buffer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A command of so many bytes.
    Command(Command, usize),
    /// The beginning of one.
    Incomplete,
    /// So many bytes that are none, and why.
    Fault(String, usize),
}

/// Looks at the beginning of `bytes`. `chinese`: whether `FS &` holds.
#[must_use]
pub fn next(bytes: &[u8], chinese: bool) -> Step {
    let length = match length(bytes, chinese) {
        Ok(Some(length)) if length > MAX_COMMAND => {
            return Step::Fault(format!("a command of {length} bytes"), bytes.len());
        }
        Ok(Some(length)) => length,
        Ok(None) => return Step::Incomplete,
        Err(prefix) => {
            let shown =
                bytes.iter().take(prefix).map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ");
            return Step::Fault(format!("unknown command {shown}"), prefix);
        }
    };
    let Some(whole) = bytes.get(..length) else { return Step::Incomplete };
    match decode(whole) {
        Ok(command) => Step::Command(command, length),
        Err(reason) => Step::Fault(reason, length),
    }
}

/// The length of the command at the beginning of `bytes`; none if more bytes are needed to know it. The error is
/// the length of the unknown thing.
fn length(bytes: &[u8], chinese: bool) -> Result<Option<usize>, usize> {
    let little = |low: u8, high: u8| usize::from(u16::from_le_bytes([low, high]));
    Ok(Some(match *bytes {
        [] | [0x1B | 0x1C | 0x1D | 0x10] => return Ok(None),
        [0x0A, ..] => 1,
        [0x1B, b'@', ..] | [0x1C, b'&' | b'.', ..] => 2,
        [0x1B, b'a' | b'3' | b'J' | b'E' | b'-' | b't', ..]
        | [0x1C, b'-', ..]
        | [0x1D, b'!' | b'B' | b'a' | b'r' | b'h' | b'w' | b'H', ..]
        | [0x10, 0x04, ..] => 3,
        [0x1B, b'p', ..] => 5,
        [0x1D, b'V', 65 | 66, ..] => 4,
        [0x1D, b'V', 0 | 1 | 48 | 49, ..] => 3,
        [0x1D, b'V', _, ..] => return Err(3),
        [0x1D, b'k', 65..=73, count, ..] => 4 + usize::from(count),
        [0x1D, b'k', 65..=73] | [0x1D, b'k' | b'V'] => return Ok(None),
        [0x1D, b'k', _, ..] => return Err(3),
        [0x1D, b'v', b'0', _, xl, xh, yl, yh, ..] => 8 + little(xl, xh) * little(yl, yh),
        [0x1D, b'v', other, ..] if other != b'0' => return Err(3),
        [0x1D, b'(', b'k' | b'K', low, high, ..] => 5 + little(low, high),
        [0x1D, b'(', other, ..] if !matches!(other, b'k' | b'K') => return Err(3),
        [0x1D, b'v' | b'(', ..] => return Ok(None),
        [0x1B | 0x1C | 0x1D | 0x10, ..] => return Err(2),
        [0x00..0x20 | 0x7F, ..] => return Err(1),
        [0x80..=0xFF, ..] if chinese => 2,
        _ => 1,
    }))
}

fn decode(bytes: &[u8]) -> Result<Command, String> {
    let flag = |value: u8| match value {
        0 | 48 => Ok(false),
        1 | 49 => Ok(true),
        _ => Err(format!(
            "{:02X} {:02X} takes 0 or 1, not {value}",
            bytes.first().unwrap_or(&0),
            bytes.get(1).unwrap_or(&0)
        )),
    };
    Ok(match *bytes {
        [0x0A] => Command::LineFeed,
        [0x1B, b'@'] => Command::Initialise,
        [0x1B, b'a', place @ 0..=2] => Command::Align(place),
        [0x1B, b'3', dots] => Command::LineSpacing(dots),
        [0x1B, b'J', dots] => Command::Feed(dots),
        [0x1B, b'E', on] => Command::Bold(flag(on)?),
        [0x1B, b'-', on] => Command::Underline(flag(on)?),
        [0x1C, b'-', on] => Command::ChineseUnderline(flag(on)?),
        [0x1B, b't', page] => Command::CodePage(page),
        [0x1B, b'p', pin @ 0..=1, _, _] => Command::Drawer(if pin == 0 { 2 } else { 5 }),
        [0x1C, b'&'] => Command::Chinese(true),
        [0x1C, b'.'] => Command::Chinese(false),
        [0x1D, b'!', size] if size & 0x88 == 0 => Command::Size((size >> 4) + 1, (size & 7) + 1),
        [0x1D, b'B', on] => Command::Inverted(flag(on)?),
        [0x1D, b'V', mode, ..] => Command::Cut(matches!(mode, 0 | 48 | 65)),
        [0x1D, b'a', mask] => Command::AutoStatus(mask),
        [0x1D, b'r', 1 | 49] => Command::PaperStatus,
        [0x10, 0x04, kind @ 1..=4] => Command::RealTimeStatus(kind),
        [0x1D, b'h', dots @ 1..=0xFF] => Command::BarHeight(dots),
        [0x1D, b'w', dots @ 2..=6] => Command::BarModule(dots),
        [0x1D, b'H', place @ (0 | 2 | 48 | 50)] => Command::BarText(matches!(place, 2 | 50)),
        [0x1D, b'k', 67, _, ref data @ ..] => Command::Ean13(digits(data)?),
        [0x1D, b'k', 73, _, ref data @ ..] => Command::Code128(code128(data)?),
        [0x1D, b'v', b'0', 0, xl, xh, _, _, ref dots @ ..] if !dots.is_empty() => {
            Command::Raster { row: usize::from(u16::from_le_bytes([xl, xh])), dots: dots.to_vec() }
        }
        [0x1D, b'(', b'K', 2, 0, 49, level] if (-6..=6).contains(&level.cast_signed()) => Command::Nothing,
        [0x1D, b'(', b'k', _, _, 49, 65, 50, 0] => Command::Nothing,
        [0x1D, b'(', b'k', _, _, 49, 67, dots @ 1..=16] => Command::QrModule(dots),
        [0x1D, b'(', b'k', _, _, 49, 69, level @ 48..=51] => Command::QrLevel(level - 48),
        [0x1D, b'(', b'k', _, _, 49, 80, 48, ref data @ ..] if !data.is_empty() => {
            Command::QrStore(data.to_vec())
        }
        [0x1D, b'(', b'k', _, _, 49, 81, 48] => Command::QrPrint,
        [0x20..=0xFF, ..] => Command::Character(bytes.to_vec()),
        _ => {
            let shown = bytes.iter().take(9).map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ");
            return Err(format!("arguments out of range: {shown}"));
        }
    })
}

fn digits(data: &[u8]) -> Result<String, String> {
    if !matches!(data.len(), 12 | 13) || !data.iter().all(u8::is_ascii_digit) {
        return Err("an EAN-13 is 12 or 13 digits".into());
    }
    Ok(data.iter().map(|digit| char::from(*digit)).collect())
}

/// The characters that `{B…` and `{C…` mean; code set A is not understood.
fn code128(data: &[u8]) -> Result<String, String> {
    match data {
        [b'{', b'C', pairs @ ..] if pairs.iter().all(|pair| *pair < 100) => {
            Ok(pairs.iter().map(|pair| format!("{pair:02}")).collect())
        }
        [b'{', b'B', text @ ..] if text.iter().all(|byte| (0x20..0x7F).contains(byte)) => {
            let text: String = text.iter().map(|byte| char::from(*byte)).collect();
            let plain = text.replace("{{", "\0");
            if plain.contains('{') {
                return Err("a Code 128 with a single brace".into());
            }
            Ok(plain.replace('\0', "{"))
        }
        _ => Err("a Code 128 begins with {B or {C".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_a_command_is_incomplete() {
        for whole in [
            &b"\x1b@"[..],
            b"\x1ba\x01",
            b"\x1dV\x42\x00",
            b"\x1dv0\x00\x01\x00\x02\x00\xaa\x55",
            b"\x1d(k\x05\x001P0ab",
            b"\x1dk\x49\x04{Bab",
            b"\x1bp\x00\x10\x10",
        ] {
            for cut in 0..whole.len() {
                assert_eq!(next(&whole[..cut], true), Step::Incomplete, "{:02X?}", &whole[..cut]);
            }
            assert!(matches!(next(whole, true), Step::Command(_, length) if length == whole.len()));
        }
    }

    #[test]
    fn a_wrong_argument_is_a_fault_of_the_whole_command() {
        for wrong in [
            &b"\x1ba\x03"[..],
            b"\x1dr\x02",
            b"\x1d!\x88",
            b"\x1dk\x43\x02ab",
            b"\x1dv0\x01\x01\x00\x01\x00\xff",
        ] {
            assert!(
                matches!(next(wrong, true), Step::Fault(_, length) if length == wrong.len()),
                "{wrong:02X?}"
            );
        }
        assert!(matches!(next(b"\x1bz1", true), Step::Fault(_, 2)));
    }
}
