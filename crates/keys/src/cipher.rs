//! The block ciphers, chosen at run time, in the modes ECB and CBC of ISO/IEC 10116, and as CMAC.

use ::cipher::array::ArraySize;
use ::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit,
};
use aes::{Aes128, Aes128Enc, Aes192, Aes192Enc, Aes256, Aes256Enc};
use cmac::{Cmac, Mac, digest::common::InnerInit};
use sm4::Sm4;

use crate::attributes::Algorithm;
use crate::error::{Error, Result};
use crate::tdea::Tdea;

/// A cipher and its key schedule.
pub(crate) enum Cipher {
    Tdes(Tdea),
    Aes128(Aes128),
    Aes192(Aes192),
    Aes256(Aes256),
    Sm4(Sm4),
}

/// Runs `$body` with `$cipher` as whichever cipher it is.
macro_rules! with {
    ($self:expr, $cipher:ident => $body:expr) => {
        match $self {
            Cipher::Tdes($cipher) => $body,
            Cipher::Aes128($cipher) => $body,
            Cipher::Aes192($cipher) => $body,
            Cipher::Aes256($cipher) => $body,
            Cipher::Sm4($cipher) => $body,
        }
    };
}

impl Cipher {
    /// The cipher of `algorithm`, which has a key of this length.
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self> {
        let unfit = Error::Algorithm { what: "block encipherment", algorithm };
        let wrong_length = |_| unfit;
        Ok(match (algorithm, key.len()) {
            (Algorithm::Tdes, 16) => Self::Tdes(Tdea::double(key.try_into().map_err(|_| unfit)?)),
            (Algorithm::Tdes, 24) => Self::Tdes(Tdea::triple(key.try_into().map_err(|_| unfit)?)),
            (Algorithm::Aes, 16) => Self::Aes128(Aes128::new_from_slice(key).map_err(wrong_length)?),
            (Algorithm::Aes, 24) => Self::Aes192(Aes192::new_from_slice(key).map_err(wrong_length)?),
            (Algorithm::Aes, 32) => Self::Aes256(Aes256::new_from_slice(key).map_err(wrong_length)?),
            (Algorithm::Sm4, 16) => Self::Sm4(Sm4::new_from_slice(key).map_err(wrong_length)?),
            _ => return Err(unfit),
        })
    }

    /// The length of a block in bytes: 8 or 16.
    pub(crate) fn block_length(&self) -> usize {
        if matches!(self, Self::Tdes(_)) { 8 } else { 16 }
    }

    /// Enciphers whole blocks in place, each on its own.
    pub(crate) fn encrypt_ecb(&self, data: &mut [u8]) -> Result<()> {
        with!(self, cipher => { cipher.encrypt_blocks(blocks(data)?); Ok(()) })
    }

    /// Deciphers whole blocks in place, each on its own.
    pub(crate) fn decrypt_ecb(&self, data: &mut [u8]) -> Result<()> {
        with!(self, cipher => { cipher.decrypt_blocks(blocks(data)?); Ok(()) })
    }

    /// Enciphers whole blocks in place, chained from `iv` of one block.
    pub(crate) fn encrypt_cbc(&self, iv: &[u8], data: &mut [u8]) -> Result<()> {
        with!(self, cipher => encrypt_cbc(cipher, iv, data))
    }

    /// Deciphers whole blocks in place, chained from `iv` of one block.
    pub(crate) fn decrypt_cbc(&self, iv: &[u8], data: &mut [u8]) -> Result<()> {
        with!(self, cipher => decrypt_cbc(cipher, iv, data))
    }

    /// The CMAC of the concatenated `parts`, in the first block length of the result (NIST SP 800-38B).
    pub(crate) fn cmac(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = [0; 16];
        with!(self, cipher => cmac_of(cipher, parts, &mut mac));
        mac
    }

    /// The last block of CBC from a zero IV over the concatenated `parts`, zero-padded to whole blocks and at least one.
    pub(crate) fn cbc_mac(&self, parts: &[&[u8]]) -> Result<[u8; 16]> {
        let mut chain = [0; 16];
        let length = self.block_length();
        let (block, _) = chain.split_at_mut(length);
        let mut filled = 0;
        for byte in parts.iter().copied().flatten() {
            if let Some(place) = block.get_mut(filled) {
                *place ^= byte;
            }
            filled += 1;
            if filled == length {
                self.encrypt_ecb(block)?;
                filled = 0;
            }
        }
        if filled != 0 || parts.iter().all(|part| part.is_empty()) {
            self.encrypt_ecb(block)?;
        }
        Ok(chain)
    }
}

/// Enciphers whole blocks in place with an AES key that isn't needed again: without its schedule for deciphering.
pub(crate) fn encrypt_aes_once(key: &[u8], data: &mut [u8]) -> Result<()> {
    let unfit = |_| Error::Algorithm { what: "block encipherment", algorithm: Algorithm::Aes };
    let blocks = blocks(data)?;
    match key.len() {
        16 => Aes128Enc::new_from_slice(key).map_err(unfit)?.encrypt_blocks(blocks),
        24 => Aes192Enc::new_from_slice(key).map_err(unfit)?.encrypt_blocks(blocks),
        _ => Aes256Enc::new_from_slice(key).map_err(unfit)?.encrypt_blocks(blocks),
    }
    Ok(())
}

fn cmac_of<C: cmac::block_api::CmacCipher>(cipher: C, parts: &[&[u8]], code: &mut [u8; 16]) {
    let mut mac = Cmac::inner_init(cipher);
    for part in parts {
        mac.update(part);
    }
    code.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
}

fn encrypt_cbc<C: BlockCipherEncrypt>(cipher: &C, iv: &[u8], data: &mut [u8]) -> Result<()> {
    let blocks = blocks(data)?;
    cbc::Encryptor::inner_iv_slice_init(cipher, iv).map_err(|_| iv_length(iv))?.encrypt_blocks(blocks);
    Ok(())
}

fn decrypt_cbc<C: BlockCipherDecrypt>(cipher: &C, iv: &[u8], data: &mut [u8]) -> Result<()> {
    let blocks = blocks(data)?;
    cbc::Decryptor::inner_iv_slice_init(cipher, iv).map_err(|_| iv_length(iv))?.decrypt_blocks(blocks);
    Ok(())
}

fn iv_length(iv: &[u8]) -> Error {
    Error::Length { what: "an initialisation vector", expected: "one block", got: iv.len() }
}

/// `data` as blocks.
pub(crate) fn blocks<N: ArraySize>(data: &mut [u8]) -> Result<&mut [Array<u8, N>]> {
    let got = data.len();
    let (blocks, rest) = Array::slice_as_chunks_mut(data);
    if rest.is_empty() {
        Ok(blocks)
    } else {
        Err(Error::Length { what: "enciphered data", expected: "whole blocks", got })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enciphered(algorithm: Algorithm, key: &str, clear: &str) -> String {
        let mut block = hex::decode(clear).unwrap();
        Cipher::new(algorithm, &hex::decode(key).unwrap()).unwrap().encrypt_ecb(&mut block).unwrap();
        hex::encode_upper(block)
    }

    #[test]
    fn the_vector_of_gm_t_0002_annex_a_holds() {
        let text = "0123456789ABCDEFFEDCBA9876543210";
        assert_eq!(enciphered(Algorithm::Sm4, text, text), "681EDF34D206965E86B3E94F536E4246");
    }

    #[test]
    fn the_vectors_of_fips_197_appendix_c_hold() {
        let key = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F";
        for (digits, right) in [
            (32, "69C4E0D86A7B0430D8CDB78070B4C55A"),
            (48, "DDA97CA4864CDFE06EAF70A0EC0D7191"),
            (64, "8EA2B7CA516745BFEAFC49904B496089"),
        ] {
            assert_eq!(enciphered(Algorithm::Aes, &key[..digits], "00112233445566778899AABBCCDDEEFF"), right);
        }
    }

    #[test]
    fn the_vector_of_sp_800_67_appendix_b_holds() {
        let key = "0123456789ABCDEF23456789ABCDEF01456789ABCDEF0123";
        assert_eq!(enciphered(Algorithm::Tdes, key, "5468652071756663"), "A826FD8CE53B855F");
    }
}
