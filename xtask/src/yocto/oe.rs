//! The checks that need bitbake and the layers below ours: `cargo xtask yocto check --oe DIR`.
//!
//! Takes hours, most of it for yocto-check-layer; needs no network, and no sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::announced;
use crate::Result;
use crate::cargo::workspace;
use crate::packages::is_root;

/// What has to be in the folder, at the commits of `yocto/kas/base.yml`.
const NEEDED: &[&str] = &["bitbake", "openembedded-core", "meta-openembedded", "meta-rauc"];

/// A machine of ours, and the one of openembedded-core that it is made of.
const MACHINES: &[(&str, &str)] = &[("smartpos-qemuarm64", "qemuarm64"), ("smartpos-qemuarm", "qemuarm")];

const TARGETS: &[&str] = &["smartpos-bundle", "smartpos-disk", "smartpos-image", "smartpos-image-dev"];

const SOFTWARE: &str = "meta-smartpos";
const BSP: &str = "meta-smartpos-bsp";
const DISTRO: &str = "meta-smartpos-distro";

/// Parses everything for both machines, makes the task graphs of what is sold, and runs yocto-check-layer.
pub(super) fn check(folder: &Path) -> Result {
    let oe = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    if let Some(missing) = NEEDED.iter().find(|name| !oe.join(name).is_dir()) {
        return Err(format!("{} has no folder {missing}; it needs {}", oe.display(), NEEDED.join(", ")));
    }
    if is_root()? {
        return Err("bitbake does not run as root; call this as a user who may write to target/".to_owned());
    }
    let layers = Layers { oe, root: workspace()? };

    let image = Build::new(&layers, "image", &layers.all(), "DISTRO = \"smartpos-linux\"\n")?;
    for (machine, _) in MACHINES {
        announced(image.tool("bitbake", machine).arg("--parse-only"))?;
        announced(image.tool("bitbake", machine).arg("--graphviz").args(TARGETS))?;
    }

    // The layer that is checked must not be there yet, nor the distribution: a layer alone changes nothing.
    let bare = Build::new(&layers, "layers", &[layers.core()], "")?;
    for (_, machine) in MACHINES {
        for layer in [SOFTWARE, DISTRO] {
            announced(&mut bare.layer_check(&layers, layer, machine, &[machine]))?;
        }
    }
    let ours: Vec<&str> = MACHINES.iter().map(|(machine, _)| *machine).collect();
    announced(&mut bare.layer_check(&layers, BSP, "qemuarm64", &ours))
}

/// Where the layers are.
struct Layers {
    oe: PathBuf,
    root: PathBuf,
}

impl Layers {
    fn core(&self) -> PathBuf {
        self.oe.join("openembedded-core/meta")
    }

    fn below(&self) -> [PathBuf; 2] {
        [self.oe.join("meta-openembedded/meta-oe"), self.oe.join("meta-rauc")]
    }

    fn ours(&self, layer: &str) -> PathBuf {
        self.root.join("yocto").join(layer)
    }

    fn all(&self) -> Vec<PathBuf> {
        let ours = [SOFTWARE, BSP, DISTRO].map(|layer| self.ours(layer));
        std::iter::once(self.core()).chain(self.below()).chain(ours).collect()
    }
}

/// A build folder below `target/yocto-build`.
struct Build {
    folder: PathBuf,
    /// Where bitbake's programs and openembedded-core's are.
    programs: [PathBuf; 2],
}

impl Build {
    fn new(layers: &Layers, name: &str, paths: &[PathBuf], distro: &str) -> Result<Build> {
        let build = Build {
            folder: layers.root.join("target/yocto-build").join(name),
            programs: ["openembedded-core/scripts", "bitbake/bin"].map(|folder| layers.oe.join(folder)),
        };
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        build.write(
            "conf/bblayers.conf",
            &format!("BBPATH = \"${{TOPDIR}}\"\nBBFILES ?= \"\"\nBBLAYERS = \"{}\"\n", paths.join(" ")),
        )?;
        let local = "CONF_VERSION = \"2\"\nBB_NO_NETWORK = \"1\"\nCONNECTIVITY_CHECK_URIS = \"\"\n";
        build.write("conf/local.conf", &format!("{local}{distro}"))?;
        Ok(build)
    }

    fn write(&self, file: &str, text: &str) -> Result {
        let path = self.folder.join(file);
        let parent = path.parent().ok_or_else(|| format!("{} has no folder", path.display()))?;
        fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// yocto-check-layer of `layer`, in a build for `machine`; a layer of machines is tried with each of `machines`.
    fn layer_check(&self, layers: &Layers, layer: &str, machine: &str, machines: &[&str]) -> Command {
        let mut command = self.tool("yocto-check-layer", machine);
        command.args(["--no-auto-dependency", "--machines"]).args(machines);
        // Of these it takes what the layer says that it depends on.
        command.arg("--dependency").args(layers.below());
        if layer != SOFTWARE {
            command.arg(layers.ours(SOFTWARE));
        }
        command.arg("--").arg(layers.ours(layer));
        command
    }

    /// `name` of bitbake or openembedded-core, in the build folder.
    fn tool(&self, name: &str, machine: &str) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let search = self.programs.iter().cloned().chain(std::env::split_paths(&path));
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
