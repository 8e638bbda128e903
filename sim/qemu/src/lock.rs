//! One machine for each folder: a locked file that holds the process id of who runs it.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// Takes the lock `path`, which lasts as long as the file is open, or gives what its holder left there.
pub(crate) fn take(path: &Path) -> Result<std::result::Result<File, String>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(Error::file(path))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(Error::file(path))?;
            write!(file, "{}", std::process::id()).map_err(Error::file(path))?;
            Ok(Ok(file))
        }
        Err(TryLockError::WouldBlock) => Ok(Err(fs::read_to_string(path).map_err(Error::file(path))?)),
        Err(TryLockError::Error(error)) => Err(Error::file(path)(error)),
    }
}
