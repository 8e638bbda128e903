//! Messages: what the payload of a frame says. Nothing in them prints card data.

pub mod capability;
mod hello;
mod request;
mod response;

pub use hello::{Hello, Welcome};
pub use request::Request;
pub use response::{Refusal, Response, Status};
use zeroize::Zeroizing;

use crate::error::Result;
use crate::wire::Reader;

/// The slot of the master key of SM4.
pub const TMK_SM4: &str = "tmk-sm4";
/// The slot of the key of MACs by ANSI X9.19.
pub const MAK_X919: &str = "mak-x919";
/// The slot of the key under which card data wait for the host. The module made it itself.
pub const STORE: &str = "store";
/// The slot of the key that protects key blocks.
pub const KBPK: &str = "kbpk";
/// The slot of the keys of the DUKPT transaction that is going on.
pub const DUKPT: &str = "dukpt";

/// Bytes that are wiped on drop.
pub type Secret = Zeroizing<Vec<u8>>;

pub(crate) fn key_name(from: &mut Reader<'_>) -> Result<String> {
    from.text("key slot").map(|mut name| std::mem::take(&mut *name))
}
