//! The checks that need bitbake and the layers below ours: `cargo xtask yocto check --oe DIR`.
//!
//! Takes an hour, most of it for yocto-check-layer; needs no network, and no sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::announced;
use crate::Result;
use crate::cargo::workspace;

/// What has to be in the folder, at the branches of `yocto/kas/base.yml`.
const NEEDED: &[&str] = &["bitbake", "openembedded-core", "meta-openembedded", "meta-rauc"];

const MACHINES: &[&str] = &["smartpos-qemuarm64", "smartpos-qemuarm"];

const LAYERS: &[&str] = &["meta-smartpos", "meta-smartpos-bsp", "meta-smartpos-distro"];

/// Parses everything for both machines, makes the task graphs of what is sold, and runs yocto-check-layer.
pub(super) fn check(folder: &Path) -> Result {
    let oe = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    if let Some(missing) = NEEDED.iter().find(|name| !oe.join(name).is_dir()) {
        return Err(format!("{} has no folder {missing}; it needs {}", oe.display(), NEEDED.join(", ")));
    }
    let build = Build::new(oe)?;
    for machine in MACHINES {
        announced(build.tool("bitbake", machine).arg("--parse-only"))?;
        announced(build.tool("bitbake", machine).args(["--graphviz", "smartpos-bundle", "smartpos-disk"]))?;
    }
    for layer in LAYERS {
        let mut command = build.tool("yocto-check-layer", "qemuarm64");
        command.args(["--no-auto-dependency", "--machines", "qemuarm64", "--dependency"]);
        command
            .args(build.below())
            .args(LAYERS.iter().filter(|other| *other != layer).map(|name| build.ours(name)));
        announced(command.arg("--").arg(build.ours(layer)))?;
    }
    Ok(())
}

/// A build folder below `target/`.
struct Build {
    oe: PathBuf,
    root: PathBuf,
    folder: PathBuf,
}

impl Build {
    fn new(oe: PathBuf) -> Result<Build> {
        let root = workspace()?;
        let build = Build { oe, folder: root.join("target/yocto-build"), root };
        build.write("conf/bblayers.conf", &build.layers_conf())?;
        build.write(
            "conf/local.conf",
            "MACHINE ??= \"smartpos-qemuarm64\"\nDISTRO ?= \"smartpos-linux\"\nCONF_VERSION = \"2\"\n\
             BB_NO_NETWORK = \"1\"\nCONNECTIVITY_CHECK_URIS = \"\"\n",
        )?;
        Ok(build)
    }

    fn layers_conf(&self) -> String {
        let layers: String = std::iter::once(self.oe.join("openembedded-core/meta"))
            .chain(self.below())
            .chain(LAYERS.iter().map(|layer| self.ours(layer)))
            .map(|layer| format!(" {}", layer.display()))
            .collect();
        format!("BBPATH = \"${{TOPDIR}}\"\nBBFILES ?= \"\"\nBBLAYERS = \"{}\"\n", layers.trim_start())
    }

    fn below(&self) -> [PathBuf; 2] {
        [self.oe.join("meta-openembedded/meta-oe"), self.oe.join("meta-rauc")]
    }

    fn ours(&self, layer: &str) -> PathBuf {
        self.root.join("yocto").join(layer)
    }

    fn write(&self, file: &str, text: &str) -> Result {
        let path = self.folder.join(file);
        let parent = path.parent().ok_or_else(|| format!("{} has no folder", path.display()))?;
        fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// `name` of bitbake or openembedded-core, in the build folder.
    fn tool(&self, name: &str, machine: &str) -> Command {
        let folders = ["openembedded-core/scripts", "bitbake/bin"].map(|folder| self.oe.join(folder));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let search: Vec<PathBuf> = folders.into_iter().chain(std::env::split_paths(&path)).collect();
        let mut command = Command::new("env");
        // `env` looks the program up on the new PATH.
        command.arg(name).current_dir(&self.folder);
        if let Ok(joined) = std::env::join_paths(search) {
            command.env("PATH", joined);
        }
        command.env("BUILDDIR", &self.folder).env("MACHINE", machine).env("LC_ALL", "en_US.UTF-8");
        command.env("BB_ENV_PASSTHROUGH_ADDITIONS", "MACHINE");
        command
    }
}
