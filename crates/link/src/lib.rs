//! The line protocol between a terminal's processor (the host) and its secure module: both ends, without I/O.
//!
//! `docs/secure-module-link.md` specifies it for firmware writers; a test keeps its vectors true. [`Host`] and
//! [`Module`] are the two ends: each is handed the bytes that came and the time, and hands back the bytes to
//! send and what happened. The layers below them are [`frame`] and [`message`].
//!
//! Time is a [`Duration`](std::time::Duration) since any fixed moment, and never goes back.

mod card_slots;
mod cobs;
mod crc;
mod entry;
mod error;
mod event;
pub mod frame;
mod host;
mod key_loading;
pub mod message;
mod module;
mod noise;
mod offline_pin;
mod pace;
mod parts;
mod protection;
mod self_test;
mod stripe;
mod wire;

pub use card_slots::{CardSlotInfo, CardSlotKind};
pub use entry::{CardEntry, PinEntry};
pub use error::{Error, Result};
pub use event::{CardPart, CardResult, Event, PinResult, SwipeResult};
pub use frame::{Decoder, Frame, Kind, MAX_PAYLOAD};
pub use host::{Fault, Happening, Host};
pub use key_loading::{KeyEntryRequest, KeyEntryState, KeySlotInfo};
pub use message::{
    DUKPT, Hello, KBPK, MAK_X919, Refusal, Request, Response, STORE, Status, TMK_SM4, Welcome, capability,
};
pub use module::{Incoming, Module};
pub use offline_pin::{OfflinePinEntry, PinEncipherment};
pub use pace::Pace;
pub use parts::MAX_MESSAGE;
pub use protection::{Pairing, Protection};
pub use self_test::SelfTestResult;
pub use stripe::SwipedCard;

/// The version of the protocol that this crate speaks.
pub const VERSION: u8 = 1;

/// How long an end waits for an answer before it sends a frame again, from when the frame has left and while nothing arrives.
pub const RESEND_AFTER: std::time::Duration = std::time::Duration::from_millis(300);
