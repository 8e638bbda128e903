//! One connection to the host: a framed request, and the framed answer to it.

use std::time::Duration;

use iso8583::frame::{Decoder, End, Framing};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::HostError;

/// One connection, for one exchange after another.
pub(crate) struct Link {
    stream: TlsStream<TcpStream>,
    framing: Framing,
    answer_timeout: Duration,
}

impl Link {
    pub(super) fn new(stream: TlsStream<TcpStream>, framing: Framing, answer_timeout: Duration) -> Link {
        Link { stream, framing, answer_timeout }
    }

    /// Sends `request` and returns the message that comes back.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, HostError> {
        let frame = self
            .framing
            .encode(End::Terminal, request)
            .map_err(|error| HostError::Unreachable(error.to_string()))?;
        let limit = self.answer_timeout;
        tokio::time::timeout(limit, self.send_and_receive(&frame))
            .await
            .map_err(|_| HostError::NoAnswer(format!("nothing came in {limit:?}")))?
    }

    async fn send_and_receive(&mut self, frame: &[u8]) -> Result<Vec<u8>, HostError> {
        let broken = |error: std::io::Error| HostError::NoAnswer(error.to_string());
        self.stream.write_all(frame).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)?;
        let mut decoder = Decoder::new(self.framing.clone(), End::Terminal);
        let mut buffer = [0; 2048];
        loop {
            let count = self.stream.read(&mut buffer).await.map_err(broken)?;
            if count == 0 {
                return Err(HostError::NoAnswer("the host closed the connection".to_string()));
            }
            let received = buffer.get(..count).unwrap_or_default();
            // What comes behind the answer is not looked at: a host that says it twice has said it.
            let (frame, _) =
                decoder.push(received).map_err(|error| HostError::BadAnswer(error.to_string()))?;
            if let Some(frame) = frame {
                return Ok(frame.message);
            }
        }
    }
}
