//! The virtual secure module: the other end of the line protocol of `docs/secure-module-link.md`.
//!
//! It has one card slot with a virtual card, a PIN pad on which `simctl` types, and key slots with fixed uses.
//! It is strict: what a certified module would refuse, it refuses, with a reason. Its keys are software keys,
//! and it says that it isn't certified.

mod card_slot;
mod control;
mod device;
mod dukpt;
mod firmware;
mod key_entry;
mod key_host;
mod key_slots;
mod keyed_card;
mod line;
mod offline_pin;
pub mod pairing;
mod pin_pace;
mod pin_pad;
mod pin_rules;
pub mod pki;
mod plug;
pub mod pty;
mod self_test;
mod store;
mod stripe;
#[cfg(test)]
mod tests;
mod tls_key;
mod trace;

pub use control::command;
pub use device::Device;
pub use dukpt::Dukpt;
pub use firmware::release;
pub use key_host::KeyHost;
pub use key_slots::MasterKeys;
pub use line::serve;
pub use plug::plug;
pub use store::Store;

/// A request that was refused: what is wrong, and why in words.
type Refused = (link::Refusal, String);

fn refused<T>(refusal: link::Refusal, reason: impl Into<String>) -> Result<T, Refused> {
    Err((refusal, reason.into()))
}
