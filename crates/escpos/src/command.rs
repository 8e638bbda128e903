//! The ESC/POS commands that are used, by the names of Epson's reference.

/// `ESC @`: forget all modes. It also turns automatic status off.
pub const INITIALISE: [u8; 2] = [0x1B, b'@'];
/// `GS a 15`: report drawer, on-line, error and paper changes unasked.
pub const AUTO_STATUS: [u8; 3] = [0x1D, b'a', 0x0F];
/// `GS r 1`: the paper status, answered only once all that came before is printed.
pub const BARRIER: [u8; 3] = [0x1D, b'r', 1];
/// `DLE EOT 4`: the paper status at once, past the buffer.
pub const PAPER_NOW: [u8; 3] = [0x10, 0x04, 4];

pub(crate) const LINE_FEED: u8 = 0x0A;
/// `FS &`: bytes from 0x80 are the first of two.
pub(crate) const CHINESE: [u8; 2] = [0x1C, b'&'];
/// `FS .`: each byte is a character.
pub(crate) const SINGLE_BYTES: [u8; 2] = [0x1C, b'.'];

/// `ESC a n`: 0 left, 1 centre, 2 right.
pub(crate) fn align(place: u8) -> [u8; 3] {
    [0x1B, b'a', place]
}

/// `ESC 3 n`: the line spacing in dots.
pub(crate) fn line_spacing(dots: u8) -> [u8; 3] {
    [0x1B, b'3', dots]
}

/// `ESC J n`: feed dots.
pub(crate) fn feed(dots: u8) -> [u8; 3] {
    [0x1B, b'J', dots]
}

/// `ESC E n`: bold.
pub(crate) fn bold(on: bool) -> [u8; 3] {
    [0x1B, b'E', u8::from(on)]
}

/// `ESC - n` and `FS - n`: underline, of half-width and of full-width characters.
pub(crate) fn underline(on: bool) -> [u8; 6] {
    [0x1B, b'-', u8::from(on), 0x1C, b'-', u8::from(on)]
}

/// `GS B n`: white on black.
pub(crate) fn inverted(on: bool) -> [u8; 3] {
    [0x1D, b'B', u8::from(on)]
}

/// `GS ! n`: double width and height.
pub(crate) fn size(wide: bool, high: bool) -> [u8; 3] {
    [0x1D, b'!', (u8::from(wide) << 4) | u8::from(high)]
}

/// `ESC t n`: the code page.
pub(crate) fn code_page(number: u8) -> [u8; 3] {
    [0x1B, b't', number]
}

/// `GS ( K` function 49: the print density.
pub(crate) fn density(level: i8) -> [u8; 7] {
    [0x1D, b'(', b'K', 2, 0, 49, level.cast_unsigned()]
}

/// `GS v 0`: the head of a raster picture.
pub(crate) fn raster(row_bytes: u16, rows: u16) -> [u8; 8] {
    let ([xl, xh], [yl, yh]) = (row_bytes.to_le_bytes(), rows.to_le_bytes());
    [0x1D, b'v', b'0', 0, xl, xh, yl, yh]
}

/// `GS V m 0`: feed to the cutter and cut.
pub(crate) fn cut(full: bool) -> [u8; 4] {
    [0x1D, b'V', if full { 65 } else { 66 }, 0]
}

/// `ESC p m t1 t2`: a drawer pulse of 100 ms at pin 2 or 5, then 200 ms of rest.
pub(crate) fn drawer(pin: u8) -> [u8; 5] {
    [0x1B, b'p', u8::from(pin == 5), 50, 100]
}

/// `GS ( k`: a function of a two-dimensional symbol; 49 is QR.
pub(crate) fn qr(function: u8, data: &[u8]) -> Vec<u8> {
    let [low, high] = u16::try_from(data.len() + 2).unwrap_or(u16::MAX).to_le_bytes();
    let mut bytes = vec![0x1D, b'(', b'k', low, high, 49, function];
    bytes.extend_from_slice(data);
    bytes
}

/// `GS h`, `GS w`, `GS H 0`, `GS k m n`: a bar code without text.
pub(crate) fn barcode(height: u8, module: u8, kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
    let mut bytes = vec![0x1D, b'h', height, 0x1D, b'w', module, 0x1D, b'H', 0, 0x1D, b'k', kind, length];
    bytes.extend_from_slice(data);
    bytes
}
