//! Seals: signatures by a secure module over where a chain was. Who makes a chain anew can't sign it.
//!
//! ```text
//! statement = "smartpos audit 1 seal" || identity || last || head || at    (integers of 64 bits, big-endian)
//! signature = SM2 with SM3 (GM/T 0003.2-2012) of the statement, by the signer's default identity (GM/T 0009-2012)
//! ```
//!
//! The module makes the statement itself, under a key that it uses for nothing else.

use keys::sm2;
use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::{Identity, Link, PublicKey, Signature};

const SEAL: &[u8] = b"smartpos audit 1 seal";

/// A seal over a chain, from its beginning to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The last record that it covers.
    pub last: i64,
    /// That record's link.
    pub head: Link,
    /// When it was made by the terminal's clock: milliseconds since 1970.
    pub at: i64,
    /// Whose signature it is: a point of the curve, `x ‖ y`.
    pub key: PublicKey,
    /// `r ‖ s`.
    pub signature: Signature,
}

/// What a seal over `chain` of `journal` signs.
pub fn statement(journal: &Identity, chain: &Chain, at: i64) -> Vec<u8> {
    [SEAL, &journal.0, &chain.last.to_be_bytes(), &chain.head.0, &at.to_be_bytes()].concat()
}

impl Seal {
    /// Where the chain was that it covers.
    pub fn chain(&self) -> Chain {
        Chain { last: self.last, head: self.head }
    }

    /// Whether its signature is by its key, over its chain of `journal`.
    pub fn is_signed(&self, journal: &Identity) -> bool {
        let statement = statement(journal, &self.chain(), self.at);
        sm2::verify(&self.key.0, sm2::DEFAULT_ID, &statement, &self.signature.0).is_ok()
    }
}
