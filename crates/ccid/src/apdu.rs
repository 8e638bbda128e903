//! APDUs over a reader of APDUs, in several messages where one is too short for a command or a response (CCID 6.1.4,
//! wLevelParameter, and 6.2.1, bChainParameter).

use zeroize::Zeroizing;

use crate::Secret;
use crate::card::Block;
use crate::error::{Error, Result};

/// An extended response: 65,536 bytes of data and SW1 SW2.
const LONGEST_RESPONSE: usize = 65_536 + 2;

/// An empty message that asks for the next part of a response.
const CONTINUE: u16 = 0x10;

/// One command.
#[derive(Debug)]
pub(crate) struct Exchange {
    command: Secret,
    /// How much of it was sent.
    sent: usize,
    response: Secret,
}

/// What the reader's answer leads to.
pub(crate) enum Next {
    /// Another message.
    Send(Block),
    /// The response APDU.
    Done(Secret),
}

impl Exchange {
    /// A command; the first message comes with it. `room` is how much data a message takes.
    pub(crate) fn new(command: &[u8], room: usize) -> (Self, Block) {
        let command = Zeroizing::new(command.to_vec());
        let mut exchange = Self { command, sent: 0, response: Secret::default() };
        let block = exchange.next_part(room);
        (exchange, block)
    }

    /// Takes what the reader answered to the last message.
    pub(crate) fn take(&mut self, chain: u8, data: &[u8], room: usize) -> Result<Next> {
        let unsent = self.sent < self.command.len();
        let begun = !self.response.is_empty();
        match chain {
            0x10 if unsent && data.is_empty() => return Ok(Next::Send(self.next_part(room))),
            // The whole of it; or its beginning, a part, or its end, each in its place.
            0 | 1 if !unsent && !begun => {}
            2 | 3 if !unsent && begun => {}
            _ => return Err(Error::Value("bChainParameter")),
        }
        if self.response.len() + data.len() > LONGEST_RESPONSE {
            return Err(Error::TooLong);
        }
        self.append(data);
        match chain {
            1 | 3 if data.is_empty() => Err(Error::Value("bChainParameter")),
            1 | 3 => Ok(Next::Send(Block { bwi: 0, level: CONTINUE, data: Secret::default() })),
            _ if self.response.len() < 2 => Err(Error::Card("its answer has no status")),
            _ => Ok(Next::Done(std::mem::take(&mut self.response))),
        }
    }

    /// A vector that grew would leave card data behind in freed memory.
    fn append(&mut self, data: &[u8]) {
        let mut grown = Zeroizing::new(Vec::with_capacity(self.response.len() + data.len()));
        grown.extend_from_slice(&self.response);
        grown.extend_from_slice(data);
        self.response = grown;
    }

    fn next_part(&mut self, room: usize) -> Block {
        let rest = self.command.get(self.sent..).unwrap_or_default();
        let (part, later) = rest.split_at(rest.len().min(room));
        let level = match (self.sent == 0, later.is_empty()) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        self.sent += part.len();
        Block { bwi: 0, level, data: Zeroizing::new(part.to_vec()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 4;

    fn level(next: Result<Next>) -> u16 {
        match next.unwrap() {
            Next::Send(block) => block.level,
            Next::Done(response) => panic!("done: {response:02X?}"),
        }
    }

    #[test]
    fn a_long_command_and_a_long_response_come_in_parts() {
        let (mut exchange, first) = Exchange::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9], ROOM);
        assert_eq!((first.level, first.data.as_slice()), (1, &[1, 2, 3, 4][..]));
        assert_eq!(level(exchange.take(0x10, &[], ROOM)), 3);
        assert_eq!(level(exchange.take(0x10, &[], ROOM)), 2);
        assert_eq!(level(exchange.take(1, &[1, 2], ROOM)), CONTINUE);
        assert_eq!(level(exchange.take(3, &[3], ROOM)), CONTINUE);
        let Next::Done(response) = exchange.take(2, &[0x90, 0], ROOM).unwrap() else { panic!("goes on") };
        assert_eq!(*response, [1, 2, 3, 0x90, 0]);
    }

    #[test]
    fn a_part_out_of_its_place_is_refused() {
        let begin = || Exchange::new(&[1, 2, 3, 4], ROOM).0;
        for chain in [2, 3, 4, 0x10, 0xFF] {
            assert!(begin().take(chain, &[0x90, 0], ROOM).is_err(), "{chain}");
        }
        assert!(begin().take(1, &[], ROOM).is_err(), "a part without a byte");
        assert!(begin().take(0, &[0x90], ROOM).is_err());
        let (mut long, _) = Exchange::new(&[0; 9], ROOM);
        assert!(long.take(0, &[0x90, 0], ROOM).is_err(), "an answer to half of a command");
    }
}
