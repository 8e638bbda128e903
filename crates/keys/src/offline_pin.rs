//! A PIN on its way to the card that verifies it: the command VERIFY (EMV Book 3 clause 6.5.12), with the PIN in the clear or
//! enciphered (Book 2 clause 7.2).
//!
//! It is made where the PIN is typed, and goes to the card from there: nobody else ever has it.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use zeroize::Zeroizing;

use crate::des::Block;
use crate::error::{Error, Result};
use crate::pin::Pin;
use crate::pin_block::field;

/// CLA, INS and P1 of VERIFY.
const VERIFY: [u8; 3] = [0x00, 0x20, 0x00];
/// P2: the PIN is in the clear, or enciphered.
const PLAINTEXT: u8 = 0x80;
const ENCIPHERED: u8 = 0x88;
/// The data header of what is enciphered.
const HEADER: u8 = 0x7F;
/// Header, PIN block and unpredictable number.
const FIXED: usize = 17;

/// The lengths of a modulus in bytes: what Book 2 Annex B2.1 allows at most, and 512 bits at least.
const MODULUS: std::ops::RangeInclusive<usize> = 64..=248;

/// The RSA public key of a card that PINs are enciphered with. It is no secret.
#[derive(Debug, Clone)]
pub struct CardKey {
    modulus: BoxedMontyParams,
    /// How often a number is squared to raise it to the public exponent, before it is multiplied with itself: 1 for 3, 16 for 65537.
    squarings: u32,
    /// Of the modulus, in bytes.
    length: usize,
}

impl CardKey {
    /// A key by its odd modulus of 64 to 248 bytes, whose highest bit is set, and its public exponent, 3 or 65537; big endian.
    ///
    /// # Errors
    /// [`Error::CardKey`] for any other.
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self> {
        let length = modulus.len();
        // A block that begins with 7F is then below the modulus, so that it can be recovered.
        let whole = modulus.first().is_some_and(|top| *top >= 0x80);
        let squarings = match exponent {
            [3] => 1,
            [1, 0, 1] => 16,
            _ => return Err(Error::CardKey),
        };
        if !MODULUS.contains(&length) || !whole {
            return Err(Error::CardKey);
        }
        let bits = u32::try_from(length * 8).map_err(|_| Error::CardKey)?;
        let modulus = BoxedUint::from_be_slice(modulus, bits).map_err(|_| Error::CardKey)?;
        let modulus: Option<Odd<BoxedUint>> = modulus.to_odd().into();
        Ok(Self { modulus: BoxedMontyParams::new(modulus.ok_or(Error::CardKey)?), squarings, length })
    }

    /// How many random bytes [`enciphered`] takes for this key.
    #[must_use]
    pub fn padding_length(&self) -> usize {
        self.length.saturating_sub(FIXED)
    }

    /// The RSA public operation on a block as long as the modulus. Its time does not depend on the block, and no power of it is left
    /// in memory, as the library's own exponentiation leaves them.
    fn encipher(&self, block: &[u8]) -> Result<Vec<u8>> {
        let block = BoxedUint::from_be_slice(block, self.modulus.modulus().bits_precision());
        let block = Zeroizing::new(BoxedMontyForm::new(block.map_err(|_| Error::CardKey)?, &self.modulus));
        let mut power = Zeroizing::new(block.square());
        for _ in 1..self.squarings {
            power = Zeroizing::new(power.square());
        }
        let enciphered = power.mul(&block).retrieve().to_be_bytes();
        let start = enciphered.len().checked_sub(self.length).ok_or(Error::CardKey)?;
        enciphered.get(start..).map(<[u8]>::to_vec).ok_or(Error::CardKey)
    }
}

/// VERIFY with `pin` in the clear.
#[must_use]
pub fn plaintext(pin: &Pin) -> Zeroizing<Vec<u8>> {
    command(PLAINTEXT, &*block(pin))
}

/// VERIFY with `pin` enciphered for the card with `key`. `challenge` is the card's unpredictable number; `padding` is
/// [as many](CardKey::padding_length) fresh random bytes, without which who knows the challenge could try all PINs.
///
/// # Errors
/// [`Error::Length`] for padding of another length.
pub fn enciphered(
    pin: &Pin,
    key: &CardKey,
    challenge: &[u8; 8],
    padding: &[u8],
) -> Result<Zeroizing<Vec<u8>>> {
    if padding.len() != key.padding_length() {
        let expected = "as long as the card's modulus, less 17";
        return Err(Error::Length { what: "the padding of a PIN", expected, got: padding.len() });
    }
    let mut clear = Zeroizing::new(Vec::with_capacity(key.length));
    clear.push(HEADER);
    clear.extend_from_slice(&*block(pin));
    clear.extend_from_slice(challenge);
    clear.extend_from_slice(padding);
    Ok(command(ENCIPHERED, &key.encipher(&clear)?))
}

/// The PIN block of format 2 (ISO 9564-1, 9.3.4; Book 3 clause 6.5.12).
fn block(pin: &Pin) -> Zeroizing<Block> {
    field(pin, 2, |_| 0xF)
}

fn command(p2: u8, data: &[u8]) -> Zeroizing<Vec<u8>> {
    let [cla, ins, p1] = VERIFY;
    // At most 248 bytes: a modulus is not longer.
    let length = u8::try_from(data.len()).unwrap_or_default();
    let mut command = Zeroizing::new(Vec::with_capacity(5 + data.len()));
    command.extend([cla, ins, p1, p2, length]);
    command.extend_from_slice(data);
    command
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A key of 768 bits with the public exponent 3, made for these tests: modulus and private exponent.
    const MODULUS: &str = "C59365146E651B40B63710F65362F2C185466C43C007FADA6758088D44EB509792C9C440A5A4BFC6EF422E7C7ABD57777BA45D57211A745A471F2446FBAFE9B96E95460E95686B672EF81DDB23C37F13FEBC5270BD46DA5A1C07E4396A3351EF";
    const PRIVATE: &str = "83B798B84998BCD5CECF60A437974C810384482D2AAFFC919A3AB05E2DF235BA61DBD82B19187FD9F4D6C9A851D38FA3D113A26BC581966DD821B9BA5F7947688D631D88BE2E073AA9824D2FCBF41D431159EED3C8F3DE7C4E91158E6A9E9D3B";

    fn key() -> CardKey {
        CardKey::new(&hex::decode(MODULUS).unwrap(), &[3]).unwrap()
    }

    /// What a card recovers.
    fn recovered(data: &[u8]) -> Vec<u8> {
        let key = key();
        let number = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, 768).unwrap();
        let private = number(&hex::decode(PRIVATE).unwrap());
        number(data).pow_mod(&private, key.modulus.modulus()).to_be_bytes().to_vec()
    }

    #[test]
    fn a_pin_in_the_clear_is_in_a_block_of_format_2() {
        // ISO 9564-1, 9.3.4, and EMV Book 3 clause 6.5.12: control 2, length, digits, F.
        let expected = [
            ("1234", "0020008008241234FFFFFFFFFF"),
            ("12345", "00200080082512345FFFFFFFFF"),
            ("123456789012", "00200080082C123456789012FF"),
        ];
        for (pin, command) in expected {
            assert_eq!(hex::encode_upper(&*plaintext(&Pin::new(pin).unwrap())), command);
        }
    }

    #[test]
    fn padding_of_another_length_is_refused() {
        let pin = Pin::new("1234").unwrap();
        for length in [0, 78, 80] {
            assert!(matches!(
                enciphered(&pin, &key(), &[0; 8], &vec![1; length]),
                Err(Error::Length { got, .. }) if got == length
            ));
        }
    }

    #[test]
    fn a_key_that_no_card_has_is_refused() {
        let good = hex::decode(MODULUS).unwrap();
        let with = |position: usize, byte: u8| {
            let mut modulus = good.clone();
            modulus[position] = byte;
            modulus
        };
        for modulus in [with(0, 0x7F), with(95, 0xEE), vec![0xC5; 63], vec![0xC5; 249], Vec::new()] {
            assert_eq!(CardKey::new(&modulus, &[3]).unwrap_err(), Error::CardKey);
        }
        for exponent in [&[][..], &[1], &[2], &[0, 3], &[1, 0, 1, 0]] {
            assert_eq!(CardKey::new(&good, exponent).unwrap_err(), Error::CardKey);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        /// Book 2 clause 7.2.
        #[test]
        fn what_was_enciphered_is_header_block_challenge_and_padding(
            digits in "[0-9]{4,12}",
            challenge in any::<[u8; 8]>(),
            padding in proptest::collection::vec(any::<u8>(), 79),
        ) {
            let pin = Pin::new(&digits).unwrap();
            let command = enciphered(&pin, &key(), &challenge, &padding).unwrap();
            prop_assert_eq!(&command[..5], &[0x00, 0x20, 0x00, 0x88, 96]);
            let clear = recovered(&command[5..]);
            let plaintext = plaintext(&pin);
            prop_assert_eq!(clear, [&[0x7F][..], &plaintext[5..], &challenge, &padding].concat());
        }
    }
}
