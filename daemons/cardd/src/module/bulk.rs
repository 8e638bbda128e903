//! A byte stream over a pair of USB bulk endpoints (`docs/secure-module-link.md`, USB). How it is cut into packets and transfers means
//! nothing.
//!
//! libusb blocks, so that each direction has a thread of the runtime's pool while it waits: an idle line one, which sleeps in the kernel.

mod interface;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{ReadHalf, WriteHalf};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// How many bytes are sent at once: the longest frame in a few transfers.
const CHUNK: usize = 1024;

/// The endpoints of a module. Each call blocks, and fails when the module was unplugged.
trait Pipes: Send + Sync + 'static {
    /// The bytes of the longest packet that comes.
    fn packet(&self) -> usize;

    /// Sends `bytes`, or some of them: how many.
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Waits for a packet, and puts it into `packet`: its length, which may be 0.
    fn receive(&self, packet: &mut [u8]) -> io::Result<usize>;

    /// Ends the calls that wait, and lets nobody wait any more.
    fn close(&self);
}

/// Opens the module whose node of usbfs is `node`, and begins to carry bytes on the current runtime.
///
/// # Errors
/// What is wrong with the module, or what the system said.
pub(super) async fn open(node: &Path) -> io::Result<UnixStream> {
    let path = node.to_path_buf();
    let opened = spawn_blocking(move || interface::open(&path)).await.map_err(io::Error::other)?;
    stream(opened.map_err(io::Error::other)?)
}

/// The stream over `pipes`, carried by a task. It ends when they fail. It is a pair of sockets: what waits in it is in the kernel, and
/// not left behind in our memory.
fn stream<P: Pipes>(pipes: P) -> io::Result<UnixStream> {
    let (near, mut far) = UnixStream::pair()?;
    let opened = Opened(Arc::new(pipes));
    tokio::spawn(async move {
        let (from_driver, to_driver) = far.split();
        let end = tokio::select! {
            end = outgoing(&opened.0, from_driver) => end,
            end = incoming(&opened.0, to_driver) => end,
        };
        if let Err(error) = end {
            log::warn!("USB to the secure module: {error}");
        }
    });
    Ok(near)
}

/// Closes the pipes with the task, also where the runtime drops it before its end: it waits for the threads of its pool.
struct Opened<P: Pipes>(Arc<P>);

impl<P: Pipes> Drop for Opened<P> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Sends what the driver says, until it says no more.
async fn outgoing<P: Pipes>(pipes: &Arc<P>, mut driver: ReadHalf<'_>) -> io::Result<()> {
    let mut chunk = Zeroizing::new(vec![0; CHUNK]);
    loop {
        let mut length = match driver.read(&mut chunk).await? {
            0 => return Ok(()),
            length => length,
        };
        while length > 0 {
            let pipes = Arc::clone(pipes);
            let sending = spawn_blocking(move || {
                let sent = pipes.send(chunk.get(..length).unwrap_or_default());
                (chunk, sent)
            });
            let sent;
            (chunk, sent) = sending.await.map_err(io::Error::other)?;
            let sent = match sent?.min(length) {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => sent,
            };
            chunk.copy_within(sent..length, 0);
            length -= sent;
        }
    }
}

/// Hands the driver what the module says, until it takes no more.
async fn incoming<P: Pipes>(pipes: &Arc<P>, mut driver: WriteHalf<'_>) -> io::Result<()> {
    let mut packet = Zeroizing::new(vec![0; pipes.packet()]);
    loop {
        let pipes = Arc::clone(pipes);
        let receiving = spawn_blocking(move || {
            let received = pipes.receive(&mut packet);
            (packet, received)
        });
        let received;
        (packet, received) = receiving.await.map_err(io::Error::other)?;
        if driver.write_all(packet.get(..received?).unwrap_or_default()).await.is_err() {
            return Ok(());
        }
    }
}
