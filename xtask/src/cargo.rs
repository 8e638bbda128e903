//! Running cargo and other programs in the workspace.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// The root of the workspace.
pub(crate) fn workspace() -> Result<PathBuf> {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map(Path::to_path_buf).ok_or_else(|| "the folder of xtask has no parent".to_owned())
}

/// The folder of the programs that a `profile` (`debug` or `release`) builds.
pub(crate) fn programs(profile: &str) -> Result<PathBuf> {
    let target = match env::var_os("CARGO_TARGET_DIR") {
        // A relative one is relative to where cargo was called: our own working directory.
        Some(folder) => std::path::absolute(folder).map_err(|error| format!("CARGO_TARGET_DIR: {error}"))?,
        None => workspace()?.join("target"),
    };
    Ok(target.join(profile))
}

/// The cargo that runs us, with `arguments`, in the root of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Result<Command> {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace()?);
    Ok(command)
}

/// Runs `command` to its end, with our own stdin, stdout and stderr.
pub(crate) fn run(command: &mut Command) -> Result {
    let line = shown(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed ({status})")),
        Err(error) => Err(format!("`{line}` cannot be started: {error}")),
    }
}

/// `command` as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named_with_its_status() {
        let error = run(Command::new("/bin/sh").args(["-c", "exit 7"])).unwrap_err();
        assert!(error.contains("`sh -c exit 7`") && error.contains('7'), "{error}");
    }

    #[test]
    fn a_missing_program_is_an_error_and_not_a_failure() {
        let error = run(&mut Command::new("/nonexistent/program")).unwrap_err();
        assert!(error.contains("cannot be started"), "{error}");
    }
}
