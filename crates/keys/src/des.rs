//! ISO/IEC 18033-3 TDEA with double-length keys (keying option 2), in the modes ECB and CBC of ISO/IEC 10116.
//!
//! TDES is here because the acquirers' protocols and EMV demand it, not because it is good.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::{Error, Result};
use crate::tdea::Tdea;

/// One cipher block.
pub type Block = [u8; 8];

/// A double-length TDES key. It compares in constant time, is wiped on drop, and never prints.
///
/// With equal halves it is a single-length DES key, which some published vectors need.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct TdesKey([u8; 16]);

impl TdesKey {
    /// A key from its 16 bytes. Parity bits are taken as they are.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A key from exactly 16 bytes.
    ///
    /// # Errors
    /// [`Error::Length`] for any other length.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        let key = bytes.try_into().map_err(|_| Error::Length {
            what: "a key",
            expected: "16",
            got: bytes.len(),
        })?;
        Ok(Self(key))
    }

    /// A key from 32 hexadecimal digits; white space around them is ignored.
    ///
    /// # Errors
    /// [`Error::NotHex`] for anything else.
    pub fn from_hex(text: &str) -> Result<Self> {
        let mut key = Self([0; 16]);
        hex::decode_to_slice(text.trim(), &mut key.0).map_err(|_| Error::NotHex)?;
        Ok(key)
    }

    /// Enciphers one block.
    #[must_use]
    pub fn encrypt_block(&self, block: Block) -> Block {
        encrypt_one(&self.cipher(), block)
    }

    /// Deciphers one block.
    #[must_use]
    pub fn decrypt_block(&self, block: Block) -> Block {
        decrypt_one(&self.cipher(), block)
    }

    /// Enciphers whole blocks in place, each on its own.
    ///
    /// # Errors
    /// [`Error::Length`] unless `data` is a multiple of 8 bytes.
    pub fn encrypt_ecb(&self, data: &mut [u8]) -> Result<()> {
        let cipher = self.cipher();
        for block in blocks(data)? {
            *block = encrypt_one(&cipher, *block);
        }
        Ok(())
    }

    /// Deciphers whole blocks in place, each on its own.
    ///
    /// # Errors
    /// [`Error::Length`] unless `data` is a multiple of 8 bytes.
    pub fn decrypt_ecb(&self, data: &mut [u8]) -> Result<()> {
        let cipher = self.cipher();
        for block in blocks(data)? {
            *block = decrypt_one(&cipher, *block);
        }
        Ok(())
    }

    /// Enciphers whole blocks in place, chained from `iv`.
    ///
    /// # Errors
    /// [`Error::Length`] unless `data` is a multiple of 8 bytes.
    pub fn encrypt_cbc(&self, iv: Block, data: &mut [u8]) -> Result<()> {
        let cipher = self.cipher();
        let mut previous = iv;
        for block in blocks(data)? {
            *block = encrypt_one(&cipher, xor(*block, previous));
            previous = *block;
        }
        Ok(())
    }

    /// Deciphers whole blocks in place, chained from `iv`.
    ///
    /// # Errors
    /// [`Error::Length`] unless `data` is a multiple of 8 bytes.
    pub fn decrypt_cbc(&self, iv: Block, data: &mut [u8]) -> Result<()> {
        let cipher = self.cipher();
        let mut previous = iv;
        for block in blocks(data)? {
            let enciphered = *block;
            *block = xor(decrypt_one(&cipher, enciphered), previous);
            previous = enciphered;
        }
        Ok(())
    }

    /// `key`, enciphered (ECB) under this key-encryption key.
    #[must_use]
    pub fn wrap(&self, key: &TdesKey) -> [u8; 16] {
        let cipher = self.cipher();
        let (left, right) = key.halves();
        join(encrypt_one(&cipher, left), encrypt_one(&cipher, right))
    }

    /// The key that was [wrapped](Self::wrap) under this one. Any 16 bytes unwrap to some key: compare its
    /// [check value](crate::kcv).
    #[must_use]
    pub fn unwrap_key(&self, wrapped: &[u8; 16]) -> TdesKey {
        let cipher = self.cipher();
        let (left, right) = split(wrapped);
        Self(join(decrypt_one(&cipher, left), decrypt_one(&cipher, right)))
    }

    /// The same key with each byte's lowest bit set for odd parity.
    pub(crate) fn with_odd_parity(mut self) -> Self {
        for byte in &mut self.0 {
            if byte.count_ones() % 2 == 0 {
                *byte ^= 1;
            }
        }
        self
    }

    /// A key from its two halves.
    pub(crate) fn from_halves(left: Block, right: Block) -> Self {
        Self(join(left, right))
    }

    fn halves(&self) -> (Block, Block) {
        split(&self.0)
    }

    pub(crate) fn cipher(&self) -> Tdea {
        Tdea::double(&self.0)
    }
}

impl PartialEq for TdesKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TdesKey {}

impl fmt::Debug for TdesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TdesKey(…)")
    }
}

/// `a` xor `b`.
pub(crate) fn xor(mut a: Block, b: Block) -> Block {
    for (left, right) in a.iter_mut().zip(b) {
        *left ^= right;
    }
    a
}

fn encrypt_one(cipher: &Tdea, block: Block) -> Block {
    cipher.encrypt(u64::from_be_bytes(block)).to_be_bytes()
}

fn decrypt_one(cipher: &Tdea, block: Block) -> Block {
    cipher.decrypt(u64::from_be_bytes(block)).to_be_bytes()
}

fn blocks(data: &mut [u8]) -> Result<impl Iterator<Item = &mut Block>> {
    let got = data.len();
    let (blocks, rest) = data.as_chunks_mut::<8>();
    if rest.is_empty() {
        Ok(blocks.iter_mut())
    } else {
        Err(Error::Length { what: "enciphered data", expected: "a multiple of 8", got })
    }
}

fn split(bytes: &[u8; 16]) -> (Block, Block) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
    ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p])
}

fn join(left: Block, right: Block) -> [u8; 16] {
    (u128::from(u64::from_be_bytes(left)) << 64 | u128::from(u64::from_be_bytes(right))).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(hex: &str) -> Block {
        hex::decode(hex).unwrap().try_into().unwrap()
    }

    #[test]
    fn the_vector_of_nist_sp_500_20_holds() {
        // Variable plaintext known answer test, first line; equal halves make it single DES.
        let key = TdesKey::new([1; 16]);
        assert_eq!(key.encrypt_block(block("8000000000000000")), block("95F8A5E5DD31D900"));
        assert_eq!(key.decrypt_block(block("95F8A5E5DD31D900")), block("8000000000000000"));
    }

    #[test]
    fn different_halves_are_used_in_the_order_of_keying_option_2() {
        // The base derivation key of ANSI X9.24-1 Annex A; its check value is 08D7B4.
        let key = TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        assert_eq!(key.encrypt_block([0; 8]), block("08D7B4FB629D0885"));
    }

    #[test]
    fn a_key_never_prints() {
        let key = TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        assert_eq!(format!("{key:?}"), "TdesKey(…)");
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused() {
        assert_eq!(TdesKey::from_hex("0123456789ABCDEF"), Err(Error::NotHex));
        assert_eq!(
            TdesKey::from_slice(&[0; 24]),
            Err(Error::Length { what: "a key", expected: "16", got: 24 })
        );
    }

    proptest! {
        #[test]
        fn what_is_enciphered_deciphers(key: [u8; 16], iv: [u8; 8], data: [[u8; 8]; 4]) {
            let (key, clear) = (TdesKey::new(key), data.concat());
            let mut data = clear.clone();
            key.encrypt_cbc(iv, &mut data).unwrap();
            prop_assert_ne!(&data, &clear);
            key.decrypt_cbc(iv, &mut data).unwrap();
            prop_assert_eq!(&data, &clear);
            key.encrypt_ecb(&mut data).unwrap();
            key.decrypt_ecb(&mut data).unwrap();
            prop_assert_eq!(&data, &clear);
        }

        #[test]
        fn a_part_of_a_block_is_refused(length in 0_usize..64) {
            let mut data = vec![0; length];
            prop_assert_eq!(TdesKey::new([1; 16]).encrypt_cbc([0; 8], &mut data).is_ok(), length % 8 == 0);
        }

        #[test]
        fn a_wrapped_key_unwraps(kek: [u8; 16], key: [u8; 16]) {
            let (kek, key) = (TdesKey::new(kek), TdesKey::new(key));
            prop_assert_eq!(kek.unwrap_key(&kek.wrap(&key)), key);
        }
    }
}
