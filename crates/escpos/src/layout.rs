//! From a document to blocks on a grid of cells: what [`mod@crate::render`] and [`mod@crate::encode`] both follow.

use std::collections::BTreeSet;

use crate::bitmap::Bitmap;
use crate::document::{self, Align, Barcode, Columns, CutMode, Document, Ecc, Element, Qr, Stroke, Text};
use crate::font::Font;
use crate::profile::{CELL_WIDTH, Cutter, DrawnBy, Encoding, Profile};
use crate::{Error, picture, symbol, wrap};

/// The longest paper of one document in dots: three metres at 8 dots a millimetre.
pub const MAX_LENGTH: usize = 24_000;

/// A document that is laid out for one printer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Dots across the paper.
    pub dots: u16,
    /// From top to bottom.
    pub blocks: Vec<Block>,
    /// Characters that cannot be printed, and were replaced by a visible mark.
    pub missing: BTreeSet<char>,
}

/// One thing below the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A line of characters.
    Line(Line),
    /// Blank paper, in dots.
    Space(u16),
    /// Dots, at a distance from the left edge.
    Picture {
        /// That distance.
        left: usize,
        /// The dots.
        bitmap: Bitmap,
    },
    /// A symbol that the printer may draw itself.
    Symbol {
        /// Where it stands.
        align: Align,
        /// What it is.
        symbol: Symbol,
        /// Its dots.
        bitmap: Bitmap,
    },
    /// The end of this piece of paper.
    Cut(CutMode),
    /// A pulse at pin 2 or 5 of the drawer connector.
    Drawer(u8),
}

/// A symbol in the printer's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Symbol {
    /// A QR code.
    Qr(Qr),
    /// A bar code.
    Barcode(Barcode),
}

/// A line of characters in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// From the left.
    pub glyphs: Vec<Glyph>,
    /// Where they stand.
    pub align: Align,
    /// How they look.
    pub style: Style,
    /// From the top of this line to the top of the next, in dots.
    pub pitch: u8,
}

/// A character and its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyph {
    /// Unicode.
    pub character: char,
    /// Full width: two cells.
    pub wide: bool,
}

/// How characters look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Heavier.
    pub bold: bool,
    /// Underlined.
    pub underline: bool,
    /// White on black.
    pub inverted: bool,
    /// Twice as wide.
    pub double_width: bool,
    /// Twice as high.
    pub double_height: bool,
}

impl Glyph {
    /// How many half-width cells it takes.
    #[must_use]
    pub fn cells(&self) -> usize {
        if self.wide { 2 } else { 1 }
    }
}

impl Line {
    /// Its width in dots.
    #[must_use]
    pub fn width(&self) -> usize {
        let cells: usize = self.glyphs.iter().map(Glyph::cells).sum();
        cells * usize::from(CELL_WIDTH) * if self.style.double_width { 2 } else { 1 }
    }
}

/// The distance from the left edge of something `width` wide on `space` dots.
#[must_use]
pub fn left_of(align: Align, width: usize, space: usize) -> usize {
    let free = space.saturating_sub(width);
    match align {
        Align::Left => 0,
        Align::Center => free / 2,
        Align::Right => free,
    }
}

/// Lays out `document` for the printer that `profile` describes.
///
/// # Errors
/// [`Error::Profile`]; [`Error::Element`] for a cell that is too narrow, a picture that is none, a symbol that
/// doesn't fit; [`Error::Document`] for one longer than [`MAX_LENGTH`].
pub fn layout(document: &Document, profile: &Profile, font: &Font) -> Result<Layout, Error> {
    profile.check()?;
    let mut setter =
        Setter { profile, font, blocks: Vec::new(), missing: BTreeSet::new(), length: 0, mark: None };
    for (index, element) in document.elements().iter().enumerate() {
        setter.element(element).map_err(|(field, reason)| Error::Element { index, field, reason })?;
        if setter.length > MAX_LENGTH {
            return Err(Error::Document(format!(
                "is longer than {MAX_LENGTH} dots (three metres) at element {index}: print it as several"
            )));
        }
    }
    Ok(Layout { dots: profile.dots, blocks: setter.blocks, missing: setter.missing })
}

/// The field at fault, and why.
type Fault = (&'static str, String);

struct Setter<'a> {
    profile: &'a Profile,
    font: &'a Font,
    blocks: Vec<Block>,
    missing: BTreeSet<char>,
    /// Dots of paper so far.
    length: usize,
    /// What stands for a character that cannot be printed, once one was met.
    mark: Option<Glyph>,
}

impl Setter<'_> {
    fn element(&mut self, element: &Element) -> Result<(), Fault> {
        match element {
            Element::Text(text) => self.text(text),
            Element::Columns(columns) => self.columns(columns)?,
            Element::Rule(rule) => self.rule(rule.line),
            Element::Feed(feed) => {
                self.push(Block::Space(u16::from(feed.lines) * u16::from(self.profile.line_spacing)));
            }
            Element::Image(image) => {
                let bitmap = picture::dots(&image.png, usize::from(self.profile.dots), image.tone)
                    .map_err(|reason| ("png", reason))?;
                let left = left_of(image.align, bitmap.width(), usize::from(self.profile.dots));
                self.push(Block::Picture { left, bitmap });
            }
            Element::Qr(qr) => self.qr(qr)?,
            Element::Barcode(barcode) => self.barcode(barcode)?,
            Element::Cut(cut) => self.cut(cut.mode),
            Element::Drawer(drawer) => self.push(Block::Drawer(drawer.pin)),
        }
        Ok(())
    }

    fn push(&mut self, block: Block) {
        self.length += match &block {
            Block::Line(line) => usize::from(line.pitch),
            Block::Space(dots) => usize::from(*dots),
            Block::Picture { bitmap, .. } | Block::Symbol { bitmap, .. } => bitmap.height(),
            Block::Cut(_) | Block::Drawer(_) => 0,
        };
        self.blocks.push(block);
    }

    fn line(&mut self, glyphs: Vec<Glyph>, align: Align, style: Style) {
        let height = if style.double_height { 24 } else { 0 };
        let pitch = self.profile.line_spacing.saturating_add(height);
        self.push(Block::Line(Line { glyphs, align, style, pitch }));
    }

    /// The half-width cells across the paper in this style.
    fn cells(&self, style: Style) -> usize {
        usize::from(self.profile.columns()) / if style.double_width { 2 } else { 1 }
    }

    fn text(&mut self, text: &Text) {
        let style = Style {
            bold: text.bold,
            underline: text.underline,
            inverted: text.inverted,
            double_width: text.double_width,
            double_height: text.double_height,
        };
        for line in self.lines(&text.text, self.cells(style)) {
            self.line(line, text.align, style);
        }
    }

    fn columns(&mut self, columns: &Columns) -> Result<(), Fault> {
        let style = Style {
            bold: columns.bold,
            underline: columns.underline,
            inverted: columns.inverted,
            double_width: columns.double_width,
            double_height: columns.double_height,
        };
        let widths = widths(&columns.cells, self.cells(style))?;
        let cells: Vec<Vec<Vec<Glyph>>> =
            columns.cells.iter().zip(&widths).map(|(cell, width)| self.lines(&cell.text, *width)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for row in 0..height {
            let mut line = Vec::new();
            for (index, ((cell, width), lines)) in columns.cells.iter().zip(&widths).zip(&cells).enumerate() {
                if index > 0 {
                    line.push(SPACE);
                }
                let glyphs = lines.get(row).map(Vec::as_slice).unwrap_or_default();
                let used = glyphs.iter().map(Glyph::cells).sum();
                let left = left_of(cell.align, used, *width);
                line.extend(std::iter::repeat_n(SPACE, left));
                line.extend_from_slice(glyphs);
                line.extend(std::iter::repeat_n(SPACE, width.saturating_sub(left + used)));
            }
            self.line(line, Align::Left, style);
        }
        Ok(())
    }

    fn rule(&mut self, stroke: Stroke) {
        let wanted = match stroke {
            Stroke::Dashed => '-',
            Stroke::Solid => '─',
            Stroke::Double => '=',
        };
        let glyph = self.printable(wanted).unwrap_or(Glyph { character: '-', wide: false });
        let count = usize::from(self.profile.columns()) / glyph.cells();
        self.line(vec![glyph; count], Align::Left, Style::default());
    }

    fn qr(&mut self, qr: &Qr) -> Result<(), Fault> {
        let modules = symbol::qr(&qr.data, qr.ecc).map_err(|reason| ("data", reason.to_owned()))?;
        let bitmap = self.fitting(&modules, qr.module)?;
        // ISO/IEC 18004 asks for four modules of white around the code; the paper's margins are at its sides.
        self.surrounded(4 * u16::from(qr.module), qr.align, Symbol::Qr(qr.clone()), bitmap);
        Ok(())
    }

    fn barcode(&mut self, barcode: &Barcode) -> Result<(), Fault> {
        let bars = symbol::bars(barcode.symbology, &barcode.data).map_err(|why| ("data", why.to_owned()))?;
        let mut modules = Bitmap::new(bars.modules.len(), 1);
        for (x, _) in bars.modules.iter().enumerate().filter(|(_, bar)| **bar) {
            modules.set(x, 0);
        }
        let row = self.fitting(&modules, barcode.module)?;
        let mut bitmap = Bitmap::new(row.width(), usize::from(barcode.height));
        for y in 0..bitmap.height() {
            let (first, _) = row.data().split_at_checked(row.stride()).unwrap_or_default();
            bitmap.or_bytes(y, first);
        }
        self.surrounded(8, barcode.align, Symbol::Barcode(barcode.clone()), bitmap);
        if barcode.text {
            let glyphs = self.lines(&bars.text, self.cells(Style::default()));
            glyphs.into_iter().for_each(|line| self.line(line, barcode.align, Style::default()));
        }
        Ok(())
    }

    fn fitting(&self, modules: &Bitmap, module: u8) -> Result<Bitmap, Fault> {
        let width = modules.width() * usize::from(module);
        if width > usize::from(self.profile.dots) {
            return Err((
                "module",
                format!(
                    "makes the symbol {width} dots wide on {}: take a smaller one, or less data",
                    self.profile.dots
                ),
            ));
        }
        Ok(modules.enlarged(usize::from(module)))
    }

    fn surrounded(&mut self, space: u16, align: Align, symbol: Symbol, bitmap: Bitmap) {
        self.push(Block::Space(space));
        self.push(Block::Symbol { align, symbol, bitmap });
        self.push(Block::Space(space));
    }

    fn cut(&mut self, mode: CutMode) {
        match self.profile.cutter {
            Cutter::None => self.push(Block::Space(self.profile.tear_feed)),
            Cutter::Partial => self.push(Block::Cut(CutMode::Partial)),
            Cutter::Full => self.push(Block::Cut(mode)),
        }
    }

    /// The lines of a text that may hold `\n`.
    fn lines(&mut self, text: &str, width: usize) -> Vec<Vec<Glyph>> {
        let mut lines = Vec::new();
        for paragraph in text.split('\n') {
            let glyphs: Vec<Glyph> = paragraph.chars().map(|character| self.glyph(character)).collect();
            lines.extend(wrap::wrap(&glyphs, width));
        }
        lines
    }

    /// The glyph of a character, or the mark that stands for it.
    fn glyph(&mut self, character: char) -> Glyph {
        if let Some(glyph) = self.printable(character) {
            return glyph;
        }
        self.missing.insert(character);
        let mark =
            self.mark.or_else(|| self.printable('〓')).unwrap_or(Glyph { character: '?', wide: false });
        *self.mark.insert(mark)
    }

    /// The glyph of a character that both the printer and the font (for the preview) have.
    fn printable(&self, character: char) -> Option<Glyph> {
        match (self.profile.text, self.profile.encoding) {
            (DrawnBy::Raster, _) => self.font.is_wide(character).map(|wide| Glyph { character, wide }),
            (DrawnBy::Printer, encoding) => {
                let character = in_rom(character, encoding);
                self.font.is_wide(character)?;
                let code = code(character, encoding)?;
                Some(Glyph { character, wide: code.len() == 2 })
            }
        }
    }
}

const SPACE: Glyph = Glyph { character: ' ', wide: false };

/// GB 18030 has the Yuan sign in two bytes as the full-width one alone.
fn in_rom(character: char, encoding: Encoding) -> char {
    match (encoding, character) {
        (Encoding::Gb18030, '¥') => '￥',
        _ => character,
    }
}

/// The bytes of a character in the printer's ROM; none if it has none.
pub(crate) fn code(character: char, encoding: Encoding) -> Option<Code> {
    if character.is_ascii() {
        return (!character.is_ascii_control()).then(|| Code::One(u8::try_from(character).unwrap_or(b'?')));
    }
    let mut utf8 = [0; 4];
    let mut bytes = [0; 4];
    let coding = match encoding {
        Encoding::Gb18030 => encoding_rs::GB18030,
        Encoding::Windows1252 => encoding_rs::WINDOWS_1252,
    };
    let (result, _, written) = coding.new_encoder().encode_from_utf8_without_replacement(
        character.encode_utf8(&mut utf8),
        &mut bytes,
        true,
    );
    if result != encoding_rs::EncoderResult::InputEmpty {
        return None;
    }
    match (encoding, written, bytes) {
        (Encoding::Gb18030, 2, [lead, trail, ..]) => Some(Code::Two([lead, trail])),
        (Encoding::Windows1252, 1, [byte, ..]) => Some(Code::One(byte)),
        _ => None,
    }
}

/// One or two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    One(u8),
    Two([u8; 2]),
}

impl Code {
    pub(crate) fn len(self) -> usize {
        match self {
            Code::One(_) => 1,
            Code::Two(_) => 2,
        }
    }
}

/// Shares `total` cells, with one between neighbours: fixed widths first, the rest by weight.
fn widths(cells: &[document::Cell], total: usize) -> Result<Vec<usize>, Fault> {
    let gaps = cells.len().saturating_sub(1);
    let fixed: usize = cells.iter().map(|cell| usize::from(cell.width)).sum();
    let narrow = || {
        let reason = format!("leaves a cell less than 2 of {total} characters: take fewer or narrower cells");
        ("cells.width", reason)
    };
    let mut left = total.checked_sub(gaps + fixed).ok_or_else(narrow)?;
    let mut weights: usize =
        cells.iter().filter(|cell| cell.width == 0).map(|cell| usize::from(cell.weight)).sum();
    cells
        .iter()
        .map(|cell| {
            let width = match (usize::from(cell.width), usize::from(cell.weight)) {
                (0, weight) => {
                    let share = left * weight / weights.max(1);
                    left -= share;
                    weights -= weight;
                    share
                }
                (width, _) => width,
            };
            if width < 2 { Err(narrow()) } else { Ok(width) }
        })
        .collect()
}

/// The number of a QR error correction level in `GS ( k`.
pub(crate) fn level(ecc: Ecc) -> u8 {
    match ecc {
        Ecc::Low => 48,
        Ecc::Medium => 49,
        Ecc::Quartile => 50,
        Ecc::High => 51,
    }
}
