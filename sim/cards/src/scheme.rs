//! What the cards of one payment scheme have in common: keys, data object lists, answer format.
//!
//! All keys are test keys that everyone knows. Each scheme has one certification authority, one issuer
//! and one ICC key that its cards share.

use keys::TdesKey;
use serde::Deserialize;
use sha1::{Digest, Sha1};
use tlv::Tag;

use crate::certificate::RsaKey;
use crate::hexadecimal;

const SOURCES: [(&str, &str); 3] = [
    ("unionpay", include_str!("../schemes/unionpay.toml")),
    ("visa", include_str!("../schemes/visa.toml")),
    ("mastercard", include_str!("../schemes/mastercard.toml")),
];

/// Expiry of the test keys in a terminal's table.
const CAPK_EXPIRY: &str = "2049-12-31";

/// How GET PROCESSING OPTIONS and GENERATE AC answer (Book 3 clauses 6.5.5 and 6.5.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
pub(crate) enum ResponseFormat {
    /// Tag 80: the values without their tags.
    Bare,
    /// Tag 77: BER-TLV.
    Tlv,
}

impl TryFrom<u8> for ResponseFormat {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(Self::Bare),
            2 => Ok(Self::Tlv),
            other => Err(format!("response_format is 1 or 2, not {other}")),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scheme {
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) rid: [u8; 5],
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) ca_index: [u8; 1],
    #[serde(deserialize_with = "hexadecimal::key")]
    pub(crate) imk: TdesKey,
    #[serde(deserialize_with = "hexadecimal::key")]
    pub(crate) imk_smi: TdesKey,
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) application_version: [u8; 2],
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) aip: [u8; 2],
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) pdol: Vec<u8>,
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) cdol1: Vec<u8>,
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) cdol2: Vec<u8>,
    #[serde(deserialize_with = "hexadecimal::deserialize")]
    pub(crate) ddol: Vec<u8>,
    pub(crate) response_format: ResponseFormat,
    pub(crate) ca: RsaKey,
    pub(crate) issuer: RsaKey,
    pub(crate) icc: RsaKey,
}

impl Scheme {
    /// The scheme of that name, or a sentence saying what is wrong.
    pub(crate) fn load(name: &str) -> Result<Self, String> {
        let (_, source) = SOURCES
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| format!("there is no scheme {name:?}"))?;
        toml::from_str(source).map_err(|error| format!("scheme {name}: {error}"))
    }

    /// Book 2 clause 11.2.2: SHA-1 of the CA key with its RID and index.
    fn capk_checksum(&self) -> [u8; 20] {
        let sum = Sha1::new()
            .chain_update(self.rid)
            .chain_update(self.ca_index)
            .chain_update(self.ca.modulus_bytes())
            .chain_update(&self.ca.exponent);
        sum.finalize().into()
    }

    /// Does the AIP ask for EXTERNAL AUTHENTICATE (byte 1 bit 3)? Otherwise the ARPC comes in CDOL2 data.
    pub(crate) fn external_authenticate(&self) -> bool {
        self.aip.first().is_some_and(|byte| byte & 0x04 != 0)
    }
}

/// The public keys of the test certification authorities, in the format of the terminal's CAPK table.
///
/// A terminal that loads them takes virtual cards for genuine: the virtual terminal does, no other may.
pub fn capks_toml() -> String {
    let mut text = String::from(
        "# TEST ONLY: the private halves of these keys are public. Never load this file on a terminal\n\
         # that takes money. Made by `sim_cards::capks_toml()`; a test keeps both equal.\n",
    );
    for scheme in schemes() {
        text.push_str(&format!(
            "\n[[capk]]\nrid = \"{}\"\nindex = \"{}\"\nexponent = \"{}\"\nmodulus = \"{}\"\nexpiry = \"{CAPK_EXPIRY}\"\nsha1 = \"{}\"\n",
            hex::encode_upper(scheme.rid),
            hex::encode_upper(scheme.ca_index),
            hex::encode_upper(&scheme.ca.exponent),
            hex::encode_upper(scheme.ca.modulus_bytes()),
            hex::encode_upper(scheme.capk_checksum()),
        ));
    }
    text
}

/// The same keys as records of BER-TLV, as a host sends them to a terminal (`docs/host-unionpay-direct.md`).
pub fn capk_records() -> Vec<Vec<u8>> {
    let expiry = CAPK_EXPIRY.replace('-', "");
    let record = |scheme: Scheme| {
        let objects: [(u32, &[u8]); 8] = [
            (0x9F06, &scheme.rid),
            (0x9F22, &scheme.ca_index),
            (0xDF05, expiry.as_bytes()),
            (0xDF06, &[1]),
            (0xDF07, &[1]),
            (0xDF02, scheme.ca.modulus_bytes()),
            (0xDF04, &scheme.ca.exponent),
            (0xDF03, &scheme.capk_checksum()),
        ];
        let mut record = Vec::new();
        let written =
            objects.iter().try_for_each(|(tag, value)| tlv::write(&mut record, Tag::new(*tag), value));
        written.is_ok().then_some(record)
    };
    schemes().filter_map(record).collect()
}

fn schemes() -> impl Iterator<Item = Scheme> {
    SOURCES.iter().filter_map(|(name, _)| Scheme::load(name).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_loads() {
        for (name, _) in SOURCES {
            Scheme::load(name).unwrap();
        }
    }

    #[test]
    fn the_committed_capk_table_is_the_one_that_the_cards_are_made_with() {
        assert_eq!(include_str!("../capks-test.toml"), capks_toml());
    }
}
