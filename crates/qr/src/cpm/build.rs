//! QRCPS Consumer-Presented Mode 3.1: making a code, as a virtual customer does.

use tlv::{Tag, tags};
use zeroize::Zeroizing;

use super::{APPLICATION_TRANSPARENT, COMMON, COMMON_TRANSPARENT, ConsumerCode, FORMAT, VERSION};
use crate::MAX_LENGTH;
use crate::error::{Problem, Result};

/// Data objects of a template: tags and values.
type Objects<'o> = [(Tag, &'o [u8])];

/// Makes a code: templates in the order in which they are added.
#[derive(Clone)]
#[must_use]
pub struct Builder {
    payload: Zeroizing<Vec<u8>>,
    refused: Option<tlv::Error>,
}

impl Builder {
    /// A payload with its Payload Format Indicator.
    pub fn new() -> Self {
        // Room for all from the start: growing would leave a clear copy behind.
        let payload = Zeroizing::new(Vec::with_capacity(MAX_LENGTH));
        let mut empty = Self { payload, refused: None };
        empty.refused = tlv::write(&mut *empty.payload, FORMAT, VERSION).err();
        empty
    }

    /// Adds an Application Template (61), with `transparent` data for the acquirer (63) if there are any.
    pub fn application(self, objects: &Objects<'_>, transparent: &Objects<'_>) -> Self {
        self.template(tags::APPLICATION_TEMPLATE, objects, APPLICATION_TRANSPARENT, transparent)
    }

    /// Adds the Common Data Template (62), with `transparent` data for the acquirer (64) if there are any.
    pub fn common(self, objects: &Objects<'_>, transparent: &Objects<'_>) -> Self {
        self.template(COMMON, objects, COMMON_TRANSPARENT, transparent)
    }

    fn template(mut self, tag: Tag, objects: &Objects<'_>, blob_tag: Tag, transparent: &Objects<'_>) -> Self {
        let added = write_all(objects).and_then(|mut value| {
            let blob = write_all(transparent)?;
            if !blob.is_empty() {
                tlv::write(&mut *value, blob_tag, &blob)?;
            }
            tlv::write(&mut *self.payload, tag, &value)
        });
        self.refused = self.refused.or(added.err());
        self
    }

    /// The code.
    ///
    /// # Errors
    /// What the specification does not allow, as [`ConsumerCode::parse`] and [`ConsumerCode::data`] would say.
    pub fn finish(self) -> Result<ConsumerCode> {
        if let Some(error) = self.refused {
            return Err(Problem::Tlv(error).at("code"));
        }
        let got = self.payload.len().div_ceil(3) * 4;
        if got > MAX_LENGTH {
            return Err(Problem::Length { min: 1, max: MAX_LENGTH, got }.at("code"));
        }
        let code = ConsumerCode::from_payload(self.payload)?;
        for application in code.applications() {
            code.data(&application)?;
        }
        Ok(code)
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

fn write_all(objects: &Objects<'_>) -> std::result::Result<Zeroizing<Vec<u8>>, tlv::Error> {
    let mut value = Zeroizing::new(Vec::with_capacity(MAX_LENGTH));
    for (tag, bytes) in objects {
        tlv::write(&mut *value, *tag, bytes)?;
    }
    Ok(value)
}
