//! Events: what the payload of an event frame says.

use std::fmt;

use crate::error::{Error, Result};
use crate::message::Secret;
use crate::wire::{Reader, Writer};

/// How a PIN entry ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PinResult {
    /// A PIN was typed: its enciphered block under TDES.
    Entered([u8; 8]),
    /// A PIN was typed: its enciphered block under SM4.
    EnteredLong([u8; 16]),
    /// A PIN was typed for the card: SW1 SW2 of its answer to VERIFY.
    Presented(u16),
    /// A PIN was to be handed to the card, and it did not answer, has no power, or was taken out.
    CardMute,
    /// Enter without a digit.
    Bypassed,
    /// The cancel key, or a cancel request.
    Cancelled,
    /// No key for too long.
    TimedOut,
}

/// Without the block: an event may come into a log.
impl fmt::Debug for PinResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entered(_) | Self::EnteredLong(_) => "Entered",
            Self::Presented(_) => "Presented",
            Self::CardMute => "CardMute",
            Self::Bypassed => "Bypassed",
            Self::Cancelled => "Cancelled",
            Self::TimedOut => "TimedOut",
        })
    }
}

/// What of a card is being keyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardPart {
    /// Its number.
    Number,
    /// Its expiry date, MMYY.
    Expiry,
    /// Its security code.
    SecurityCode,
}

/// How the entry of a card ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardResult {
    /// It was keyed; the module holds it.
    Entered,
    /// The cancel key, or a cancel request.
    Cancelled,
    /// No key for too long.
    TimedOut,
}

/// What a swipe came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwipeResult {
    /// The card was read, and the module holds it.
    Read,
    /// It could not be read, or is no payment card.
    Unreadable,
}

/// What the module reports on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the specification, and named as there")]
pub enum Event {
    /// A card was put into the slot.
    CardInserted { slot: u8 },
    /// The card was taken out.
    CardRemoved { slot: u8 },
    /// So many digits are typed now.
    PinDigits { entry: u16, count: u8 },
    /// The PIN entry has ended.
    PinEnded { entry: u16, result: PinResult },
    /// The module has been tampered with, and has wiped its keys.
    Tampered,
    /// So many digits of this part of a card are typed now.
    CardDigits { entry: u16, part: CardPart, count: u8 },
    /// The entry of a card has ended.
    CardEnded { entry: u16, result: CardResult },
    /// A card was swiped while the head was armed.
    CardSwiped { result: SwipeResult },
}

impl Event {
    /// The payload of an event frame.
    ///
    /// # Errors
    /// None in this version.
    pub fn encode(&self) -> Result<Secret> {
        let mut to = Writer::new();
        match self {
            Self::CardInserted { slot } => to.raw(&[1, *slot]),
            Self::CardRemoved { slot } => to.raw(&[2, *slot]),
            Self::PinDigits { entry, count } => {
                to.u8(3);
                to.u16(*entry);
                to.u8(*count);
            }
            Self::PinEnded { entry, result } => {
                to.u8(4);
                to.u16(*entry);
                match result {
                    PinResult::Entered(block) => {
                        to.u8(0);
                        to.raw(block);
                    }
                    PinResult::EnteredLong(block) => {
                        to.u8(4);
                        to.raw(block);
                    }
                    PinResult::Presented(status) => {
                        to.u8(5);
                        to.u16(*status);
                    }
                    PinResult::CardMute => to.u8(6),
                    PinResult::Bypassed => to.u8(1),
                    PinResult::Cancelled => to.u8(2),
                    PinResult::TimedOut => to.u8(3),
                }
            }
            Self::Tampered => to.u8(5),
            Self::CardDigits { entry, part, count } => {
                to.u8(6);
                to.u16(*entry);
                to.u8(match part {
                    CardPart::Number => 0,
                    CardPart::Expiry => 1,
                    CardPart::SecurityCode => 2,
                });
                to.u8(*count);
            }
            Self::CardEnded { entry, result } => {
                to.u8(7);
                to.u16(*entry);
                to.u8(match result {
                    CardResult::Entered => 0,
                    CardResult::Cancelled => 2,
                    CardResult::TimedOut => 3,
                });
            }
            Self::CardSwiped { result } => {
                to.u8(8);
                to.u8(match result {
                    SwipeResult::Read => 0,
                    SwipeResult::Unreadable => 1,
                });
            }
        }
        to.finish()
    }

    /// The event in a payload.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(payload: &[u8]) -> Result<Self> {
        let mut from = Reader::new(payload);
        let event = match from.u8()? {
            1 => Self::CardInserted { slot: from.u8()? },
            2 => Self::CardRemoved { slot: from.u8()? },
            3 => Self::PinDigits { entry: from.u16()?, count: from.u8()? },
            4 => Self::PinEnded {
                entry: from.u16()?,
                result: match from.u8()? {
                    0 => PinResult::Entered(from.array()?),
                    1 => PinResult::Bypassed,
                    2 => PinResult::Cancelled,
                    3 => PinResult::TimedOut,
                    4 => PinResult::EnteredLong(from.array()?),
                    5 => PinResult::Presented(from.u16()?),
                    6 => PinResult::CardMute,
                    _ => return Err(Error::Value("PIN result")),
                },
            },
            5 => Self::Tampered,
            6 => Self::CardDigits {
                entry: from.u16()?,
                part: match from.u8()? {
                    0 => CardPart::Number,
                    1 => CardPart::Expiry,
                    2 => CardPart::SecurityCode,
                    _ => return Err(Error::Value("part of a card")),
                },
                count: from.u8()?,
            },
            7 => Self::CardEnded {
                entry: from.u16()?,
                result: match from.u8()? {
                    0 => CardResult::Entered,
                    2 => CardResult::Cancelled,
                    3 => CardResult::TimedOut,
                    _ => return Err(Error::Value("result of a card's entry")),
                },
            },
            8 => Self::CardSwiped {
                result: match from.u8()? {
                    0 => SwipeResult::Read,
                    1 => SwipeResult::Unreadable,
                    _ => return Err(Error::Value("result of a swipe")),
                },
            },
            _ => return Err(Error::Value("event")),
        };
        from.end()?;
        Ok(event)
    }
}
