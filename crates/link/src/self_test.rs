//! What a module says of its own health.

use crate::error::{Error, Result};
use crate::wire::{Reader, Writer};

/// One self-test of the module, and whether it passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfTestResult {
    /// What was tested, such as `aes`.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
}

impl SelfTestResult {
    pub(crate) fn encode_all(results: &[Self], to: &mut Writer) -> Result<()> {
        to.u8(u8::try_from(results.len()).map_err(|_| Error::TooLong)?);
        for result in results {
            to.text(&result.name);
            to.u8(result.passed.into());
        }
        Ok(())
    }

    pub(crate) fn decode_all(from: &mut Reader<'_>) -> Result<Vec<Self>> {
        let count = from.u8()?;
        let decode = |_| Ok(Self { name: from.text("name")?.to_string(), passed: from.flag("passed")? });
        (0..count).map(decode).collect()
    }
}
