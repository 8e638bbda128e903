//! Terminal keys: what they are and may do, DUKPT, key blocks, PIN blocks, MACs, check values, EMV session keys.
//!
//! Nothing here does I/O, reads a clock or draws a random number. Keys, PINs, PANs and tracks live in types
//! that wipe themselves when dropped and print only what may be seen.
//!
//! A [`Key`] does what its [attributes](Attributes) permit. [`TdesKey`] is the bare double-length key of
//! protocols that know no attributes: UnionPay's working keys, and EMV's session keys.

mod attributes;
pub mod check_digit;
mod cipher;
pub mod des;
pub mod dukpt;
pub mod emv;
mod error;
pub mod kcv;
mod key;
pub mod key_block;
pub mod mac;
pub mod offline_pin;
pub mod pan;
mod permission;
mod pin;
pub mod pin_block;
pub mod slot;
pub mod sm2;
mod tdea;
pub mod track2;

pub use attributes::{Algorithm, Attributes, Exportability, KeyVersion, Mode, Usage};
pub use des::TdesKey;
pub use error::{Error, Result};
pub use key::Key;
pub use pan::Pan;
pub use permission::Operation;
pub use pin::Pin;
pub use track2::Track2;
