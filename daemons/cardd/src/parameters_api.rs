//! `org.smartpos.CardParameters1`, as seen on the system bus.

use std::collections::HashMap;

use service::guard::Guard;
use service::options::Dictionary;
use service::{Error, Result};
use zbus::message::Header;
use zbus::{OwnedVariant, Variant, interface};

use crate::api::PAYMENT;
use crate::parameters::{Parameters, Set};

/// The EMV parameters in force, on the system bus.
pub(crate) struct CardParametersService {
    pub(crate) guard: Guard,
    pub(crate) parameters: Parameters,
}

/// The EMV parameters that transactions go by.
#[interface(name = "org.smartpos.CardParameters1")]
impl CardParametersService {
    /// Puts what the host has sent in place of all of `set` (`capks` or `applications`): 1 to 100 records of BER-TLV, up to 512
    /// bytes each. Each is checked, a CA key by its SHA-1; with one that is wrong nothing changes. When this returns, the set is on
    /// disk, and the next transaction goes by it. For `org.smartpos.Payment` alone.
    ///
    /// Errors: InvalidArgument, NotPermitted, Internal.
    async fn replace(
        &self,
        set: &str,
        records: Vec<Vec<u8>>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<()> {
        self.guard.admit_daemon(&header, PAYMENT).await?;
        self.parameters.replace(Set::named(set)?, records).await
    }

    /// What is in force of `set`, and where it is from: `host`, or `shipped` with the terminal. A CA key has `rid` s, `index` s,
    /// `bits` u, `exponent` s, `expiry` s, `sha1` s; an application has `aid` s, `name` s, `partial` b, `version` s, `floor_limit` t
    /// (minor units), `tac_denial` s, `tac_online` s, `tac_default` s. For the operator.
    ///
    /// Errors: InvalidArgument, NotPermitted, Throttled.
    #[zbus(out_args("source", "records"))]
    async fn list(&self, set: &str, #[zbus(header)] header: Header<'_>) -> Result<(String, Vec<Dictionary>)> {
        let _admitted = self.guard.admit_operator(&header).await?;
        let set = Set::named(set)?;
        let source = if self.parameters.is_from_host(set) { "host" } else { "shipped" };
        let config = self.parameters.in_force();
        let records = match set {
            Set::Capks => config.capks.iter().map(capk).collect::<Result<_>>(),
            Set::Applications => config.applications.iter().map(application).collect(),
        };
        Ok((source.to_string(), records?))
    }
}

fn capk(capk: &emv::Capk) -> Result<Dictionary> {
    let bits = u32::try_from(capk.modulus.len().saturating_mul(8)).unwrap_or(u32::MAX);
    dictionary([
        ("rid", hex::encode_upper(capk.rid).into()),
        ("index", hex::encode_upper(capk.index).into()),
        ("bits", bits.into()),
        ("exponent", hex::encode_upper(&capk.exponent).into()),
        ("expiry", capk.expiry.as_str().into()),
        ("sha1", hex::encode_upper(capk.sha1).into()),
    ])
}

fn application(application: &emv::Application) -> Result<Dictionary> {
    dictionary([
        ("aid", hex::encode_upper(&application.aid).into()),
        ("name", application.name.as_str().into()),
        ("partial", application.partial.into()),
        ("version", hex::encode_upper(application.version).into()),
        ("floor_limit", u64::from(application.floor_limit).into()),
        ("tac_denial", hex::encode_upper(application.tac_denial).into()),
        ("tac_online", hex::encode_upper(application.tac_online).into()),
        ("tac_default", hex::encode_upper(application.tac_default).into()),
    ])
}

fn dictionary<const N: usize>(entries: [(&str, Variant<'_>); N]) -> Result<Dictionary> {
    let owned = entries.into_iter().map(|(key, value)| {
        let value: OwnedVariant =
            value.try_into_owned().map_err(|error| Error::internal("an answer can't be made", error))?;
        Ok((key.to_string(), value))
    });
    owned.collect::<Result<HashMap<_, _>>>()
}
