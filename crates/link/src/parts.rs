//! Messages longer than a frame, in parts. Each part is a request with a number of its own, or the answer to one: so each is sent until
//! it is there, taken once, and forgotten with the session, as any request is.

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::frame::MAX_PAYLOAD;
use crate::message::Secret;

/// The most bytes of a message, all parts together.
pub const MAX_MESSAGE: usize = 65_536;

/// The operation that brings a part of a request, of which more will come.
pub(crate) const PART: u8 = 0x03;
/// The operation that brings the last part of a request, which then is carried out.
pub(crate) const LAST: u8 = 0x04;
/// The operation that asks for the next part of a response.
pub(crate) const REST: u8 = 0x05;
/// The result of a response that has more parts.
const MORE: u8 = 0xFF;

/// The requests that bring `message`, each as the payload of a frame.
pub(crate) fn of_request(message: &[u8]) -> Vec<Secret> {
    let mut chunks = message.chunks(MAX_PAYLOAD - 1).peekable();
    let mut requests = Vec::new();
    while let Some(chunk) = chunks.next() {
        let operation = if chunks.peek().is_some() { PART } else { LAST };
        requests.push(Zeroizing::new([&[operation], chunk].concat()));
    }
    requests
}

/// A message whose parts come one after the other.
#[derive(Default)]
pub(crate) struct Assembly {
    bytes: Secret,
}

impl Assembly {
    /// The message with one part more.
    ///
    /// # Errors
    /// [`Error::TooLong`] if it is longer than any message; then it is forgotten.
    pub(crate) fn push(&mut self, part: &[u8]) -> Result<()> {
        if self.bytes.capacity() == 0 {
            // Room for any message from the start: growing would leave clear copies behind.
            self.bytes.reserve_exact(MAX_MESSAGE);
        }
        if self.bytes.len() + part.len() > MAX_MESSAGE {
            *self = Self::default();
            return Err(Error::TooLong);
        }
        self.bytes.extend(part);
        Ok(())
    }

    pub(crate) fn take(&mut self) -> Secret {
        std::mem::take(&mut self.bytes)
    }
}

/// A response that the host fetches part by part: the module's side.
pub(crate) struct Outgoing {
    message: Secret,
    sent: usize,
}

impl Outgoing {
    /// The response, and the payload of its first frame.
    pub(crate) fn new(message: Secret) -> (Self, Secret) {
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
        let operation = message.first().copied().unwrap_or_default();
        let sent = MAX_PAYLOAD - 6;
        let first = message.get(..sent).unwrap_or_default();
        let payload = Zeroizing::new([&[operation, MORE], &length[..], first].concat());
        (Self { message, sent }, payload)
    }

    /// The payload of the next frame, and whether it is the last one.
    pub(crate) fn next(&mut self) -> (Secret, bool) {
        let rest = self.message.get(self.sent..).unwrap_or_default();
        let part = rest.get(..MAX_PAYLOAD - 2).unwrap_or(rest);
        self.sent += part.len();
        (Zeroizing::new([&[REST, 0], part].concat()), part.len() == rest.len())
    }
}

/// A response that comes part by part: the host's side.
pub(crate) struct Arriving {
    length: usize,
    assembly: Assembly,
}

impl Arriving {
    /// If `payload` is the first part of a response to `operation`, of which more will come.
    ///
    /// # Errors
    /// [`Error::Value`] if it announces a length that none has.
    pub(crate) fn begin(operation: u8, payload: &[u8]) -> Result<Option<Self>> {
        let Some(([first, MORE], rest)) = payload.split_first_chunk().map(|(head, rest)| (*head, rest))
        else {
            return Ok(None);
        };
        let (length, part) = rest.split_first_chunk().ok_or(Error::Short)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if first != operation || length > MAX_MESSAGE || length <= part.len() {
            return Err(Error::Value("length of the response"));
        }
        let mut assembly = Assembly::default();
        assembly.push(part)?;
        Ok(Some(Self { length, assembly }))
    }

    /// Takes the answer to [`REST`]; the whole response once it is there.
    ///
    /// # Errors
    /// [`Error::Value`] if the part is empty or too long, [`Error::WrongAnswer`] if it is none.
    pub(crate) fn push(&mut self, payload: &[u8]) -> Result<Option<Secret>> {
        let Some(([REST, 0], part)) = payload.split_first_chunk().map(|(head, rest)| (*head, rest)) else {
            return Err(Error::WrongAnswer);
        };
        if part.is_empty() || self.assembly.bytes.len() + part.len() > self.length {
            return Err(Error::Value("part of the response"));
        }
        self.assembly.push(part)?;
        Ok((self.assembly.bytes.len() == self.length).then(|| self.assembly.take()))
    }
}
