//! Drivers of secure modules.

mod address;
mod bulk;
mod ccid;
mod link;
mod source;
mod spi;

pub(crate) use address::Address;
pub(crate) use ccid::{CcidModule, SoftwareKeys};
pub(crate) use link::LinkModule;
pub(crate) use source::Source;
