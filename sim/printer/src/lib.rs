//! The virtual ESC/POS printer: a strict printer in a process of its own, with paper that a test can read.

pub mod command;
pub mod machine;
pub mod options;
pub mod paper;
pub mod port;
pub mod process;
