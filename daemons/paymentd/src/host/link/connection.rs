//! One connection to the host: frames out, frames in, and each answer told from the others.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use iso8583::frame::{Decoder, End};
use iso8583::{Message, Mti};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::host::HostError;

/// A host that sends this many answers to others before ours sends none to us.
const MOST_STRAYS: usize = 32;

/// One connection, for one exchange after another.
pub(super) struct Connection<S> {
    stream: S,
    profile: Arc<iso8583::Host>,
    decoder: Decoder,
    /// What has come and was not looked at.
    inbox: Vec<u8>,
    /// Of the frame that came last.
    header: Vec<u8>,
    heard: Instant,
    /// Whether nothing is under way on it, and nothing went wrong.
    sound: bool,
}

/// What tells the answer to one request from all others (ISO 8583: message type, DE 11, DE 41).
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    mti: Mti,
    stan: String,
    terminal: String,
}

impl Mark {
    fn of(message: &Message<'_>) -> Mark {
        let text = |field| message.get(field).map(|value| value.text()).unwrap_or_default();
        Mark { mti: message.mti(), stan: text(11), terminal: text(41) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, profile: Arc<iso8583::Host>) -> Connection<S> {
        let decoder = Decoder::new(profile.framing.clone(), End::Terminal);
        let (inbox, header) = Default::default();
        Connection { stream, profile, decoder, inbox, header, heard: Instant::now(), sound: true }
    }

    /// Whether another exchange may begin on it.
    pub(super) fn is_sound(&self) -> bool {
        self.sound
    }

    /// The header of the frame that came last: after an exchange, that of its answer.
    pub(super) fn header(&self) -> &[u8] {
        &self.header
    }

    /// When something came on it the last time.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Sends `request` and returns the answer to it, if that comes within `limit`. What else comes is dropped. A connection on
    /// which this was given up, or failed, is not sound any more: what comes on it later is for nobody.
    pub(super) async fn exchange(&mut self, request: &[u8], limit: Duration) -> Result<Vec<u8>, HostError> {
        let unusable = |error: iso8583::Error| HostError::Unreachable(error.to_string());
        let mut mark = Mark::of(&self.profile.codec.parse(request).map_err(unusable)?);
        mark.mti = mark.mti.answer();
        let frame = self.profile.framing.encode(End::Terminal, request).map_err(unusable)?;
        self.sound = false;
        let answer = tokio::time::timeout(limit, self.send_and_receive(&frame, &mark)).await;
        let answer =
            answer.map_err(|_| HostError::NoAnswer(format!("no answer to it came in {limit:?}")))??;
        self.sound = true;
        Ok(answer)
    }

    async fn send_and_receive(&mut self, frame: &[u8], mark: &Mark) -> Result<Vec<u8>, HostError> {
        self.stream.write_all(frame).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)?;
        for _ in 0..MOST_STRAYS {
            let answer = self.receive().await?;
            let profile = Arc::clone(&self.profile);
            let message =
                profile.codec.parse(&answer).map_err(|error| HostError::BadAnswer(error.to_string()))?;
            let got = Mark::of(&message);
            if got == *mark {
                return Ok(answer);
            }
            drop_stray(&got);
        }
        Err(HostError::NoAnswer(format!("{MOST_STRAYS} answers came, none of them to it")))
    }

    /// The next message. Nothing is lost where this is given up.
    async fn receive(&mut self) -> Result<Vec<u8>, HostError> {
        loop {
            let (frame, left) =
                self.decoder.push(&self.inbox).map_err(|error| HostError::BadAnswer(error.to_string()))?;
            let taken = self.inbox.len() - left.len();
            self.inbox.drain(..taken);
            if let Some(frame) = frame {
                self.header = frame.header;
                return Ok(frame.message);
            }
            let mut buffer = [0; 2048];
            let count = self.stream.read(&mut buffer).await.map_err(broken)?;
            if count == 0 {
                return Err(HostError::NoAnswer("the host closed the connection".to_string()));
            }
            self.heard = Instant::now();
            self.inbox.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
    }

    /// Waits until the other end goes away, and returns how. What comes meanwhile nobody waits for.
    pub(super) async fn ended(&mut self) -> HostError {
        loop {
            let received = self.receive().await;
            let profile = Arc::clone(&self.profile);
            let message = received.and_then(|message| {
                let parsed = profile.codec.parse(&message);
                parsed
                    .map(|message| Mark::of(&message))
                    .map_err(|error| HostError::BadAnswer(error.to_string()))
            });
            match message {
                Ok(mark) => drop_stray(&mark),
                Err(error) => {
                    self.sound = false;
                    return error;
                }
            }
        }
    }

    /// Whether the other end has gone away, as far as anything has come of it.
    pub(super) async fn has_ended(&mut self) -> bool {
        // The runtime looks at its sockets before it comes back to us.
        tokio::task::yield_now().await;
        self.ended().now_or_never().is_some()
    }
}

fn drop_stray(mark: &Mark) {
    let Mark { mti, stan, terminal } = mark;
    log::warn!("dropped a {mti} with STAN {stan} for terminal {terminal}: nobody waits for it");
}

fn broken(error: std::io::Error) -> HostError {
    HostError::NoAnswer(error.to_string())
}

#[cfg(test)]
mod tests;
