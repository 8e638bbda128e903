//! What can be wrong with a reader or a card.

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a reader or a card can't be worked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A message or descriptor ends early.
    #[error("the reader's message ends early")]
    Short,
    /// A message or descriptor is longer or shorter than it says.
    #[error("the reader's message does not have the length that it says")]
    Length,
    /// A message is longer than the reader's longest, or a response longer than an APDU.
    #[error("the reader sent more than there can be")]
    TooLong,
    /// A field has a value that the specification does not know.
    #[error("the reader's message has a wrong {0}")]
    Value(&'static str),
    /// The reader can't do what is needed.
    #[error("the reader can't be used: {0}")]
    Reader(&'static str),
    /// The reader refused a command.
    #[error("the reader refused: {0}")]
    Refused(SlotError),
    /// No card is in the slot.
    #[error("no card is in the slot")]
    NoCard,
    /// The card says nothing, or nothing that can be read.
    #[error("the card does not answer")]
    Mute,
    /// The card broke its protocol.
    #[error("the card broke its protocol: {0}")]
    Card(&'static str),
    /// The card lost track, and knows where it is again; whether it carried the command out isn't known.
    #[error("the card lost track of the exchange")]
    Resynchronised,
    /// What was to be sent is no command APDU.
    #[error("this is no command APDU")]
    Command,
}

/// The slot error register (CCID 6.2.6, table 6.2-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotError(pub u8);

impl SlotError {
    /// The card did not answer in time.
    pub const ICC_MUTE: SlotError = SlotError(0xFE);
    /// A character from the card had the wrong parity.
    pub const PARITY: SlotError = SlotError(0xFD);
    /// The entry of a PIN was cancelled at the pad.
    pub const PIN_CANCELLED: SlotError = SlotError(0xEF);
    /// No key of the pad was pressed for too long.
    pub const PIN_TIMEOUT: SlotError = SlotError(0xF0);
    /// The host has aborted the command.
    pub const ABORTED: SlotError = SlotError(0xFF);
    /// The card sent more than the reader could take.
    pub const OVERRUN: SlotError = SlotError(0xFC);

    /// Whether it was the card's transmission that failed, which T=1 mends by repeating.
    #[must_use]
    pub fn is_transmission(self) -> bool {
        matches!(self, Self::ICC_MUTE | Self::PARITY | Self::OVERRUN)
    }
}

impl std::fmt::Display for SlotError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = match self.0 {
            0x00 => "it does not know the command",
            0xE0 => "the slot is busy",
            0xEF => "PIN entry was cancelled",
            0xF0 => "PIN entry took too long",
            0xF2 => "it is busy with a sequence of its own",
            0xF3 => "the protocol was deactivated",
            0xF4 => "the card sent a wrong procedure byte",
            0xF5 => "it does not know the card's class",
            0xF6 => "it does not know the card's protocol",
            0xF7 => "the answer to reset has a wrong TCK",
            0xF8 => "the answer to reset has a wrong TS",
            0xFB => "its hardware failed",
            0xFC => "the card sent too much",
            0xFD => "the card's parity was wrong",
            0xFE => "the card is mute",
            0xFF => "the command was aborted",
            place @ 0x01..=0x7F => return write!(f, "the command's byte {place} is wrong"),
            code => return write!(f, "error {code:#04x}"),
        };
        f.write_str(words)
    }
}
