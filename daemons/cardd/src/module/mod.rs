//! Drivers of secure modules.

mod ccid;
mod link;
mod source;

pub(crate) use ccid::{CcidModule, SoftwareKeys};
pub(crate) use link::LinkModule;
pub(crate) use source::Source;
