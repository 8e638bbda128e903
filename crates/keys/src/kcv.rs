//! Key check values (ANSI X9.24-1:2017, Annex A): the first bytes of enciphering a block of zeros, or of its CMAC.

use subtle::ConstantTimeEq;

use crate::attributes::Algorithm;
use crate::cipher::Cipher;
use crate::des::TdesKey;
use crate::error::{Error, Result};
use crate::key::Key;

/// A check value of four bytes, as UnionPay hosts send it.
pub type CheckValue = [u8; 4];

/// How a check value is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A block of zeros is enciphered: TDES and SM4, and AES where a host still does.
    Zeros,
    /// The CMAC of a block of zeros: AES.
    Cmac,
}

impl Method {
    /// The one that X9.24-1 has for keys of `algorithm`.
    #[must_use]
    pub const fn of(algorithm: Algorithm) -> Self {
        if matches!(algorithm, Algorithm::Aes) { Self::Cmac } else { Self::Zeros }
    }
}

/// The first eight bytes of the check value of `key`. X9.24-1 shows at most the first three of [`Method::Zeros`] and five of
/// [`Method::Cmac`]: more help who guesses keys.
///
/// # Errors
/// [`Error::Algorithm`] if the key isn't one of a block cipher.
pub fn of(key: &Key, method: Method) -> Result<[u8; 8]> {
    let cipher = Cipher::new(key.attributes().algorithm, key.bytes())?;
    let mut block = [0; 16];
    let (zeros, _) = block.split_at_mut(cipher.block_length());
    match method {
        Method::Zeros => cipher.encrypt_ecb(zeros)?,
        Method::Cmac => block = cipher.cmac(&[zeros]),
    }
    let [a, b, c, d, e, f, g, h, ..] = block;
    Ok([a, b, c, d, e, f, g, h])
}

/// As much of the check value of `key` as may be shown (ANSI X9.24-1:2017, Annex A); nothing for a key that isn't one of a block cipher.
#[must_use]
pub fn shown(key: &Key) -> Vec<u8> {
    let algorithm = key.attributes().algorithm;
    let length = if algorithm == Algorithm::Aes { 5 } else { 3 };
    let value = of(key, Method::of(algorithm)).unwrap_or_default();
    value.get(..length).unwrap_or_default().to_vec()
}

/// Checks that the check value of `key` begins with `expected`, of 2 to 8 bytes; in constant time.
///
/// # Errors
/// [`Error::CheckValue`] if it doesn't, [`Error::Length`] for another length, and as [`of`].
pub fn check(key: &Key, method: Method, expected: &[u8]) -> Result<()> {
    let value = of(key, method)?;
    match value.get(..expected.len()) {
        Some(value) if expected.len() >= 2 => {
            if value.ct_eq(expected).into() {
                Ok(())
            } else {
                Err(Error::CheckValue)
            }
        }
        _ => Err(Error::Length { what: "a check value", expected: "2 to 8", got: expected.len() }),
    }
}

/// The check value of `key`.
#[must_use]
pub fn check_value(key: &TdesKey) -> CheckValue {
    let [a, b, c, d, ..] = key.encrypt_block([0; 8]);
    [a, b, c, d]
}

/// Whether `key` has the check value `expected`; compared in constant time.
#[must_use]
pub fn matches(key: &TdesKey, expected: CheckValue) -> bool {
    check_value(key).ct_eq(&expected).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::{Attributes, Mode, Usage};

    fn key(algorithm: Algorithm, hex: &str) -> Key {
        let attributes = Attributes::new(Usage::KeyEncryption, algorithm, Mode::Both);
        Key::new(attributes, &hex::decode(hex).unwrap()).unwrap()
    }

    #[test]
    fn the_check_value_of_the_x9_24_base_key_holds() {
        // ANSI X9.24-1 Annex A: base derivation key, check value 08D7B4.
        let key = TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        assert_eq!(check_value(&key), [0x08, 0xD7, 0xB4, 0xFB]);
        assert!(matches(&key, [0x08, 0xD7, 0xB4, 0xFB]));
        assert!(!matches(&key, [0x08, 0xD7, 0xB4, 0xFA]));
    }

    #[test]
    fn the_check_values_of_x9_143_and_tr_31_hold() {
        // X9.143-2021, 8.1: the AES key of the example; 8.6: its protection key.
        let aes = key(Algorithm::Aes, "3F419E1CB7079442AA37474C2EFBF8B8");
        assert_eq!(check(&aes, Method::of(Algorithm::Aes), &[0x08, 0x79, 0x3E, 0x25, 0xAB]), Ok(()));
        let aes = key(Algorithm::Aes, "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6");
        assert_eq!(check(&aes, Method::of(Algorithm::Aes), &[0x23, 0x31, 0x55, 0x0B, 0xC9]), Ok(()));
        // TR-31:2018, A.7.2.1: the TDES key of the example.
        let tdes = key(Algorithm::Tdes, "F039121BEC83D26B169BDCD5B22AAF8F");
        assert_eq!(check(&tdes, Method::of(Algorithm::Tdes), &[0xCB, 0x9D, 0xEA]), Ok(()));
    }

    #[test]
    fn a_public_example_of_a_sign_on_with_sm4_holds() {
        // A bank's test data, published at blog.csdn.net/M_Kerry/article/details/104625499: master key,
        // working key under it, and all of its check value that was sent.
        let master = key(Algorithm::Sm4, "1234567890ABCDEFABCDEF0987654321");
        let attributes = Attributes::new(Usage::PinEncryption, Algorithm::Sm4, Mode::Encrypt);
        let working = hex::decode("3D66234C49E4296FF9C78D8BACBD6A76").unwrap();
        let working = master.decrypt_key(attributes, &working).unwrap();
        let sent = hex::decode("861E83E31FAEBF10").unwrap();
        assert_eq!(check(&working, Method::of(Algorithm::Sm4), &sent), Ok(()));
        assert_eq!(check(&working, Method::Zeros, &[0x86, 0x1F]), Err(Error::CheckValue));
        assert!(matches!(check(&working, Method::Zeros, &[0x86]), Err(Error::Length { .. })));
    }
}
