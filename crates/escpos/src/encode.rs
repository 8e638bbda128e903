//! From a layout to the bytes that a printer is sent.
//!
//! What the printer draws itself goes as commands; all else is drawn here and goes as `GS v 0` over the whole
//! width, so that no printer's idea of a margin moves it.

use crate::bitmap::Bitmap;
use crate::command;
use crate::document::{Align, Barcode, CutMode, Symbology};
use crate::font::Font;
use crate::layout::{Block, Code, Layout, Line, Style, Symbol, code, level};
use crate::profile::{DrawnBy, Encoding, Profile};
use crate::{render, symbol};

/// The bytes that print `layout`, from `ESC @` on. They end without a barrier: the driver adds
/// [`command::BARRIER`] if it waits for the paper.
#[must_use]
pub fn encode(layout: &Layout, profile: &Profile, font: &mut Font) -> Vec<u8> {
    let mut writer = Writer::new(profile);
    // Dots that are not sent yet.
    let mut pending = Bitmap::new(usize::from(layout.dots), 0);
    for block in &layout.blocks {
        if is_native(block, profile) {
            writer.raster(&pending);
            pending = Bitmap::new(usize::from(layout.dots), 0);
            writer.native(block);
        } else {
            render::draw(&mut pending, block, font);
        }
    }
    writer.raster(&pending);
    writer.bytes
}

/// Whether the printer does this itself.
fn is_native(block: &Block, profile: &Profile) -> bool {
    match block {
        Block::Line(_) => profile.text == DrawnBy::Printer,
        Block::Symbol { symbol: Symbol::Qr(_), .. } => profile.qr == DrawnBy::Printer,
        Block::Symbol { symbol: Symbol::Barcode(_), .. } => profile.barcode == DrawnBy::Printer,
        Block::Picture { .. } => false,
        Block::Space(_) | Block::Cut(_) | Block::Drawer(_) => true,
    }
}

struct Writer<'a> {
    profile: &'a Profile,
    bytes: Vec<u8>,
    /// The modes that the printer is in.
    style: Style,
    align: Align,
    spacing: u8,
}

impl Writer<'_> {
    fn new(profile: &Profile) -> Writer<'_> {
        let mut bytes = Vec::with_capacity(4096);
        bytes.extend(command::INITIALISE);
        bytes.extend(command::AUTO_STATUS);
        if let Some(level) = profile.density {
            bytes.extend(command::density(level));
        }
        if profile.text == DrawnBy::Printer {
            match profile.encoding {
                Encoding::Gb18030 => bytes.extend(command::CHINESE),
                Encoding::Windows1252 => {
                    bytes.extend(command::SINGLE_BYTES);
                    bytes.extend(command::code_page(profile.code_page));
                }
            }
        }
        // No spacing yet: what `ESC @` leaves differs between printers, so the first line sets it.
        Writer { profile, bytes, style: Style::default(), align: Align::Left, spacing: 0 }
    }

    fn native(&mut self, block: &Block) {
        match block {
            Block::Line(line) => self.line(line),
            Block::Space(dots) => self.space(*dots),
            Block::Symbol { align, symbol, .. } => {
                self.align(*align);
                match symbol {
                    Symbol::Qr(qr) => {
                        self.bytes.extend(command::qr(65, &[50, 0]));
                        self.bytes.extend(command::qr(67, &[qr.module]));
                        self.bytes.extend(command::qr(69, &[level(qr.ecc)]));
                        let data: Vec<u8> = std::iter::once(48).chain(qr.data.bytes()).collect();
                        self.bytes.extend(command::qr(80, &data));
                        self.bytes.extend(command::qr(81, &[48]));
                    }
                    Symbol::Barcode(barcode) => self.barcode(barcode),
                }
            }
            Block::Cut(mode) => self.bytes.extend(command::cut(*mode == CutMode::Full)),
            Block::Drawer(pin) => self.bytes.extend(command::drawer(*pin)),
            Block::Picture { left, bitmap } => {
                let mut wide = Bitmap::new(usize::from(self.profile.dots), bitmap.height());
                wide.draw(*left, 0, bitmap);
                self.raster(&wide);
            }
        }
    }

    fn line(&mut self, line: &Line) {
        self.align(line.align);
        if self.spacing != line.pitch {
            self.bytes.extend(command::line_spacing(line.pitch));
            self.spacing = line.pitch;
        }
        self.style(line.style);
        for glyph in &line.glyphs {
            match code(glyph.character, self.profile.encoding) {
                Some(Code::One(byte)) => self.bytes.push(byte),
                Some(Code::Two(bytes)) => self.bytes.extend(bytes),
                None => self.bytes.push(b'?'),
            }
        }
        self.bytes.push(command::LINE_FEED);
    }

    fn style(&mut self, wanted: Style) {
        let now = self.style;
        if now.bold != wanted.bold {
            self.bytes.extend(command::bold(wanted.bold));
        }
        if now.underline != wanted.underline {
            self.bytes.extend(command::underline(wanted.underline));
        }
        if now.inverted != wanted.inverted {
            self.bytes.extend(command::inverted(wanted.inverted));
        }
        if (now.double_width, now.double_height) != (wanted.double_width, wanted.double_height) {
            self.bytes.extend(command::size(wanted.double_width, wanted.double_height));
        }
        self.style = wanted;
    }

    fn align(&mut self, wanted: Align) {
        if self.align != wanted {
            self.bytes.extend(command::align(match wanted {
                Align::Left => 0,
                Align::Center => 1,
                Align::Right => 2,
            }));
            self.align = wanted;
        }
    }

    fn space(&mut self, dots: u16) {
        let mut left = dots;
        while left > 0 {
            let step = u8::try_from(left).unwrap_or(u8::MAX);
            self.bytes.extend(command::feed(step));
            left -= u16::from(step);
        }
    }

    fn barcode(&mut self, barcode: &Barcode) {
        let data = &barcode.data;
        let (kind, payload) = match barcode.symbology {
            Symbology::Ean13 => (67, data.bytes().collect()),
            Symbology::Code128 if symbol::packs_digits(data) => {
                (73, b"{C".iter().copied().chain(symbol::digit_pairs(data)).collect())
            }
            // A brace begins a control sequence, and is itself written twice.
            Symbology::Code128 => (73, format!("{{B{}", data.replace('{', "{{")).into_bytes()),
        };
        let payload: Vec<u8> = payload;
        self.bytes.extend(command::barcode(barcode.height, barcode.module, kind, &payload));
    }

    /// Sends dots over the whole width in bands; blank rows at the top of a band are fed, not sent.
    fn raster(&mut self, bitmap: &Bitmap) {
        if bitmap.height() == 0 {
            return;
        }
        self.align(Align::Left);
        let stride = bitmap.stride();
        let row_bytes = u16::try_from(stride).unwrap_or(u16::MAX);
        for band in bitmap.data().chunks(stride * usize::from(self.profile.band_rows)) {
            let blank = band.chunks(stride).take_while(|row| row.iter().all(|byte| *byte == 0)).count();
            self.space(u16::try_from(blank).unwrap_or(u16::MAX));
            let (_, dots) = band.split_at_checked(blank * stride).unwrap_or_default();
            if !dots.is_empty() {
                let rows = u16::try_from(dots.len() / stride).unwrap_or(u16::MAX);
                self.bytes.extend(command::raster(row_bytes, rows));
                self.bytes.extend_from_slice(dots);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    fn profile(more: &str) -> Profile {
        toml::from_str(&format!("name = 'test'\ndots = 384\n{more}")).unwrap()
    }

    fn encoded(json: &str, profile: &Profile) -> (Vec<u8>, String) {
        let document: Document = serde_json::from_str(json).unwrap();
        let mut font = Font::builtin().unwrap();
        let layout = crate::layout(&document, profile, &font).unwrap();
        let missing = layout.missing.iter().collect();
        (encode(&layout, profile, &mut font), missing)
    }

    const CHINESE: &str = "text='printer'\nqr='printer'\nbarcode='printer'\ncutter='partial'";
    const LATIN: &str = "text='printer'\nencoding='windows-1252'\ncode_page=16\nqr='printer'\nbarcode='printer'\ncutter='none'";
    const RASTER: &str = "text='raster'\nqr='raster'\nbarcode='raster'\ncutter='none'";

    #[test]
    fn modes_are_sent_when_they_change_and_taken_back() {
        let json = r#"[{"kind":"text","text":"中A","align":"center","bold":true,"double_height":true},
            {"kind":"text","text":"b"},{"kind":"cut"}]"#;
        let wanted = [
            &b"\x1b@\x1da\x0f\x1c&"[..],
            b"\x1ba\x01\x1b3\x36\x1bE\x01\x1d!\x01\xd6\xd0A\n",
            b"\x1ba\x00\x1b3\x1e\x1bE\x00\x1d!\x00b\n",
            b"\x1dV\x42\x00",
        ];
        assert_eq!(encoded(json, &profile(CHINESE)).0, wanted.concat());
    }

    #[test]
    fn what_a_rom_lacks_is_marked_and_named() {
        let json = r#"[{"kind":"text","text":"¥5 é 🐼"}]"#;
        let (bytes, missing) = encoded(json, &profile(CHINESE));
        // The Yuan sign in full width, é in full width, the mark for the panda.
        assert!(bytes.ends_with(b"\xa3\xa45 \xa8\xa6 \xa1\xfe\n"), "{bytes:02X?}");
        assert_eq!(missing, "🐼");
        let (bytes, missing) = encoded(json, &profile(LATIN));
        assert!(bytes.ends_with(b"\xa55 \xe9 ?\n"), "{bytes:02X?}");
        assert_eq!(missing, "🐼");
    }

    #[test]
    fn a_braced_code_128_is_escaped_and_digits_go_as_pairs() {
        let bytes =
            |data: &str| encoded(&format!(r#"[{{"kind":"barcode","data":"{data}"}}]"#), &profile(CHINESE)).0;
        let has = |bytes: Vec<u8>, part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(has(bytes("a{b"), b"\x1dk\x49\x06{Ba{{b"));
        assert!(has(bytes("123456"), b"\x1dk\x49\x05{C\x0c\x22\x38"));
    }

    #[test]
    fn a_raster_band_is_never_larger_than_the_buffer() {
        let profile = profile(&format!("{RASTER}\nband_rows = 8"));
        let (bytes, _) = encoded(r#"[{"kind":"text","text":"高高高"}]"#, &profile);
        let heads: Vec<usize> =
            (0..bytes.len() - 8).filter(|at| bytes[*at..].starts_with(b"\x1dv0\x00\x30\x00")).collect();
        assert!(heads.len() >= 3);
        assert!(heads.iter().all(|at| (1..=8).contains(&bytes[at + 6]) && bytes[at + 7] == 0));
    }
}
