//! A clock for one daemon that a test moves, by Debian's `libfaketime`: it reads the offset from a file each time.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A clock that can be moved.
#[derive(Debug, Clone)]
pub struct Clock(PathBuf);

impl Clock {
    pub(crate) fn new(file: PathBuf) -> Clock {
        Clock(file)
    }

    /// Sets it to the true time and `offset`, such as `+1d` or `-1y`. Timers go on as before: only the time of day jumps.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn set(&self, offset: &str) -> Result {
        let new = self.0.with_extension("new");
        // Whoever reads it finds all of it.
        fs::write(&new, format!("{offset}\n")).map_err(Error::file(&new))?;
        fs::rename(&new, &self.0).map_err(Error::file(&self.0))
    }
}

/// What has the time of day of a program come from `file` (libfaketime 0.9.10), and its timers not.
pub(crate) fn environment(file: &Path) -> [(&'static str, OsString); 4] {
    [
        ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1".into()),
        ("FAKETIME_TIMESTAMP_FILE", file.into()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ]
}

/// Removes what libfaketime leaves behind of a process that was killed; the next one with its number would not start.
pub(crate) fn tidy(process: u32) {
    for name in ["faketime_shm_", "sem.faketime_sem_"] {
        // Most processes have none.
        let _ = fs::remove_file(format!("/dev/shm/{name}{process}"));
    }
}
