//! How header and key are bound: X9.143, 5.3 (variants, versions A and C), 5.4 (derivation with TDES, B, and with AES, D);
//! ISO 20038:2017, 6 (counter mode, E).

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::header::Version;
use crate::cipher::Cipher;
use crate::error::{Error, Result};
use crate::key::Secret;

/// What a variant of the protection key is exclusive-or'ed with (5.3.1).
const ENCRYPTION_VARIANT: u8 = 0x45;
const AUTHENTICATION_VARIANT: u8 = 0x4D;
/// What derivation data say the derived key is for (5.4.1, and ISO 20038, table 1).
const CBC_ENCRYPTION: u8 = 0;
const AUTHENTICATION: u8 = 1;
const COUNTER_ENCRYPTION: u8 = 2;

/// Deciphers `payload` in place, and checks that `header` and it have this code.
pub(super) fn open(
    version: Version,
    key: &[u8],
    header: &[u8],
    payload: &mut [u8],
    mac: &[u8],
) -> Result<()> {
    let keys = Keys::new(version, key)?;
    let right = match version {
        Version::A | Version::C => {
            let right = keys.authentication.cbc_mac(&[header, payload])?;
            keys.encryption.decrypt_cbc(header.get(..8).unwrap_or_default(), payload)?;
            right
        }
        Version::B | Version::D => {
            keys.encryption.decrypt_cbc(mac, payload)?;
            keys.authentication.cmac(&[header, payload])
        }
        Version::E => {
            count_over(&keys.encryption, mac, payload)?;
            keys.authentication.cmac(&[header, payload])
        }
    };
    let same = right.get(..mac.len()).is_some_and(|right| right.ct_eq(mac).into());
    if same { Ok(()) } else { Err(Error::KeyBlockMac) }
}

/// Enciphers `payload` in place, and computes the code of `header` and it; its length is the version's.
pub(super) fn seal(version: Version, key: &[u8], header: &[u8], payload: &mut [u8]) -> Result<[u8; 16]> {
    let keys = Keys::new(version, key)?;
    if matches!(version, Version::A | Version::C) {
        keys.encryption.encrypt_cbc(header.get(..8).unwrap_or_default(), payload)?;
        return keys.authentication.cbc_mac(&[header, payload]);
    }
    let mac = keys.authentication.cmac(&[header, payload]);
    let iv = mac.get(..version.mac_length()).unwrap_or_default();
    if version == Version::E {
        count_over(&keys.encryption, iv, payload)?;
    } else {
        keys.encryption.encrypt_cbc(iv, payload)?;
    }
    Ok(mac)
}

/// The two keys that come from a protection key.
struct Keys {
    encryption: Cipher,
    authentication: Cipher,
}

impl Keys {
    fn new(version: Version, key: &[u8]) -> Result<Self> {
        let algorithm = version.algorithm();
        let (encryption, authentication) = match version {
            Version::A | Version::C => {
                (variant(key, ENCRYPTION_VARIANT), variant(key, AUTHENTICATION_VARIANT))
            }
            Version::B | Version::D | Version::E => {
                let from = Cipher::new(algorithm, key)?;
                let encryption = if version == Version::E { COUNTER_ENCRYPTION } else { CBC_ENCRYPTION };
                (derived(&from, key.len(), encryption), derived(&from, key.len(), AUTHENTICATION))
            }
        };
        Ok(Self {
            encryption: Cipher::new(algorithm, encryption.as_ref())?,
            authentication: Cipher::new(algorithm, authentication.as_ref())?,
        })
    }
}

fn variant(key: &[u8], of: u8) -> Secret {
    let mut variant = Secret::from_slice(key);
    variant.as_mut().iter_mut().for_each(|byte| *byte ^= of);
    variant
}

/// The key derivation function: CMACs of the derivation data, which count its blocks.
fn derived(from: &Cipher, length: usize, usage: u8) -> Secret {
    let mut key = Secret::zeros(length);
    let block_length = from.block_length();
    let (algorithm, bits) = match (block_length, length) {
        (8, 16) => (0, [0x00, 0x80]),
        (8, _) => (1, [0x00, 0xC0]),
        (_, 16) => (2, [0x00, 0x80]),
        (_, 24) => (3, [0x00, 0xC0]),
        _ => (4, [0x01, 0x00]),
    };
    let [high, low] = bits;
    for (number, part) in (1..).zip(key.as_mut().chunks_mut(block_length)) {
        let block = Zeroizing::new(from.cmac(&[&[number, 0, usage, 0, 0, algorithm, high, low]]));
        part.iter_mut().zip(*block).for_each(|(to, byte)| *to = byte);
    }
    key
}

/// Counter mode from the counter block `from`: it enciphers and deciphers.
fn count_over(cipher: &Cipher, from: &[u8], data: &mut [u8]) -> Result<()> {
    let mut counter = u128::from_be_bytes(from.try_into().map_err(|_| Error::KeyBlockMac)?);
    for chunk in data.chunks_mut(16) {
        let mut stream = Zeroizing::new(counter.to_be_bytes());
        cipher.encrypt_ecb(&mut *stream)?;
        chunk.iter_mut().zip(*stream).for_each(|(byte, mask)| *byte ^= mask);
        counter = counter.wrapping_add(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Algorithm;

    fn derived_hex(algorithm: Algorithm, key: &str, usage: u8) -> String {
        let key = hex::decode(key).unwrap();
        hex::encode_upper(derived(&Cipher::new(algorithm, &key).unwrap(), key.len(), usage).as_ref())
    }

    #[test]
    fn the_variants_of_tr_31_2018_a_7_2_1_hold() {
        let key = hex::decode("89E88CF7931444F334BD7547FC3F380C").unwrap();
        let hex_of = |of| hex::encode_upper(variant(&key, of).as_ref());
        assert_eq!(hex_of(ENCRYPTION_VARIANT), "CCADC9B2D65101B671F83002B97A7D49");
        assert_eq!(hex_of(AUTHENTICATION_VARIANT), "C4A5C1BADE5909BE79F0380AB1727541");
    }

    #[test]
    fn the_derived_keys_of_tr_31_2018_a_7_2_2_and_a_7_4_hold() {
        let key = "DD7515F2BFC17F85CE48F3CA25CB21F6";
        assert_eq!(derived_hex(Algorithm::Tdes, key, CBC_ENCRYPTION), "698832F8778A7CFCBC79559DAB07B88A");
        assert_eq!(derived_hex(Algorithm::Tdes, key, AUTHENTICATION), "DD6CEEC1782D8453671BF8358AF9DB47");
        let key = "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6";
        let right = "396C9382A6E2E66A088774E1D6E46541F5EAD67D7204F8DD0D7AE8FDA334D3AC";
        assert_eq!(derived_hex(Algorithm::Aes, key, CBC_ENCRYPTION), right);
        let right = "4EF24317696213840451890756757E573E0673483888F9B7F9B7517827F95022";
        assert_eq!(derived_hex(Algorithm::Aes, key, AUTHENTICATION), right);
    }

    #[test]
    fn the_derived_keys_of_iso_20038_b_2_hold() {
        let key = "3235362D62697420414553207772617070696E67202849534F20323030333829";
        let right = "3A3D93E513CB591DCAC550C1554194F08ED9676770D25B727AD628E21B85D5CC";
        assert_eq!(derived_hex(Algorithm::Aes, key, COUNTER_ENCRYPTION), right);
        let right = "97AC0955A4B883CE77CBEA0620E8542C6DF7E9AFB4CF8F115E00D4D67FEA1E06";
        assert_eq!(derived_hex(Algorithm::Aes, key, AUTHENTICATION), right);
    }
}
