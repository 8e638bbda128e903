//! What can go wrong with a virtual terminal.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::part::Part;

/// What can go wrong with a virtual terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a folder.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel limits the path of a socket to 107 bytes.
    #[error("{} is too long for the path of a socket (107 bytes); set TMPDIR to a shorter folder", .0.display())]
    LongPath(PathBuf),
    /// The program of a part has not been built.
    #[error("{} is missing; `cargo build --workspace` makes it, SMARTPOS_BIN_DIR names another folder", .0.display())]
    NoProgram(PathBuf),
    /// The program of a part could not be started.
    #[error("{part} can't be started: {source}; is `setpriv` (Debian package util-linux) installed?")]
    NotStarted {
        /// Which part.
        part: Part,
        /// What the system said.
        source: io::Error,
    },
    /// A part ended when it should have got ready.
    #[error("{part} ended before it was ready ({status}); its last words:\n{log}")]
    Ended {
        /// Which part.
        part: Part,
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// A part did not get ready in time.
    #[error("{part} was not ready within {seconds} s; its last words:\n{log}")]
    NotReady {
        /// Which part.
        part: Part,
        /// How long it was waited for.
        seconds: u64,
        /// The end of its log.
        log: String,
    },
    /// A daemon that was asked to stop did not end well.
    #[error("{part} did not stop cleanly ({how}); its last words:\n{log}")]
    NotStopped {
        /// Which part.
        part: Part,
        /// How it ended.
        how: String,
        /// The end of its log.
        log: String,
    },
    /// A part that this terminal was built without, or that was killed.
    #[error("{0} is not running")]
    NotRunning(Part),
    /// The virtual hardware could not be driven.
    #[error("simctl {command}: {reason}")]
    Control {
        /// The command.
        command: String,
        /// Why not.
        reason: String,
    },
    /// A bus.
    #[error("D-Bus: {0}")]
    Bus(#[from] zbus::Error),
    /// The terminal and the host disagree, or a file of theirs can't be understood.
    #[error("{0}")]
    Records(String),
}

/// What most functions here return.
pub type Result<T = ()> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err`: what the system said about `path`.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        |source| Error::File { path, source }
    }
}
