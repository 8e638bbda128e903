//! Fuzz targets: one function for each parser of outside bytes. Each is handed any bytes, and panics where the parser breaks
//! what it promises: that what was read is written again as it was, that two ways to read agree, that an end is
//! reached.
//!
//! `cargo test -p smartpos-fuzz` replays `corpus/`; `cargo xtask fuzz TARGET --minutes N` looks for more with libFuzzer.

#![expect(clippy::expect_used, reason = "a target stops at the first broken promise")]

mod card;
mod code;
mod gateway;
mod host;
mod module;
mod paper;
mod reader;
mod token;
mod tracks;

/// A parser and its promises.
pub struct Target {
    /// Its name: that of its folder in `corpus/`.
    pub name: &'static str,
    /// Whether the parser took the bytes. Panics if a promise is broken.
    pub check: fn(&[u8]) -> bool,
}

/// All targets, by name.
pub const TARGETS: [Target; 16] = [
    Target { name: "ccid-reader", check: reader::ccid_reader },
    Target { name: "emv-kernel", check: card::emv_kernel },
    Target { name: "escpos-document", check: paper::escpos_document },
    Target { name: "escpos-status", check: paper::escpos_status },
    Target { name: "gateway-answer", check: gateway::gateway_answer },
    Target { name: "gateway-request", check: gateway::gateway_request },
    Target { name: "iso8583-frame", check: host::iso8583_frame },
    Target { name: "iso8583-message", check: host::iso8583_message },
    Target { name: "keys-key-block", check: module::keys_key_block },
    Target { name: "link-frame", check: module::link_frame },
    Target { name: "link-message", check: module::link_message },
    Target { name: "qr-consumer", check: code::qr_consumer },
    Target { name: "qr-merchant", check: code::qr_merchant },
    Target { name: "stripe-tracks", check: tracks::stripe_tracks },
    Target { name: "tlv", check: card::tlv },
    Target { name: "tr34-token", check: token::tr34_token },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
