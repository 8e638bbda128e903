//! The virtual disk of a terminal in QEMU: an image file behind a volatile write cache, served over NBD.
//!
//! Killing QEMU is kinder than a power cut: what the guest wrote is then in the host's page cache. This disk loses it, as a real
//! one does: whatever was not flushed is kept, lost or torn, by a seed, so that a cut can be repeated.

mod control;
mod disk;
mod handshake;
pub mod options;
pub mod process;
mod protocol;
mod session;
