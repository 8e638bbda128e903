//! `image` and `qemu`: the programs for ARM, and the machine that runs them.
//!
//! rustup's toolchain has no ARM target. Debian's has; the libraries of the two don't mix, so that the whole ARM
//! build is by Debian's, in a target folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::cargo::{run, shown, workspace};
use crate::packages;
use crate::terminal;

/// The target triple of Rust; Debian's packages call it arm64.
const TARGET: &str = "aarch64-unknown-linux-gnu";

/// The programs that a terminal runs; each is a package of the workspace, too.
const PROGRAMS: [&str; 4] = ["smartpos-cardd", "smartpos-paymentd", "smartpos-printerd", "posctl"];

/// All programs together must stay below this, in bytes.
const SIZE_LIMIT: u64 = 25_000_000;

/// `cargo xtask image`: builds for ARM, shows what it weighs, and makes the disk.
pub(crate) fn image(arguments: &[&str]) -> Result {
    match arguments {
        [] | ["--arch", "aarch64"] => {}
        ["--arch", "armv7"] => {
            return Err(
                "armv7 is not done yet: its standard library would have to be built from source; use aarch64"
                    .to_owned(),
            );
        }
        _ => return Err("`image` takes nothing but `--arch aarch64`".to_owned()),
    }
    if !packages::is_root()? {
        return Err(
            "making an image takes root, because its files belong to several users: use sudo".to_owned()
        );
    }
    packages::for_image()?;
    announced(&mut build()?)?;
    let programs = programs()?;
    weigh(&programs)?;
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

fn programs() -> Result<PathBuf> {
    Ok(target()?.join(TARGET).join("release"))
}

fn target() -> Result<PathBuf> {
    Ok(workspace()?.join("target/arm"))
}

/// Debian's cargo with Debian's rustc, which it would not find behind rustup's in `PATH`.
fn build() -> Result<Command> {
    let mut command = Command::new("/usr/bin/cargo");
    command.current_dir(workspace()?);
    // The cargo that runs us has set this for its own libraries.
    command.env_remove("LD_LIBRARY_PATH");
    command.env("RUSTC", "/usr/bin/rustc").env("CARGO_TARGET_DIR", target()?);
    command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
    command.args(["build", "--locked", "--release", "--target", TARGET]);
    command.args(PROGRAMS.iter().flat_map(|program| ["--package", program]));
    Ok(command)
}

/// Prints what each program weighs, and refuses what does not fit.
fn weigh(folder: &Path) -> Result {
    let mut sum = 0;
    println!("\n  {:>9}  stripped, {TARGET}", "bytes");
    for program in PROGRAMS {
        let path = folder.join(program);
        let size = path.metadata().map_err(|error| format!("{}: {error}", path.display()))?.len();
        println!("  {size:>9}  {program}");
        sum += size;
    }
    println!("  {sum:>9}  together, of at most {SIZE_LIMIT}\n");
    if sum <= SIZE_LIMIT { Ok(()) } else { Err("the programs together are too large".to_owned()) }
}

fn announced(command: &mut Command) -> Result {
    println!("$ {}", shown(command));
    run(command)
}
