//! T=1 over a reader of TPDUs: blocks, chaining, waiting time, field sizes, repetition and resynchronisation (ISO/IEC
//! 7816-3, clause 11; EMV Book 1, 9.2.4). NAD is 0, and blocks end in an LRC, as EMV has it.
//!
//! What can't be mended by repeating ends the command: after a RESYNCH it is not sent again by itself, because the card may
//! have carried it out.

use zeroize::Zeroizing;

use crate::Secret;
use crate::card::Block;
use crate::error::{Error, Result};

/// NAD, PCB, LEN and LRC.
pub(crate) const FRAME: usize = 4;
/// An extended response: 65,536 bytes of data and SW1 SW2.
const LONGEST_RESPONSE: usize = 65_536 + 2;
/// How often a block is asked for again, and then RESYNCH (11.6.3.2, rules 7.4 and 6.4).
const TRIES: u8 = 3;
/// How many blocks a card may send to one command: all of an extended response, and as many requests for time.
const MOST_BLOCKS: u16 = 2048;

const ERROR_LRC: u8 = 1;
const ERROR_OTHER: u8 = 2;

/// What an S-block is about; a response to it has [`RESPONSE`].
const RESYNCH: u8 = 0xC0;
const IFS: u8 = 0xC1;
const ABORT: u8 = 0xC2;
const WTX: u8 = 0xC3;
const RESPONSE: u8 = 0x20;

/// What the card's block leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another block.
    Send(Block),
    /// The response APDU; nothing, where a field size was told.
    Done(Secret),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// The card is being told the longest field that the reader takes.
    TellingIfsd(u8),
    Sending,
    Receiving,
    Resynchronising,
}

/// The two ends' state, which lasts from one command to the next.
#[derive(Debug)]
pub(crate) struct Line {
    phase: Phase,
    /// The longest field that the card takes, by its answer to reset; then by its last S(IFS).
    first_ifsc: u8,
    ifsc: u8,
    /// N(S) of our I-block under way, and of the card's next one.
    send: bool,
    receive: bool,
    command: Secret,
    /// How much of the command the card has acknowledged, and how much is under way.
    acknowledged: usize,
    part: usize,
    response: Secret,
    failures: u8,
    blocks: u16,
    /// How much of a block a message to the reader has room for.
    room: usize,
}

impl Line {
    /// A line to a card that takes fields of `ifsc` bytes, by messages that have room for `room` bytes.
    pub(crate) fn new(ifsc: u8, room: usize) -> Self {
        Self {
            phase: Phase::Idle,
            first_ifsc: ifsc,
            ifsc,
            send: false,
            receive: false,
            command: Secret::default(),
            acknowledged: 0,
            part: 0,
            response: Secret::default(),
            failures: 0,
            blocks: 0,
            room,
        }
    }

    /// Tells the card that fields of `ifsd` bytes are taken.
    pub(crate) fn tell_ifsd(&mut self, ifsd: u8) -> Block {
        self.phase = Phase::TellingIfsd(ifsd);
        block(IFS, &[ifsd], 0)
    }

    /// Begins a command APDU.
    pub(crate) fn begin(&mut self, command: &[u8]) -> Block {
        self.phase = Phase::Sending;
        self.command = Zeroizing::new(command.to_vec());
        self.response = Secret::default();
        (self.acknowledged, self.failures, self.blocks) = (0, 0, 0);
        self.information()
    }

    /// Takes the card's block; none when nothing came, or nothing that the reader could read.
    pub(crate) fn take(&mut self, bytes: Option<&[u8]>) -> Result<Next> {
        let next = self.take_block(bytes);
        // A PIN may have been in it.
        if matches!(next, Ok(Next::Done(_)) | Err(_)) {
            self.command = Secret::default();
        }
        next
    }

    fn take_block(&mut self, bytes: Option<&[u8]>) -> Result<Next> {
        self.blocks += 1;
        if self.blocks > MOST_BLOCKS {
            return Err(Error::Card("it is never done with one command"));
        }
        let Some(bytes) = bytes else { return self.repair(ERROR_OTHER) };
        let Some((pcb, field)) = read(bytes) else { return self.repair(ERROR_LRC) };
        let known = match pcb {
            0x00..=0x7F if pcb & 0x1F == 0 => self.take_information(pcb, field)?,
            0x80..=0xBF if pcb & 0x6C == 0 && field.is_empty() => self.take_receipt(pcb & 0x10 != 0)?,
            0xC0.. => self.take_supervisory(pcb, field)?,
            _ => None,
        };
        match known {
            Some(next) => Ok(next),
            None => self.repair(ERROR_OTHER),
        }
    }

    fn take_information(&mut self, pcb: u8, field: &[u8]) -> Result<Option<Next>> {
        let (number, more) = (pcb & 0x40 != 0, pcb & 0x20 != 0);
        let all_sent = self.acknowledged + self.part == self.command.len();
        if number != self.receive {
            return Ok(None);
        }
        match self.phase {
            // The answer acknowledges the last part of the command.
            Phase::Sending if all_sent => {
                self.send = !self.send;
                self.phase = Phase::Receiving;
            }
            Phase::Receiving => {}
            _ => return Ok(None),
        }
        self.receive = !self.receive;
        self.failures = 0;
        if self.response.len() + field.len() > LONGEST_RESPONSE {
            return Err(Error::TooLong);
        }
        self.append(field);
        if more {
            return Ok(Some(Next::Send(self.receipt(0))));
        }
        self.phase = Phase::Idle;
        if self.response.len() < 2 {
            return Err(Error::Card("its answer has no status"));
        }
        Ok(Some(Next::Done(std::mem::take(&mut self.response))))
    }

    /// An R-block: the card waits for the I-block `number`.
    fn take_receipt(&mut self, number: bool) -> Result<Option<Next>> {
        let unsent = self.acknowledged + self.part < self.command.len();
        match self.phase {
            Phase::Sending if number != self.send && unsent => {
                self.send = !self.send;
                self.acknowledged += self.part;
                self.failures = 0;
                Ok(Some(Next::Send(self.information())))
            }
            Phase::Sending if number == self.send => self.again(Self::information).map(Some),
            Phase::Receiving if number == self.send => self.again(|line| line.receipt(0)).map(Some),
            _ => Ok(None),
        }
    }

    fn take_supervisory(&mut self, pcb: u8, field: &[u8]) -> Result<Option<Next>> {
        const TOLD: u8 = IFS | RESPONSE;
        const RESYNCHRONISED: u8 = RESYNCH | RESPONSE;
        let answer = |bwi| Ok(Some(Next::Send(block(pcb | RESPONSE, field, bwi))));
        let busy = matches!(self.phase, Phase::Sending | Phase::Receiving);
        match (pcb, field) {
            (WTX, &[multiplier]) if busy => answer(multiplier.max(1)),
            (IFS, &[ifsc @ 1..=254]) if busy => {
                self.ifsc = ifsc;
                answer(0)
            }
            (ABORT, []) if busy => Err(Error::Card("it gave the command up")),
            (TOLD, &[told]) if self.phase == Phase::TellingIfsd(told) => {
                self.phase = Phase::Idle;
                Ok(Some(Next::Done(Secret::default())))
            }
            (RESYNCHRONISED, []) if self.phase == Phase::Resynchronising => {
                *self = Self::new(self.first_ifsc, self.room);
                Err(Error::Resynchronised)
            }
            _ => Ok(None),
        }
    }

    /// Sends something once more, if it was not too often.
    fn again(&mut self, what: impl Fn(&mut Self) -> Block) -> Result<Next> {
        self.failures += 1;
        if self.failures <= TRIES { Ok(Next::Send(what(self))) } else { self.resynchronise() }
    }

    /// Asks for the card's block once more (rule 7).
    fn repair(&mut self, error: u8) -> Result<Next> {
        match self.phase {
            Phase::TellingIfsd(ifsd) => self.again(|_| block(IFS, &[ifsd], 0)),
            Phase::Resynchronising => self.again(|_| block(RESYNCH, &[], 0)),
            _ => self.again(|line| line.receipt(error)),
        }
    }

    fn resynchronise(&mut self) -> Result<Next> {
        if !matches!(self.phase, Phase::Sending | Phase::Receiving) {
            return Err(Error::Mute);
        }
        self.phase = Phase::Resynchronising;
        self.failures = 1;
        Ok(Next::Send(block(RESYNCH, &[], 0)))
    }

    /// The I-block with what the card has not acknowledged.
    fn information(&mut self) -> Block {
        let rest = self.command.get(self.acknowledged..).unwrap_or_default();
        let most = usize::from(self.ifsc).min(self.room.saturating_sub(FRAME));
        let (part, later) = rest.split_at(rest.len().min(most));
        self.part = part.len();
        let pcb = (u8::from(self.send) << 6) | (u8::from(!later.is_empty()) << 5);
        block(pcb, part, 0)
    }

    fn receipt(&mut self, error: u8) -> Block {
        block(0x80 | (u8::from(self.receive) << 4) | error, &[], 0)
    }

    /// A vector that grew would leave card data behind in freed memory.
    fn append(&mut self, field: &[u8]) {
        let mut grown = Zeroizing::new(Vec::with_capacity(self.response.len() + field.len()));
        grown.extend_from_slice(&self.response);
        grown.extend_from_slice(field);
        self.response = grown;
    }
}

fn block(pcb: u8, field: &[u8], bwi: u8) -> Block {
    let length = u8::try_from(field.len()).unwrap_or(u8::MAX);
    let mut data = Zeroizing::new(Vec::with_capacity(field.len() + FRAME));
    data.extend_from_slice(&[0, pcb, length]);
    data.extend_from_slice(field);
    let sum = lrc(&data);
    data.push(sum);
    Block { bwi, level: 0, data }
}

/// PCB and field of a block, if it is one.
fn read(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&[0, pcb, length], rest) = bytes.split_first_chunk::<3>()? else { return None };
    let (_, field) = rest.split_last()?;
    (field.len() == usize::from(length) && length < 255 && lrc(bytes) == 0).then_some((pcb, field))
}

fn lrc(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

#[cfg(test)]
#[path = "t1/tests.rs"]
mod tests;
