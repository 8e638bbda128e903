//! A whole terminal on a laptop, without root: two buses, virtual hardware, production daemons.
//!
//! ```no_run
//! # async fn example() -> sim_terminal::Result<()> {
//! use sim_terminal::{Part, Terminal};
//!
//! let mut terminal = Terminal::builder("run/example").start().await?;
//! terminal.simctl(&["card", "insert", "visa"]).await?;
//! let apps = terminal.app_bus().await?;
//! terminal.kill(Part::Paymentd).await?; // kill -9
//! terminal.restart(Part::Paymentd).await?;
//! terminal.stop().await
//! # }
//! ```
//!
//! Everything that a run leaves behind is below its folder ([`Layout`]): configuration, logs, journal, ledger,
//! paper. Sockets are in a short temporary folder. The processes die with the thread that started them,
//! however that ends.

mod buses;
mod clock;
mod codes;
pub mod compare;
mod config;
mod enrol;
mod error;
mod layout;
mod part;
mod process;
mod records;
mod terminal;

pub use clock::Clock;
pub use config::{APP, MEMBERSHIP, MERCHANT_ID, TERMINAL_ID};
pub use error::{Error, Result};
pub use layout::Layout;
pub use part::Part;
pub use terminal::{Builder, ClientKey, ModuleLine, Terminal, programs};
