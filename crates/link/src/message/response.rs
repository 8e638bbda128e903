//! What the module answers.

use std::fmt;

use super::Secret;
use crate::card_slots::CardSlotInfo;
use crate::error::{Error, Result};
use crate::key_loading::{KeyEntryState, KeySlotInfo};
use crate::self_test::SelfTestResult;
use crate::stripe::SwipedCard;
use crate::wire::{Reader, Writer};

/// What the module says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether it is a certified device.
    pub certified: bool,
    /// Whether it has been tampered with.
    pub tampered: bool,
    /// Whether a card is in slot 0.
    pub card_present: bool,
    /// Its kind, for a person.
    pub kind: String,
    /// Its firmware's version.
    pub firmware: String,
    /// Its serial number.
    pub serial: String,
}

/// Why the module refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It doesn't know the operation, or can't do it.
    NotSupported,
    /// A field has a wrong form or value.
    Invalid,
    /// A PIN entry is going on.
    Busy,
    /// It has been tampered with.
    Tampered,
    /// No card is in the slot.
    NoCard,
    /// The card doesn't answer, or has no power.
    CardMute,
    /// The key slot is empty.
    NoKey,
    /// The key isn't for this use.
    WrongUsage,
    /// The loaded key has another check value.
    BadCheckValue,
    /// It failed a self-test.
    Failed,
}

impl Refusal {
    /// All refusals, in the order of their codes, which begin with 1.
    const ALL: [Refusal; 10] = [
        Refusal::NotSupported,
        Refusal::Invalid,
        Refusal::Busy,
        Refusal::Tampered,
        Refusal::NoCard,
        Refusal::CardMute,
        Refusal::NoKey,
        Refusal::WrongUsage,
        Refusal::BadCheckValue,
        Refusal::Failed,
    ];

    fn code(self) -> u8 {
        (1..).zip(Self::ALL).find(|(_, refusal)| *refusal == self).map_or(0, |(code, _)| code)
    }

    fn from_code(code: u8) -> Result<Self> {
        let found = (1..).zip(Self::ALL).find(|(known, _)| *known == code);
        found.map(|(_, refusal)| refusal).ok_or(Error::Value("result"))
    }
}

/// What came of a request.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the specification, and named as there")]
pub enum Response {
    /// It is done, and there is nothing to tell.
    Done,
    /// To [`Request::Status`](super::Request::Status).
    Status(Status),
    /// Random bytes, an ATR, a response APDU, sealed data, a masked PAN, a token, a key serial number, a public key, a signature, a request for a
    /// certificate.
    Data(Secret),
    /// To [`Request::CardSlots`](super::Request::CardSlots).
    CardSlots(Vec<CardSlotInfo>),
    /// To [`Request::SwipedCard`](super::Request::SwipedCard).
    SwipedCard(SwipedCard),
    /// To [`Request::KeyCheckValue`](super::Request::KeyCheckValue).
    CheckValue([u8; 4]),
    /// To [`Request::Mac`](super::Request::Mac).
    Mac([u8; 8]),
    /// To [`Request::VerifyMac`](super::Request::VerifyMac).
    Verified(bool),
    /// To [`Request::KeySlots`](super::Request::KeySlots).
    KeySlots(Vec<KeySlotInfo>),
    /// To [`Request::KeyEntry`](super::Request::KeyEntry).
    KeyEntry(KeyEntryState),
    /// To [`Request::SelfTest`](super::Request::SelfTest).
    SelfTest(Vec<SelfTestResult>),
    /// To [`Request::Clock`](super::Request::Clock): milliseconds since 1970.
    Clock(u64),
    /// It was refused. The reason is for a person, and holds no card data.
    Refused { refusal: Refusal, reason: String },
}

impl Response {
    /// The response to `operation` as bytes, of which one frame or several parts carry [`MAX_MESSAGE`](crate::MAX_MESSAGE) at most.
    ///
    /// # Errors
    /// [`Error::TooLong`] if it has more.
    pub fn encode(&self, operation: u8) -> Result<Secret> {
        let mut to = Writer::new();
        to.u8(operation);
        to.u8(if let Self::Refused { refusal, .. } = self { refusal.code() } else { 0 });
        match self {
            Self::Done => {}
            Self::Status(status) => {
                to.u8(status.certified.into());
                to.u8(status.tampered.into());
                to.u8(status.card_present.into());
                to.text(&status.kind);
                to.text(&status.firmware);
                to.text(&status.serial);
            }
            Self::Data(data) => to.data(data),
            Self::SwipedCard(card) => card.encode(&mut to),
            Self::CheckValue(value) => to.raw(value),
            Self::Mac(mac) => to.raw(mac),
            Self::Verified(equal) => to.u8((*equal).into()),
            Self::CardSlots(slots) => CardSlotInfo::encode_all(slots, &mut to)?,
            Self::KeySlots(slots) => KeySlotInfo::encode_all(slots, &mut to)?,
            Self::KeyEntry(state) => state.encode(&mut to),
            Self::SelfTest(results) => SelfTestResult::encode_all(results, &mut to)?,
            Self::Clock(time) => to.raw(&time.to_be_bytes()),
            Self::Refused { reason, .. } => to.text(reason),
        }
        to.finish()
    }

    /// The response to `operation` in a payload.
    ///
    /// # Errors
    /// [`Error::WrongAnswer`] if it answers another operation; else what is wrong with its fields.
    pub fn decode(operation: u8, payload: &[u8]) -> Result<Self> {
        let mut from = Reader::new(payload);
        if from.u8()? != operation {
            return Err(Error::WrongAnswer);
        }
        let result = from.u8()?;
        let response = match operation {
            _ if result != 0 => Self::Refused {
                refusal: Refusal::from_code(result)?,
                reason: from.text("reason").map(|mut reason| std::mem::take(&mut *reason))?,
            },
            0x01 => Self::Status(Status {
                certified: from.flag("certified")?,
                tampered: from.flag("tampered")?,
                card_present: from.flag("card present")?,
                kind: from.text("kind")?.to_string(),
                firmware: from.text("firmware")?.to_string(),
                serial: from.text("serial number")?.to_string(),
            }),
            0x02 | 0x10 | 0x12 | 0x22 | 0x24..=0x26 | 0x34..=0x36 | 0x40..=0x43 | 0x49 | 0x4B => {
                Self::Data(from.data()?)
            }
            0x03
            | 0x11
            | 0x14
            | 0x20
            | 0x21
            | 0x23
            | 0x27
            | 0x30
            | 0x45
            | 0x46
            | 0x48
            | 0x4A
            | 0x4C..=0x4E => Self::Done,
            0x13 => Self::CardSlots(CardSlotInfo::decode_all(&mut from)?),
            0x28 | 0x2C => Self::Done,
            0x29 => Self::SwipedCard(SwipedCard::decode(&mut from)?),
            0x2A | 0x2B => Self::Data(from.data()?),
            0x50 => Self::SelfTest(SelfTestResult::decode_all(&mut from)?),
            0x51 => Self::Clock(from.u64()?),
            0x52..=0x55 => Self::Done,
            0x44 => Self::KeySlots(KeySlotInfo::decode_all(&mut from)?),
            0x47 => Self::KeyEntry(KeyEntryState::decode(&mut from)?),
            0x31 => Self::CheckValue(from.array()?),
            0x32 => Self::Mac(from.array()?),
            0x33 => Self::Verified(from.flag("equal")?),
            unknown => return Err(Error::Operation(unknown)),
        };
        from.end()?;
        Ok(response)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("Done"),
            Self::Status(status) => status.fmt(f),
            Self::Data(data) => write!(f, "Data({} bytes)", data.len()),
            Self::CardSlots(slots) => write!(f, "CardSlots({slots:?})"),
            Self::SwipedCard(card) => card.fmt(f),
            Self::CheckValue(_) => f.write_str("CheckValue"),
            Self::Mac(_) => f.write_str("Mac"),
            Self::Verified(equal) => write!(f, "Verified({equal})"),
            Self::KeySlots(slots) => write!(f, "KeySlots({})", slots.len()),
            Self::KeyEntry(_) => f.write_str("KeyEntry"),
            Self::SelfTest(results) => write!(f, "SelfTest({})", results.len()),
            Self::Clock(time) => write!(f, "Clock({time})"),
            Self::Refused { refusal, reason } => write!(f, "Refused({refusal:?}: {reason})"),
        }
    }
}
