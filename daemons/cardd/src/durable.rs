//! Files that a power cut leaves as they were or as they are to be.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Puts a file with `content` in the place of `name` in `folder`: written beside it, synced, renamed. When this returns it is on
/// disk. One writer at a time for each name.
///
/// # Errors
/// What the system said. The file is then what it was, or already the new one: whether that outlives a power cut isn't known.
pub(crate) fn replace(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let draft = folder.join(format!("{name}.draft"));
    let mut file = File::create(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(name))?;
    File::open(folder)?.sync_all()
}
