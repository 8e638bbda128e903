//! Byte streams to devices, by an address: a serial line, a socket, a character device.
//!
//! `unix:/run/x.sock`, `tcp:printer.local:9100`, `tty:/dev/ttyS1?baud=115200`, `file:/dev/usb/lp0`.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll, ready};

use rustix::fs::{Mode, OFlags};
use rustix::termios::{ControlModes, OptionalActions};
use serde::Deserialize;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Where a device's byte stream is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port, as `host:port`.
    Tcp(String),
    /// A serial line (or pty), raw, 8N1, at a rate in baud.
    Tty(PathBuf, u32),
    /// A character device that is written and read as it is.
    File(PathBuf),
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Endpoint, String> {
        let help = "use unix:PATH, tcp:HOST:PORT, tty:PATH?baud=RATE or file:PATH";
        let (kind, rest) =
            text.split_once(':').ok_or_else(|| format!("`{text}` is no device address; {help}"))?;
        match kind {
            "unix" => Ok(Endpoint::Unix(rest.into())),
            "tcp" if rest.contains(':') => Ok(Endpoint::Tcp(rest.to_string())),
            "file" => Ok(Endpoint::File(rest.into())),
            "tty" => {
                let (path, baud) = rest.split_once("?baud=").unwrap_or((rest, "115200"));
                let baud = baud.parse().map_err(|_| format!("`{baud}` is no rate in baud"))?;
                Ok(Endpoint::Tty(path.into(), baud))
            }
            _ => Err(format!("`{text}` is no device address; {help}")),
        }
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Endpoint, String> {
        text.parse()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
            Endpoint::Tcp(address) => write!(f, "tcp:{address}"),
            Endpoint::Tty(path, baud) => write!(f, "tty:{}?baud={baud}", path.display()),
            Endpoint::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// Anything that bytes go into and come out of.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

impl Endpoint {
    /// Opens the stream.
    ///
    /// # Errors
    /// What the system said, with the address.
    pub async fn open(&self) -> io::Result<Box<dyn ByteStream>> {
        let opened = match self {
            Endpoint::Unix(path) => UnixStream::connect(path).await.map(boxed),
            Endpoint::Tcp(address) => TcpStream::connect(address).await.map(boxed),
            Endpoint::Tty(path, baud) => open_tty(path, *baud).map(boxed),
            Endpoint::File(path) => open_device(path).and_then(Device::new).map(boxed),
        };
        opened.map_err(|error| io::Error::new(error.kind(), format!("{self}: {error}")))
    }

    /// The rate of a serial line, in baud; none of a stream that has none of its own.
    #[must_use]
    pub fn baud(&self) -> Option<u32> {
        match self {
            Endpoint::Tty(_, baud) => Some(*baud),
            Endpoint::Unix(_) | Endpoint::Tcp(_) | Endpoint::File(_) => None,
        }
    }
}

fn boxed(stream: impl ByteStream + 'static) -> Box<dyn ByteStream> {
    Box::new(stream)
}

fn open_device(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn open_tty(path: &Path, baud: u32) -> io::Result<Device> {
    let fd = open_device(path)?;
    let mut modes = rustix::termios::tcgetattr(&fd)?;
    modes.make_raw();
    modes.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    modes.set_speed(baud)?;
    rustix::termios::tcsetattr(&fd, OptionalActions::Now, &modes)?;
    Device::new(fd)
}

/// A character device as an asynchronous stream.
struct Device(AsyncFd<OwnedFd>);

impl Device {
    #[expect(
        deprecated,
        reason = "unsound only for types whose descriptor can change; an OwnedFd's never does"
    )]
    fn new(fd: OwnedFd) -> io::Result<Device> {
        AsyncFd::new(fd).map(Device)
    }
}

impl AsyncRead for Device {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            let attempt = guard.try_io(|fd| Ok(rustix::io::read(fd, buffer.initialize_unfilled())?));
            match attempt {
                Ok(Ok(count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Device {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(cx))?;
            if let Ok(result) = guard.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_being_written_and_read() {
        for text in ["unix:/run/x.sock", "tcp:[::1]:9100", "tty:/dev/ttyS1?baud=9600", "file:/dev/usb/lp0"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert!("usb".parse::<Endpoint>().unwrap_err().contains("use unix:PATH"));
    }
}
