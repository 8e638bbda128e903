//! The receipt font: outlines rasterised into character cells of 12 × 24 and 24 × 24 dots.

use std::borrow::Cow;
use std::collections::HashMap;

use swash::scale::image::Image;
use swash::scale::{Render, ScaleContext, Source};
use swash::zeno::{Format, Transform, Vector};
use swash::{CacheKey, FontRef};

use crate::Error;

/// The rows of a cell.
pub const ROWS: usize = 24;
/// An em fills a full-width cell.
const EM: f32 = 24.0;
/// Rows above the baseline of a half-width cell: its descenders still fit below.
const HALF_BASELINE: i16 = 19;
/// Rows above the baseline of a full-width cell: no Chinese character of the font sticks out.
const FULL_BASELINE: i16 = 21;
/// How much of a dot (of 255) the outline covers to make it black. Below the half, thin strokes stay whole.
const INK: u8 = 112;

/// The dots of one character cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// From the top; the highest bit is the leftmost dot.
    pub rows: [u32; ROWS],
    /// 24 dots wide instead of 12.
    pub wide: bool,
}

#[derive(Debug, Clone, Copy)]
struct Glyph {
    character: char,
    id: u16,
    /// In dots.
    advance: f32,
    wide: bool,
}

/// A font, and the cells that were drawn from it so far.
pub struct Font {
    data: Cow<'static, [u8]>,
    offset: u32,
    key: CacheKey,
    /// Sorted by character.
    glyphs: Vec<Glyph>,
    context: ScaleContext,
    cells: HashMap<(char, bool), Cell>,
}

impl std::fmt::Debug for Font {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Font({} characters)", self.glyphs.len())
    }
}

impl Font {
    /// The font that comes with smartpos, of `config/fonts`.
    ///
    /// # Errors
    /// Never, unless the file was replaced by one that is no font.
    pub fn builtin() -> Result<Font, Error> {
        Font::parse(Cow::Borrowed(include_bytes!("../../../config/fonts/receipt.otf")))
    }

    /// A font with ASCII half an em wide. Of characters that are neither half nor one em wide, those of Latin-1
    /// count as half-width and all others as full-width, as they are in Chinese ROMs.
    ///
    /// # Errors
    /// [`Error::Font`] for bytes that are no OpenType font.
    pub fn parse(data: Cow<'static, [u8]>) -> Result<Font, Error> {
        let font = FontRef::from_index(&data, 0).ok_or(Error::Font("is not an OpenType font"))?;
        let metrics = font.glyph_metrics(&[]);
        let em = f32::from(metrics.units_per_em());
        let mut glyphs = Vec::new();
        font.charmap().enumerate(|code_point, id| {
            let advance = metrics.advance_width(id) / em * EM;
            if let Some(character) = char::from_u32(code_point)
                && id != 0
                && advance >= 1.0
            {
                let latin = character <= '\u{FF}' && advance < EM - 0.1;
                let wide = advance > EM / 2.0 + 0.1 && !latin;
                glyphs.push(Glyph { character, id, advance, wide });
            }
        });
        if glyphs.is_empty() {
            return Err(Error::Font("has no characters"));
        }
        glyphs.sort_unstable_by_key(|glyph| glyph.character);
        let (offset, key) = (font.offset, font.key);
        Ok(Font { data, offset, key, glyphs, context: ScaleContext::new(), cells: HashMap::new() })
    }

    fn glyph(&self, character: char) -> Option<Glyph> {
        let place = self.glyphs.binary_search_by_key(&character, |glyph| glyph.character).ok()?;
        self.glyphs.get(place).copied()
    }

    /// Whether the character is full-width here; none if the font lacks it.
    #[must_use]
    pub fn is_wide(&self, character: char) -> Option<bool> {
        self.glyph(character).map(|glyph| glyph.wide)
    }

    /// The dots of a character in a cell of 24 (`wide`) or 12 dots, which need not be the glyph's own width;
    /// none if the font lacks it.
    pub fn cell(&mut self, character: char, wide: bool) -> Option<Cell> {
        if let Some(cell) = self.cells.get(&(character, wide)) {
            return Some(*cell);
        }
        let glyph = self.glyph(character)?;
        let cell = self.rasterise(glyph, wide);
        self.cells.insert((character, wide), cell);
        Some(cell)
    }

    fn rasterise(&mut self, glyph: Glyph, wide: bool) -> Cell {
        let font = FontRef { data: &self.data, offset: self.offset, key: self.key };
        let mut scaler = self.context.builder(font).size(EM).hint(true).build();
        let (width, baseline) = if wide { (EM, FULL_BASELINE) } else { (EM / 2.0, HALF_BASELINE) };
        let inside: u32 = if wide { 0xFFFF_FF00 } else { 0xFFF0_0000 };
        let mut render = Render::new(&[Source::Outline]);
        render.format(Format::Alpha);

        // A glyph wider than its cell is squeezed, a narrower one stands in the middle.
        let squeeze = (width / glyph.advance).min(1.0);
        let margin = ((width - glyph.advance * squeeze) / 2.0).round();
        // Made heavier by as much as squeezing thins it, so that no upright stroke vanishes.
        render.embolden(1.0 - squeeze);
        render.transform(Some(Transform::scale(squeeze, 1.0))).offset(Vector::new(margin, 0.0));
        let mut image = render.render(&mut scaler, glyph.id);
        // An accent above a capital would stick out: the glyph is lowered to fit.
        if let Some(top) = image.as_ref().and_then(|image| i16::try_from(image.placement.top).ok())
            && top > baseline
        {
            let lower = f32::from(baseline) / f32::from(top);
            render.transform(Some(Transform::scale(squeeze, lower)));
            image = render.render(&mut scaler, glyph.id);
        }
        let rows = image.map(|image| dots(&image, baseline)).unwrap_or_default();
        Cell { rows: rows.map(|row| row & inside), wide }
    }
}

/// The rows of a glyph that stands on `baseline`; what sticks out is lost.
fn dots(image: &Image, baseline: i16) -> [u32; ROWS] {
    let mut rows = [0; ROWS];
    let width = usize::try_from(image.placement.width).unwrap_or_default().max(1);
    let top = i32::from(baseline) - image.placement.top;
    for (y, line) in (top..).zip(image.data.chunks(width)) {
        let Some(row) = usize::try_from(y).ok().and_then(|y| rows.get_mut(y)) else { continue };
        for (x, _) in (image.placement.left..).zip(line).filter(|(_, cover)| **cover >= INK) {
            *row |= u32::try_from(x).ok().and_then(|x| (1_u32 << 31).checked_shr(x)).unwrap_or(0);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_holds_what_receipts_need() {
        let font = Font::builtin().unwrap();
        for character in "Aj@~元￥，。「」〓消費收據".chars() {
            let wide = font.is_wide(character).unwrap_or_else(|| panic!("no {character}"));
            assert_eq!(wide, !character.is_ascii(), "{character}");
        }
        for lead in 0xB0..=0xF7_u8 {
            for trail in 0xA1..=0xFE_u8 {
                // D7FA to D7FE are the five places that GB 2312 leaves free.
                if (lead, trail) >= (0xD7, 0xFA) && lead == 0xD7 {
                    continue;
                }
                let bytes = [lead, trail];
                let (text, _) = encoding_rs::GB18030.decode_without_bom_handling(&bytes);
                let hanzi = text.chars().next().unwrap();
                assert_eq!(font.is_wide(hanzi), Some(true), "GB 2312 {lead:02X}{trail:02X} {hanzi}");
            }
        }
    }

    #[test]
    fn each_ascii_glyph_has_ink_and_room_for_its_descender() {
        let mut font = Font::builtin().unwrap();
        for character in '!'..='~' {
            assert!(font.cell(character, false).unwrap().rows.iter().any(|row| *row != 0), "{character}");
        }
        let lowest = |cell: Cell| cell.rows.iter().rposition(|row| *row != 0).unwrap();
        let base = lowest(font.cell('n', false).unwrap());
        assert!(lowest(font.cell('p', false).unwrap()) >= base + 4);
    }

    #[test]
    fn accented_latin_fits_a_half_width_cell() {
        let mut font = Font::builtin().unwrap();
        for character in "ÀÉÎÖÜßàéîöüñç£€".chars() {
            let cell = font.cell(character, false).unwrap();
            let plain = font.cell('E', false).unwrap();
            let ink = |cell: Cell| cell.rows.iter().map(|row| row.count_ones()).sum::<u32>();
            assert!(ink(cell) > ink(plain) / 2, "{character}");
        }
        // The accent is there, above the letter.
        let rows = font.cell('É', false).unwrap().rows;
        let blank = rows.iter().skip_while(|row| **row == 0).position(|row| *row == 0).unwrap();
        assert!(blank < 6, "{rows:08X?}");
        assert_eq!(font.is_wide('É'), Some(false));
    }

    #[test]
    fn a_lacking_character_is_none() {
        let mut font = Font::builtin().unwrap();
        assert_eq!(font.is_wide('🐼'), None);
        assert_eq!(font.cell('🐼', true), None);
    }

    #[test]
    fn bytes_that_are_no_font_are_refused() {
        assert!(Font::parse(Cow::Borrowed(b"no font")).is_err());
        assert!(Font::parse(Cow::Borrowed(&[])).is_err());
    }
}
