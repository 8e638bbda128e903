//! How a session begins.

use super::Secret;
use crate::error::Result;
use crate::wire::{Reader, Writer};

/// The host opens a session. Bytes that later versions append are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The lowest version that the host speaks.
    pub lowest: u8,
    /// The highest version that the host speaks.
    pub highest: u8,
    /// What the host can do beyond the version: the bits of [`capability`](super::capability).
    pub capabilities: u32,
}

impl Hello {
    /// The length of the fields.
    pub(crate) const LENGTH: usize = 6;

    pub(crate) fn encode(self) -> Result<Secret> {
        let mut to = Writer::new();
        to.u8(self.lowest);
        to.u8(self.highest);
        to.u32(self.capabilities);
        to.finish()
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self> {
        let mut from = Reader::new(payload);
        Ok(Self { lowest: from.u8()?, highest: from.u8()?, capabilities: from.u32()? })
    }
}

/// The module has opened a session. Bytes that later versions append are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// The version that both speak from now on.
    pub version: u8,
    /// The capabilities that both have.
    pub capabilities: u32,
    /// A number that the module draws when it starts: another one means that it has restarted.
    pub boot: u32,
}

impl Welcome {
    /// The length of the fields.
    pub(crate) const LENGTH: usize = 9;

    pub(crate) fn encode(self) -> Result<Secret> {
        let mut to = Writer::new();
        to.u8(self.version);
        to.u32(self.capabilities);
        to.u32(self.boot);
        to.finish()
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self> {
        let mut from = Reader::new(payload);
        Ok(Self { version: from.u8()?, capabilities: from.u32()?, boot: from.u32()? })
    }
}
