//! What the paper shows, dot by dot.

use crate::bitmap::Bitmap;
use crate::font::{Cell, Font, ROWS};
use crate::layout::{Block, Layout, Line, Style, left_of};

/// Draws each piece of paper of `layout`: one, and one more after each cut that something follows.
#[must_use]
pub fn render(layout: &Layout, font: &mut Font) -> Vec<Bitmap> {
    let width = usize::from(layout.dots);
    let mut sheets = Vec::new();
    let mut sheet = Bitmap::new(width, 0);
    for block in &layout.blocks {
        if matches!(block, Block::Cut(_)) {
            sheets.push(std::mem::replace(&mut sheet, Bitmap::new(width, 0)));
        } else {
            draw(&mut sheet, block, font);
        }
    }
    if sheet.height() > 0 {
        sheets.push(sheet);
    }
    sheets
}

/// Adds a block at the bottom of `sheet`; a cut and a drawer pulse leave no dots.
pub(crate) fn draw(sheet: &mut Bitmap, block: &Block, font: &mut Font) {
    let top = sheet.height();
    match block {
        Block::Line(line) => {
            sheet.grow(top + usize::from(line.pitch));
            draw_line(sheet, top, line, font);
        }
        Block::Space(dots) => sheet.grow(top + usize::from(*dots)),
        Block::Picture { left, bitmap } => {
            sheet.grow(top + bitmap.height());
            sheet.draw(*left, top, bitmap);
        }
        Block::Symbol { align, bitmap, .. } => {
            sheet.grow(top + bitmap.height());
            sheet.draw(left_of(*align, bitmap.width(), sheet.width()), top, bitmap);
        }
        Block::Cut(_) | Block::Drawer(_) => {}
    }
}

fn draw_line(sheet: &mut Bitmap, top: usize, line: &Line, font: &mut Font) {
    let mut x = left_of(line.align, line.width(), sheet.width());
    for glyph in &line.glyphs {
        // The layout asked the font for each of its characters.
        let Some(cell) = font.cell(glyph.character, glyph.wide) else { continue };
        x += draw_cell(sheet, x, top, cell, line.style);
    }
}

/// Draws a character cell with its top left corner at `(x, y)`, and returns its width in dots.
pub fn draw_cell(sheet: &mut Bitmap, x: usize, y: usize, cell: Cell, style: Style) -> usize {
    let (width, inside): (usize, u32) = if cell.wide { (24, 0xFFFF_FF00) } else { (12, 0xFFF0_0000) };
    let high = if style.double_height { 2 } else { 1 };
    for (index, row) in cell.rows.into_iter().enumerate() {
        let mut bits = row;
        if style.bold {
            bits |= row >> 1;
        }
        if style.underline && index == ROWS - 1 {
            bits = u32::MAX;
        }
        if style.inverted {
            bits = !bits;
        }
        bits &= inside;
        let bits = if style.double_width { doubled(bits) } else { u64::from(bits) << 32 };
        for copy in 0..high {
            sheet.or_row(x, y + index * high + copy, bits);
        }
    }
    if style.double_width { width * 2 } else { width }
}

/// Each bit twice.
fn doubled(bits: u32) -> u64 {
    let mut wide = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_FFFF_0000_FFFF_u64),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        wide = (wide | (wide << shift)) & mask;
    }
    wide | (wide << 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubling_repeats_each_bit() {
        assert_eq!(doubled(0x8000_0001), 0xC000_0000_0000_0003);
        assert_eq!(doubled(0b101), 0b11_0011);
        assert_eq!(doubled(u32::MAX), u64::MAX);
    }

    #[test]
    fn an_inverted_double_cell_covers_its_whole_area() {
        let style = Style { inverted: true, double_width: true, double_height: true, ..Style::default() };
        let mut sheet = Bitmap::new(48, 48);
        let blank = Cell { rows: [0; ROWS], wide: true };
        assert_eq!(draw_cell(&mut sheet, 0, 0, blank, style), 48);
        assert!(sheet.data().iter().all(|byte| *byte == 0xFF));
    }
}
