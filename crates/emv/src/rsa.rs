//! EMV Book 2 Annexes A2.1 and B2.1: RSA with message recovery, public operations only.
//!
//! No key here is secret, so nothing needs constant time. But a card's certificate holds its PAN, so what is recovered is wiped. All is done in
//! place, without heap, in numbers of one of four sizes ([decision 12](../../../docs/decisions/0012-rsa.md)).

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Limb, Odd, Uint, Word, nlimbs};
use sha1::{Digest, Sha1};
use tlv::Output;
use zeroize::Zeroizing;

use crate::bytes::Bytes;
use crate::config::Capk;

/// The longest modulus, 1,984 bits, in bytes.
pub const MAX_MODULUS: usize = 248;

/// An RSA public key.
pub struct PublicKey {
    pub(crate) modulus: Bytes<MAX_MODULUS>,
    /// 3 or 65537, big endian.
    pub(crate) exponent: Bytes<3>,
}

/// What a signature holds (Annex A2.1.3).
pub struct Recovered {
    plain: Bytes<MAX_MODULUS>,
}

impl Recovered {
    /// The bytes between header and hash.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.parts().map_or(&[], |(body, _)| body)
    }

    /// Whether the hash is that over the body and `extra`.
    pub fn covers<'e>(&self, extra: impl IntoIterator<Item = &'e [u8]>) -> bool {
        let mut sum = Sha1::new().chain_update(self.body());
        extra.into_iter().for_each(|part| sum.update(part));
        self.parts().is_some_and(|(_, hash)| sum.finalize().as_slice() == hash)
    }

    /// Body and hash, between header and trailer.
    fn parts(&self) -> Option<(&[u8], &[u8; 20])> {
        let (&[0x6A], rest) = self.plain.split_first_chunk()? else { return None };
        let (rest, &[0xBC]) = rest.split_last_chunk()? else { return None };
        rest.split_last_chunk()
    }
}

impl PublicKey {
    /// A key whose modulus comes in parts; `None` if it is longer than 1,984 bits. An exponent other than 3 and 65537 recovers nothing.
    #[must_use]
    pub fn new(modulus: &[&[u8]], exponent: &[u8]) -> Option<Self> {
        let mut key = Self { modulus: Bytes::default(), exponent: Bytes::copy(exponent)? };
        modulus.iter().try_for_each(|part| key.modulus.put(part)).ok()?;
        Some(key)
    }

    /// A key of the terminal's table, which has been checked.
    pub(crate) fn of(capk: &Capk) -> Option<Self> {
        Self::new(&[&capk.modulus], &capk.exponent)
    }

    /// What a signature of this key holds, if header and trailer are right. Its hash is not checked yet.
    #[must_use]
    pub fn open(&self, signature: &[u8]) -> Option<Recovered> {
        let recovered = Recovered { plain: self.raise(signature)? };
        recovered.parts().is_some().then_some(recovered)
    }

    /// The same, if the hash is right, too. It also covers `extra`.
    pub fn recover<'e>(
        &self,
        signature: &[u8],
        extra: impl IntoIterator<Item = &'e [u8]>,
    ) -> Option<Recovered> {
        self.open(signature).filter(|recovered| recovered.covers(extra))
    }

    /// Annex B2.1.3: the signature to the public exponent, as long as the modulus.
    fn raise(&self, signature: &[u8]) -> Option<Bytes<MAX_MODULUS>> {
        if signature.len() != self.modulus.len() {
            return None;
        }
        match self.modulus.len() * 8 {
            ..=1024 => self.raise_in::<{ nlimbs(1024) }>(signature),
            1025..=1152 => self.raise_in::<{ nlimbs(1152) }>(signature),
            1153..=1408 => self.raise_in::<{ nlimbs(1408) }>(signature),
            _ => self.raise_in::<{ nlimbs(1984) }>(signature),
        }
    }

    /// What the arithmetic leaves behind on the stack is in Montgomery form, not the PAN as it is.
    fn raise_in<const LIMBS: usize>(&self, signature: &[u8]) -> Option<Bytes<MAX_MODULUS>> {
        let modulus: Odd<Uint<LIMBS>> = Option::from(Odd::new(number(&self.modulus)))?;
        let base = number::<LIMBS>(signature);
        if base >= *modulus.as_ref() {
            return None;
        }
        let base = FixedMontyForm::new(&base, &FixedMontyParams::new_vartime(modulus));
        let squared = match *self.exponent {
            [3] => base.square(),
            [1, 0, 1] => base.square_repeat_vartime(16),
            _ => return None,
        };
        let raised = Zeroizing::new(squared.mul(&base).retrieve());
        let mut plain = Bytes::zeros(signature.len())?;
        for (bytes, word) in plain.as_mut().rchunks_mut(Limb::BYTES).zip(raised.as_words()) {
            let word = word.to_be_bytes();
            // The highest word may be one in part.
            bytes.copy_from_slice(word.get(Limb::BYTES - bytes.len()..)?);
        }
        Some(plain)
    }
}

/// A number, big endian; what goes beyond its words is cut.
fn number<const LIMBS: usize>(bytes: &[u8]) -> Uint<LIMBS> {
    let mut words = [0; LIMBS];
    for (word, bytes) in words.iter_mut().zip(bytes.rchunks(Limb::BYTES)) {
        *word = bytes.iter().fold(0, |word: Word, byte| (word << 8) | Word::from(*byte));
    }
    Uint::from_words(words)
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_power_is_that_of_another_library(
            length in 22_usize..=MAX_MODULUS,
            seed in proptest::collection::vec(any::<u8>(), 2 * MAX_MODULUS),
            long_exponent: bool,
        ) {
            let mut modulus = seed[..length].to_vec();
            modulus[0] |= 0x80;
            modulus[length - 1] |= 1;
            let mut base = seed[MAX_MODULUS..MAX_MODULUS + length].to_vec();
            base[0] &= 0x7F;
            let exponent: &[u8] = if long_exponent { &[1, 0, 1] } else { &[3] };
            let key = PublicKey::new(&[&modulus], exponent).unwrap();
            let big = BigUint::from_bytes_be;
            let expected = big(&base).modpow(&big(exponent), &big(&modulus)).to_bytes_be();
            let raised = key.raise(&base).unwrap();
            prop_assert_eq!(raised.len(), length);
            prop_assert_eq!(big(&raised), big(&expected));
        }
    }

    #[test]
    fn what_is_no_key_or_no_signature_of_it_gives_nothing() {
        let key = |modulus: &[u8], exponent| PublicKey::new(&[modulus], exponent);
        assert!(key(&[0xFF; 249], &[3]).is_none());
        let even = key(&[0xFE; 64], &[3]).unwrap();
        assert!(even.raise(&[1; 64]).is_none());
        let odd = key(&[0xFF; 64], &[3]).unwrap();
        assert!(odd.raise(&[1; 63]).is_none());
        assert!(odd.raise(&[0xFF; 64]).is_none(), "not below the modulus");
        assert!(key(&[0xFF; 64], &[5]).unwrap().raise(&[1; 64]).is_none());
        assert!(key(&[], &[3]).unwrap().open(&[]).is_none());
    }
}
