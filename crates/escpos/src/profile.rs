//! What a printer can do: data, not code. A board's profile is a TOML file; `config/printers` has samples.

use serde::{Deserialize, Serialize};

use crate::Error;

/// The width of a half-width character cell in dots; a full-width one is twice as wide.
pub const CELL_WIDTH: u16 = 12;
/// The height of a character cell in dots.
pub const CELL_HEIGHT: u16 = 24;

/// A printer's abilities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// For a person.
    pub name: String,
    /// Dots across the paper, a multiple of 24: 384 for most 58 mm printers, 576 for most of 80 mm.
    pub dots: u16,
    /// Who draws text. If it is the terminal, it draws symbols too.
    pub text: DrawnBy,
    /// The characters that the printer draws.
    #[serde(default)]
    pub encoding: Encoding,
    /// For `windows-1252`: the number by which `ESC t` selects it.
    #[serde(default)]
    pub code_page: u8,
    /// Who draws QR codes.
    pub qr: DrawnBy,
    /// Who draws bar codes.
    pub barcode: DrawnBy,
    /// The cutter.
    pub cutter: Cutter,
    /// Dots fed where a cut is asked for and there is no cutter: from the head to the tear bar.
    #[serde(default)]
    pub tear_feed: u16,
    /// From one line of text to the next in dots, 24 to 100.
    #[serde(default = "line_spacing")]
    pub line_spacing: u8,
    /// The most rows sent in one `GS v 0`, 8 to 2047: as many as the printer's buffer holds.
    #[serde(default = "band_rows")]
    pub band_rows: u16,
    /// Print density, -6 to 6, for printers that know `GS ( K` function 49; none sends nothing.
    #[serde(default)]
    pub density: Option<i8>,
}

/// Who draws a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrawnBy {
    /// The printer, with its ROM.
    Printer,
    /// The terminal, as dots.
    Raster,
}

/// The characters of a printer's ROM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// ASCII in half width, all else as two bytes in full width (`FS &`). Forms of four bytes are not in ROMs.
    #[default]
    Gb18030,
    /// Western European, one byte each.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

/// What cuts the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cutter {
    /// A tear bar.
    None,
    /// A cutter that leaves one point.
    Partial,
    /// A cutter that does both.
    Full,
}

impl Profile {
    /// How many half-width characters fit on a line.
    #[must_use]
    pub fn columns(&self) -> u16 {
        self.dots / CELL_WIDTH
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Profile`] names the field.
    pub fn check(&self) -> Result<(), Error> {
        let printer_symbols = self.qr == DrawnBy::Printer || self.barcode == DrawnBy::Printer;
        let faults = [
            (
                (192..=1152).contains(&self.dots) && self.dots.is_multiple_of(24),
                "dots",
                "is 192 to 1152, in steps of 24",
            ),
            (
                !(self.text == DrawnBy::Raster && printer_symbols),
                "text",
                "is `raster`: let `qr` and `barcode` be `raster` too",
            ),
            ((24..=100).contains(&self.line_spacing), "line_spacing", "is 24 to 100"),
            ((8..=2047).contains(&self.band_rows), "band_rows", "is 8 to 2047"),
            (self.tear_feed <= 400, "tear_feed", "is at most 400"),
            (self.density.is_none_or(|density| (-6..=6).contains(&density)), "density", "is -6 to 6"),
        ];
        match faults.into_iter().find(|(right, ..)| !right) {
            Some((_, field, reason)) => Err(Error::Profile { field, reason }),
            None => Ok(()),
        }
    }
}

fn line_spacing() -> u8 {
    30
}

fn band_rows() -> u16 {
    240
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_profile_is_right() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/printers");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let profile: Profile = toml::from_str(&text).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            assert_eq!(profile.check(), Ok(()), "{path:?}");
            count += 1;
        }
        assert!(count >= 5);
    }

    #[test]
    fn a_raster_printer_is_not_asked_to_draw_symbols() {
        let text = "name='x'\ndots=384\ntext='raster'\nqr='printer'\nbarcode='raster'\ncutter='none'";
        let profile: Profile = toml::from_str(text).unwrap();
        assert!(matches!(profile.check(), Err(Error::Profile { field: "text", .. })));
    }
}
