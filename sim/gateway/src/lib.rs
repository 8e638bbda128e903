//! The virtual QR gateway: `docs/host-qr-gateway.md` over HTTPS, with the wallets and the customers behind it.
//!
//! It is strict: a request that deviates from that page is refused with a reason. It is malicious on request: [`rules`] make it
//! late, silent, forged or gone. And its customers pay, refuse or take their time, as a tester says.
//!
//! [`host`] decides; [`ledger`] is what tests compare with the terminal's journal; [`server`] owns the sockets.

pub mod commands;
pub mod host;
pub mod ledger;
pub mod pki;
mod repeating;
pub mod rules;
pub mod server;

/// The table of wallets that this gateway knows, the same file that the terminal reads.
pub const WALLETS: &str = include_str!("../../../config/wallets.toml");

/// The currency of this gateway: renminbi.
pub const CURRENCY: &str = "CNY";
