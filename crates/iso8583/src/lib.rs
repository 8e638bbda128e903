//! ISO 8583:1987 messages by a profile that is data.
//!
//! Hosts agree on the structure of the standard (message type, bitmap, data elements) and on little else: one
//! packs digits into BCD, the next sends ASCII; one counts digits, the next bytes. Here all of that is a
//! [`Profile`], read from a file by serde, and the code knows no host by name.
//!
//! - [`Profile::parse`] borrows a received message and allocates nothing; [`Message`] hands out its [`Value`]s.
//! - [`Builder`] packs a message into a buffer of the caller's.
//! - [`frame`] puts messages on a byte stream: length, TPDU, header.
//! - [`Layout`] is what a host wants in elements that the standard leaves to it, with places for the terminal to fill in.
//! - [`Host`] is a whole host profile file: framing, codec, timeouts, reversal rules, key download.
//!
//! Parsing is strict and lossless: a message that parses is packed again into the very same bytes, and
//! everything else is an [`Error`] that names the place, such as `DE 35.length`.

mod bcd;
mod build;
mod error;
pub mod frame;
mod host;
mod message;
mod profile;
mod template;

pub use build::Builder;
pub use error::{Error, Place};
pub use host::{
    CardFlow, DownloadSet, Downloads, Echo, Elements, Host, Instalments, KeyDownload, KeyPart, Link, Moto,
    Offline, Reversal, Scripts, Security, Service, Settlement, SignOn, Sums, TerminalDownload,
    TerminalParameter, TerminalValue, Timeouts, WrappedKey,
};
pub use message::{Message, Mti, Value};
pub use profile::{Align, Class, Encoding, Field, Length, Profile, Unit};
pub use template::{Fill, Layout};
