//! Typed proxies of the smartpos D-Bus API, one module for each daemon.
//!
//! Anyone can call the API in any language; these are for Rust. Errors come back as [`zbus::Error::MethodError`] with
//! one of the names `org.smartpos.Error.*`.

pub mod card;
pub mod parameters;
pub mod payment;
pub mod printer;

use std::collections::HashMap;

use zbus::proxy::{Builder, CacheProperties, Defaults, ProxyImpl};
use zbus::{Connection, OwnedObjectPath, OwnedVariant, Proxy};

/// A dictionary as it comes off the bus.
pub type Dictionary = HashMap<String, OwnedVariant>;

/// A proxy of a service, at the path that it is always at.
///
/// It keeps no properties: zbus fills its cache once, and where the service was away at that moment, every later question
/// about a property fails as the first one did, also when the service is back.
///
/// # Errors
/// What zbus says.
pub async fn proxy<P>(bus: &Connection) -> zbus::Result<P>
where
    P: ProxyImpl<'static> + From<Proxy<'static>> + Defaults,
{
    uncached(bus).build().await
}

/// A proxy of the object at `path`, such as a transaction. It keeps no properties, as [`proxy`].
///
/// # Errors
/// What zbus says.
pub async fn proxy_at<P>(bus: &Connection, path: OwnedObjectPath) -> zbus::Result<P>
where
    P: ProxyImpl<'static> + From<Proxy<'static>> + Defaults,
{
    uncached(bus).path(path).build().await
}

fn uncached<P: ProxyImpl<'static>>(bus: &Connection) -> Builder<'static, P> {
    P::builder(bus).cache_properties(CacheProperties::No)
}

/// The value of `key` in `dictionary`, where it is there and of type `T`.
pub fn get<'a, T>(dictionary: &'a Dictionary, key: &str) -> Option<T>
where
    T: TryFrom<&'a OwnedVariant>,
{
    dictionary.get(key).and_then(|value| T::try_from(value).ok())
}
