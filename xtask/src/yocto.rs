//! The Yocto layers: what is generated for them, and what can be checked with and without a build environment.

mod crates;
mod files;
mod oe;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::cargo::{cargo, run, shown, workspace};
use crate::packages;

const RECIPE: &str = "yocto/meta-smartpos/recipes-smartpos/smartpos";

/// Rules of oelint that don't fit.
const NOT_FOR_US: &[&str] = &[
    // The include of crates is as bitbake writes it.
    "oelint.vars.inconspaces",
    // A package holds what the manifest says and nothing else.
    "oelint.var.filesoverride",
    // Recipes of the layer's own files, images and bundles have no remote licence and no source.
    "oelint.var.licenseremotefile",
    "oelint.var.mandatoryvar.SRC_URI",
    // A check must not need the network.
    "oelint.vars.homepageping",
];

/// `cargo xtask yocto …`.
pub(crate) fn command(arguments: &[&str]) -> Result {
    match arguments {
        [] => generate(),
        ["--check"] => check(),
        ["check", "--oe", folder] => oe::check(Path::new(folder)),
        _ => Err("`yocto` takes nothing, `--check`, or `check --oe DIR`".to_owned()),
    }
}

/// A file of the recipe that is made from another one.
struct Generated {
    path: PathBuf,
    text: String,
}

fn generated() -> Result<[Generated; 2]> {
    let root = workspace()?;
    let recipe = root.join(RECIPE);
    Ok([
        Generated {
            path: recipe.join("smartpos-crates.inc"),
            text: crates::include(&read(&root.join("Cargo.lock"))?)?,
        },
        Generated {
            path: recipe.join("smartpos-files.inc"),
            text: files::include(&read(&root.join("config/install.manifest"))?, &root)?,
        },
    ])
}

/// Writes what is generated.
fn generate() -> Result {
    for Generated { path, text } in generated()? {
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Everything that needs no build environment.
fn check() -> Result {
    for Generated { path, text } in generated()? {
        if read(&path)? != text {
            return Err(format!("{} is out of date; `cargo xtask yocto` writes it", path.display()));
        }
    }
    packages::for_yocto()?;
    // The recipe fetches every crate of the lock file, this build only those for its own platform.
    announced(&mut cargo(&["fetch", "--locked"])?)?;
    let tools = Tools::installed()?;
    announced(tools.python().arg("yocto/tests/layers.py"))?;
    announced(&mut tools.oelint()?)
}

/// The virtual environment with bitbake's parser, oelint and kas.
struct Tools {
    root: PathBuf,
    environment: PathBuf,
}

impl Tools {
    /// Installs what `yocto/tests/requirements.txt` lists, once for each text of that file.
    fn installed() -> Result<Tools> {
        let root = workspace()?;
        let environment = root.join("target/yocto-tools");
        let tools = Tools { root, environment };
        let list = tools.root.join("yocto/tests/requirements.txt");
        let wanted = read(&list)?;
        let stamp = tools.environment.join("installed.txt");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(tools);
        }
        let mut create = Command::new("python3");
        create.args(["-m", "venv", "--clear"]).arg(&tools.environment);
        announced(&mut create)?;
        let mut install = tools.python();
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        announced(install.arg(&list))?;
        fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
        Ok(tools)
    }

    fn python(&self) -> Command {
        let mut command = Command::new(self.environment.join("bin/python"));
        command.current_dir(&self.root);
        command
    }

    fn oelint(&self) -> Result<Command> {
        let mut command = Command::new(self.environment.join("bin/oelint-adv"));
        command.current_dir(&self.root).args(["--quiet", "--hide", "info", "--mode", "all"]);
        command.args(["--release", "wrynose", "--extra-layer", "rauc", "openembedded-layer"]);
        command.args(["--constantmods", "+yocto/tests/oelint-constants.json"]);
        command.args(NOT_FOR_US.iter().flat_map(|rule| ["--suppress", rule]));
        command.arg("--");
        let recipes = recipes(&self.root.join("yocto"))?;
        command.args(recipes.iter().map(|file| file.strip_prefix(&self.root).unwrap_or(file)));
        Ok(command)
    }
}

/// All recipes and appends below `folder`; the linter follows their includes.
fn recipes(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        if path.is_dir() {
            found.extend(recipes(&path)?);
        } else if path.extension().is_some_and(|end| end == "bb" || end == "bbappend") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Shows `command`, then runs it.
fn announced(command: &mut Command) -> Result {
    println!("$ {}", shown(command));
    run(command)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
