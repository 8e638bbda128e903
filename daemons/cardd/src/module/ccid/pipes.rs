//! The pipes to a reader (USB CCID, 4.2): what the actor needs of USB.

use ccid::Secret;
use secure_module::Result;

/// What came from a reader.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A message of the bulk-in pipe.
    Message(Secret),
    /// What the interrupt pipe said.
    Notification(Vec<u8>),
}

/// A reader's pipes. Each operation fails with [`Error::Gone`](secure_module::Error::Gone) when the reader was unplugged.
pub(super) trait Pipes: Send + 'static {
    /// Whether there is an interrupt pipe, which tells of cards. A reader may do without.
    fn notifies(&self) -> bool;

    /// Sends a message.
    fn send(&mut self, message: Secret) -> impl Future<Output = Result<()>> + Send;

    /// Waits for what comes next: a message only where one is `expected`. Dropping the future loses nothing.
    fn next(&mut self, expected: bool) -> impl Future<Output = Result<Incoming>> + Send;
}
