//! Dots on paper: one bit each, 1 is black, rows padded to bytes, as `GS v 0` sends them.

use crate::Error;

/// A black and white picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    width: usize,
    stride: usize,
    data: Vec<u8>,
}

impl Bitmap {
    /// White paper of `width` × `height` dots; a width of 0 counts as 1.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Bitmap {
        let width = width.max(1);
        let stride = width.div_ceil(8);
        Bitmap { width, stride, data: vec![0; stride * height] }
    }

    /// The width in dots.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The height in dots.
    #[must_use]
    pub fn height(&self) -> usize {
        self.data.len() / self.stride
    }

    /// The bytes of one row.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// All rows, from the top.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Whether the dot is black; outside of the picture nothing is.
    #[must_use]
    pub fn get(&self, x: usize, y: usize) -> bool {
        x < self.width
            && self.data.get(y * self.stride + x / 8).is_some_and(|byte| byte & (0x80 >> (x % 8)) != 0)
    }

    /// Makes a dot black; outside of the picture nothing happens.
    pub fn set(&mut self, x: usize, y: usize) {
        if x < self.width
            && let Some(byte) = self.data.get_mut(y * self.stride + x / 8)
        {
            *byte |= 0x80 >> (x % 8);
        }
    }

    /// Adds white rows until the picture is `height` high.
    pub fn grow(&mut self, height: usize) {
        if height > self.height() {
            self.data.resize(height * self.stride, 0);
        }
    }

    /// Blackens the dots of `bits` (the highest bit is the leftmost) from `(x, y)` to the right.
    pub fn or_row(&mut self, x: usize, y: usize, bits: u64) {
        let start = (y * self.stride + (x / 8).min(self.stride)).min(self.data.len());
        let end = ((y + 1) * self.stride).min(self.data.len());
        let bytes = ((u128::from(bits) << 64) >> (x % 8)).to_be_bytes();
        for (byte, more) in self.data.get_mut(start..end).into_iter().flatten().zip(bytes) {
            *byte |= more;
        }
    }

    /// Blackens the dots of `bytes` in row `y`, from the left edge.
    pub fn or_bytes(&mut self, y: usize, bytes: &[u8]) {
        let row = self.data.chunks_mut(self.stride).nth(y);
        row.into_iter().flatten().zip(bytes).for_each(|(byte, more)| *byte |= more);
    }

    /// Blackens the dots of `other` with its top left corner at `(x, y)`; what sticks out is lost.
    pub fn draw(&mut self, x: usize, y: usize, other: &Bitmap) {
        for (row, bytes) in other.data.chunks(other.stride).enumerate() {
            for (part, eight) in bytes.chunks(8).enumerate() {
                let mut padded = [0; 8];
                padded.iter_mut().zip(eight).for_each(|(to, from)| *to = *from);
                self.or_row(x + part * 64, y + row, u64::from_be_bytes(padded));
            }
        }
    }

    /// The same picture with each dot `factor` × `factor` large.
    #[must_use]
    pub fn enlarged(&self, factor: usize) -> Bitmap {
        let mut large = Bitmap::new(self.width * factor, self.height() * factor);
        for y in 0..large.height() {
            for x in 0..large.width {
                if self.get(x / factor.max(1), y / factor.max(1)) {
                    large.set(x, y);
                }
            }
        }
        large
    }

    /// Pieces of paper below each other, a dashed line between them where they were cut.
    #[must_use]
    pub fn stacked(sheets: &[Bitmap]) -> Bitmap {
        const GAP: usize = 16;
        let width = sheets.iter().map(Bitmap::width).max().unwrap_or(1);
        let mut all = Bitmap::new(width, 0);
        for (index, sheet) in sheets.iter().enumerate() {
            if index > 0 {
                let top = all.height();
                all.grow(top + GAP);
                (0..width).filter(|x| x % 12 < 6).for_each(|x| all.set(x, top + GAP / 2));
            }
            let top = all.height();
            all.grow(top + sheet.height());
            all.draw(0, top, sheet);
        }
        all
    }

    /// The picture as a PNG of one bit a pixel.
    ///
    /// # Errors
    /// [`Error::Png`] for a picture without rows.
    pub fn to_png(&self) -> Result<Vec<u8>, Error> {
        let size = |dots: usize| u32::try_from(dots).map_err(|error| Error::Png(error.to_string()));
        let failed = |error: png::EncodingError| Error::Png(error.to_string());
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, size(self.width)?, size(self.height())?);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut writer = encoder.write_header().map_err(failed)?;
        // PNG's 1 is white.
        let inverted: Vec<u8> = self.data.iter().map(|byte| !byte).collect();
        writer.write_image_data(&inverted).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_at_any_offset_moves_each_dot() {
        let mut stamp = Bitmap::new(70, 2);
        for x in [0, 7, 8, 63, 64, 69] {
            stamp.set(x, 1);
        }
        for offset in 0..20 {
            let mut paper = Bitmap::new(100, 4);
            paper.draw(offset, 1, &stamp);
            let black: Vec<usize> = (0..100).filter(|x| paper.get(*x, 2)).collect();
            assert_eq!(black, [0, 7, 8, 63, 64, 69].map(|x| x + offset));
            assert!((0..100).all(|x| !paper.get(x, 1) && !paper.get(x, 3)));
        }
    }

    #[test]
    fn what_sticks_out_is_lost_and_does_not_wrap() {
        let mut stamp = Bitmap::new(64, 3);
        (0..64).for_each(|x| stamp.set(x, 0));
        let mut paper = Bitmap::new(24, 2);
        paper.draw(16, 0, &stamp);
        paper.draw(400, 1, &stamp);
        paper.draw(0, 9, &stamp);
        assert_eq!(paper.data(), [0, 0, 0xFF, 0, 0, 0]);
    }
}
