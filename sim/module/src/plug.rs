//! The module's USB plug (`docs/secure-module-link.md`, USB), in a port of a machine in QEMU: the other end of QEMU's `usb-redir`.

mod descriptors;
mod redirection;

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use redirection::Redirection;

/// Carries bytes between the host in the machine, behind `qemu`, and the module, behind `module`, until either goes away.
///
/// # Errors
/// What a stream said, or what QEMU said that it may not.
pub async fn plug(mut qemu: UnixStream, mut module: UnixStream) -> io::Result<()> {
    let mut redirection = Redirection::new();
    let (mut heard, mut said) = (Zeroizing::new([0; 4096]), Zeroizing::new([0; 4096]));
    loop {
        qemu.write_all(&redirection.take_for_qemu()).await?;
        module.write_all(&redirection.take_for_module()).await?;
        tokio::select! {
            count = qemu.read(&mut *heard) => match count? {
                0 => return Ok(()),
                count => redirection.hear(heard.get(..count).unwrap_or_default())?,
            },
            // What nobody asks for waits in the stream: the host answers for its size.
            count = module.read(&mut *said), if redirection.is_asked() => match count? {
                0 => return Ok(()),
                count => redirection.say(said.get(..count).unwrap_or_default()),
            },
        }
    }
}
