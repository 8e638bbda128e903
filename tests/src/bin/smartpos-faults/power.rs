//! A power cut of a daemon's folder: what the daemon did not make durable is lost, or torn.
//!
//! The kernel keeps what a killed process wrote. So the files are made anew from a copy of before: all that was synced,
//! and of the rest what a seed lets survive, in sectors of 512 bytes and in no order.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::dice::Dice;
use crate::tracer::{Call, Trace};

const SECTOR: usize = 512;

/// The files of a folder, as they are on its disk.
pub(crate) struct Disk {
    folder: PathBuf,
    files: HashMap<PathBuf, Vec<u8>>,
}

impl Disk {
    /// Remembers `folder`, while nothing that it holds is unsynced.
    pub(crate) fn remember(folder: &Path) -> Result<Disk, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        let mut files = HashMap::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_file() {
                files.insert(path.clone(), fs::read(&path).map_err(failed)?);
            }
        }
        Ok(Disk { folder: folder.to_owned(), files })
    }

    /// Leaves in the folder what survives when the power goes after `trace`; returns how many writes were in danger.
    pub(crate) fn cut(mut self, trace: &Trace, seed: u64) -> Result<usize, String> {
        let mut dice = Dice(seed);
        let mut unsynced: Vec<(PathBuf, usize, Vec<u8>)> = Vec::new();
        for call in trace.calls(&self.folder) {
            match call {
                Call::Write { file, offset, bytes } => unsynced.push((file, offset, bytes)),
                Call::Sync { file } => {
                    for (file, offset, bytes) in unsynced.extract_if(.., |(written, ..)| *written == file) {
                        self.write(&file, offset, &bytes);
                    }
                }
            }
        }
        let count = unsynced.len();
        for (file, offset, bytes) in unsynced {
            let fate = dice.below(3);
            for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                // Lost, kept, or torn.
                if fate == 1 || (fate == 2 && dice.below(2) == 0) {
                    self.write(&file, offset + index * SECTOR, sector);
                }
            }
        }
        for (path, bytes) in &self.files {
            // The shared memory of SQLite is no file to rely on, and not there after a start.
            let is_memory = path.extension().is_some_and(|extension| extension == "sqlite-shm");
            let done = if is_memory { fs::remove_file(path) } else { fs::write(path, bytes) };
            done.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(count)
    }

    fn write(&mut self, file: &Path, offset: usize, bytes: &[u8]) {
        let content = self.files.entry(file.to_owned()).or_default();
        let end = offset + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        if let Some(place) = content.get_mut(offset..end) {
            place.copy_from_slice(bytes);
        }
    }
}
