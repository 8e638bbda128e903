//! `image` and `qemu`: the programs for ARM, and the machine that runs them.

use crate::Result;
use crate::arm::{self, Arch};
use crate::packages;
use crate::terminal;

/// `cargo xtask image`: builds for ARM and shows what it weighs; for aarch64 it makes the disk, too.
pub(crate) fn image(arguments: &[&str]) -> Result {
    let arch = match arguments {
        [] => Arch::Aarch64,
        ["--arch", name] => Arch::named(name)?,
        _ => return Err("`image` takes nothing but `--arch aarch64` or `--arch armv7`".to_owned()),
    };
    if arch == Arch::Armv7 {
        return arm::try_armv7(&arm::build(arch)?);
    }
    if !packages::is_root()? {
        return Err(
            "making an image takes root, because its files belong to several users: use sudo".to_owned()
        );
    }
    packages::for_image()?;
    let programs = arm::build(arch)?;
    let programs = programs.to_str().ok_or("the workspace's path is not text")?;
    terminal::qemu(&["image", programs])
}

/// `cargo xtask qemu …`: `up`, `down`, `console`, `test`, `power`.
pub(crate) fn qemu(arguments: &[&str]) -> Result {
    if let ["up" | "test" | "power", ..] = arguments {
        packages::for_qemu()?;
    }
    terminal::qemu(arguments)
}
