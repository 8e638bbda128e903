//! The protocol between a terminal and a QR payment gateway: `docs/host-qr-gateway.md`, both ends.
//!
//! Requests and answers are JSON over HTTPS, signed by whoever sends them in the manner of WeChat Pay's API v3. A
//! signature covers time and nonce; an answer carries the nonce of its request, so that it answers no other one.
//!
//! - [`message`]: what is asked and answered.
//! - [`head`]: the header fields, and the text that is signed.
//! - [`key`]: signing and verifying.
//! - [`terminal`]: the terminal's end.
//! - [`door`]: the gateway's end, up to where its own work begins.
//!
//! Nothing here does I/O, reads a clock or draws a random number: time is handed in as seconds since 1970, nonces as bytes.

pub mod door;
pub mod head;
pub mod key;
pub mod message;
pub mod terminal;

/// By how many seconds the clocks of the two ends may differ.
pub const MAX_SKEW: u64 = 300;

/// The longest body of a request or an answer, in bytes.
pub const MAX_BODY: usize = 8192;
