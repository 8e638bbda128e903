//! `config/install.manifest`: what of ours is installed where, the same for this image and for the Yocto recipes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::table;

const FILE: &str = "config/install.manifest";

/// One file to install.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    mode: u32,
    source: Source,
    /// Absolute, in the image.
    destination: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// A program that was built.
    Program(String),
    /// A file of the workspace.
    File(PathBuf),
}

/// Installs all that the manifest of `workspace` lists below `root`; the programs come from `programs`.
pub(crate) fn install(workspace: &Path, programs: &Path, root: &Path) -> Result {
    let file = workspace.join(FILE);
    let text = fs::read_to_string(&file).map_err(Error::file(&file))?;
    for line in table::lines(&text) {
        let Some(entry) = parse(line).ok_or_else(|| Error::table(FILE, format!("`{line}` is no entry")))?
        else {
            continue;
        };
        let from = match &entry.source {
            Source::Program(name) => programs.join(name),
            Source::File(path) => workspace.join(path),
        };
        let to = root.join(entry.destination.strip_prefix("/").unwrap_or(&entry.destination));
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(Error::file(folder))?;
        }
        fs::copy(&from, &to).map_err(Error::file(&from))?;
        fs::set_permissions(&to, Permissions::from_mode(entry.mode)).map_err(Error::file(&to))?;
    }
    Ok(())
}

/// Reads a line; inside is nothing for a file that is not installed.
fn parse(line: &str) -> Option<Option<Entry>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_package, mode, source, destination] = words.as_slice() else { return None };
    if *destination == "-" {
        return Some(None);
    }
    Some(Some(Entry {
        mode: u32::from_str_radix(mode, 8).ok()?,
        source: match source.strip_prefix("bin:") {
            Some(name) => Source::Program(name.to_owned()),
            None => Source::File(source.into()),
        },
        destination: Some(PathBuf::from(destination)).filter(|path| path.is_absolute())?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_a_program_are_installed_with_their_modes() {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, programs, root) =
            (folder.path().join("workspace"), folder.path().join("programs"), folder.path().join("root"));
        for path in [workspace.join("config/hosts"), programs.clone(), root.clone()] {
            fs::create_dir_all(path).unwrap();
        }
        fs::write(workspace.join("config/hosts/a.toml"), "a").unwrap();
        fs::write(programs.join("daemon"), "d").unwrap();
        let manifest = "# remark\n\
            pkg  0755  bin:daemon           /usr/bin/daemon\n\
            pkg  0640  config/hosts/a.toml  /usr/lib/x/a.toml\n\
            -    -     config/README        -\n";
        fs::write(workspace.join(FILE), manifest).unwrap();
        install(&workspace, &programs, &root).unwrap();
        let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("usr/bin/daemon"), mode("usr/lib/x/a.toml")), (0o755, 0o640));
    }

    #[test]
    fn a_line_that_lacks_a_column_or_has_a_relative_destination_is_refused() {
        assert_eq!(parse("pkg 0644 config/a /etc/a").flatten().map(|entry| entry.mode), Some(0o644));
        for line in ["pkg 0644 config/a", "pkg 0689 config/a /etc/a", "pkg 0644 config/a etc/a"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
