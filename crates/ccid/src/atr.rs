//! The answer to reset (ISO/IEC 7816-3, 8.2).

mod words;

use crate::error::{Error, Result};

/// TS and at most 32 characters.
const LONGEST: usize = 33;

/// What a card says of itself when it gets power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Atr {
    /// It is what a reader makes up for a contactless card (PC/SC Part 3, 3.1.3.2.3): T=0 and T=1 are offered, and nothing else is said.
    pub contactless: bool,
    /// TS says that bits are inverted and sent highest first.
    pub inverse: bool,
    /// TA1: FI and DI, the fastest that the card can do.
    pub fi_di: Option<u8>,
    /// TC1: N, the extra guard time.
    pub extra_guard_time: u8,
    /// TA2: the card is in specific mode, and does nothing but what it says.
    pub specific_mode: Option<u8>,
    /// TC2: WI of T=0.
    pub waiting_integer: u8,
    /// The first TA for T=1: IFSC, 1 to 254.
    pub ifsc: u8,
    /// The first TB for T=1: BWI and CWI.
    pub waiting_integers: u8,
    /// The first TC for T=1: blocks end in a CRC, and not in an LRC. EMV forbids it (Book 1, 8.3.3.11).
    pub crc: bool,
    /// The historical bytes, at most 15.
    pub historical: Vec<u8>,
    /// The protocols that are offered, without T=15, which is none.
    protocols: Vec<u8>,
}

/// Reads bytes one by one.
struct Bytes<'a>(std::slice::Iter<'a, u8>);

impl Bytes<'_> {
    fn next(&mut self) -> Result<u8> {
        self.0.next().copied().ok_or(Error::Card("the answer to reset ends early"))
    }

    /// The next byte where `bit` says that there is one.
    fn next_if(&mut self, indicator: u8, bit: u8) -> Result<Option<u8>> {
        if indicator & bit == 0 { Ok(None) } else { self.next().map(Some) }
    }
}

impl Atr {
    /// Reads an answer to reset.
    ///
    /// # Errors
    /// [`Error::Card`] when it ends early, goes on after its end, or has a wrong TS, TCK or IFSC.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > LONGEST {
            return Err(Error::Card("the answer to reset is too long"));
        }
        let mut rest = Bytes(bytes.iter());
        let inverse = match rest.next()? {
            0x3B => false,
            0x3F => true,
            _ => return Err(Error::Card("the answer to reset has a wrong TS")),
        };
        let mut atr = Self {
            contactless: matches!(*bytes, [0x3B, 0x80..=0x8F, 0x80, 0x01, ..]),
            inverse,
            fi_di: None,
            extra_guard_time: 0,
            specific_mode: None,
            waiting_integer: 10,
            ifsc: 32,
            waiting_integers: 0x4D,
            crc: false,
            historical: Vec::new(),
            protocols: Vec::new(),
        };
        let t0 = rest.next()?;
        let checked = atr.interface_bytes(t0, &mut rest)?;
        for _ in 0..t0 & 0x0F {
            atr.historical.push(rest.next()?);
        }
        // TCK is there unless T=0 alone is offered.
        if checked {
            rest.next()?;
            if bytes.iter().skip(1).fold(0, |sum, byte| sum ^ byte) != 0 {
                return Err(Error::Card("the answer to reset has a wrong TCK"));
            }
        }
        if rest.next().is_ok() {
            return Err(Error::Card("the answer to reset goes on after its end"));
        }
        Ok(atr)
    }

    /// TA1 to the last TD; returns whether a TCK follows.
    fn interface_bytes(&mut self, t0: u8, rest: &mut Bytes<'_>) -> Result<bool> {
        let (mut indicator, mut protocol, mut checked) = (t0, 0, false);
        let mut first_of_t1 = true;
        for number in 1.. {
            let (a, b, c) = (
                rest.next_if(indicator, 0x10)?,
                rest.next_if(indicator, 0x20)?,
                rest.next_if(indicator, 0x40)?,
            );
            match number {
                1 => (self.fi_di, self.extra_guard_time) = (a, c.unwrap_or(0)),
                2 => (self.specific_mode, self.waiting_integer) = (a, c.unwrap_or(10)),
                _ if protocol == 1 && std::mem::take(&mut first_of_t1) => {
                    self.ifsc = a.unwrap_or(self.ifsc);
                    self.waiting_integers = b.unwrap_or(self.waiting_integers);
                    self.crc = c.is_some_and(|c| c & 1 != 0);
                }
                _ => {}
            }
            let Some(next) = rest.next_if(indicator, 0x80)? else { break };
            (indicator, protocol) = (next, next & 0x0F);
            checked |= protocol != 0;
            if protocol != 15 && !self.protocols.contains(&protocol) {
                self.protocols.push(protocol);
            }
        }
        if matches!(self.ifsc, 0 | 255) || self.waiting_integer == 0 {
            return Err(Error::Card("the answer to reset has a wrong IFSC or WI"));
        }
        Ok(checked)
    }

    /// The protocols that are offered, the card's own choice first.
    #[must_use]
    pub fn protocols(&self) -> &[u8] {
        if self.protocols.is_empty() { &[0] } else { &self.protocols }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_of_t0_says_little() {
        // EMV Book 1, 8.3.1: the basic answer to reset for T=0.
        let atr = Atr::parse(&[0x3B, 0x60, 0x00, 0x00]).unwrap();
        assert_eq!((atr.protocols(), atr.fi_di, atr.specific_mode), (&[0][..], None, None));
        assert_eq!((atr.extra_guard_time, atr.waiting_integer), (0, 10));
        assert!(!atr.contactless);
    }

    #[test]
    fn a_card_of_t1_has_its_block_parameters_and_a_check_character() {
        // EMV Book 1, 8.3.1: the basic answer to reset for T=1, with the values that EMV allows.
        let mut bytes = vec![0x3B, 0xE0, 0x00, 0x00, 0x81, 0x31, 0xFE, 0x45];
        bytes.push(bytes.iter().skip(1).fold(0, |sum, byte| sum ^ byte));
        let atr = Atr::parse(&bytes).unwrap();
        assert_eq!((atr.protocols(), atr.ifsc, atr.waiting_integers, atr.crc), (&[1][..], 254, 0x45, false));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(Atr::parse(&bytes), Err(Error::Card("the answer to reset has a wrong TCK")));
    }

    #[test]
    fn a_contactless_card_looks_as_pc_sc_part_3_has_it() {
        // PC/SC Part 3, 3.1.3.2.3.1: ISO 14443 type A, historical bytes 80 31, and T=0 and T=1 offered.
        let mut bytes = vec![0x3B, 0x82, 0x80, 0x01, 0x80, 0x31];
        bytes.push(bytes.iter().skip(1).fold(0, |sum, byte| sum ^ byte));
        let atr = Atr::parse(&bytes).unwrap();
        assert_eq!((atr.protocols(), atr.historical.as_slice()), (&[0, 1][..], &[0x80, 0x31][..]));
        assert!(atr.contactless);
    }

    #[test]
    fn an_answer_to_reset_is_refused_when_it_is_cut_off_or_goes_on() {
        let whole = [0x3B, 0x95, 0x96, 0x80, 0xB1, 0xFE, 0x55, 0x1F, 0x42, 0x44, 0x49, 0x4E, 0x4F];
        let tck = whole.iter().skip(1).fold(0, |sum, byte| sum ^ byte);
        let whole = [&whole[..], &[tck]].concat();
        assert!(Atr::parse(&whole).is_err(), "TD4 announces a fifth group that is not there");
        let whole = [0x3B, 0x14, 0x11, 1, 2, 3, 4];
        assert!(Atr::parse(&whole).is_ok());
        for length in 0..whole.len() {
            assert!(Atr::parse(&whole[..length]).is_err(), "{length}");
        }
        assert!(Atr::parse(&[&whole[..], &[0]].concat()).is_err());
        assert!(Atr::parse(&[0x3B; 40]).is_err());
        assert!(Atr::parse(&[0x03, 0x00]).is_err());
    }
}
