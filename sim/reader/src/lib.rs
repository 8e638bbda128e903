//! The virtual EMV card behind QEMU's USB smart-card reader.
//!
//! QEMU's `usb-ccid` is the reader that the guest sees, a CCID device with one slot; its `ccid-card-passthru` passes
//! on what concerns the card, over the VSCard protocol. This is the other end of that. `simctl reader …` puts a card
//! of `sim-cards` in and pulls it out.
//!
//! What VSCard can't say, the guest does not see: a card has no power in it, so that a card is reset when it is put in
//! and not when the guest powers it up, and a card without an answer to reset can't be put in. The reader has T=0 only.

mod control;
mod line;
mod reader;
mod vscard;

pub use control::command;
pub use line::serve;
pub use reader::Reader;
