//! The kernel and its modules: Debian's has 3700, a terminal needs a few and what they need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::{table, tool};

const MODULES: &str = include_str!("../../image/modules.txt");

/// The modules of a kernel that is unpacked below a root.
#[derive(Debug)]
pub(crate) struct Modules {
    folder: PathBuf,
    version: String,
    dependencies: BTreeMap<String, Vec<String>>,
}

impl Modules {
    /// Reads what depends on what in the one kernel below `root`.
    pub(crate) fn read(root: &Path) -> Result<Modules> {
        let all = root.join("usr/lib/modules");
        let version = only_entry(&all)?;
        tool::run(Command::new("depmod").arg("--basedir").arg(root).arg(&version))?;
        let folder = all.join(&version);
        let file = folder.join("modules.dep");
        let text = fs::read_to_string(&file).map_err(Error::file(&file))?;
        Ok(Modules { folder, version, dependencies: dependencies(&text) })
    }

    /// The kernel itself, where its package put it below `root`.
    pub(crate) fn kernel(&self, root: &Path) -> PathBuf {
        root.join(format!("boot/vmlinuz-{}", self.version))
    }

    /// The files of the first block of the table, in the order in which they can be loaded.
    pub(crate) fn for_initrd(&self) -> Result<Vec<PathBuf>> {
        let first = MODULES.split("\n\n").next().unwrap_or_default();
        let paths = self.closure(table::lines(first))?;
        Ok(paths.into_iter().map(|path| self.folder.join(path)).collect())
    }

    /// Removes what the table does not need.
    pub(crate) fn prune(&self, root: &Path) -> Result {
        let kept: BTreeSet<&str> = self.closure(table::lines(MODULES))?.into_iter().collect();
        for path in self.dependencies.keys().filter(|path| !kept.contains(path.as_str())) {
            let file = self.folder.join(path);
            fs::remove_file(&file).map_err(Error::file(&file))?;
        }
        tool::run(Command::new("depmod").arg("--basedir").arg(root).arg(&self.version))
    }

    /// The paths of `names` and of all that they need, each after what it needs.
    fn closure<'a>(&'a self, names: impl Iterator<Item = &'a str>) -> Result<Vec<&'a str>> {
        let mut ordered = Vec::new();
        for name in names {
            let path = self.dependencies.keys().find(|path| is_called(path, name));
            let path = path.ok_or_else(|| {
                Error::table("modules.txt", format!("kernel {} has no module `{name}`", self.version))
            })?;
            // modules.dep lists the whole closure, those first that depend on the ones behind them.
            let needed = self.dependencies.get(path).into_iter().flatten().rev();
            for path in needed.chain([path]) {
                if !ordered.contains(&path.as_str()) {
                    ordered.push(path.as_str());
                }
            }
        }
        Ok(ordered)
    }
}

/// Lines of `path: path path…`.
fn dependencies(text: &str) -> BTreeMap<String, Vec<String>> {
    let line = |line: &str| {
        let (path, needed) = line.split_once(':')?;
        Some((path.to_owned(), needed.split_whitespace().map(str::to_owned).collect()))
    };
    text.lines().filter_map(line).collect()
}

fn is_called(path: &str, name: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.strip_suffix(".ko") == Some(name)
}

fn only_entry(folder: &Path) -> Result<String> {
    let entries = fs::read_dir(folder).map_err(Error::file(folder))?;
    let names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    match names.as_slice() {
        [name] => Ok(name.clone()),
        _ => {
            Err(Error::table(folder.display().to_string(), format!("one kernel is expected, not {names:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Modules {
        let dep = "kernel/fs/ext4.ko: kernel/fs/jbd2.ko kernel/lib/crc16.ko\n\
            kernel/fs/jbd2.ko: kernel/lib/crc16.ko\n\
            kernel/lib/crc16.ko:\n\
            kernel/net/other.ko:\n";
        Modules { folder: "/modules".into(), version: "6.1".into(), dependencies: dependencies(dep) }
    }

    #[test]
    fn a_module_comes_once_and_after_all_that_it_needs() {
        let modules = modules();
        let order = modules.closure(["ext4", "jbd2"].into_iter()).unwrap();
        assert_eq!(order, ["kernel/lib/crc16.ko", "kernel/fs/jbd2.ko", "kernel/fs/ext4.ko"]);
    }

    #[test]
    fn a_module_that_the_kernel_does_not_have_is_named() {
        let error = modules().closure(["ext5"].into_iter()).unwrap_err();
        assert!(error.to_string().contains("`ext5`"), "{error}");
    }
}
