//! What every smartpos daemon shares, so that each daemon's `main` says only what is its own.
//!
//! - [`daemon::run`] is the life of a daemon: configuration, log, buses, readiness, watchdog, clean stop.
//! - [`config`] reads TOML in layers and names file, line and key when one is wrong.
//! - [`guard::Guard`] decides who calls (by the kernel's credentials) and whether they may.
//! - [`error::Error`] is the one set of error names that the D-Bus API publishes.
//! - [`options`], [`request`] and [`stream`] are the API's habits: typed `a{sv}`, objects with stable
//!   paths that end in one `Completed`, byte streams to devices.

pub mod bus;
pub mod card_application;
pub mod config;
pub mod currency;
pub mod daemon;
pub mod error;
pub mod grants;
pub mod guard;
pub mod logging;
mod memory;
pub mod operators;
pub mod options;
pub mod request;
pub mod stream;

pub use error::{Error, Result};
