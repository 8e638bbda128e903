//! The line between reader and card: what is chosen of what the card offers (ISO/IEC 7816-3, 6.3.1 and clause 9), told to
//! the card by PPS and to the reader by PC_to_RDR_SetParameters (CCID 6.1.7).

use crate::atr::Atr;
use crate::descriptor::{Descriptor, Level};
use crate::error::{Error, Result};

/// F = 372 and D = 1: what holds unless something else is agreed.
pub(crate) const DEFAULT_FI_DI: u8 = 0x11;

/// The clock rate conversion integer F by FI (table 7); 0 is reserved.
pub(crate) const F: [u32; 16] =
    [372, 372, 558, 744, 1116, 1488, 1860, 0, 0, 512, 768, 1024, 1536, 2048, 0, 0];
/// The baud rate adjustment integer D by DI (table 8); 0 is reserved.
pub(crate) const D: [u32; 16] = [0, 1, 2, 4, 8, 16, 32, 64, 12, 20, 0, 0, 0, 0, 0, 0];

/// The parameters of a protocol as a reader takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    protocol: u8,
    bytes: [u8; 7],
    length: usize,
}

impl Parameters {
    /// The number of the protocol, 0 or 1.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// abProtocolDataStructure.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What is agreed with a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) protocol: u8,
    fi_di: u8,
    /// The request by which the card is to be told; it answers with the same bytes.
    pub(crate) pps: Option<[u8; 4]>,
}

impl Choice {
    /// The card's first protocol of those that we run, at the fastest rate that both can do.
    pub(crate) fn new(atr: &Atr, reader: &Descriptor) -> Result<Self> {
        let first = atr.protocols().first().copied().unwrap_or_default();
        if let Some(specific) = atr.specific_mode {
            // TA2: T in the low half; with bit 5 the rate is not TA1's but one that only the two know.
            let (protocol, implicit) = (specific & 0x0F, specific & 0x10 != 0);
            let fi_di = atr.fi_di.unwrap_or(DEFAULT_FI_DI);
            return if implicit || protocol > 1 || !can_do(fi_di, reader) {
                Err(Error::Card("it insists on a protocol or rate that the reader can't do"))
            } else {
                Ok(Self { protocol, fi_di, pps: None })
            };
        }
        let ours = atr.protocols().iter().copied().find(|protocol| *protocol <= 1);
        let protocol = ours.ok_or(Error::Card("it offers neither T=0 nor T=1"))?;
        let fi_di = atr.fi_di.filter(|fi_di| can_do(*fi_di, reader)).unwrap_or(DEFAULT_FI_DI);
        let differs = fi_di != DEFAULT_FI_DI || protocol != first;
        // PPSS, PPS0 with PPS1 to follow, PPS1, PCK.
        let (start, announced) = (0xFF, 0x10 | protocol);
        let pps = differs.then_some([start, announced, fi_di, start ^ announced ^ fi_di]);
        Ok(Self { protocol, fi_di, pps })
    }

    /// Takes the card's answer to the PPS request: the same, or without PPS1 for the rate that holds anyway (9.3).
    pub(crate) fn agree(&mut self, request: &[u8; 4], answer: &[u8]) -> Result<()> {
        let without_rate = [0xFF, self.protocol, 0xFF ^ self.protocol];
        if answer == without_rate {
            self.fi_di = DEFAULT_FI_DI;
        } else if answer != request {
            return Err(Error::Card("it does not agree to its own protocol or rate"));
        }
        Ok(())
    }

    pub(crate) fn parameters(&self, atr: &Atr) -> Parameters {
        let convention = u8::from(atr.inverse) << 1;
        let guard = atr.extra_guard_time;
        let (bytes, length) = match self.protocol {
            0 => ([self.fi_di, convention, guard, atr.waiting_integer, 0, 0, 0], 5),
            _ => {
                let checked = 0x10 | convention | u8::from(atr.crc);
                ([self.fi_di, checked, guard, atr.waiting_integers, 0, atr.ifsc, 0], 7)
            }
        };
        Parameters { protocol: self.protocol, bytes, length }
    }
}

/// A reader of APDUs says of no rate that it can't do it: it sees to that itself.
fn can_do(fi_di: u8, reader: &Descriptor) -> bool {
    let factor = |table: &[u32; 16], index: u8| table.get(usize::from(index)).copied().unwrap_or_default();
    let (f, d) = (factor(&F, fi_di >> 4), factor(&D, fi_di & 0x0F));
    let hertz = u64::from(reader.clock_khz) * 1000;
    let rate = (hertz * u64::from(d)).checked_div(u64::from(f)).unwrap_or_default();
    rate > 0 && (reader.level != Level::Tpdu || rate <= u64::from(reader.max_data_rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4 MHz, and at most 115,200 bit/s.
    fn reader() -> Descriptor {
        let mut bytes = [0; 54];
        bytes[..2].copy_from_slice(&[54, 0x21]);
        bytes[10..14].copy_from_slice(&4000_u32.to_le_bytes());
        bytes[23..27].copy_from_slice(&115_200_u32.to_le_bytes());
        bytes[40..44].copy_from_slice(&0x1_0000_u32.to_le_bytes());
        bytes[44..48].copy_from_slice(&271_u32.to_le_bytes());
        Descriptor::parse(&bytes).unwrap()
    }

    fn atr(bytes: &[u8]) -> Atr {
        let mut bytes = bytes.to_vec();
        if Atr::parse(&bytes).is_err() {
            bytes.push(bytes.iter().skip(1).fold(0, |sum, byte| sum ^ byte));
        }
        Atr::parse(&bytes).unwrap()
    }

    #[test]
    fn what_a_card_offers_first_needs_no_request() {
        let card = atr(&[0x3B, 0x00]);
        let choice = Choice::new(&card, &reader()).unwrap();
        assert_eq!(choice.pps, None);
        assert_eq!(choice.parameters(&card).bytes(), [0x11, 0, 0, 10, 0]);
    }

    #[test]
    fn a_faster_rate_is_asked_for_when_the_reader_can_do_it() {
        // TA1 = 94: F = 512, D = 8, 62,500 bit/s at 4 MHz. TA1 = 96: D = 32, which is too fast.
        let choice = Choice::new(&atr(&[0x3B, 0x10, 0x94]), &reader()).unwrap();
        assert_eq!(choice.pps, Some([0xFF, 0x10, 0x94, 0xFF ^ 0x10 ^ 0x94]));
        let choice = Choice::new(&atr(&[0x3B, 0x10, 0x96]), &reader()).unwrap();
        assert_eq!((choice.pps, choice.fi_di), (None, 0x11));
    }

    #[test]
    fn a_card_that_insists_is_obeyed_or_refused() {
        // TA2 = 01: T=1 and TA1's rate.
        let card = atr(&[0x3B, 0x90, 0x94, 0x91, 0x01, 0x41, 0x01]);
        let choice = Choice::new(&card, &reader()).unwrap();
        assert_eq!((choice.protocol, choice.pps), (1, None));
        assert_eq!(choice.parameters(&card).bytes(), [0x94, 0x11, 0, 0x4D, 0, 32, 0]);
        let too_fast = atr(&[0x3B, 0x90, 0x96, 0x91, 0x01, 0x01]);
        assert!(matches!(Choice::new(&too_fast, &reader()), Err(Error::Card(_))));
        let own_rate = atr(&[0x3B, 0x90, 0x11, 0x10, 0x10]);
        assert!(matches!(Choice::new(&own_rate, &reader()), Err(Error::Card(_))));
    }

    #[test]
    fn another_protocol_than_the_first_is_asked_for() {
        let choice = Choice::new(&atr(&[0x3B, 0x80, 0x8E, 0x01]), &reader()).unwrap();
        assert_eq!(choice.pps, Some([0xFF, 0x11, 0x11, 0xFF]));
        assert!(Choice::new(&atr(&[0x3B, 0x80, 0x0E]), &reader()).is_err());
    }
}
