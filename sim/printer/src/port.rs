//! The printer's wire: a socket or a pty. One host at a time, again and again.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::Pin;

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, UnixListener};

use crate::options::Wire;

/// The half that bytes come from.
pub type Reader = Pin<Box<dyn AsyncRead>>;
/// The half that bytes go to.
pub type Writer = Pin<Box<dyn AsyncWrite>>;

/// A wire that is open.
#[derive(Debug)]
pub enum Port {
    /// A Unix socket.
    Unix(UnixListener),
    /// A TCP port.
    Tcp(TcpListener),
    /// A pty: our end, and the host's end, kept open so that a host which leaves does not end the wire.
    Pty(OwnedFd, OwnedFd),
}

impl Port {
    /// Opens the wire.
    ///
    /// # Errors
    /// What the system said.
    pub async fn open(wire: &Wire) -> io::Result<Port> {
        match wire {
            Wire::Unix(path) => {
                remove(path)?;
                UnixListener::bind(path).map(Port::Unix)
            }
            Wire::Tcp(address) => TcpListener::bind(address).await.map(Port::Tcp),
            Wire::Pty(link) => open_pty(link),
        }
    }

    /// Waits for a host.
    ///
    /// # Errors
    /// What the system said.
    pub async fn accept(&self) -> io::Result<(Reader, Writer)> {
        Ok(match self {
            Port::Unix(listener) => {
                let (reader, writer) = listener.accept().await?.0.into_split();
                (Box::pin(reader), Box::pin(writer))
            }
            Port::Tcp(listener) => {
                let (reader, writer) = listener.accept().await?.0.into_split();
                (Box::pin(reader), Box::pin(writer))
            }
            Port::Pty(ours, _) => {
                // A pty polls and reads as a pipe does.
                let reader = pipe::Receiver::from_owned_fd_unchecked(ours.try_clone()?)?;
                let writer = pipe::Sender::from_owned_fd_unchecked(ours.try_clone()?)?;
                (Box::pin(reader), Box::pin(writer))
            }
        })
    }
}

fn open_pty(link: &Path) -> io::Result<Port> {
    let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::grantpt(&ours)?;
    rustix::pty::unlockpt(&ours)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    let name = rustix::pty::ptsname(&ours, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
    let mut modes = rustix::termios::tcgetattr(&theirs)?;
    modes.make_raw();
    rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes)?;
    remove(link)?;
    std::os::unix::fs::symlink(std::ffi::OsString::from(name.to_string_lossy().into_owned()), link)?;
    Ok(Port::Pty(ours, theirs))
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
