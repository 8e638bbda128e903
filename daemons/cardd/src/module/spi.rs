//! A byte stream over SPI with an interrupt line (`docs/secure-module-link.md`, SPI). Transfers of a fixed length go both ways at once; an
//! end with less to say fills up with zeros, which mean nothing between frames. The module asks for a transfer with the interrupt line, so that an
//! idle line wakes nobody up.

#[cfg(test)]
mod tests;
mod wires;

use std::future::ready;
use std::io;

use embedded_hal::spi::{Operation, SpiDevice};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

pub(crate) use wires::Wires;

/// The bytes of a transfer, in each direction.
const TRANSFER: usize = 128;
/// How long chip select is active before the first clock: the module hands its bytes to its SPI meanwhile.
const SETUP_NS: u32 = 50_000;
/// After so many transfers without the end of a frame the interrupt line is not to be believed: the longest frame takes 33.
const MOST_FRUITLESS: u32 = 66;

/// The line by which a module says that it has something to say.
trait Interrupt: Send + 'static {
    /// Whether it is active now.
    fn active(&self) -> io::Result<bool>;

    /// Waits until it has become active, since it was last waited for. Dropping the future loses nothing.
    fn edge(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

/// The stream over `device`, carried by a task on the current runtime. It ends when the device fails. It is a pair of sockets: what
/// waits in it is in the kernel, and not left behind in our memory.
fn stream<D, I>(device: D, interrupt: I) -> io::Result<UnixStream>
where
    D: SpiDevice + Send + 'static,
    I: Interrupt,
{
    let (near, far) = UnixStream::pair()?;
    tokio::spawn(async move {
        if let Err(error) = carry(device, interrupt, far).await {
            log::warn!("SPI to the secure module: {error}");
        }
    });
    Ok(near)
}

/// Carries bytes until the other end of `stream` is dropped.
async fn carry<D, I>(mut device: D, mut interrupt: I, mut stream: UnixStream) -> io::Result<()>
where
    D: SpiDevice + Send + 'static,
    I: Interrupt,
{
    let mut block = Zeroizing::new([0; TRANSFER]);
    let mut fruitless = 0;
    loop {
        block.fill(0);
        let asked = fruitless < MOST_FRUITLESS && interrupt.active()?;
        tokio::select! {
            biased;
            read = stream.read(&mut *block) => match read? {
                0 => return Ok(()),
                // What is said may be answered.
                _ => fruitless = 0,
            },
            () = ready(()), if asked => {}
            edge = interrupt.edge() => {
                edge?;
                fruitless = 0;
                continue;
            }
        }
        (device, block) = transfer(device, block).await?;
        fruitless = if ends_a_frame(&*block) { 0 } else { fruitless + 1 };
        if block.iter().any(|byte| *byte != 0) && stream.write_all(&*block).await.is_err() {
            return Ok(());
        }
    }
}

/// Exchanges a block: blocks, and so has a thread of the runtime's pool meanwhile.
async fn transfer<D>(
    mut device: D,
    mut block: Zeroizing<[u8; TRANSFER]>,
) -> io::Result<(D, Zeroizing<[u8; TRANSFER]>)>
where
    D: SpiDevice + Send + 'static,
{
    let work = spawn_blocking(move || {
        let mut steps = [Operation::DelayNs(SETUP_NS), Operation::TransferInPlace(&mut *block)];
        let done = device.transaction(&mut steps);
        done.map(|()| (device, block))
            .map_err(|error| io::Error::other(format!("a transfer failed: {error:?}")))
    });
    work.await.map_err(io::Error::other)?
}

/// Whether a frame may end in there: what comes is not noise or silence alone.
fn ends_a_frame(block: &[u8]) -> bool {
    block.windows(2).any(|two| matches!(two, [before, 0] if *before != 0))
}
