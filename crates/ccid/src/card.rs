//! A card in a reader: what has to be said before the first command, and each command over the protocol that was agreed.

use crate::Secret;
use crate::apdu;
use crate::atr::Atr;
use crate::descriptor::{Descriptor, Level};
use crate::error::{Error, Result};
use crate::parameters::{Choice, Parameters};
use crate::t0;
use crate::t1;

/// What PC_to_RDR_XfrBlock carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// bBWI: the card asked for so many block waiting times; 0 where it asked for none.
    pub bwi: u8,
    /// wLevelParameter: the place in a chain of messages.
    pub level: u16,
    /// abData.
    pub data: Secret,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Transfer a block.
    Transfer(Block),
    /// Tell the reader of the line.
    SetParameters(Parameters),
    /// The card waits for a command.
    Ready,
    /// The command's response APDU: data, SW1, SW2.
    Response(Secret),
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// bChainParameter and abData of a data block.
    Data(u8, &'a [u8]),
    /// The reader has done it.
    Done,
    /// Nothing came from the card, or nothing that the reader could read
    /// ([`SlotError::is_transmission`](crate::SlotError::is_transmission)).
    Nothing,
}

#[derive(Debug)]
enum Stage {
    Pps([u8; 4]),
    Parameters,
    Ifsd,
    Ready,
    T0(t0::Exchange),
    T1,
    Apdu(apdu::Exchange),
    /// Nobody knows what the card is at: it takes a reset.
    Lost,
}

/// A card with power.
#[derive(Debug)]
pub struct Card {
    atr: Atr,
    reader: Descriptor,
    choice: Choice,
    line: t1::Line,
    stage: Stage,
}

impl Card {
    /// A card that answered to its reset; the first step towards its first command comes with it.
    ///
    /// # Errors
    /// [`Error::Card`] when the answer is malformed, or when card and reader have no protocol in common.
    pub fn begin(atr: &[u8], reader: &Descriptor) -> Result<(Self, Step)> {
        let atr = Atr::parse(atr)?;
        let choice = Choice::new(&atr, reader)?;
        let runs_t1 = choice.protocol == 1 && reader.level == Level::Tpdu;
        if runs_t1 && atr.crc {
            return Err(Error::Card("it wants blocks that end in a CRC"));
        }
        let line = t1::Line::new(atr.ifsc, reader.max_data());
        let stage = match choice.pps.filter(|_| !reader.makes_pps()) {
            Some(request) => Stage::Pps(request),
            None => Stage::Parameters,
        };
        let mut card = Self { atr, reader: reader.clone(), choice, line, stage };
        let step = card.prepare();
        Ok((card, step))
    }

    /// The answer to reset.
    #[must_use]
    pub fn atr(&self) -> &Atr {
        &self.atr
    }

    /// Whether blocks of T=1 are made here, and not in the reader.
    pub(crate) fn runs_t1(&self) -> bool {
        self.choice.protocol == 1 && self.reader.level == Level::Tpdu
    }

    /// Begins a command APDU: of both forms at T=1 and with readers of extended APDUs, else of the short form.
    ///
    /// # Errors
    /// [`Error::Command`] when it is none, or too long for the reader; [`Error::Mute`] when the card has to be reset first.
    pub fn transmit(&mut self, command: &[u8]) -> Result<Step> {
        if !matches!(self.stage, Stage::Ready) {
            return Err(Error::Mute);
        }
        let room = self.reader.max_data();
        if command.len() < 4 {
            return Err(Error::Command);
        }
        let block = match (self.reader.level, self.choice.protocol) {
            (Level::Tpdu, 0) => {
                let (exchange, data) = t0::Exchange::new(command)?;
                self.stage = Stage::T0(exchange);
                Block { bwi: 0, level: 0, data }
            }
            (Level::Tpdu, _) => {
                self.stage = Stage::T1;
                self.line.begin(command)
            }
            (Level::ShortApdu, _) if command.len() > room => return Err(Error::Command),
            (Level::ShortApdu | Level::ExtendedApdu, _) => {
                let (exchange, block) = apdu::Exchange::new(command, room);
                self.stage = Stage::Apdu(exchange);
                block
            }
        };
        Ok(Step::Transfer(block))
    }

    /// Takes what came of the last step.
    ///
    /// # Errors
    /// What went wrong. But for [`Error::Resynchronised`] the card has to be reset before the next command.
    pub fn take(&mut self, reply: Reply<'_>) -> Result<Step> {
        let stage = std::mem::replace(&mut self.stage, Stage::Lost);
        let taken = self.advance(stage, reply);
        if taken == Err(Error::Resynchronised) {
            self.stage = Stage::Ready;
        }
        taken
    }

    fn advance(&mut self, stage: Stage, reply: Reply<'_>) -> Result<Step> {
        match (stage, reply) {
            (Stage::Pps(request), Reply::Data(_, answer)) => {
                self.choice.agree(&request, answer)?;
                self.stage = Stage::Parameters;
                Ok(self.prepare())
            }
            (Stage::Parameters, Reply::Done) => {
                self.stage = Stage::Ifsd;
                Ok(self.prepare())
            }
            (Stage::Ifsd, reply) => {
                let next = self.line.take(field(reply)?)?;
                Ok(self.follow(next, Stage::Ifsd, |_| Step::Ready))
            }
            (Stage::T1, reply) => {
                let next = self.line.take(field(reply)?)?;
                Ok(self.follow(next, Stage::T1, Step::Response))
            }
            (Stage::T0(mut exchange), Reply::Data(_, answer)) => match exchange.take(answer)? {
                t0::Next::Send(data) => {
                    self.stage = Stage::T0(exchange);
                    Ok(Step::Transfer(Block { bwi: 0, level: 0, data }))
                }
                t0::Next::Done(response) => Ok(self.done(response)),
            },
            (Stage::Apdu(mut exchange), Reply::Data(chain, answer)) => {
                match exchange.take(chain, answer, self.reader.max_data())? {
                    apdu::Next::Send(block) => {
                        self.stage = Stage::Apdu(exchange);
                        Ok(Step::Transfer(block))
                    }
                    apdu::Next::Done(response) => Ok(self.done(response)),
                }
            }
            (_, Reply::Nothing) | (Stage::Ready | Stage::Lost, _) => Err(Error::Mute),
            (_, Reply::Data(..) | Reply::Done) => Err(Error::Value("bMessageType")),
        }
    }

    /// The step of the stage that is reached, where it takes one.
    fn prepare(&mut self) -> Step {
        if let Stage::Pps(request) = &self.stage {
            return Step::Transfer(Block { bwi: 0, level: 0, data: request.to_vec().into() });
        }
        if matches!(self.stage, Stage::Parameters) && !self.reader.negotiates() {
            return Step::SetParameters(self.choice.parameters(&self.atr));
        }
        if self.runs_t1() && !self.reader.tells_ifsd() {
            let room = u8::try_from(self.reader.max_data().saturating_sub(t1::FRAME)).unwrap_or(u8::MAX);
            self.stage = Stage::Ifsd;
            return Step::Transfer(self.line.tell_ifsd(self.reader.max_ifsd.min(room)));
        }
        self.stage = Stage::Ready;
        Step::Ready
    }

    fn follow(&mut self, next: t1::Next, stage: Stage, done: impl Fn(Secret) -> Step) -> Step {
        match next {
            t1::Next::Send(block) => {
                self.stage = stage;
                Step::Transfer(block)
            }
            t1::Next::Done(response) => {
                self.stage = Stage::Ready;
                done(response)
            }
        }
    }

    fn done(&mut self, response: Secret) -> Step {
        self.stage = Stage::Ready;
        Step::Response(response)
    }
}

/// The block of a reply at T=1, where silence has an answer, too.
fn field(reply: Reply<'_>) -> Result<Option<&[u8]>> {
    match reply {
        Reply::Data(_, bytes) => Ok(Some(bytes)),
        Reply::Nothing => Ok(None),
        Reply::Done => Err(Error::Value("bMessageType")),
    }
}
