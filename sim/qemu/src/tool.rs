//! Programs of the host: run to their end, with what they said when they fail.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// Runs `command` and returns its stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done =
        command.stdin(Stdio::null()).output().map_err(|source| Error::NotStarted { program, source })?;
    if !done.status.success() {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        return Err(Error::Failed {
            line: words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" "),
            status: done.status.to_string(),
            output: String::from_utf8_lossy(&done.stderr).trim_end().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Runs `command` for its effect.
pub(crate) fn run(command: &mut Command) -> Result {
    output(command).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_shown_with_what_it_said() {
        let error = run(Command::new("sh").args(["-c", "echo no room >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("no room") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named_with_what_installs_it() {
        let error = run(&mut Command::new("no-such-program")).unwrap_err().to_string();
        assert!(error.contains("no-such-program") && error.contains("cargo xtask image"), "{error}");
    }
}
