//! The Debian part of the image: packages fetched and unpacked by mmdebstrap, with nothing of theirs executed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};
use crate::{table, tool};

const PACKAGES: &str = include_str!("../../image/packages.txt");

/// Debian moves `/bin` and its like below `/usr`; before trixie that is for who unpacks to do.
const MERGED_USR: &str = "/usr/share/mmdebstrap/hooks/merged-usr";

/// What of the packages a terminal has no use for.
const LEFT_OUT: &[&str] =
    &["./dev/*", "./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*", "./usr/lib/linux-image-*"];

/// Makes `archive`, a tar of the packages, unless it is there and was made of the same list.
pub(crate) fn fetch(archive: &Path) -> Result {
    let stamp = archive.with_extension("txt");
    if archive.exists() && fs::read_to_string(&stamp).is_ok_and(|text| text == PACKAGES) {
        return Ok(());
    }
    let sources = sources()?;
    let suite = sources.first().map(|source| source.suite.clone()).ok_or_else(|| {
        Error::table("apt's sources", "none of Debian for arm64; `cargo xtask image` adds the architecture")
    })?;
    let names: Vec<&str> = table::lines(PACKAGES).collect();
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=extract", "--architectures=arm64"]);
    command.arg(format!("--include={}", names.join(",")));
    command.arg(format!("--hook-dir={MERGED_USR}"));
    command.arg(suite).arg(archive).args(sources.iter().map(Source::line));
    tool::run(&mut command)?;
    fs::write(&stamp, PACKAGES).map_err(Error::file(&stamp))
}

/// Unpacks `archive` into `root`.
pub(crate) fn unpack(archive: &Path, root: &Path) -> Result {
    let mut command = Command::new("tar");
    command.args(["--extract", "--numeric-owner", "--same-permissions"]);
    command.args(LEFT_OUT.iter().map(|pattern| format!("--exclude={pattern}")));
    command.arg("--file").arg(archive).arg("--directory").arg(root);
    tool::run(&mut command)
}

/// A place where packages come from.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    address: String,
    suite: String,
    component: String,
}

impl Source {
    fn line(&self) -> String {
        format!("deb {} {} {}", self.address, self.suite, self.component)
    }
}

/// Where the machine itself has Debian's packages from.
fn sources() -> Result<Vec<Source>> {
    let targets = tool::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN) $(REPO_URI) $(CODENAME) $(COMPONENT)",
        "Created-By: Packages",
        "Architecture: arm64",
    ]))?;
    let mut sources: Vec<Source> = targets.lines().filter_map(source).collect();
    // The first one names the suite: `bookworm`, not `bookworm-updates`.
    sources.sort_by_key(|source| source.suite.len());
    Ok(sources)
}

fn source(line: &str) -> Option<Source> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["Debian", address, suite, component] = words.as_slice() else { return None };
    Some(Source {
        address: (*address).to_owned(),
        suite: (*suite).to_owned(),
        component: (*component).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sources_of_debian_are_used() {
        let found = source("Debian http://mirror.example/debian/ bookworm main").unwrap();
        assert_eq!(found.line(), "deb http://mirror.example/debian/ bookworm main");
        assert_eq!(source("Vendor https://vendor.example/apt stable main"), None);
    }
}
