//! Key check values (ANSI X9.24-1, 7.7.2 in the 2017 edition): the first bytes of enciphering 8 zero bytes.

use subtle::ConstantTimeEq;

use crate::des::TdesKey;

/// A check value of four bytes, as UnionPay hosts send it.
pub type CheckValue = [u8; 4];

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

    #[test]
    fn the_check_value_of_the_x9_24_base_key_holds() {
        // ANSI X9.24-1 Annex A: base derivation key, check value 08D7B4.
        let key = TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        assert_eq!(check_value(&key), [0x08, 0xD7, 0xB4, 0xFB]);
        assert!(matches(&key, [0x08, 0xD7, 0xB4, 0xFB]));
        assert!(!matches(&key, [0x08, 0xD7, 0xB4, 0xFA]));
    }
}
