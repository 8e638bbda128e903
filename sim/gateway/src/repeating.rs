//! A stream on which an answer comes twice, where that is asked for: as on a line that repeats what it carries.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Set while what is written is to be written twice, up to the next flush.
pub(crate) type Twice = Arc<AtomicBool>;

/// A stream to a terminal.
pub(crate) struct Repeating<S> {
    stream: S,
    twice: Twice,
    /// What is still to come a second time.
    copy: Vec<u8>,
}

impl<S> Repeating<S> {
    pub(crate) fn new(stream: S, twice: Twice) -> Repeating<S> {
        Repeating { stream, twice, copy: Vec::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Repeating<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Repeating<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        if self.twice.load(Ordering::Relaxed) {
            self.copy.extend(bytes.iter().take(count));
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.copy.is_empty() {
            let count = ready!(Pin::new(&mut this.stream).poll_write(cx, &this.copy))?;
            this.copy.drain(..count);
            this.twice.store(false, Ordering::Relaxed);
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_written_comes_twice_up_to_the_next_flush() {
        let (end, mut other) = tokio::io::duplex(64);
        let twice = Twice::default();
        let mut stream = Repeating::new(end, Arc::clone(&twice));
        twice.store(true, Ordering::Relaxed);
        for part in [&b"ab"[..], b"c"] {
            stream.write_all(part).await.unwrap();
        }
        stream.flush().await.unwrap();
        stream.write_all(b"d").await.unwrap();
        stream.flush().await.unwrap();
        drop(stream);
        let mut came = String::new();
        other.read_to_string(&mut came).await.unwrap();
        assert_eq!(came, "abcabcd");
    }
}
