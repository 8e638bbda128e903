//! A pseudo-terminal as a line: what a UART is on a board.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::{Join, join};
use tokio::net::unix::pipe::{Receiver, Sender};

/// Our end of a pseudo-terminal.
pub struct Pty {
    /// The stream of bytes. It never ends, whoever comes and goes at the other end.
    pub stream: Join<Receiver, Sender>,
    /// Keeps the other end open while no daemon has it open.
    _other_end: OwnedFd,
}

/// Makes a pseudo-terminal in raw mode, with a symbolic link at `link` to the end that a daemon opens.
///
/// # Errors
/// What the system said.
pub fn open_at(link: &Path) -> io::Result<Pty> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let other_end = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut modes = tcgetattr(&other_end)?;
    modes.make_raw();
    tcsetattr(&other_end, OptionalActions::Now, &modes)?;
    fcntl_setfl(&ours, OFlags::RDWR | OFlags::NONBLOCK)?;
    match std::fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let name = name.to_str().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    std::os::unix::fs::symlink(name, link)?;
    // A pseudo-terminal is no pipe, but it is polled, read and written like one.
    let reader = Receiver::from_owned_fd_unchecked(ours.try_clone()?)?;
    let writer = Sender::from_owned_fd_unchecked(ours)?;
    Ok(Pty { stream: join(reader, writer), _other_end: other_end })
}
