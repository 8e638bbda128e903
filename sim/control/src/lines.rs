//! Records that outlive a part: a file with one JSON value on each line, only ever added to.
//!
//! A line is written before [`Lines::append`] returns: it outlives this process, and is not forced to the disk, since nobody
//! cuts this part's power. A last line that was cut off by a crash is dropped: nobody was told of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The file, open at its end.
#[derive(Debug)]
pub struct Lines {
    file: File,
}

impl Lines {
    /// Opens or makes the file at `path`; returns it with what it holds.
    ///
    /// # Errors
    /// What the file system says, and `InvalidData` for a whole line that is no such value.
    pub fn open<T: DeserializeOwned>(path: &Path) -> io::Result<(Lines, Vec<T>)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let (lines, _cut_off) = text.split_at(whole);
        file.set_len(u64::try_from(whole).map_err(io::Error::other)?)?;
        file.seek(SeekFrom::End(0))?;
        let values = (1..).zip(lines.lines()).map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| {
                let hint = "if another version wrote it, remove it and the terminal's records to begin anew";
                let message = format!("{}:{number}: no ledger entry: {error}; {hint}", path.display());
                io::Error::new(io::ErrorKind::InvalidData, message)
            })
        });
        let values = values.collect::<io::Result<Vec<T>>>()?;
        Ok((Lines { file }, values))
    }

    /// Adds a line for each of `values`, or none.
    ///
    /// # Errors
    /// What the file system says; nothing was added then.
    pub fn append<T: Serialize>(&mut self, values: &[T]) -> io::Result<()> {
        let mut lines = Vec::new();
        for value in values {
            serde_json::to_writer(&mut lines, value)?;
            lines.push(b'\n');
        }
        let before = self.file.stream_position()?;
        if let Err(error) = self.file.write_all(&lines) {
            // Half a line would make the next one unreadable.
            self.file.set_len(before)?;
            self.file.seek(SeekFrom::Start(before))?;
            return Err(error);
        }
        Ok(())
    }
}
