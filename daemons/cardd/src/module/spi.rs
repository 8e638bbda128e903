//! A byte stream over SPI with an interrupt line (`docs/secure-module-link.md`, SPI). Transfers of a fixed length go both ways at once; an
//! end with less to say fills up with zeros, which mean nothing between frames. The module asks for a transfer with the interrupt line, so that an
//! idle line wakes nobody up.

#[cfg(test)]
mod tests;
mod wires;

use std::future::ready;
use std::io;
use std::time::Duration;

use embedded_hal::spi::{Operation, SpiDevice};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use zeroize::Zeroizing;

pub(crate) use wires::Wires;

/// The bytes of a transfer, in each direction.
const TRANSFER: usize = 128;
/// How long chip select is active before the first clock: the module hands its bytes to its SPI meanwhile.
const SETUP_NS: u32 = 50_000;
/// How many transfers a module may ask for by itself: a response of the longest frame takes 33, and an event may come with it. Whatever
/// it says, more without a word of the host's is a line that is stuck, or a module that has crashed.
const MOST_ASKED: u32 = 66;
/// How long such a module is not listened to: as long as it waits before it sends again what was lost.
const PAUSE: Duration = link::RESEND_AFTER;

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
    let mut left = MOST_ASKED;
    loop {
        block.fill(0);
        let asked = left > 0 && interrupt.active()?;
        tokio::select! {
            biased;
            read = stream.read(&mut *block) => match read? {
                0 => return Ok(()),
                // What is said may be answered.
                _ => left = MOST_ASKED,
            },
            () = ready(()), if asked => left -= 1,
            edge = edge(&mut interrupt, left == 0) => {
                edge?;
                if left == 0 {
                    left = MOST_ASKED;
                }
                continue;
            }
        }
        (device, block) = transfer(device, block).await?;
        if block.iter().any(|byte| *byte != 0) && stream.write_all(&*block).await.is_err() {
            return Ok(());
        }
    }
}

/// Waits for an edge, and for the pause before where the module has said too much.
async fn edge(interrupt: &mut impl Interrupt, too_much: bool) -> io::Result<()> {
    if too_much {
        sleep(PAUSE).await;
    }
    interrupt.edge().await
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
