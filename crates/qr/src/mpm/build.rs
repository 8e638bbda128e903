//! QRCPS Merchant-Presented Mode, chapter 4: making a code.

use super::{Initiation, MerchantCode, Object, checksum, id};
use crate::decimal;
use crate::error::{Error, Problem, Result};

/// Makes a code: data objects in the order in which they are put, then the checksum.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    text: String,
    refused: Option<Error>,
}

impl Builder {
    /// A code that is used so often.
    pub fn new(initiation: Initiation) -> Self {
        let method = match initiation {
            Initiation::Static => "11",
            Initiation::Dynamic => "12",
        };
        let empty = Self { text: String::new(), refused: None };
        empty.put(id::FORMAT, "01").put(id::INITIATION, method)
    }

    /// Adds a data object.
    pub fn put(mut self, id: u8, value: &str) -> Self {
        let added = encode(&[(id, value)]).map(|object| self.text.push_str(&object));
        self.refused = self.refused.or(added.err());
        self
    }

    /// Adds a template.
    pub fn template(mut self, id: u8, objects: &[(u8, &str)]) -> Self {
        match encode(objects) {
            Ok(value) => self.put(id, &value),
            Err(error) => {
                let below = Error { path: format!("{id:02}.{}", error.path), ..error };
                self.refused = self.refused.or(Some(below));
                self
            }
        }
    }

    /// Adds the amount: `minor` units of a currency with `exponent` digits after the point.
    pub fn amount(self, minor: u64, exponent: u8) -> Self {
        self.put(id::AMOUNT, &decimal::from_minor(minor, exponent))
    }

    /// The text of the code.
    ///
    /// # Errors
    /// What the specification does not allow, as [`MerchantCode::parse`] would say.
    pub fn finish(mut self) -> Result<String> {
        if let Some(error) = self.refused {
            return Err(error);
        }
        self.text.push_str("6304");
        self.text.push_str(&checksum(&self.text));
        MerchantCode::parse(&self.text)?;
        Ok(self.text)
    }
}

/// The data objects as the value of a template.
///
/// # Errors
/// An id above 99, or a value of no or more than 99 characters.
pub fn encode(objects: &[(u8, &str)]) -> Result<String> {
    let mut text = String::new();
    for (id, value) in objects {
        let got = value.chars().count();
        if *id > 99 {
            return Err(Problem::BadId.at(id.to_string()));
        }
        if !(1..=99).contains(&got) {
            return Err(Problem::Length { min: 1, max: 99, got }.at(format!("{id:02}")));
        }
        text.push_str(&Object { id: *id, value }.to_string());
    }
    Ok(text)
}
