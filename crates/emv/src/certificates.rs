//! EMV Book 2 clauses 5.3, 6.3 and 6.4: the public key certificates of issuers and cards.

use crate::data::{date, digits};
use crate::rsa::PublicKey;

/// SHA-1, the one hash algorithm of Book 2 Annex B3.1.
const SHA_1: u8 = 0x01;
/// RSA, the one signature algorithm of Book 2 Annex B2.1.
const RSA: u8 = 0x01;

/// Book 2 tables 6 and 14: how many bytes come before the start of an issuer's and of a card's key.
pub(crate) const ISSUER_HEAD: usize = 14;
pub(crate) const ICC_HEAD: usize = 20;

/// What a certificate comes with.
pub(crate) struct Certificate<'a> {
    pub(crate) signature: &'a [u8],
    pub(crate) remainder: &'a [u8],
    pub(crate) exponent: &'a [u8],
}

impl PublicKey {
    /// Book 2 clause 6.3: recovers an issuer's key from its certificate, whose serial number comes with it.
    pub(crate) fn recover_issuer_key(
        &self,
        from: &Certificate<'_>,
        pan: &[u8],
        today: [u8; 3],
    ) -> Option<(PublicKey, [u8; 3])> {
        let recovered = self.recover(from.signature, [from.remainder, from.exponent])?;
        let (&[0x02], rest) = recovered.body().split_first_chunk()? else { return None };
        let (identifier, rest) = rest.split_first_chunk::<4>()?;
        let issuer = digits(identifier)?;
        if !(3..=8).contains(&issuer.len()) || !digits(pan)?.starts_with(&issuer) {
            return None;
        }
        certified_key(rest, from, today)
    }

    /// Book 2 clause 6.4: recovers a card's key from its certificate, which covers the static data.
    pub(crate) fn recover_icc_key(
        &self,
        from: &Certificate<'_>,
        static_data: &[&[u8]],
        pan: &[u8],
        today: [u8; 3],
    ) -> Option<PublicKey> {
        let covered = [from.remainder, from.exponent].into_iter().chain(static_data.iter().copied());
        let recovered = self.recover(from.signature, covered)?;
        let (&[0x04], rest) = recovered.body().split_first_chunk()? else { return None };
        let (certified_pan, rest) = rest.split_first_chunk::<10>()?;
        if *digits(certified_pan)? != *digits(pan)? {
            return None;
        }
        certified_key(rest, from, today).map(|(key, _)| key)
    }
}

impl Certificate<'_> {
    /// Book 3 clause 7.2: whether the rest of the key is missing, of which the certificate has only the start. `head` is how many
    /// bytes come before that, the last but one of which is the length of the whole key.
    pub(crate) fn lacks_remainder(&self, head: usize, signer: &PublicKey) -> bool {
        let recovered = self.remainder.is_empty().then(|| signer.open(self.signature)).flatten();
        let parts = recovered.as_ref().and_then(|recovered| recovered.body().split_at_checked(head));
        matches!(parts, Some((&[.., length, _], start)) if usize::from(length) > start.len())
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
    Some((PublicKey::new(&[start, from.remainder], from.exponent)?, serial_number))
}
