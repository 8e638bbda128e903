//! Drivers of secure modules.

mod link;

pub(crate) use link::LinkModule;
