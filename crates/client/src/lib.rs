//! Typed proxies of the smartpos D-Bus API, one module for each daemon.
//!
//! Anyone can call the API in any language; these are for Rust. Errors come back as [`zbus::Error::MethodError`] with
//! one of the names `org.smartpos.Error.*`.

pub mod card;
pub mod payment;
pub mod printer;

use std::collections::HashMap;

use zbus::OwnedVariant;

/// A dictionary as it comes off the bus.
pub type Dictionary = HashMap<String, OwnedVariant>;

/// The value of `key` in `dictionary`, where it is there and of type `T`.
pub fn get<'a, T>(dictionary: &'a Dictionary, key: &str) -> Option<T>
where
    T: TryFrom<&'a OwnedVariant>,
{
    dictionary.get(key).and_then(|value| T::try_from(value).ok())
}
