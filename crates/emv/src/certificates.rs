//! EMV Book 2 clauses 5, 6 and Annex B2.1: RSA with message recovery, public key certificates, signed data.
//!
//! Public operations only: no key here is secret, so nothing here needs constant time. But a card's certificate
//! holds its PAN, so what is recovered is zeroized.

use crypto_bigint::{BoxedUint, Odd};
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use crate::config::Capk;
use crate::data::{date, digits};

/// SHA-1, the one hash algorithm of Book 2 Annex B3.1.
const SHA_1: u8 = 0x01;
/// RSA, the one signature algorithm of Book 2 Annex B2.1.
const RSA: u8 = 0x01;
/// Header, hash and trailer of recovered data.
const FRAME: usize = 22;

/// An RSA public key.
pub(crate) struct PublicKey {
    pub(crate) modulus: Vec<u8>,
    pub(crate) exponent: Vec<u8>,
}

/// What a signature holds (Annex A2.1.3).
pub(crate) struct Recovered {
    /// The bytes between header and hash.
    pub(crate) body: Zeroizing<Vec<u8>>,
    hash: [u8; 20],
}

impl Recovered {
    /// Whether the hash is that over the body and `extra`.
    pub(crate) fn covers(&self, extra: &[&[u8]]) -> bool {
        let mut sum = Sha1::new().chain_update(&*self.body);
        extra.iter().for_each(|part| sum.update(part));
        sum.finalize().as_slice() == self.hash
    }
}

/// What a certificate comes with.
pub(crate) struct Certificate<'a> {
    pub(crate) signature: &'a [u8],
    pub(crate) remainder: &'a [u8],
    pub(crate) exponent: &'a [u8],
}

impl From<&Capk> for PublicKey {
    fn from(capk: &Capk) -> Self {
        Self { modulus: capk.modulus.clone(), exponent: capk.exponent.clone() }
    }
}

impl PublicKey {
    /// Recovers what was signed: the bytes between header and hash, if header, trailer and hash are right.
    /// The hash also covers `extra`.
    pub(crate) fn recover(&self, signature: &[u8], extra: &[&[u8]]) -> Option<Zeroizing<Vec<u8>>> {
        let recovered = self.open(signature)?;
        recovered.covers(extra).then(|| Zeroizing::new(recovered.body.to_vec()))
    }

    /// What a signature of this key holds, if header and trailer are right. Its hash is not checked yet.
    pub(crate) fn open(&self, signature: &[u8]) -> Option<Recovered> {
        let plain = self.raise(signature)?;
        let (&[0x6A], rest) = plain.split_first_chunk()? else { return None };
        let (rest, &[0xBC]) = rest.split_last_chunk()? else { return None };
        let (body, &hash) = rest.split_last_chunk()?;
        Some(Recovered { body: Zeroizing::new(body.to_vec()), hash })
    }

    /// Annex B2.1.3: the signature to the public exponent, as long as the modulus.
    ///
    /// What the arithmetic leaves behind in between is in Montgomery form, not the PAN as it is.
    fn raise(&self, signature: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let length = self.modulus.len();
        if signature.len() != length || !(FRAME..=248).contains(&length) {
            return None;
        }
        let bits = u32::try_from(length * 8).ok()?;
        let modulus = BoxedUint::from_be_slice(&self.modulus, bits).ok()?;
        let base = BoxedUint::from_be_slice(signature, bits).ok()?;
        let exponent = BoxedUint::from_be_slice(&self.exponent, 32).ok()?;
        if base >= modulus {
            return None;
        }
        let modulus: Odd<BoxedUint> = Option::from(modulus.to_odd())?;
        let number = Zeroizing::new(base.pow_mod(&exponent, &modulus));
        let plain = Zeroizing::new(number.to_be_bytes());
        plain.get(plain.len().checked_sub(length)?..).map(|plain| Zeroizing::new(plain.to_vec()))
    }

    /// Book 2 clause 6.3: recovers an issuer's key from its certificate, whose serial number comes with it.
    pub(crate) fn recover_issuer_key(
        &self,
        from: &Certificate<'_>,
        pan: &[u8],
        today: [u8; 3],
    ) -> Option<(PublicKey, [u8; 3])> {
        let body = self.recover(from.signature, &[from.remainder, from.exponent])?;
        let (&[0x02], rest) = body.split_first_chunk()? else { return None };
        let (identifier, rest) = rest.split_first_chunk::<4>()?;
        let issuer = digits(identifier)?;
        if !(3..=8).contains(&issuer.len()) || !digits(pan)?.starts_with(issuer.as_str()) {
            return None;
        }
        certified_key(rest, from, today)
    }

    /// Book 2 table 14: recovers a card's key from its certificate, which covers the static data.
    pub(crate) fn recover_icc_key(
        &self,
        from: &Certificate<'_>,
        static_data: &[&[u8]],
        pan: &[u8],
        today: [u8; 3],
    ) -> Option<PublicKey> {
        let extra: Vec<&[u8]> =
            [from.remainder, from.exponent].into_iter().chain(static_data.iter().copied()).collect();
        let body = self.recover(from.signature, &extra)?;
        let (&[0x04], rest) = body.split_first_chunk()? else { return None };
        let (certified_pan, rest) = rest.split_first_chunk::<10>()?;
        if digits(certified_pan)?.as_str() != digits(pan)?.as_str() {
            return None;
        }
        certified_key(rest, from, today).map(|(key, _)| key)
    }
}

/// The part that both certificates have: expiry MMYY, serial number, algorithms, lengths, and the start of the key.
fn certified_key(rest: &[u8], from: &Certificate<'_>, today: [u8; 3]) -> Option<(PublicKey, [u8; 3])> {
    let (&[month, year], rest) = rest.split_first_chunk()?;
    let (&serial_number, rest) = rest.split_first_chunk()?;
    let (&[SHA_1, RSA, length, exponent_length], leftmost) = rest.split_first_chunk()? else { return None };
    let [this_year, this_month, _] = today;
    if date(&[year, month, 0])? < date(&[this_year, this_month, 0])? {
        return None;
    }
    let length = usize::from(length);
    let start = leftmost.get(..length.min(leftmost.len()))?;
    if start.len() + from.remainder.len() != length || usize::from(exponent_length) != from.exponent.len() {
        return None;
    }
    if !matches!(from.exponent, [3] | [1, 0, 1]) {
        return None;
    }
    let key = PublicKey { modulus: [start, from.remainder].concat(), exponent: from.exponent.to_vec() };
    Some((key, serial_number))
}
