//! What an image was made of: so that nobody looks for a fault in one that is older than the sources.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// All that an image is made of, in the workspace.
const SOURCES: [&str; 8] = [
    "Cargo.toml",
    "Cargo.lock",
    "config",
    "crates",
    "daemons",
    "sim/qemu/board",
    "sim/qemu/image",
    "systemd",
];

/// The SHA-256 of each file, by its path in the workspace.
type Digests = BTreeMap<String, String>;

/// Writes to `list` what the files of `workspace` are now.
pub(crate) fn record(workspace: &Path, list: &Path) -> Result {
    let mut text = String::new();
    for (path, digest) in digests(workspace)? {
        let _ = writeln!(text, "{digest} {path}");
    }
    fs::write(list, text).map_err(Error::file(list))
}

/// The first file of `workspace` that is not what `list` says, if there is one.
pub(crate) fn changed(workspace: &Path, list: &Path) -> Result<Option<String>> {
    let Ok(text) = fs::read_to_string(list) else { return Ok(Some(list.display().to_string())) };
    let entry = |line: &str| line.split_once(' ').map(|(digest, path)| (path.to_owned(), digest.to_owned()));
    let then: Digests = text.lines().filter_map(entry).collect();
    let now = digests(workspace)?;
    let differs = |path: &&String| now.get(*path) != then.get(*path);
    Ok(now.keys().chain(then.keys()).find(differs).cloned())
}

fn digests(workspace: &Path) -> Result<Digests> {
    let mut digests = Digests::new();
    for source in SOURCES {
        add(&workspace.join(source), source, &mut digests)?;
    }
    Ok(digests)
}

fn add(file: &Path, name: &str, digests: &mut Digests) -> Result {
    if file.is_dir() {
        for entry in fs::read_dir(file).map_err(Error::file(file))? {
            let entry = entry.map_err(Error::file(file))?;
            add(&entry.path(), &format!("{name}/{}", entry.file_name().to_string_lossy()), digests)?;
        }
    } else {
        let content = fs::read(file).map_err(Error::file(file))?;
        digests.insert(name.to_owned(), hex::encode(Sha256::digest(content)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_appeared_or_went_since_the_image_was_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path();
        let list = workspace.join("list");
        let put = |name: &str, text: &str| {
            let file = workspace.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        for source in SOURCES {
            if source.starts_with("Cargo") { put(source, "") } else { put(&format!("{source}/file"), "") }
        }
        let changed = || changed(workspace, &list).unwrap();
        assert_eq!(changed(), Some(list.display().to_string()), "nobody knows what it was made of");
        record(workspace, &list).unwrap();
        assert_eq!(changed(), None);
        put("daemons/file", "other");
        assert_eq!(changed().as_deref(), Some("daemons/file"));
        put("daemons/file", "");
        put("systemd/new/file", "");
        assert_eq!(changed().as_deref(), Some("systemd/new/file"));
        record(workspace, &list).unwrap();
        fs::remove_file(workspace.join("systemd/new/file")).unwrap();
        assert_eq!(changed().as_deref(), Some("systemd/new/file"));
    }
}
