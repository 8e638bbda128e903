//! Commands to one slot, one after the other, and their answers: each answer carries its command's slot and sequence number
//! (CCID 4.2.2 and 6.2).

use crate::Secret;
use crate::error::Result;
use crate::message::{Answer, Body, Command};

/// The commands to one slot.
#[derive(Debug)]
pub struct Dialogue {
    slot: u8,
    sequence: u8,
}

/// What a message from the reader is to the command that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The answer to an earlier command that was given up, or for another slot: to be passed over.
    Other,
    /// The reader asks for more time: this many waiting times.
    Extended(u8),
    /// The answer. Its body is no time extension.
    Answered(Answer),
}

impl Dialogue {
    /// With the slot of this number.
    #[must_use]
    pub fn new(slot: u8) -> Self {
        Self { slot, sequence: u8::MAX }
    }

    /// The slot.
    #[must_use]
    pub fn slot(&self) -> u8 {
        self.slot
    }

    /// The message of the next command. One that was not answered is given up.
    ///
    /// # Errors
    /// As [`Command::encode`].
    pub fn ask(&mut self, command: &Command<'_>) -> Result<Secret> {
        self.sequence = self.sequence.wrapping_add(1);
        command.encode(self.slot, self.sequence)
    }

    /// Ends the command that waits for its answer (5.3.1): wValue of the request ABORT (01) of the control pipe, to be sent first, and
    /// the message PC_to_RDR_Abort, with the number that both carry. The answer to it says that the reader is free; that of the
    /// command may still come before.
    ///
    /// # Errors
    /// As [`Command::encode`].
    pub fn abort(&mut self) -> Result<(u16, Secret)> {
        let message = self.ask(&Command::Abort)?;
        Ok((u16::from_be_bytes([self.sequence, self.slot]), message))
    }

    /// What a message from the reader says of the command that was asked last.
    ///
    /// # Errors
    /// When it is no message.
    pub fn take(&self, message: &[u8]) -> Result<Progress> {
        let answer = Answer::parse(message)?;
        if (answer.slot, answer.sequence) != (self.slot, self.sequence) {
            return Ok(Progress::Other);
        }
        Ok(match answer.body {
            // "Zero" is what readers say that mean no more than: wait.
            Body::TimeExtension(multiplier) => Progress::Extended(multiplier.max(1)),
            _ => Progress::Answered(answer),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(slot: u8, sequence: u8, status: u8, error: u8) -> [u8; 10] {
        [0x81, 0, 0, 0, 0, slot, sequence, status, error, 0]
    }

    #[test]
    fn only_the_answer_to_the_last_command_answers_it() {
        let mut dialogue = Dialogue::new(2);
        assert_eq!(dialogue.ask(&Command::SlotStatus).unwrap()[6], 0);
        assert_eq!(dialogue.ask(&Command::SlotStatus).unwrap()[6], 1);
        assert_eq!(dialogue.take(&status(2, 0, 0, 0)), Ok(Progress::Other));
        assert_eq!(dialogue.take(&status(1, 1, 0, 0)), Ok(Progress::Other));
        assert_eq!(dialogue.take(&status(2, 1, 0x80, 0)), Ok(Progress::Extended(1)));
        assert_eq!(dialogue.take(&status(2, 1, 0x80, 9)), Ok(Progress::Extended(9)));
        assert!(matches!(dialogue.take(&status(2, 1, 0, 0)), Ok(Progress::Answered(_))));
    }
}
