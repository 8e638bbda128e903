//! The print head: commands become dots on paper, and text beside them.

use escpos::document::{Ecc, Symbology};
use escpos::{Bitmap, Font, symbol};

use crate::command::Command;

/// A receipt, as far as it is printed.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// Its dots.
    pub dots: Bitmap,
    /// Its text, line by line; symbols and pictures are named in brackets.
    pub text: String,
}

/// How characters look.
#[derive(Debug, Clone, Copy)]
struct Look {
    bold: bool,
    underline: bool,
    chinese_underline: bool,
    inverted: bool,
    wide: usize,
    high: usize,
}

const PLAIN: Look =
    Look { bold: false, underline: false, chinese_underline: false, inverted: false, wide: 1, high: 1 };

/// The head, its modes, and the paper below it.
#[derive(Debug)]
pub struct Head {
    font: Font,
    width: usize,
    receipt: Receipt,
    line: Vec<(char, bool, Look)>,
    look: Look,
    align: u8,
    spacing: usize,
    /// Whether `FS &` holds.
    pub chinese: bool,
    code_page: u8,
    bar_height: usize,
    bar_module: usize,
    bar_text: bool,
    qr_module: usize,
    qr_level: Ecc,
    qr_data: Vec<u8>,
}

impl Head {
    /// A head of `width` dots over fresh paper.
    #[must_use]
    pub fn new(width: usize, font: Font) -> Head {
        Head {
            font,
            width,
            receipt: Receipt { dots: Bitmap::new(width, 0), text: String::new() },
            line: Vec::new(),
            look: PLAIN,
            align: 0,
            spacing: 30,
            chinese: false,
            code_page: 0,
            bar_height: 162,
            bar_module: 3,
            bar_text: false,
            qr_module: 3,
            qr_level: Ecc::Low,
            qr_data: Vec::new(),
        }
    }

    /// What is on the paper since the last cut.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Ends the receipt: what follows is on another piece of paper. The modes stay.
    pub fn tear(&mut self) -> Receipt {
        let fresh = Receipt { dots: Bitmap::new(self.width, 0), text: String::new() };
        std::mem::replace(&mut self.receipt, fresh)
    }

    /// Forgets all modes and the unfinished line, as `ESC @` and a power cycle do.
    pub fn forget(&mut self) {
        self.line.clear();
        (self.look, self.align, self.spacing) = (PLAIN, 0, 30);
        (self.chinese, self.code_page) = (false, 0);
        (self.bar_height, self.bar_module, self.bar_text) = (162, 3, false);
        (self.qr_module, self.qr_level) = (3, Ecc::Low);
        self.qr_data.clear();
    }

    /// Carries out what concerns paper.
    ///
    /// # Errors
    /// Why a real printer would have printed something else than was meant.
    pub fn execute(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::Initialise => self.forget(),
            Command::Character(bytes) => self.character(&bytes)?,
            Command::LineFeed => self.print_line(),
            Command::Align(_) | Command::Feed(_) | Command::Raster { .. } | Command::QrPrint
                if !self.line.is_empty() =>
            {
                return Err(format!("{command:?} in the middle of a line"));
            }
            Command::Align(place) => self.align = place,
            Command::LineSpacing(dots) => self.spacing = usize::from(dots),
            Command::Feed(dots) => self.feed(usize::from(dots)),
            Command::Bold(on) => self.look.bold = on,
            Command::Underline(on) => self.look.underline = on,
            Command::ChineseUnderline(on) => self.look.chinese_underline = on,
            Command::Inverted(on) => self.look.inverted = on,
            Command::Size(wide, high) => (self.look.wide, self.look.high) = (wide.into(), high.into()),
            Command::CodePage(page) => self.code_page = page,
            Command::Chinese(on) => self.chinese = on,
            Command::BarHeight(dots) => self.bar_height = dots.into(),
            Command::BarModule(dots) => self.bar_module = dots.into(),
            Command::BarText(on) => self.bar_text = on,
            Command::Ean13(data) => self.bars(Symbology::Ean13, &data)?,
            Command::Code128(data) => self.bars(Symbology::Code128, &data)?,
            Command::Raster { row, dots } => self.raster(row, &dots)?,
            Command::QrModule(dots) => self.qr_module = dots.into(),
            Command::QrLevel(level) => {
                self.qr_level = match level {
                    0 => Ecc::Low,
                    1 => Ecc::Medium,
                    2 => Ecc::Quartile,
                    _ => Ecc::High,
                }
            }
            Command::QrStore(data) => self.qr_data = data,
            Command::QrPrint => self.qr()?,
            Command::Drawer(pin) => self.note(&format!("[drawer, pin {pin}]")),
            Command::Cut(_)
            | Command::AutoStatus(_)
            | Command::PaperStatus
            | Command::RealTimeStatus(_)
            | Command::Nothing => {}
        }
        Ok(())
    }

    /// Prints a mark that nobody overlooks.
    pub fn mark(&mut self, fault: &str) {
        let mode = (self.look, self.align, self.spacing);
        self.print_line_if_any();
        (self.look, self.align, self.spacing) = (Look { inverted: true, ..PLAIN }, 0, 30);
        for character in "?? ".chars().chain(fault.chars()) {
            let wide = self.font.is_wide(character).unwrap_or(false);
            if self.line_width() + 24 <= self.width {
                self.line.push((character, wide, self.look));
            }
        }
        self.print_line();
        (self.look, self.align, self.spacing) = mode;
    }

    fn note(&mut self, text: &str) {
        self.receipt.text.push_str(text);
        self.receipt.text.push('\n');
    }

    fn feed(&mut self, dots: usize) {
        let height = self.receipt.dots.height() + dots;
        self.receipt.dots.grow(height);
    }

    fn character(&mut self, bytes: &[u8]) -> Result<(), String> {
        let coding = match (bytes, self.chinese, self.code_page) {
            ([0x20..=0x7E], ..) => encoding_rs::WINDOWS_1252,
            (_, true, _) => encoding_rs::GB18030,
            (_, false, 16) => encoding_rs::WINDOWS_1252,
            (_, false, page) => return Err(format!("code page {page} is not in this printer")),
        };
        let text = coding
            .decode_without_bom_handling_and_without_replacement(bytes)
            .ok_or_else(|| format!("{bytes:02X?} is no character of {}", coding.name()))?;
        for character in text.chars() {
            if self.font.is_wide(character).is_none() {
                return Err(format!("{character} is not in this printer's ROM"));
            }
            let wide = bytes.len() == 2;
            let width = if wide { 24 } else { 12 } * self.look.wide;
            let full = self.line_width() + width > self.width;
            if full {
                self.print_line();
            }
            self.line.push((character, wide, self.look));
            if full {
                return Err("a line is wider than the paper".into());
            }
        }
        Ok(())
    }

    fn line_width(&self) -> usize {
        self.line.iter().map(|(_, wide, look)| if *wide { 24 } else { 12 } * look.wide).sum()
    }

    fn print_line_if_any(&mut self) {
        if !self.line.is_empty() {
            self.print_line();
        }
    }

    fn print_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let width: usize = line.iter().map(|(_, wide, look)| if *wide { 24 } else { 12 } * look.wide).sum();
        let high = line.iter().map(|(.., look)| look.high).max().unwrap_or(1);
        let top = self.receipt.dots.height();
        self.feed(if line.is_empty() { self.spacing } else { self.spacing.max(high * 24) });
        let mut x = self.left(width);
        let mut text = " ".repeat(x / 12);
        for (character, wide, look) in line {
            text.push(character);
            // Characters of a line stand on one base.
            x += self.stamp(x, top + (high - look.high) * 24, character, wide, look);
        }
        self.note(text.trim_end());
    }

    fn left(&self, width: usize) -> usize {
        match self.align {
            0 => 0,
            1 => self.width.saturating_sub(width) / 2,
            _ => self.width.saturating_sub(width),
        }
    }

    /// Draws one character dot by dot, and returns its width.
    fn stamp(&mut self, left: usize, top: usize, character: char, wide: bool, look: Look) -> usize {
        let width = if wide { 24 } else { 12 };
        let rows = self.font.cell(character, wide).map(|cell| cell.rows).unwrap_or_default();
        let underline = if wide { look.chinese_underline } else { look.underline };
        for (y, row) in rows.into_iter().enumerate() {
            let ink = |x: u32| row & (1_u32 << 31).checked_shr(x).unwrap_or(0) != 0;
            for (x, column) in (0..width).zip(0_u32..) {
                let bold = look.bold && column > 0 && ink(column - 1);
                let black = ink(column) || bold || (underline && y == 23);
                if black == look.inverted {
                    continue;
                }
                for dy in 0..look.high {
                    for dx in 0..look.wide {
                        self.receipt.dots.set(left + x * look.wide + dx, top + y * look.high + dy);
                    }
                }
            }
        }
        width * look.wide
    }

    fn raster(&mut self, row: usize, dots: &[u8]) -> Result<(), String> {
        if row * 8 > self.width {
            return Err(format!("a picture {} dots wide on {} dots", row * 8, self.width));
        }
        let (left, top) = (self.left(row * 8), self.receipt.dots.height());
        self.feed(dots.len() / row.max(1));
        for (y, bytes) in dots.chunks(row.max(1)).enumerate() {
            for (byte, x) in bytes.iter().zip((left..).step_by(8)) {
                for bit in 0..8 {
                    if byte & (0x80 >> bit) != 0 {
                        self.receipt.dots.set(x + bit, top + y);
                    }
                }
            }
        }
        self.note(&format!("[picture, {} x {}]", row * 8, dots.len() / row.max(1)));
        Ok(())
    }

    fn qr(&mut self) -> Result<(), String> {
        let data =
            String::from_utf8(self.qr_data.clone()).map_err(|_| "a QR code that is not UTF-8".to_owned())?;
        if data.is_empty() {
            return Err("a QR code without data".into());
        }
        let code = symbol::qr(&data, self.qr_level)?;
        self.symbol(&code.enlarged(self.qr_module))?;
        self.note(&format!("[QR {data}]"));
        Ok(())
    }

    fn bars(&mut self, symbology: Symbology, data: &str) -> Result<(), String> {
        let bars = symbol::bars(symbology, data)?;
        let mut picture = Bitmap::new(bars.modules.len() * self.bar_module, self.bar_height);
        for (module, _) in bars.modules.iter().enumerate().filter(|(_, bar)| **bar) {
            for x in module * self.bar_module..(module + 1) * self.bar_module {
                (0..self.bar_height).for_each(|y| picture.set(x, y));
            }
        }
        self.symbol(&picture)?;
        self.note(&format!("[{symbology:?} {}]", bars.text));
        if self.bar_text {
            self.line.extend(bars.text.chars().map(|character| (character, false, PLAIN)));
            self.print_line();
        }
        Ok(())
    }

    fn symbol(&mut self, picture: &Bitmap) -> Result<(), String> {
        if picture.width() > self.width {
            return Err(format!("a symbol {} dots wide on {} dots", picture.width(), self.width));
        }
        let (left, top) = (self.left(picture.width()), self.receipt.dots.height());
        self.feed(picture.height());
        self.receipt.dots.draw(left, top, picture);
        Ok(())
    }
}
