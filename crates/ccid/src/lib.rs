//! USB smart-card readers and the cards in them, without I/O: USB CCID revision 1.1 (2005), and of ISO/IEC 7816-3:2006
//! what such a reader leaves to its host.
//!
//! A [`Descriptor`] says what the reader does by itself. A [`Dialogue`] numbers commands to one slot and tells their answers
//! from others. A [`Card`] begins with an answer to reset and carries command APDUs over the protocol that card and reader
//! have in common: [`Card::begin`] and [`Card::transmit`] return the first [`Step`], and [`Card::take`] the next one for
//! what the card said. Time is the driver's: it waits as long as [`Progress::Extended`] asks, and says
//! [`Reply::Nothing`] when nothing came. A reader with a pad is asked for a PIN by a [`PinVerification`].

mod apdu;
mod atr;
mod card;
mod descriptor;
mod dialogue;
mod error;
mod message;
mod parameters;
mod pin;
mod t0;
mod t1;

pub use atr::Atr;
pub use card::{Block, Card, Reply, Step};
pub use descriptor::{Descriptor, Level, Voltage};
pub use dialogue::{Dialogue, Progress};
pub use error::{Error, Result, SlotError};
pub use message::{Answer, Assembler, Body, Command, Icc, SlotChange};
pub use parameters::Parameters;
pub use pin::{PinEnd, PinVerification};

/// What is sent to a card and comes from one: it is wiped when it is dropped.
pub type Secret = zeroize::Zeroizing<Vec<u8>>;
