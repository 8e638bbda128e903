//! What can go wrong with an image or a machine.

use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with an image or a machine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file or a folder.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// A program of the host that is not there.
    #[error("`{program}` can't be started: {source}; `cargo xtask image` installs what is missing")]
    NotStarted { program: String, source: io::Error },
    /// A program of the host that failed.
    #[error("`{line}` failed ({status}):\n{output}")]
    Failed { line: String, status: String, output: String },
    /// The tables that say what the image is made of.
    #[error("{file}: {problem}")]
    Table { file: String, problem: String },
    /// There is no image yet.
    #[error("{} is missing; `cargo xtask image` makes it", .0.display())]
    NoImage(PathBuf),
    /// What is to be cut by.
    #[error("`{0}` is no seed: a number from 0 on")]
    Seed(String),
    /// Another machine runs here.
    #[error("a machine is running here already (process {0}); `cargo xtask qemu down` ends it")]
    Running(String),
    /// No machine runs here.
    #[error("no machine is running here; `cargo xtask qemu up` starts one")]
    NotRunning,
    /// The machine did not come up.
    #[error("{reason}; the console's last lines:\n{console}")]
    Machine { reason: String, console: String },
    /// The guest does not answer, or not as agreed.
    #[error("the guest's agent: {0}")]
    Agent(String),
    /// QEMU does not do what it is told.
    #[error("QEMU's monitor: {0}")]
    Monitor(String),
    /// A command in the guest failed.
    #[error("`{command}` in the guest failed ({status}):\n{output}")]
    Guest { command: String, status: i32, output: String },
    /// The terminal's journal, read outside.
    #[error("the journal: {0}")]
    Journal(#[from] sqlx::Error),
    /// The virtual hardware.
    #[error("{0}")]
    Hardware(#[from] sim_terminal::Error),
    /// Some of the checks in the image.
    #[error("{0} of the checks failed")]
    Checks(usize),
}

/// What most functions here return.
pub(crate) type Result<T = ()> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err`: what the system said about `path`.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        |source| Error::File { path, source }
    }

    /// A table whose line can't be used.
    pub(crate) fn table(file: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Table { file: file.into(), problem: problem.into() }
    }
}
