//! PIN blocks: ISO 9564-1 format 0 (9.3.2), enciphered with TDES.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::des::{Block, TdesKey, xor};
use crate::error::{Error, Result};
use crate::pan::Pan;

/// A PIN of 4 to 12 digits. It compares in constant time, is wiped on drop, and never prints.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Pin(Vec<u8>);

impl Pin {
    /// A PIN from its ASCII digits.
    ///
    /// # Errors
    /// [`Error::BadPin`] unless `digits` are 4 to 12 decimal digits.
    pub fn new(digits: &str) -> Result<Self> {
        let good = (4..=12).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
        if good { Ok(Self(digits.as_bytes().to_vec())) } else { Err(Error::BadPin) }
    }

    /// The clear digits, in ASCII.
    #[must_use]
    pub fn digits(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Pin {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Pin {}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// The format 0 block of `pin` and `pan`, enciphered under the PIN key: the content of DE 52.
#[must_use]
pub fn encipher(pik: &TdesKey, pin: &Pin, pan: &Pan) -> Block {
    pik.encrypt_block(*clear_block(pin, pan))
}

/// The PIN in an enciphered format 0 block, as a host recovers it.
///
/// # Errors
/// [`Error::BadPinBlock`] if the deciphered block isn't of format 0 for this PAN.
pub fn decipher(pik: &TdesKey, block: Block, pan: &Pan) -> Result<Pin> {
    let field = Zeroizing::new(xor(pik.decrypt_block(block), *pan_field(pan)));
    let nibbles: Zeroizing<Vec<u8>> =
        Zeroizing::new(field.iter().flat_map(|byte| [byte >> 4, byte & 0xF]).collect());
    let Some(([0, length], rest)) = nibbles.split_first_chunk() else {
        return Err(Error::BadPinBlock);
    };
    let (digits, fill) = rest.split_at_checked(usize::from(*length)).ok_or(Error::BadPinBlock)?;
    if digits.iter().any(|digit| *digit > 9) || fill.iter().any(|nibble| *nibble != 0xF) {
        return Err(Error::BadPinBlock);
    }
    let text: Zeroizing<String> =
        Zeroizing::new(digits.iter().map(|digit| char::from(b'0' + digit)).collect());
    Pin::new(&text).map_err(|_| Error::BadPinBlock)
}

fn clear_block(pin: &Pin, pan: &Pan) -> Zeroizing<Block> {
    // A PIN has at most 12 digits, so its length is one nibble.
    let length = u8::try_from(pin.0.len()).unwrap_or_default();
    let digits = pin.0.iter().map(|digit| digit & 0xF);
    let pin_field =
        Zeroizing::new(packed([0, length].into_iter().chain(digits).chain(std::iter::repeat(0xF))));
    Zeroizing::new(xor(*pin_field, *pan_field(pan)))
}

fn pan_field(pan: &Pan) -> Zeroizing<Block> {
    Zeroizing::new(packed([0; 4].into_iter().chain(pan.pin_block_digits())))
}

/// The first 16 of `nibbles`, two a byte.
fn packed(mut nibbles: impl Iterator<Item = u8>) -> Block {
    std::array::from_fn(|_| nibbles.next().unwrap_or_default() << 4 | nibbles.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clear(pin: &str, pan: &str) -> String {
        hex::encode_upper(*clear_block(&Pin::new(pin).unwrap(), &Pan::new(pan).unwrap()))
    }

    #[test]
    fn the_clear_block_of_ansi_x9_24_1_annex_a_holds() {
        assert_eq!(clear("1234", "4012345678909"), "041274EDCBA9876F");
    }

    #[test]
    fn a_long_pan_gives_its_twelve_digits_before_the_check_digit() {
        // The usual worked example of format 0.
        assert_eq!(clear("1234", "43219876543210987"), "0412AC89ABCDEF67");
    }

    #[test]
    fn a_short_pan_is_padded_on_the_left() {
        assert_eq!(clear("123456789012", "12345678"), "0C12345679B35798");
    }

    #[test]
    fn a_block_of_another_pan_does_not_give_the_pin() {
        let (key, pin) = (TdesKey::new([7; 16]), Pin::new("1234").unwrap());
        let block = encipher(&key, &pin, &Pan::new("6217001234567890").unwrap());
        assert_ne!(decipher(&key, block, &Pan::new("6217001234567880").unwrap()), Ok(pin));
    }

    #[test]
    fn a_pin_never_prints() {
        assert_eq!(format!("{:?}", Pin::new("1234").unwrap()), "Pin(…)");
    }

    #[test]
    fn a_pin_is_4_to_12_digits() {
        for text in ["", "123", "1234567890123", "12a4", "１２３４"] {
            assert_eq!(Pin::new(text), Err(Error::BadPin), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_host_recovers_the_pin(key: [u8; 16], pin in "[0-9]{4,12}", pan in "[0-9]{8,19}") {
            let (key, pin, pan) = (TdesKey::new(key), Pin::new(&pin).unwrap(), Pan::new(&pan).unwrap());
            prop_assert_eq!(decipher(&key, encipher(&key, &pin, &pan), &pan), Ok(pin));
        }

        #[test]
        fn any_block_is_a_pin_or_an_error(key: [u8; 16], block: [u8; 8]) {
            let _ = decipher(&TdesKey::new(key), block, &Pan::new("6217001234567890").unwrap());
        }
    }
}
