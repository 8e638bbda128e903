//! T=0 over a reader of TPDUs: how command APDUs become TPDUs and how GET RESPONSE and a second try with the right Le make one
//! response of several (ISO/IEC 7816-3, 12.2; EMV Book 1, 9.3.1). The procedure bytes are the reader's.

use zeroize::Zeroizing;

use crate::Secret;
use crate::error::{Error, Result};

/// Data and SW1 SW2.
const LONGEST_RESPONSE: usize = 256 + 2;
/// How often one command may be followed up.
const MOST_FOLLOW_UPS: u8 = 32;

/// What the card's answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another TPDU.
    Send(Secret),
    /// The response APDU.
    Done(Secret),
}

/// One command.
#[derive(Debug)]
pub(crate) struct Exchange {
    class: u8,
    /// What was sent last.
    sent: Secret,
    /// How many bytes of data are still wanted; none where the command asks for none.
    wanted: Option<usize>,
    response: Secret,
    follow_ups: u8,
}

impl Exchange {
    /// Begins a command APDU of the short form; the first TPDU comes with it.
    pub(crate) fn new(command: &[u8]) -> Result<(Self, Secret)> {
        let (&[class, ..], body) = command.split_first_chunk::<4>().ok_or(Error::Command)?;
        let (tpdu, le): (&[u8], Option<u8>) = match body {
            [] => (command, None),
            [le] => (command, Some(*le)),
            [0, ..] => return Err(Error::Command),
            [lc, data @ ..] if data.len() == usize::from(*lc) => (command, None),
            // Case 4: Le has no place in the TPDU.
            [lc, data @ .., le] if data.len() == usize::from(*lc) => {
                (command.split_last().map_or(command, |(_, rest)| rest), Some(*le))
            }
            _ => return Err(Error::Command),
        };
        let mut tpdu = Zeroizing::new(tpdu.to_vec());
        // Case 1 has a P3, too.
        if body.is_empty() {
            tpdu.push(0);
        }
        let exchange = Self {
            class,
            sent: tpdu.clone(),
            wanted: le.map(|le| if le == 0 { 256 } else { usize::from(le) }),
            response: Zeroizing::new(Vec::with_capacity(LONGEST_RESPONSE)),
            follow_ups: 0,
        };
        Ok((exchange, tpdu))
    }

    /// Takes what the card answered to the last TPDU.
    pub(crate) fn take(&mut self, answer: &[u8]) -> Result<Next> {
        let (data, &status) =
            answer.split_last_chunk::<2>().ok_or(Error::Card("its answer has no status"))?;
        if self.response.len() + data.len() + 2 > LONGEST_RESPONSE {
            return Err(Error::TooLong);
        }
        self.response.extend_from_slice(data);
        let wanted = self.wanted.map(|wanted| wanted.saturating_sub(data.len()));
        self.wanted = wanted;
        let short = |count: usize| u8::try_from(count).unwrap_or(0);
        match (status, wanted) {
            ([0x61 | 0x6C, _], _) if self.follow_ups == MOST_FOLLOW_UPS => {
                Err(Error::Card("it is never done with one command"))
            }
            ([0x61, waiting], Some(wanted @ 1..)) => {
                let waiting = if waiting == 0 { 256 } else { usize::from(waiting) };
                Ok(self.follow_up(vec![self.get_response_class(), 0xC0, 0, 0, short(waiting.min(wanted))]))
            }
            // Only a TPDU that asks for data has an Le that can be wrong.
            ([0x6C, exact], _) if data.is_empty() && self.sent.len() == 5 => {
                let mut again = self.sent.to_vec();
                again.truncate(4);
                again.push(exact);
                Ok(self.follow_up(again))
            }
            _ => {
                self.response.extend_from_slice(&status);
                Ok(Next::Done(std::mem::take(&mut self.response)))
            }
        }
    }

    fn follow_up(&mut self, tpdu: Vec<u8>) -> Next {
        self.follow_ups += 1;
        self.sent = Zeroizing::new(tpdu);
        Next::Send(self.sent.clone())
    }

    /// The command's class, but for what only the command has: secure messaging, chaining, a class of its own.
    fn get_response_class(&self) -> u8 {
        if self.class & 0xE0 == 0 { self.class & 0x03 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(command: &[u8]) -> (Exchange, Vec<u8>) {
        let (exchange, tpdu) = Exchange::new(command).unwrap();
        (exchange, tpdu.to_vec())
    }

    fn sends(next: Next) -> Vec<u8> {
        match next {
            Next::Send(tpdu) => tpdu.to_vec(),
            Next::Done(response) => panic!("done: {response:02X?}"),
        }
    }

    fn done(next: Next) -> Vec<u8> {
        match next {
            Next::Done(response) => response.to_vec(),
            Next::Send(tpdu) => panic!("goes on: {tpdu:02X?}"),
        }
    }

    #[test]
    fn each_case_of_command_is_the_tpdu_of_the_standard() {
        assert_eq!(begin(&[0, 1, 2, 3]).1, [0, 1, 2, 3, 0]);
        assert_eq!(begin(&[0, 1, 2, 3, 9]).1, [0, 1, 2, 3, 9]);
        assert_eq!(begin(&[0, 1, 2, 3, 1, 7]).1, [0, 1, 2, 3, 1, 7]);
        assert_eq!(begin(&[0, 1, 2, 3, 1, 7, 0]).1, [0, 1, 2, 3, 1, 7]);
        for wrong in [&[0, 1, 2][..], &[0, 1, 2, 3, 0, 1], &[0, 1, 2, 3, 2, 7], &[0, 1, 2, 3, 1, 7, 0, 0]] {
            assert_eq!(Exchange::new(wrong).err(), Some(Error::Command), "{wrong:02X?}");
        }
    }

    #[test]
    fn a_response_that_waits_is_fetched_in_as_many_parts_as_the_card_likes() {
        let (mut exchange, _) = begin(&[0x80, 0xAE, 0x80, 0, 1, 7, 0]);
        assert_eq!(sends(exchange.take(&[0x61, 2]).unwrap()), [0, 0xC0, 0, 0, 2]);
        assert_eq!(sends(exchange.take(&[0xAA, 0xBB, 0x61, 1]).unwrap()), [0, 0xC0, 0, 0, 1]);
        assert_eq!(done(exchange.take(&[0xCC, 0x90, 0]).unwrap()), [0xAA, 0xBB, 0xCC, 0x90, 0]);
    }

    #[test]
    fn no_more_is_fetched_than_was_asked_for() {
        let (mut exchange, _) = begin(&[0, 0xA4, 4, 0, 1, 7, 3]);
        assert_eq!(sends(exchange.take(&[0x61, 9]).unwrap()), [0, 0xC0, 0, 0, 3]);
        assert_eq!(done(exchange.take(&[1, 2, 3, 0x61, 6]).unwrap()), [1, 2, 3, 0x61, 6]);
        let (mut exchange, _) = begin(&[0, 0xA4, 4, 0, 1, 7]);
        assert_eq!(done(exchange.take(&[0x61, 9]).unwrap()), [0x61, 9], "a command that asks for nothing");
    }

    #[test]
    fn a_wrong_length_is_put_right_for_the_command_and_for_get_response() {
        let (mut exchange, _) = begin(&[0, 0xB2, 1, 0x0C, 0]);
        assert_eq!(sends(exchange.take(&[0x6C, 2]).unwrap()), [0, 0xB2, 1, 0x0C, 2]);
        assert_eq!(done(exchange.take(&[1, 2, 0x90, 0]).unwrap()), [1, 2, 0x90, 0]);
        let (mut exchange, _) = begin(&[0, 0xA4, 4, 0, 1, 7, 0]);
        assert_eq!(sends(exchange.take(&[0x61, 0]).unwrap()), [0, 0xC0, 0, 0, 0]);
        assert_eq!(sends(exchange.take(&[0x6C, 1]).unwrap()), [0, 0xC0, 0, 0, 1]);
        assert_eq!(done(exchange.take(&[5, 0x90, 0]).unwrap()), [5, 0x90, 0]);
        let (mut exchange, _) = begin(&[0, 0xA4, 4, 0, 1, 7]);
        assert_eq!(
            done(exchange.take(&[0x6C, 1]).unwrap()),
            [0x6C, 1],
            "no command is carried out twice for it"
        );
    }

    #[test]
    fn a_card_that_always_has_more_is_left() {
        let (mut exchange, _) = begin(&[0, 0xA4, 4, 0, 1, 7, 0]);
        let mut answers = 0;
        let error = loop {
            match exchange.take(&[0x61, 5]) {
                Ok(_) => answers += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((answers, error), (MOST_FOLLOW_UPS, Error::Card("it is never done with one command")));
        let (mut exchange, _) = begin(&[0, 0xA4, 4, 0, 1, 7, 0]);
        exchange.take(&[&[0; 200][..], &[0x61, 0]].concat()).unwrap();
        assert_eq!(exchange.take(&[&[0; 200][..], &[0x90, 0]].concat()), Err(Error::TooLong));
        assert!(matches!(exchange.take(&[0x90]), Err(Error::Card(_))));
    }
}
