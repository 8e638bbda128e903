//! The virtual acquirer host: the dialects of docs/host-*.md over mutual TLS, and the issuer behind them.
//!
//! It is strict. A message that deviates from its dialect's page in one bit is refused, with the
//! answer code that a real host would give and a reason on stderr and in the ledger. It is also malicious on
//! request: [`rules`] make it late, silent, wrong or gone at the moments when money can be lost.
//!
//! [`host`] hands each message to one of [`transaction`], [`reversal`], [`settlement`], [`parameters`] and [`sign_on`]; [`ledger`] is
//! what the tests compare with the terminal's journal, and [`history`] what follows from it. [`server`] owns the
//! sockets.

mod advice;
pub mod args;
pub mod base_key;
mod card_request;
mod certificate;
pub mod chip;
pub mod commands;
mod dialect;
pub mod echo_test;
pub mod history;
pub mod host;
mod instalments;
pub mod issuer;
pub mod ledger;
pub mod mangling;
mod moto;
mod originals;
pub mod parameters;
pub mod pki;
mod request;
pub mod reversal;
pub mod rules;
pub mod scripts;
pub mod server;
pub mod service;
pub mod settlement;
pub mod sign_on;
mod stripe;
mod terminal_values;
pub mod transaction;
pub mod working_keys;

/// The host profile that this acquirer speaks, the same file that the terminal reads.
pub const HOST_PROFILE: &str = include_str!("../../../config/hosts/unionpay-direct.toml");

/// The shipped profile `name`, if this host speaks it.
#[must_use]
pub fn profile(name: &str) -> Option<&'static str> {
    match name {
        "unionpay-direct" => Some(HOST_PROFILE),
        "iso8583-1987-ascii" => Some(include_str!("../../../config/hosts/iso8583-1987-ascii.toml")),
        "p2pe-dukpt" => Some(include_str!("../../../config/hosts/p2pe-dukpt.toml")),
        "unionpay-direct-sm4" => Some(include_str!("../../../config/hosts/unionpay-direct-sm4.toml")),
        _ => None,
    }
}

/// The terminals that are registered: terminal and merchant identification (DE 41, DE 42).
pub const TERMINALS: [(&str, &str); 1] = [("12345678", "898100012345678")];

/// The currency of this acquirer (DE 49): renminbi.
pub const CURRENCY: &str = "156";
