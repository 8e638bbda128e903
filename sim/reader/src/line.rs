//! The line to QEMU: a stream, one after the other.

use std::cell::RefCell;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use crate::reader::Reader;

/// Serves `reader` over `stream` until the stream ends. `changed` tells that the reader was handled by hand; `note` is
/// called with what QEMU complains about.
///
/// # Errors
/// What the stream said; `InvalidData` when what comes is not VSCard.
pub async fn serve<S>(
    mut stream: S,
    reader: &RefCell<Reader>,
    changed: &Notify,
    note: impl Fn(&str),
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    reader.borrow_mut().opened();
    let mut buffer = [0; 1024];
    loop {
        let bytes = reader.borrow_mut().output();
        stream.write_all(&bytes).await?;
        tokio::select! {
            count = stream.read(&mut buffer) => match count? {
                0 => return Ok(()),
                count => {
                    let received = reader.borrow_mut().receive(buffer.get(..count).unwrap_or_default());
                    let complaints =
                        received.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    complaints.iter().for_each(|complaint| note(complaint));
                }
            },
            () = changed.notified() => {}
        }
    }
}
