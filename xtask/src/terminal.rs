//! The virtual terminal: builds it, then becomes the program that runs it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::Result;
use crate::cargo::{self, cargo, programs, shown, workspace};
use crate::packages;

/// `demo`, `up` and `down` of the development build.
pub(crate) fn run(command: &str, arguments: &[&str]) -> Result {
    if command != "down" {
        packages::for_terminal()?;
        run_cargo(&["build", "--workspace"])?;
    }
    let words: Vec<&str> = std::iter::once(command).chain(arguments.iter().copied()).collect();
    become_program("debug", "smartpos-terminal", &words)
}

/// The machine in QEMU, and the image for it.
pub(crate) fn qemu(arguments: &[&str]) -> Result {
    if !matches!(arguments, ["down" | "console"]) {
        run_cargo(&["build", "--workspace"])?;
    }
    become_program("debug", "smartpos-qemu", arguments)
}

/// The fault matrix.
pub(crate) fn faults(arguments: &[&str]) -> Result {
    packages::for_tests()?;
    run_cargo(&["build", "--workspace"])?;
    become_program("debug", "smartpos-faults", arguments)
}

/// Measures the release build.
pub(crate) fn bench(arguments: &[&str]) -> Result {
    packages::for_terminal()?;
    run_cargo(&["build", "--workspace", "--release"])?;
    become_program("release", "smartpos-bench", arguments)
}

fn run_cargo(arguments: &[&str]) -> Result {
    let mut command = cargo(arguments)?;
    println!("==> {}", shown(&command));
    cargo::run(&mut command)
}

fn become_program(profile: &str, name: &str, arguments: &[&str]) -> Result {
    let program = programs(profile)?.join(name);
    // exec only returns when it failed.
    let error = Command::new(&program).args(arguments).current_dir(workspace()?).exec();
    Err(format!("{} cannot be started: {error}; `cargo build --workspace` makes it", program.display()))
}
