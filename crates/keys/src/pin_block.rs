//! PIN blocks: ISO 9564-1 formats 0, 1 and 3 (9.3.2 to 9.3.5) under TDES, format 4 (9.4.2) under AES, and the one
//! of 16 bytes that UnionPay's terminals use with SM4.
//!
//! UnionPay's is format 0 in 16 bytes: the PIN field is filled with F to 16 bytes, and the twelve digits of the PAN are at
//! the right end. It is described, with an example, at blog.csdn.net/M_Kerry/article/details/104625499; some hosts want 8 bytes
//! instead, which SM4 can't encipher.

use zeroize::Zeroizing;

use crate::attributes::Algorithm;
use crate::cipher::Cipher;
use crate::des::{Block, TdesKey};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::pan::Pan;
use crate::permission::Operation;
use crate::pin::Pin;

/// A format, and the PAN that the block is bound to.
#[derive(Debug, Clone, Copy)]
pub enum Format<'a> {
    /// ISO format 0: TDES.
    Iso0(&'a Pan),
    /// ISO format 1, for when no PAN is at hand: TDES.
    Iso1,
    /// ISO format 3, which is format 0 with random filling: TDES.
    Iso3(&'a Pan),
    /// ISO format 4: AES.
    Iso4(&'a Pan),
    /// UnionPay's with SM4.
    UnionPaySm4(&'a Pan),
}

impl Format<'_> {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Iso0(_) | Self::Iso1 | Self::Iso3(_) => Algorithm::Tdes,
            Self::Iso4(_) => Algorithm::Aes,
            Self::UnionPaySm4(_) => Algorithm::Sm4,
        }
    }
}

/// An enciphered PIN block, of 8 or 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinBlock {
    /// Under TDES.
    Short([u8; 8]),
    /// Under AES or SM4.
    Long([u8; 16]),
}

impl PinBlock {
    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            Self::Long(bytes) => bytes,
        }
    }
}

/// Enciphers `pin` in a block. `random` is fresh randomness: formats 1, 3 and 4 take their filling from it.
///
/// # Errors
/// [`Error::NotPermitted`] unless the key enciphers PINs, [`Error::Algorithm`] unless it is of the format's algorithm.
pub fn encrypt(key: &Key, format: Format<'_>, pin: &Pin, random: &[u8; 16]) -> Result<PinBlock> {
    let cipher = cipher(key, Operation::EncryptPin, format)?;
    match format {
        Format::Iso0(pan) => short(&cipher, &bound(field(pin, 0, |_| 0xF), pan)),
        Format::Iso1 => short(&cipher, &field(pin, 1, |place| nibble_of(random, place))),
        Format::Iso3(pan) => short(&cipher, &bound(field(pin, 3, |place| letter_of(random, place)), pan)),
        Format::Iso4(pan) => {
            let pin_field = field(pin, 4, |place| if place < 16 { 0xA } else { nibble_of(random, place) });
            let (mut block, pan_field) = (Zeroizing::new(*pin_field), pan_field_4(pan));
            cipher.encrypt_ecb(&mut *block)?;
            block.iter_mut().zip(*pan_field).for_each(|(byte, pan)| *byte ^= pan);
            cipher.encrypt_ecb(&mut *block)?;
            Ok(PinBlock::Long(*block))
        }
        Format::UnionPaySm4(pan) => {
            let mut block: Zeroizing<[u8; 16]> = bound(field(pin, 0, |_| 0xF), pan);
            cipher.encrypt_ecb(&mut *block)?;
            Ok(PinBlock::Long(*block))
        }
    }
}

/// The PIN in a block, as a host recovers it.
///
/// # Errors
/// [`Error::NotPermitted`] unless the key deciphers PINs, [`Error::Algorithm`] unless it is of the format's algorithm,
/// [`Error::Length`] unless the block is one block of it, [`Error::BadPinBlock`] if the clear block isn't of the format for
/// this PAN.
pub fn decrypt(key: &Key, format: Format<'_>, block: &[u8]) -> Result<Pin> {
    let cipher = cipher(key, Operation::DecryptPin, format)?;
    match format {
        Format::Iso0(pan) => pin_of(&*bound(opened::<8>(&cipher, block)?, pan), 0, |nibble| nibble == 0xF),
        Format::Iso1 => pin_of(&*opened::<8>(&cipher, block)?, 1, |_| true),
        Format::Iso3(pan) => pin_of(&*bound(opened::<8>(&cipher, block)?, pan), 3, |nibble| nibble >= 0xA),
        Format::Iso4(pan) => {
            let mut field = opened::<16>(&cipher, block)?;
            field.iter_mut().zip(*pan_field_4(pan)).for_each(|(byte, pan)| *byte ^= pan);
            cipher.decrypt_ecb(&mut *field)?;
            let (pin_half, _) = field.split_at(8);
            pin_of(pin_half, 4, |nibble| nibble == 0xA)
        }
        Format::UnionPaySm4(pan) => {
            pin_of(&*bound(opened::<16>(&cipher, block)?, pan), 0, |nibble| nibble == 0xF)
        }
    }
}

/// The format 0 block of `pin` and `pan`, enciphered under the PIN key: the content of DE 52.
#[must_use]
pub fn encipher(pik: &TdesKey, pin: &Pin, pan: &Pan) -> Block {
    pik.encrypt_block(*bound(field(pin, 0, |_| 0xF), pan))
}

/// The PIN in an enciphered format 0 block, as a host recovers it.
///
/// # Errors
/// [`Error::BadPinBlock`] if the deciphered block isn't of format 0 for this PAN.
pub fn decipher(pik: &TdesKey, block: Block, pan: &Pan) -> Result<Pin> {
    pin_of(&*bound(Zeroizing::new(pik.decrypt_block(block)), pan), 0, |nibble| nibble == 0xF)
}

fn cipher(key: &Key, operation: Operation, format: Format<'_>) -> Result<Cipher> {
    let algorithm = key.attributes().algorithm;
    if algorithm != format.algorithm() {
        return Err(Error::Algorithm { what: "this PIN block format", algorithm });
    }
    key.cipher(operation)
}

fn short(cipher: &Cipher, clear: &Block) -> Result<PinBlock> {
    let mut block = Zeroizing::new(*clear);
    cipher.encrypt_ecb(&mut *block)?;
    Ok(PinBlock::Short(*block))
}

fn opened<const N: usize>(cipher: &Cipher, block: &[u8]) -> Result<Zeroizing<[u8; N]>> {
    let length = |_| Error::Length { what: "a PIN block", expected: "one block", got: block.len() };
    let mut clear = Zeroizing::new(<[u8; N]>::try_from(block).map_err(length)?);
    cipher.decrypt_ecb(&mut *clear)?;
    Ok(clear)
}

/// A PIN field: control nibble, length, digits, and `filling`, by the place of each nibble.
pub(crate) fn field<const N: usize>(
    pin: &Pin,
    control: u8,
    filling: impl Fn(usize) -> u8,
) -> Zeroizing<[u8; N]> {
    let digits = [control, pin.length()].into_iter().chain(pin.values());
    let filled = usize::from(pin.length()) + 2;
    Zeroizing::new(packed(digits.chain((filled..2 * N).map(filling))))
}

/// `field` exclusive-or the twelve PAN digits at its right end (ISO 9564-1, 9.3.2.3).
fn bound<const N: usize>(mut field: Zeroizing<[u8; N]>, pan: &Pan) -> Zeroizing<[u8; N]> {
    let padding = std::iter::repeat_n(0, 2 * N - 12);
    let pan_field: Zeroizing<[u8; N]> = Zeroizing::new(packed(padding.chain(pan.pin_block_digits())));
    field.iter_mut().zip(*pan_field).for_each(|(byte, pan)| *byte ^= pan);
    field
}

/// The PAN field of format 4 (ISO 9564-1, 9.4.2.3): how many digits beyond twelve, the digits, zeros.
fn pan_field_4(pan: &Pan) -> Zeroizing<[u8; 16]> {
    let digits = pan.digits().bytes().map(|digit| digit & 0xF);
    let length = pan.digits().len();
    let beyond = u8::try_from(length.saturating_sub(12)).unwrap_or_default();
    let padding = std::iter::repeat_n(0, 12_usize.saturating_sub(length));
    Zeroizing::new(packed([beyond].into_iter().chain(padding).chain(digits)))
}

/// The PIN of a clear field of 8 or 16 bytes.
fn pin_of(field: &[u8], control: u8, filling: impl Fn(u8) -> bool) -> Result<Pin> {
    let mut nibbles = Zeroizing::new([0; 32]);
    let unpacked = field.iter().flat_map(|byte| [byte >> 4, byte & 0xF]);
    nibbles.iter_mut().zip(unpacked).for_each(|(to, nibble)| *to = nibble);
    let nibbles = nibbles.get(..2 * field.len()).unwrap_or_default();
    match nibbles.split_first_chunk() {
        Some(([first, length], rest)) if *first == control => {
            let (digits, fill) = rest.split_at_checked(usize::from(*length)).ok_or(Error::BadPinBlock)?;
            if !fill.iter().all(|nibble| filling(*nibble)) {
                return Err(Error::BadPinBlock);
            }
            Pin::from_values(digits).map_err(|_| Error::BadPinBlock)
        }
        _ => Err(Error::BadPinBlock),
    }
}

/// The nibbles, two a byte, filled up with zeros.
fn packed<const N: usize>(mut nibbles: impl Iterator<Item = u8>) -> [u8; N] {
    std::array::from_fn(|_| nibbles.next().unwrap_or_default() << 4 | nibbles.next().unwrap_or_default())
}

/// A random nibble for a place.
fn nibble_of(random: &[u8; 16], place: usize) -> u8 {
    random.get(place % 16).copied().unwrap_or_default() & 0xF
}

/// A random nibble from A to F for a place.
fn letter_of(random: &[u8; 16], place: usize) -> u8 {
    0xA + random.get(place % 16).copied().unwrap_or_default() % 6
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attributes::{Attributes, Mode, Usage};

    fn clear(pin: &str, pan: &str) -> String {
        hex::encode_upper(*bound::<8>(field(&pin_of_text(pin), 0, |_| 0xF), &Pan::new(pan).unwrap()))
    }

    fn pin_of_text(pin: &str) -> Pin {
        Pin::new(pin).unwrap()
    }

    fn key(algorithm: Algorithm, mode: Mode, bytes: &[u8]) -> Key {
        Key::new(Attributes::new(Usage::PinEncryption, algorithm, mode), bytes).unwrap()
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
    fn the_format_3_fields_of_psec_hold() {
        // knovichikhin/psec, tests/test_pinblock.py: the filling is whatever is from A to F.
        let pan = Pan::new("5555555551234567").unwrap();
        for (pin, block) in [("1234", "341261AAAAEDCBA9"), ("123456789012", "3C1261032D8226A9")] {
            let field: [u8; 8] = hex::decode(block).unwrap().try_into().unwrap();
            let pin_field = bound(Zeroizing::new(field), &pan);
            assert_eq!(pin_of(&*pin_field, 3, |nibble| nibble >= 0xA), Pin::new(pin));
        }
    }

    #[test]
    fn the_format_4_block_of_the_x9_24_3_supplement_holds() {
        // X9.24-3:2017 test vectors, page 31: PIN 1234, PAN 4111111111111111, the PIN key of transaction 1.
        let pin_key = hex::decode("AF8CB133A78F8DC2D1359F18527593FB").unwrap();
        let pan = Pan::new("4111111111111111").unwrap();
        assert_eq!(hex::encode_upper(*pan_field_4(&pan)), "44111111111111111000000000000000");
        // The random half of its PIN field, 2F69ADDE2E9E7ACE.
        let random = [2, 0xF, 6, 9, 0xA, 0xD, 0xD, 0xE, 2, 0xE, 9, 0xE, 7, 0xA, 0xC, 0xE];
        let terminal = key(Algorithm::Aes, Mode::Encrypt, &pin_key);
        let block = encrypt(&terminal, Format::Iso4(&pan), &pin_of_text("1234"), &random).unwrap();
        assert_eq!(hex::encode_upper(block.as_bytes()), "A912150391AB65A67E52883D81CE2D15");
        let host = key(Algorithm::Aes, Mode::Decrypt, &pin_key);
        assert_eq!(decrypt(&host, Format::Iso4(&pan), block.as_bytes()), Pin::new("1234"));
    }

    #[test]
    fn the_format_4_block_of_psec_holds() {
        // knovichikhin/psec, tests/test_pinblock.py, whose random bytes are all FF.
        let key = key(Algorithm::Aes, Mode::Both, &hex::decode("00112233445566778899AABBCCDDEEFF").unwrap());
        let pan = Pan::new("1234567890123456789").unwrap();
        let block = encrypt(&key, Format::Iso4(&pan), &pin_of_text("1234"), &[0xFF; 16]).unwrap();
        assert_eq!(hex::encode_upper(block.as_bytes()), "28B41FDDD29B743E93124BD8E32D921E");
    }

    #[test]
    fn the_public_example_of_the_block_for_sm4_holds() {
        let pan = Pan::new("6230606601007726888").unwrap();
        let block = bound::<16>(field(&pin_of_text("123654"), 0, |_| 0xF), &pan);
        assert_eq!(hex::encode_upper(*block), "06123654FFFFFFFFFFFF99FEFF88D977");
    }

    #[test]
    fn a_short_pan_is_padded_on_the_left_in_format_4_too() {
        let field = pan_field_4(&Pan::new("12345678").unwrap());
        assert_eq!(hex::encode_upper(*field), "00000123456780000000000000000000");
    }

    #[test]
    fn a_block_of_another_pan_does_not_give_the_pin() {
        let (key, pin) = (TdesKey::new([7; 16]), pin_of_text("1234"));
        let block = encipher(&key, &pin, &Pan::new("6217001234567890").unwrap());
        assert_ne!(decipher(&key, block, &Pan::new("6217001234567880").unwrap()), Ok(pin));
    }

    #[test]
    fn a_terminal_s_pin_key_does_not_give_the_pin_back() {
        let pan = Pan::new("6217001234567890").unwrap();
        let key = key(Algorithm::Tdes, Mode::Encrypt, &[7; 16]);
        let block = encrypt(&key, Format::Iso0(&pan), &pin_of_text("1234"), &[0; 16]).unwrap();
        assert!(matches!(
            decrypt(&key, Format::Iso0(&pan), block.as_bytes()),
            Err(Error::NotPermitted { .. })
        ));
    }

    #[test]
    fn a_format_goes_with_its_algorithm_and_length() {
        let (pan, pin) = (Pan::new("6217001234567890").unwrap(), pin_of_text("1234"));
        let tdes = key(Algorithm::Tdes, Mode::Both, &[7; 16]);
        assert!(matches!(encrypt(&tdes, Format::Iso4(&pan), &pin, &[0; 16]), Err(Error::Algorithm { .. })));
        let aes = key(Algorithm::Aes, Mode::Both, &[7; 16]);
        assert!(matches!(
            encrypt(&aes, Format::UnionPaySm4(&pan), &pin, &[0; 16]),
            Err(Error::Algorithm { .. })
        ));
        assert!(matches!(decrypt(&aes, Format::Iso4(&pan), &[0; 8]), Err(Error::Length { .. })));
    }

    proptest! {
        #[test]
        fn the_host_recovers_the_pin(
            bytes: [u8; 16], pin in "[0-9]{4,12}", pan in "[0-9]{8,19}", random: [u8; 16],
        ) {
            let (pin, pan) = (Pin::new(&pin).unwrap(), Pan::new(&pan).unwrap());
            for format in [
                Format::Iso0(&pan), Format::Iso1, Format::Iso3(&pan), Format::Iso4(&pan), Format::UnionPaySm4(&pan),
            ] {
                let key = key(format.algorithm(), Mode::Both, &bytes);
                let block = encrypt(&key, format, &pin, &random).unwrap();
                prop_assert_eq!(decrypt(&key, format, block.as_bytes()), Ok(pin.clone()));
            }
            let (key, plain) = (key(Algorithm::Tdes, Mode::Both, &bytes), TdesKey::new(bytes));
            let block = encrypt(&key, Format::Iso0(&pan), &pin, &random).unwrap();
            prop_assert_eq!(encipher(&plain, &pin, &pan), block.as_bytes());
            prop_assert_eq!(decipher(&plain, encipher(&plain, &pin, &pan), &pan), Ok(pin));
        }

        #[test]
        fn any_block_is_a_pin_or_an_error(bytes: [u8; 16], block: [u8; 16]) {
            let pan = Pan::new("6217001234567890").unwrap();
            for format in [Format::Iso0(&pan), Format::Iso1, Format::Iso3(&pan)] {
                let _ = decrypt(&key(Algorithm::Tdes, Mode::Both, &bytes), format, &block[..8]);
            }
            let _ = decrypt(&key(Algorithm::Aes, Mode::Both, &bytes), Format::Iso4(&pan), &block);
        }
    }
}
