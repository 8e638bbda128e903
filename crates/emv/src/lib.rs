//! An EMV contact kernel (EMV 4.4 Books 1 to 4) without I/O.
//!
//! [`Kernel`] is handed what happened as an [`Event`] and answers with the [`Action`] that follows: transmit an APDU,
//! ask for a choice, for a PIN, for the host, or complete. It reads no clock, draws no random number, and
//! never sees a PIN or a secret key. One module implements one function of Book 3, and opens with its clause.
//!
//! ```no_run
//! # fn transmit(_: &[u8]) -> Vec<u8> { Vec::new() }
//! # fn run(config: std::sync::Arc<emv::Config>, transaction: emv::Transaction) {
//! use emv::{Action, Event, Kernel, PinResult};
//! let mut kernel = Kernel::new(config, transaction);
//! let mut action = kernel.start();
//! loop {
//!     action = match action {
//!         Action::Transmit(command) => {
//!             let response = transmit(command);
//!             kernel.step(Event::Response(&response))
//!         }
//!         Action::ChooseApplication(_) => kernel.step(Event::Chosen(0)),
//!         Action::EnterOnlinePin => kernel.step(Event::Pin(PinResult::Bypassed)),
//!         Action::VerifyOfflinePin(_) => kernel.step(Event::Pin(PinResult::Bypassed)),
//!         Action::GoOnline => kernel.step(Event::HostUnreachable),
//!         Action::Complete(_) => break,
//!     };
//! }
//! # }
//! ```
//!
//! [`Kernel::record_findings`] has it say what it decides, and by which clause; [`words`] puts results in words.

mod action_analysis;
pub mod apdu;
mod authentication;
mod bits;
mod bytes;
mod certificates;
mod combined;
mod completion;
mod config;
mod cryptogram;
mod cvm;
mod data;
mod exceptions;
mod findings;
mod identify;
mod initiate;
mod kernel;
mod names;
mod objects;
mod offline_pin;
mod online;
mod outcome;
mod read;
mod records;
pub mod replay;
mod restrictions;
mod risk;
pub mod rsa;
mod scripts;
mod selection;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod words;

pub use bits::tvr::ActionCode;
pub use config::{Application, Capk, Config, ConfigError, Revoked, Terminal};
pub use data::{Field55Error, MAX_FIELD_55, Sensitive};
pub use exceptions::Exceptions;
pub use findings::{ActionCodes, Finding};
pub use kernel::{Action, Event, Flow, HostAnswer, Kernel, PinResult, Transaction};
pub use names::{Aid, Label};
pub use offline_pin::{OfflinePin, PinEncipherment};
pub use outcome::{Cryptogram, CryptogramKind, Cvm, Decision, Online, Outcome, Reason};
pub use selection::Candidate;

use tlv::{Tag, tags};

/// The data elements that an acquirer gets in field 55; those that a card has not are left out.
pub const FIELD_55: &[Tag] = &[
    tags::CRYPTOGRAM,
    tags::CID,
    tags::IAD,
    tags::UNPREDICTABLE_NUMBER,
    tags::ATC,
    tags::TVR,
    tags::TRANSACTION_DATE,
    tags::TRANSACTION_TYPE,
    tags::AMOUNT_AUTHORISED,
    tags::TRANSACTION_CURRENCY,
    tags::AIP,
    tags::TERMINAL_COUNTRY,
    tags::AMOUNT_OTHER,
    tags::TERMINAL_CAPABILITIES,
    tags::CVM_RESULTS,
    tags::TERMINAL_TYPE,
    tags::IFD_SERIAL_NUMBER,
    tags::DF_NAME,
    tags::VERSION_TERMINAL,
    tags::SEQUENCE_COUNTER,
    tags::unionpay::PRODUCT_IDENTIFICATION,
];
