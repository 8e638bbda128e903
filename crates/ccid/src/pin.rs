//! A PIN that is typed at the reader's own pad and verified by the card (CCID 6.1.11): the host never sees it.

use std::ops::RangeInclusive;

use crate::card::Card;
use crate::descriptor::Descriptor;
use crate::error::{Error, Result, SlotError};
use crate::message::Body;

/// bPINOperation: verification.
const VERIFICATION: u8 = 0x00;
/// bmFormatString: BCD, justified to the left, one byte behind the beginning of the command's data.
const FORMAT: u8 = 0x80 | 1 << 3 | 0x01;
/// bmPINBlockString: the PIN's length has 4 bits, its digits fill 7 bytes.
const BLOCK: u8 = 4 << 4 | 7;
/// bmPINLengthFormat: the length is 4 bits behind the beginning of the command's data.
const LENGTH: u8 = 4;
/// bEntryValidationCondition: the key that confirms.
const CONFIRMED: u8 = 0x02;
/// bNumberMessage and wLangId: the reader's own words, in English of the United States.
const WORDS: [u8; 3] = [0xFF, 0x09, 0x04];
/// VERIFY (EMV Book 3, 6.5.12) with a plaintext PIN: format 2 of ISO 9564-1, which the reader fills in.
const VERIFY: [u8; 13] = [0x00, 0x20, 0x00, 0x80, 0x08, 0x20, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];

/// What PC_to_RDR_Secure carries so that a plaintext PIN is verified: the PIN verification data structure and the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinVerification([u8; 28]);

impl PinVerification {
    /// For a PIN of so many `digits`, within 4 to 12, and for as long as `seconds` without a key; 0 leaves that to the reader.
    ///
    /// # Errors
    /// [`Error::Reader`] for a reader without a pad, and for one that leaves T=1 to its host where `card` speaks that: what the
    /// pad sends is no block of the host's. [`Error::Command`] for other lengths.
    pub fn new(card: &Card, reader: &Descriptor, digits: &RangeInclusive<u8>, seconds: u8) -> Result<Self> {
        if !reader.verifies_pins() {
            return Err(Error::Reader("it has no PIN pad"));
        }
        if card.runs_t1() {
            return Err(Error::Reader("its PIN pad takes no PIN for a card of T=1"));
        }
        let (least, most) = (*digits.start(), *digits.end());
        if least < 4 || most > 12 || least > most {
            return Err(Error::Command);
        }
        let [message, language_low, language_high] = WORDS;
        let structure = [
            VERIFICATION,
            seconds,
            FORMAT,
            BLOCK,
            LENGTH,
            // wPINMaxExtraDigit: the least is the high byte.
            most,
            least,
            CONFIRMED,
            message,
            language_low,
            language_high,
            // bMsgIndex, and bTeoPrologue, which is for T=1.
            0,
            0,
            0,
            0,
        ];
        let mut bytes = structure.into_iter().chain(VERIFY);
        Ok(Self(std::array::from_fn(|_| bytes.next().unwrap_or_default())))
    }

    /// abData.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How the entry of a PIN ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinEnd {
    /// The card has verified it: SW1 SW2, 9000 where it was right (EMV Book 3, 6.5.12.5).
    Verified([u8; 2]),
    /// It was cancelled at the pad, or [aborted](crate::Dialogue::abort).
    Cancelled,
    /// No key was pressed for too long.
    TimedOut,
}

impl PinEnd {
    /// What the answer to PC_to_RDR_Secure means, by its [outcome](crate::Answer::outcome).
    ///
    /// # Errors
    /// What failed otherwise; [`Error::Card`] for an answer that is no status.
    pub fn of(outcome: Result<Body>) -> Result<Self> {
        match outcome {
            Ok(Body::Data(_, answer)) => {
                let status = <[u8; 2]>::try_from(answer.as_slice());
                status.map(Self::Verified).map_err(|_| Error::Card("its answer to VERIFY is no status"))
            }
            Ok(_) => Err(Error::Value("bMessageType")),
            Err(Error::Refused(SlotError::PIN_CANCELLED | SlotError::ABORTED)) => Ok(Self::Cancelled),
            Err(Error::Refused(SlotError::PIN_TIMEOUT)) => Ok(Self::TimedOut),
            Err(error) => Err(error),
        }
    }
}
