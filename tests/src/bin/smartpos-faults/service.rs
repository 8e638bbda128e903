//! The services that are asked for.

use std::fmt;

use client::payment::TransactionProxy;
use smartpos_tests::Shop;

/// A service of `org.smartpos.Payment1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Sale,
}

impl Service {
    pub(crate) const ALL: [Service; 1] = [Service::Sale];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Sale => "sale",
        }
    }

    /// The type of its request to the host.
    pub(crate) fn request(self) -> &'static str {
        match self {
            Service::Sale => "0200",
        }
    }

    /// Makes what the service is about, such as the sale that is to be voided.
    pub(crate) async fn prepare(self, _shop: &Shop, _key: &str) -> Result<(), String> {
        Ok(())
    }

    /// Asks for the service under `key`, and returns its outcome.
    pub(crate) async fn ask(self, shop: &Shop, key: &str) -> Result<String, String> {
        let failed = |error: zbus::Error| error.to_string();
        let mut sale = shop.start(700, key).await.map_err(failed)?;
        end(&mut sale).await
    }
}

/// Waits for the end; a transaction that had ended before it was asked for again says nothing any more.
async fn end(sale: &mut smartpos_tests::Sale) -> Result<String, String> {
    let proxy: &TransactionProxy<'_> = &sale.proxy;
    let failed = |error: zbus::Error| error.to_string();
    if proxy.state().await.map_err(failed)? == "final" {
        let result = proxy.get_result().await.map_err(failed)?;
        return Ok(smartpos_tests::text(&result, "outcome").to_owned());
    }
    Ok(sale.completed().await.0)
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
