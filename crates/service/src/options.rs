//! `a{sv}` options, as typed tables: what a method knows it takes out, what is left over is refused.
//!
//! ```
//! # use std::collections::HashMap;
//! # use service::options::Options;
//! # use smartpos_service as service;
//! let mut options = Options::new("options", HashMap::from([("copies".to_string(), 2u32.into())]));
//! let copies: Option<u32> = options.take("copies")?;
//! options.finish()?; // an unknown key is an error
//! assert_eq!(copies, Some(2));
//! # Ok::<(), service::Error>(())
//! ```

use std::collections::HashMap;

use zbus::{OwnedVariant, Type};

use crate::error::{Error, Result};

/// A dictionary as it comes off the bus.
pub type Dictionary = HashMap<String, OwnedVariant>;

/// A dictionary of options that is being read.
#[derive(Debug)]
pub struct Options {
    name: String,
    left: Dictionary,
    known: Vec<&'static str>,
}

impl Options {
    /// Begins to read `values`; errors call it `name`.
    pub fn new(name: impl Into<String>, values: Dictionary) -> Options {
        Options { name: name.into(), left: values, known: Vec::new() }
    }

    /// Takes the option `key`, or `None` where the caller did not give it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it has another D-Bus type than `T`.
    pub fn take<T>(&mut self, key: &'static str) -> Result<Option<T>>
    where
        T: TryFrom<OwnedVariant> + Type,
    {
        self.known.push(key);
        let Some(value) = self.left.remove(key) else { return Ok(None) };
        let got = value.value_signature().to_string();
        T::try_from(value).map(Some).map_err(|_| {
            Error::invalid(
                &format!("{}.{key}", self.name),
                format!("expected type `{}`, got `{got}`", T::SIGNATURE),
            )
        })
    }

    /// Takes the option `key`, which must be there.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it is missing or has another type.
    pub fn require<T>(&mut self, key: &'static str) -> Result<T>
    where
        T: TryFrom<OwnedVariant> + Type,
    {
        self.take(key)?.ok_or_else(|| Error::invalid(&format!("{}.{key}", self.name), "is missing"))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the first key (in alphabetical order) that nobody took.
    pub fn finish(self) -> Result<()> {
        let Some(unknown) = self.left.keys().min() else { return Ok(()) };
        let known = match self.known.as_slice() {
            [] => "none is known here".to_string(),
            keys => format!("known keys are {}", keys.join(", ")),
        };
        Err(Error::invalid(&format!("{}.{unknown}", self.name), format!("unknown key; {known}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(entries: &[(&str, OwnedVariant)]) -> Options {
        Options::new("options", entries.iter().map(|(key, value)| (key.to_string(), value.clone())).collect())
    }

    #[test]
    fn an_unknown_key_is_named_with_those_that_are_known() {
        let mut options = options(&[("coppies", 2u32.into())]);
        assert_eq!(options.take::<u32>("copies"), Ok(None));
        let Err(Error::InvalidArgument(message)) = options.finish() else { panic!("accepted") };
        assert_eq!(message, "options.coppies: unknown key; known keys are copies");
    }

    #[test]
    fn a_wrong_type_is_refused_with_both_types() {
        let mut options = options(&[("copies", 2u64.into())]);
        let Err(Error::InvalidArgument(message)) = options.take::<u32>("copies") else { panic!("accepted") };
        assert_eq!(message, "options.copies: expected type `u`, got `t`");
    }
}
