//! Payment codes: EMV QR Code Specification for Payment Systems (QRCPS), Merchant-Presented Mode 1.1 and
//! Consumer-Presented Mode 1.1, and the codes of wallets.
//!
//! - [`mpm`]: the merchant shows a code, the customer scans it.
//! - [`cpm`]: the customer shows a code in the EMV form, the merchant scans it.
//! - [`wallet`]: whose code a customer shows, by a table that is configuration.
//!
//! Nothing here reads or draws a symbol: text goes in and comes out. All input is bounded by
//! [`MAX_LENGTH`]. What a customer shows pays for a purchase, and may hold a clear PAN: such text is kept in types that
//! wipe it, and no error carries any of it.

pub mod cpm;
pub mod decimal;
mod error;
pub mod mpm;
pub mod wallet;

pub use error::{Error, Problem, Result};

/// The most bytes that one QR symbol holds: ISO/IEC 18004 version 40-L in byte mode.
pub const MAX_LENGTH: usize = 2953;
