//! Terminal keys: TDES, PIN blocks, MACs, check values, EMV session keys.
//!
//! Nothing here does I/O, reads a clock or draws a random number. Keys, PINs, PANs and tracks live in types
//! that wipe themselves when dropped and print only what may be seen.

pub mod des;
pub mod emv;
mod error;
pub mod kcv;
pub mod mac;
pub mod pan;
pub mod pin_block;
pub mod track2;

pub use des::TdesKey;
pub use error::{Error, Result};
pub use pan::Pan;
pub use pin_block::Pin;
pub use track2::Track2;
