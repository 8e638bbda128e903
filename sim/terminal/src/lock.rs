//! One terminal for each folder: a locked file that holds the process id of who runs it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;

/// Held as long as the terminal runs; the kernel lets go of it with the process.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Takes the lock `path`, or gives the text that its holder left there.
pub(crate) fn take(path: &Path) -> io::Result<Result<Lock, String>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            write!(file, "{}", std::process::id())?;
            Ok(Ok(Lock { _file: file }))
        }
        Err(TryLockError::WouldBlock) => Ok(Err(fs::read_to_string(path)?)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_learns_who_the_first_is_and_gets_in_when_it_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/terminal.lock");
        let first = take(&path).unwrap().unwrap();
        assert_eq!(take(&path).unwrap().unwrap_err(), std::process::id().to_string());
        drop(first);
        assert!(take(&path).unwrap().is_ok());
    }
}
