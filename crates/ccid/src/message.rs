//! The messages in both directions (CCID 6.1 to 6.3). All numbers are little-endian.

use zeroize::Zeroizing;

use crate::Secret;
use crate::descriptor::Voltage;
use crate::error::{Error, Result, SlotError};
use crate::parameters::Parameters;
use crate::pin::PinVerification;

/// Each message begins with its type, the length of its data, slot and sequence number, and three bytes of its own.
const HEADER: usize = 10;

const DATA_BLOCK: u8 = 0x80;
const SLOT_STATUS: u8 = 0x81;
const PARAMETERS: u8 = 0x82;
const SLOT_CHANGE: u8 = 0x50;

/// A command to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// PC_to_RDR_IccPowerOn: answered with the answer to reset.
    PowerOn(Voltage),
    /// PC_to_RDR_IccPowerOff.
    PowerOff,
    /// PC_to_RDR_GetSlotStatus.
    SlotStatus,
    /// PC_to_RDR_XfrBlock: bBWI, wLevelParameter, abData.
    Transfer(u8, u16, &'a [u8]),
    /// PC_to_RDR_SetParameters.
    SetParameters(&'a Parameters),
    /// PC_to_RDR_Secure, of which PIN verification: answered with the card's status when the PIN was typed.
    VerifyPin(&'a PinVerification),
    /// PC_to_RDR_Abort; see [`Dialogue::abort`](crate::Dialogue::abort).
    Abort,
}

impl Command<'_> {
    /// The message for the slot `slot` with the number `sequence`.
    ///
    /// # Errors
    /// [`Error::TooLong`] when a message can't say how long it is.
    pub fn encode(&self, slot: u8, sequence: u8) -> Result<Secret> {
        let (kind, own, data) = match *self {
            Command::PowerOn(voltage) => (0x62, [power_select(voltage), 0, 0], &[][..]),
            Command::PowerOff => (0x63, [0; 3], &[][..]),
            Command::SlotStatus => (0x65, [0; 3], &[][..]),
            Command::Transfer(bwi, level, data) => {
                let [low, high] = level.to_le_bytes();
                (0x6F, [bwi, low, high], data)
            }
            Command::VerifyPin(verification) => (0x69, [0; 3], verification.bytes()),
            Command::Abort => (0x72, [0; 3], &[][..]),
            Command::SetParameters(parameters) => (0x61, [parameters.protocol(), 0, 0], parameters.bytes()),
        };
        let length = u32::try_from(data.len()).map_err(|_| Error::TooLong)?;
        let mut message = Zeroizing::new(Vec::with_capacity(HEADER + data.len()));
        message.push(kind);
        message.extend_from_slice(&length.to_le_bytes());
        message.extend_from_slice(&[slot, sequence]);
        message.extend_from_slice(&own);
        message.extend_from_slice(data);
        Ok(message)
    }
}

fn power_select(voltage: Voltage) -> u8 {
    match voltage {
        Voltage::Automatic => 0,
        Voltage::V5 => 1,
        Voltage::V3 => 2,
        Voltage::V1_8 => 3,
    }
}

/// bmICCStatus: the card in the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icc {
    /// It has power.
    Active,
    /// It has none.
    Inactive,
    /// There is none.
    Absent,
}

/// What a reader answers to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The slot that it is from.
    pub slot: u8,
    /// The number of the command.
    pub sequence: u8,
    /// The card.
    pub icc: Icc,
    /// What came of the command.
    pub body: Body,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// RDR_to_PC_DataBlock: bChainParameter, abData.
    Data(u8, Secret),
    /// RDR_to_PC_SlotStatus, or _Parameters: it is done.
    Done,
    /// It failed.
    Failed(SlotError),
    /// The reader needs more time: so many times the block or work waiting time.
    TimeExtension(u8),
}

impl Answer {
    /// Reads a message from the bulk-in pipe.
    ///
    /// # Errors
    /// When it is not one message, and a whole one.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let (header, data) = bytes.split_first_chunk::<HEADER>().ok_or(Error::Short)?;
        let &[kind, l0, l1, l2, l3, slot, sequence, status, error, own] = header;
        if usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])) != Ok(data.len()) {
            return Err(Error::Length);
        }
        let icc = match status & 0x03 {
            0 => Icc::Active,
            1 => Icc::Inactive,
            2 => Icc::Absent,
            _ => return Err(Error::Value("bmICCStatus")),
        };
        let body = match (status >> 6, kind) {
            (0, DATA_BLOCK) => Body::Data(own, Zeroizing::new(data.to_vec())),
            (0, SLOT_STATUS | PARAMETERS) => Body::Done,
            (1, DATA_BLOCK | SLOT_STATUS | PARAMETERS) => Body::Failed(SlotError(error)),
            (2, DATA_BLOCK | SLOT_STATUS | PARAMETERS) => Body::TimeExtension(error),
            (3, _) => return Err(Error::Value("bmCommandStatus")),
            _ => return Err(Error::Value("bMessageType")),
        };
        Ok(Self { slot, sequence, icc, body })
    }

    /// What came of the command.
    ///
    /// # Errors
    /// [`Error::NoCard`] when it failed and the slot is empty, [`Error::Refused`] when it failed.
    pub fn outcome(self) -> Result<Body> {
        match self.body {
            Body::Failed(_) if self.icc == Icc::Absent => Err(Error::NoCard),
            Body::Failed(error) => Err(Error::Refused(error)),
            body => Ok(body),
        }
    }
}

/// Puts a message together from the packets of the bulk-in pipe. Not every reader ends a message that fills its last packet
/// with an empty one, and not every one leaves it out.
#[derive(Debug)]
pub struct Assembler {
    message: Secret,
    max_message: usize,
}

impl Assembler {
    /// For a reader whose messages have at most `max_message` bytes.
    #[must_use]
    pub fn new(max_message: usize) -> Self {
        Self { message: Zeroizing::new(Vec::with_capacity(max_message.min(512))), max_message }
    }

    /// Takes a packet of a pipe whose packets have `packet_size` bytes; returns the message when that was its last.
    ///
    /// # Errors
    /// [`Error::TooLong`]: the message is longer, or says that it is, than the reader's longest; it is forgotten.
    pub fn push(&mut self, packet: &[u8], packet_size: usize) -> Result<Option<Secret>> {
        if packet.is_empty() && self.message.is_empty() {
            return Ok(None);
        }
        self.message.extend_from_slice(packet);
        let said = match *self.message.as_slice() {
            [_, l0, l1, l2, l3, ..] => usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok(),
            _ => Some(0),
        };
        let said = said.and_then(|said| said.checked_add(HEADER)).filter(|said| *said <= self.max_message);
        match said {
            Some(said) if packet.len() < packet_size || self.message.len() >= said => {
                Ok(Some(std::mem::take(&mut self.message)))
            }
            Some(_) => Ok(None),
            None => {
                self.message = Secret::default();
                Err(Error::TooLong)
            }
        }
    }
}

/// RDR_to_PC_NotifySlotChange, for one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotChange {
    /// Whether a card is there now.
    pub present: bool,
    /// Whether a card came or went since the last notification: perhaps both.
    pub changed: bool,
}

impl SlotChange {
    /// Reads what the interrupt pipe said of `slot`; none when it said nothing of it.
    #[must_use]
    pub fn parse(bytes: &[u8], slot: u8) -> Option<Self> {
        let (&SLOT_CHANGE, states) = bytes.split_first()? else { return None };
        let bits = states.get(usize::from(slot / 4))? >> (2 * (slot % 4));
        Some(Self { present: bits & 1 != 0, changed: bits & 2 != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_the_bytes_that_a_reader_knows() {
        let power_on = Command::PowerOn(Voltage::V3).encode(1, 7).unwrap();
        assert_eq!(*power_on, [0x62, 0, 0, 0, 0, 1, 7, 2, 0, 0]);
        let transfer = Command::Transfer(4, 0x0110, &[0xC1, 1]).encode(0, 255).unwrap();
        assert_eq!(*transfer, [0x6F, 2, 0, 0, 0, 0, 255, 4, 0x10, 0x01, 0xC1, 1]);
    }

    #[test]
    fn an_answer_is_read_and_nothing_else() {
        let data = [0x80, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0x90, 0x00];
        let answer = Answer::parse(&data).unwrap();
        assert_eq!(answer.body, Body::Data(0, vec![0x90, 0].into()));
        assert_eq!(Answer::parse(&[&data[..], &[0]].concat()), Err(Error::Length));
        for (at, value, error) in
            [(0, 0x84, "bMessageType"), (7, 0xC0, "bmCommandStatus"), (7, 3, "bmICCStatus")]
        {
            let mut wrong = data;
            wrong[at] = value;
            assert_eq!(Answer::parse(&wrong), Err(Error::Value(error)));
        }
    }

    #[test]
    fn a_command_that_fails_because_the_card_is_gone_says_so() {
        let failed = |status| Answer::parse(&[0x81, 0, 0, 0, 0, 0, 9, status, 0xFE, 0]).unwrap().outcome();
        assert_eq!(failed(0x42), Err(Error::NoCard));
        assert_eq!(failed(0x40), Err(Error::Refused(SlotError::ICC_MUTE)));
    }

    #[test]
    fn a_message_that_fills_its_last_packet_is_whole_with_and_without_an_empty_one() {
        let mut message = vec![0x80, 54, 0, 0, 0, 0, 1, 0, 0, 0];
        message.resize(64, 0xAA);
        for empty in [false, true] {
            let mut assembler = Assembler::new(271);
            for _ in 0..2 {
                assert_eq!(assembler.push(&message, 64), Ok(Some(message.clone().into())));
                if empty {
                    assert_eq!(assembler.push(&[], 64), Ok(None));
                }
            }
        }
    }

    #[test]
    fn a_message_comes_in_packets_and_never_grows_beyond_the_longest() {
        let mut message = vec![0x80, 90, 0, 0, 0, 0, 1, 0, 0, 0];
        message.resize(100, 0xAA);
        let mut assembler = Assembler::new(271);
        assert_eq!(assembler.push(&message[..64], 64), Ok(None));
        assert_eq!(assembler.push(&message[64..], 64), Ok(Some(message.clone().into())));
        message[2] = 1;
        assert_eq!(assembler.push(&message[..64], 64), Err(Error::TooLong));
        message[4] = 0xFF;
        assert_eq!(assembler.push(&message[..64], 64), Err(Error::TooLong));
    }

    #[test]
    fn a_slot_change_is_told_of_each_of_many_slots() {
        let told = [0x50, 0b0000_0011, 0b0000_1000];
        assert_eq!(SlotChange::parse(&told, 0), Some(SlotChange { present: true, changed: true }));
        assert_eq!(SlotChange::parse(&told, 1), Some(SlotChange { present: false, changed: false }));
        assert_eq!(SlotChange::parse(&told, 5), Some(SlotChange { present: false, changed: true }));
        assert_eq!(SlotChange::parse(&told, 8), None);
        assert_eq!(SlotChange::parse(&[0x51, 0, 0, 1], 0), None, "a hardware error is no slot change");
    }
}
