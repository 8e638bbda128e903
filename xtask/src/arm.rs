//! The programs for ARM, built by Debian's Rust.
//!
//! rustup's toolchain has no ARM target. Debian's has; the libraries of the two don't mix, so that the whole ARM
//! build is by Debian's, in a target folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::cargo::{run, shown, workspace};
use crate::packages;

/// The programs that a terminal runs; each is a package of the workspace, too.
const PROGRAMS: [&str; 4] = ["smartpos-cardd", "smartpos-paymentd", "smartpos-printerd", "posctl"];

/// All programs together must stay below this, in bytes.
const SIZE_LIMIT: u64 = 25_000_000;

/// A kind of ARM processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arch {
    /// 64 bits; Debian packages Rust's standard library for it.
    Aarch64,
    /// 32 bits with hardware floating point; the standard library is built with the programs.
    Armv7,
}

impl Arch {
    /// The one that `name` calls by its word of the command line.
    pub(crate) fn named(name: &str) -> Result<Arch> {
        match name {
            "aarch64" => Ok(Arch::Aarch64),
            "armv7" => Ok(Arch::Armv7),
            _ => Err(format!("`{name}` is no processor that can be built for; there are aarch64 and armv7")),
        }
    }

    /// The target triple of Rust.
    fn target(self) -> &'static str {
        match self {
            Arch::Aarch64 => "aarch64-unknown-linux-gnu",
            Arch::Armv7 => "armv7-unknown-linux-gnueabihf",
        }
    }

    /// The cross compiler links, and cc-rs finds it by itself.
    fn linker(self) -> (&'static str, &'static str) {
        match self {
            Arch::Aarch64 => ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc"),
            Arch::Armv7 => ("CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER", "arm-linux-gnueabihf-gcc"),
        }
    }
}

/// Builds the programs, shows what they weigh, and returns their folder.
pub(crate) fn build(arch: Arch) -> Result<PathBuf> {
    packages::for_arm(arch)?;
    let mut command = compiler(arch)?;
    println!("$ {}", shown(&command));
    run(&mut command)?;
    let programs = target()?.join(arch.target()).join("release");
    weigh(arch, &programs)?;
    Ok(programs)
}

/// Runs each of the 32-bit `programs` once, under an emulator of its processor: that it starts is all that this shows.
pub(crate) fn try_armv7(programs: &Path) -> Result {
    for program in PROGRAMS {
        let mut command = Command::new("qemu-arm-static");
        command.args(["-L", "/usr/arm-linux-gnueabihf"]).arg(programs.join(program)).arg("--version");
        println!("$ {}", shown(&command));
        run(&mut command)?;
    }
    Ok(())
}

fn target() -> Result<PathBuf> {
    Ok(workspace()?.join("target/arm"))
}

/// Debian's cargo with Debian's rustc, which it would not find behind rustup's in `PATH`.
fn compiler(arch: Arch) -> Result<Command> {
    let mut command = Command::new("/usr/bin/cargo");
    command.current_dir(workspace()?);
    // The cargo that runs us has set this for its own libraries.
    command.env_remove("LD_LIBRARY_PATH");
    command.env("RUSTC", "/usr/bin/rustc").env("CARGO_TARGET_DIR", target()?);
    let (variable, linker) = arch.linker();
    command.env(variable, linker);
    command.args(["build", "--locked", "--release", "--target", arch.target()]);
    if arch == Arch::Armv7 {
        // A stable compiler builds its own standard library only where it is told that it may.
        command.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
    }
    command.args(PROGRAMS.iter().flat_map(|program| ["--package", program]));
    Ok(command)
}

/// Prints what each program weighs, and refuses what does not fit.
fn weigh(arch: Arch, folder: &Path) -> Result {
    let mut sum = 0;
    println!("\n  {:>9}  stripped, {}", "bytes", arch.target());
    for program in PROGRAMS {
        let path = folder.join(program);
        let size = path.metadata().map_err(|error| format!("{}: {error}", path.display()))?.len();
        println!("  {size:>9}  {program}");
        sum += size;
    }
    println!("  {sum:>9}  together, of at most {SIZE_LIMIT}\n");
    if sum <= SIZE_LIMIT { Ok(()) } else { Err("the programs together are too large".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_that_is_not_known_is_refused_with_those_that_are() {
        assert_eq!(Arch::named("armv7"), Ok(Arch::Armv7));
        let error = Arch::named("riscv64").unwrap_err();
        assert!(error.contains("`riscv64`") && error.contains("aarch64 and armv7"), "{error}");
    }
}
