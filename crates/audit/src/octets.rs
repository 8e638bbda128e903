//! Octets of a fixed number, written in hex.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `N` octets; as text, `2 * N` hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Octets<const N: usize>(pub [u8; N]);

/// Something else stood where octets should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} octets are needed, in text as hex digits")]
pub struct NotOctets(usize);

impl<const N: usize> fmt::Display for Octets<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl<const N: usize> FromStr for Octets<N> {
    type Err = NotOctets;

    fn from_str(text: &str) -> Result<Octets<N>, NotOctets> {
        let mut octets = [0; N];
        hex::decode_to_slice(text, &mut octets).map_err(|_| NotOctets(N))?;
        Ok(Octets(octets))
    }
}

impl<const N: usize> TryFrom<&[u8]> for Octets<N> {
    type Error = NotOctets;

    fn try_from(octets: &[u8]) -> Result<Octets<N>, NotOctets> {
        octets.try_into().map(Octets).map_err(|_| NotOctets(N))
    }
}

impl<const N: usize> TryFrom<String> for Octets<N> {
    type Error = NotOctets;

    fn try_from(text: String) -> Result<Octets<N>, NotOctets> {
        text.parse()
    }
}

impl<const N: usize> From<Octets<N>> for String {
    fn from(octets: Octets<N>) -> String {
        octets.to_string()
    }
}
