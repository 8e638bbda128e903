//! What every change has to pass: `test` and `lint`.

use std::process::{Command, Stdio};

use crate::Result;
use crate::cargo::{cargo, programs, workspace};
use crate::packages;
use crate::steps::{Step, run_all};

/// How much of `test` to run.
#[derive(PartialEq)]
pub(crate) enum Depth {
    /// The developer's loop.
    Fast,
    /// Also the demo, and the ARM image in QEMU.
    All,
}

/// Formats, lints, builds, tests, documents, checks the Yocto layers; with [`Depth::All`] also what takes long.
pub(crate) fn test(depth: Depth) -> Result {
    packages::for_tests()?;
    let faults: &[&str] = match depth {
        Depth::Fast => &["faults", "--sample", "100"],
        Depth::All => &["faults", "--sample", "2400"],
    };
    let mut steps = vec![
        Step::new("format", cargo(&["fmt", "--all", "--check"])?),
        Step::new("clippy", clippy()?),
        // Tests start the daemons, which `cargo test` alone does not build.
        Step::new("build", cargo(&["build", "--workspace"])?),
        Step::new("test", cargo(&["test", "--workspace"])?),
        Step::new("faults", xtask(faults)?),
        Step::new("crowd", xtask(&["faults", "crowd", "--requests", "2000"])?),
        Step::new("link faults", xtask(&["faults", "link", "--sample", "6000"])?),
        Step::new("documentation", documentation()?),
        Step::new("yocto", xtask(&["yocto", "--check"])?),
    ];
    if depth == Depth::All {
        steps.push(Step::new("demo", terminal(&["demo"])?));
        steps.push(Step::new("image", xtask(&["image"])?));
        steps.push(Step::new("qemu", xtask(&["qemu", "test"])?));
    }
    run_all(steps)
}

/// What needs no test to run.
pub(crate) fn lint() -> Result {
    let mut steps = vec![
        Step::new("format", cargo(&["fmt", "--all", "--check"])?),
        Step::new("clippy", clippy()?),
        Step::new("documentation", documentation()?),
    ];
    if has_cargo_deny()? {
        steps.push(Step::new("dependencies", cargo(&["deny", "check"])?));
    } else {
        println!(
            "cargo-deny is not installed, so deny.toml is not checked; `cargo install cargo-deny` adds it."
        );
    }
    run_all(steps)
}

fn clippy() -> Result<Command> {
    cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])
}

fn documentation() -> Result<Command> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps"])?;
    command.env("RUSTDOCFLAGS", "--deny warnings");
    Ok(command)
}

fn xtask(arguments: &[&str]) -> Result<Command> {
    let mut command = cargo(&["run", "--quiet", "--package", "xtask", "--"])?;
    command.args(arguments);
    Ok(command)
}

fn terminal(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(programs("debug")?.join("smartpos-terminal"));
    command.args(arguments).current_dir(workspace()?);
    Ok(command)
}

fn has_cargo_deny() -> Result<bool> {
    let probe = cargo(&["deny", "--version"])?.stdout(Stdio::null()).stderr(Stdio::null()).status();
    Ok(probe.is_ok_and(|status| status.success()))
}
