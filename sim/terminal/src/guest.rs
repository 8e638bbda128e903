//! `run`: a terminal for one program, such as a test of a client in another language.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use sim_terminal::Terminal;
use tokio::process::Command;

use crate::Outcome;

/// Runs `program` beside a terminal of its own. The records are kept only if it fails.
pub(crate) async fn run(program: &str, arguments: &[&str]) -> Outcome {
    let folder = tempfile::Builder::new().prefix("smartpos-run-").tempdir()?;
    let terminal = Terminal::builder(folder.path()).start().await?;
    let status = Command::new(program)
        .args(arguments)
        .envs(terminal.environment())
        .env("PATH", path_with_our_programs()?)
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| format!("`{program}` can't be started: {error}"))?;
    terminal.stop().await?;
    if status.success() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(format!("`{program}` failed ({status}); the terminal's records are in {}", folder.keep().display())
        .into())
}

/// `PATH` with `simctl` and `posctl` in it.
pub(crate) fn path_with_our_programs() -> Result<OsString, Box<dyn std::error::Error>> {
    let ours = std::env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(ours).chain(std::env::split_paths(&path)))?)
}
