//! A code for the customer to scan, drawn with letters: two modules of the symbol on top of each other are one.

use qrcodegen::{QrCode, QrCodeEcc};

use crate::output;

/// Light modules around the symbol: ISO/IEC 18004 wants four, readers of screens need two.
const QUIET: i32 = 2;

/// Shows `code`, unless it is empty or was `shown` before, on stderr: stdout is for the result. Returns what is shown now.
pub(crate) fn show(code: &str, shown: &str) -> String {
    if code.is_empty() || code == shown {
        return shown.to_owned();
    }
    // The text, too: not every terminal shows blocks, and not everybody who reads this is a camera.
    output::note(&match draw(code) {
        Some(symbol) => format!("{symbol}\n{code}"),
        None => code.to_owned(),
    });
    code.to_owned()
}

/// Light on dark, as most terminals are; `None` for a text that is too long for a symbol.
fn draw(text: &str) -> Option<String> {
    let symbol = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let end = symbol.size().saturating_add(QUIET);
    let is_light = |x: i32, y: i32| y < end && !symbol.get_module(x, y);
    let places = || QUIET.saturating_neg()..end;
    let line = |y: i32| {
        let letter = |x: i32| match (is_light(x, y), is_light(x, y.saturating_add(1))) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        };
        places().map(letter).collect::<String>()
    };
    Some(places().step_by(2).map(line).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_has_its_finder_pattern_within_a_light_border() {
        let drawn = draw("smartpos").unwrap();
        let lines: Vec<&str> = drawn.lines().collect();
        // Version 1 has 21 modules a side.
        assert_eq!(lines.len(), 13);
        assert!(lines.iter().all(|line| line.chars().count() == 25));
        assert_eq!(lines[0], "█".repeat(25));
        // Seven dark modules, then the dark ring with the light one inside of it.
        assert!(lines[1].starts_with("██ ▄▄▄▄▄ █"), "{drawn}");
    }

    #[test]
    fn a_text_that_no_symbol_holds_is_left_to_be_shown_as_text() {
        assert_eq!(draw(&"a".repeat(4000)), None);
    }
}
