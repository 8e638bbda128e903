//! Writing to stdout and stderr without failing when nobody reads.

use std::io::{self, ErrorKind, IsTerminal, Write};

use crate::error::Error;

/// Writes `text` and a line end to stdout.
pub(crate) fn line(text: &str) -> Result<(), Error> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes `data` to stdout. A reader that has gone, such as `head`, has seen what it wanted.
pub(crate) fn bytes(data: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout();
    match stdout.write_all(data).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::File(format!("stdout: {error}"))),
        _ => Ok(()),
    }
}

/// Writes `text` and a line end to stderr.
pub(crate) fn note(text: &str) {
    // There is nobody to tell that this failed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Tells how far it is, if a person looks.
pub(crate) fn progress(text: &str) {
    if io::stderr().is_terminal() {
        note(text);
    }
}

/// Rows of cells as lines whose columns stand under each other.
pub(crate) fn table<const COLUMNS: usize>(rows: Vec<[String; COLUMNS]>) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
