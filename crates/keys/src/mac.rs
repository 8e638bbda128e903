//! Message authentication codes: ISO/IEC 9797-1 algorithms 1 (CBC-MAC) and 3 ("retail MAC"; EMV Book 2, A1.2), CMAC
//! (algorithm 5; NIST SP 800-38B), HMAC with SHA-256 (FIPS 198-1), and the one of UnionPay's direct terminals (Q/CUP 009, "ECB" MAC).

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::attributes::Usage;
use crate::cipher::Cipher;
use crate::des::{Block, TdesKey, xor};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::permission::Operation;
use crate::tdea::Tdea;

/// The fewest bytes of a code that [`verify`] accepts: half a TDES block, as many hosts send.
const SHORTEST: usize = 4;

/// How a message is filled up to whole blocks (ISO/IEC 9797-1, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Method 1: as few zeros as needed.
    Zeros,
    /// Method 2: a bit 1, then as few zeros as needed.
    OneAndZeros,
}

/// A way to make a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// ISO/IEC 9797-1 algorithm 1, with a key of usage M1.
    Algorithm1(Padding),
    /// ISO/IEC 9797-1 algorithm 3, with a double-length TDES key of usage M3.
    Algorithm3(Padding),
    /// CMAC, with a key of usage M6.
    Cmac,
    /// HMAC with SHA-256, with a key of usage M7.
    HmacSha256,
    /// UnionPay's MAC, with a TDES or SM4 key of its own usage: 8 hexadecimal characters.
    UnionPay,
}

impl Scheme {
    /// The usage that a key must have.
    #[must_use]
    pub const fn usage(self) -> Usage {
        match self {
            Self::Algorithm1(_) => Usage::MacAlgorithm1,
            Self::Algorithm3(_) => Usage::MacAlgorithm3,
            Self::Cmac => Usage::Cmac,
            Self::HmacSha256 => Usage::Hmac,
            Self::UnionPay => Usage::UnionPayMac,
        }
    }
}

/// A code, untruncated: a block, or 32 bytes of HMAC.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    bytes: [u8; 32],
    length: usize,
}

impl Code {
    fn new(code: &[u8], length: usize) -> Self {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(code.iter().take(length)).for_each(|(to, from)| *to = *from);
        Self { bytes, length }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The code of `message`.
///
/// # Errors
/// [`Error::NotPermitted`] unless the key generates codes of this scheme, [`Error::Algorithm`] if the scheme isn't
/// defined for the key's algorithm or length.
pub fn generate(key: &Key, scheme: Scheme, message: &[u8]) -> Result<Code> {
    compute(key, Operation::GenerateMac(scheme.usage()), scheme, message)
}

/// Whether `code`, of which the end may be left out, is that of `message`; compared in constant time.
///
/// # Errors
/// As [`generate`], of a key that verifies; [`Error::Length`] for a code of less than 4 bytes or more than the scheme has.
pub fn verify(key: &Key, scheme: Scheme, message: &[u8], code: &[u8]) -> Result<bool> {
    let right = compute(key, Operation::VerifyMac(scheme.usage()), scheme, message)?;
    match right.as_bytes().get(..code.len()) {
        Some(right) if code.len() >= SHORTEST => Ok(equal(right, code)),
        _ => Err(Error::Length { what: "a code", expected: "4 to all of its", got: code.len() }),
    }
}

fn compute(key: &Key, operation: Operation, scheme: Scheme, message: &[u8]) -> Result<Code> {
    let bytes = key.permitted(operation)?;
    let algorithm = key.attributes().algorithm;
    if scheme == Scheme::HmacSha256 {
        let unfit = Error::Algorithm { what: "HMAC", algorithm };
        let hmac = Hmac::<Sha256>::new_from_slice(bytes).map_err(|_| unfit)?;
        return Ok(Code::new(&hmac.chain_update(message).finalize().into_bytes(), 32));
    }
    let cipher = Cipher::new(algorithm, bytes)?;
    let length = cipher.block_length();
    Ok(match scheme {
        Scheme::Algorithm1(Padding::Zeros) => Code::new(&cipher.cbc_mac(&[message])?, length),
        Scheme::Algorithm1(Padding::OneAndZeros) => Code::new(&cipher.cbc_mac(&[message, &[0x80]])?, length),
        Scheme::Algorithm3(padding) => match (&cipher, bytes.len()) {
            (Cipher::Tdes(tdea), 16) => Code::new(&algorithm_3(tdea, padding, message), length),
            _ => return Err(Error::Algorithm { what: "MAC algorithm 3", algorithm }),
        },
        Scheme::UnionPay if length == 8 => Code::new(&fold_and_encipher::<8>(&cipher, message)?, 8),
        Scheme::UnionPay => Code::new(&fold_and_encipher::<16>(&cipher, message)?, 8),
        Scheme::Cmac | Scheme::HmacSha256 => Code::new(&cipher.cmac(&[message]), length),
    })
}

/// UnionPay's MAC of `message`, zero-padded to whole blocks: 8 upper-case hexadecimal characters, the
/// content of DE 64.
///
/// All blocks are XORed into one, its hexadecimal form is enciphered in two chained steps, and the
/// hexadecimal form of the first half of the result is the MAC.
#[must_use]
pub fn unionpay(mak: &TdesKey, message: &[u8]) -> [u8; 8] {
    // Whole blocks are enciphered, so that nothing can fail.
    fold_and_encipher::<8>(&Cipher::Tdes(mak.cipher()), message).unwrap_or_default()
}

/// UnionPay's MAC with a cipher of blocks of `N` bytes. The result is the first 8 characters.
fn fold_and_encipher<const N: usize>(cipher: &Cipher, message: &[u8]) -> Result<[u8; 8]> {
    let mut folded = [0; N];
    for chunk in message.chunks(N) {
        folded.iter_mut().zip(chunk).for_each(|(sum, byte)| *sum ^= byte);
    }
    let mut characters = hexadecimal(&folded);
    let mut block: [u8; N] = std::array::from_fn(|_| characters.next().unwrap_or_default());
    cipher.encrypt_ecb(&mut block)?;
    block.iter_mut().zip(characters).for_each(|(byte, character)| *byte ^= character);
    cipher.encrypt_ecb(&mut block)?;
    let mut characters = hexadecimal(&block);
    Ok(std::array::from_fn(|_| characters.next().unwrap_or_default()))
}

/// The upper-case hexadecimal characters of `bytes`.
fn hexadecimal(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let character = |nibble| if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 };
    bytes.iter().flat_map(move |byte| [character(byte >> 4), character(byte & 0xF)])
}

/// The MAC of `data` by ISO/IEC 9797-1 algorithm 3 ("retail MAC") with padding method 2, untruncated.
#[must_use]
pub fn retail(key: &TdesKey, data: &[u8]) -> [u8; 8] {
    algorithm_3(&key.cipher(), Padding::OneAndZeros, data)
}

fn algorithm_3(tdea: &Tdea, padding: Padding, data: &[u8]) -> Block {
    let (blocks, rest) = data.as_chunks::<8>();
    let (blocks, last) = match (padding, rest, blocks.split_last()) {
        (Padding::Zeros, [], Some((last, blocks))) => (blocks, *last),
        (Padding::Zeros, ..) => (blocks, padded(rest, &[])),
        (Padding::OneAndZeros, ..) => (blocks, padded(rest, &[0x80])),
    };
    let chained = blocks.iter().fold([0; 8], |previous, block| {
        tdea.encrypt_with_first(u64::from_be_bytes(xor(previous, *block))).to_be_bytes()
    });
    // Output transformation 3 on the last block: first key encipher, second decipher, first encipher, which is TDES.
    tdea.encrypt(u64::from_be_bytes(xor(chained, last))).to_be_bytes()
}

/// Whether two codes are equal, in a time that depends only on their lengths.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// A block of `rest`, `mark` and zeros.
fn padded(rest: &[u8], mark: &[u8]) -> Block {
    let mut block = [0; 8];
    block.iter_mut().zip(rest.iter().chain(mark)).for_each(|(to, from)| *to = *from);
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::{Algorithm, Attributes, Mode};

    #[test]
    fn the_vector_of_public_unionpay_terminal_code_holds() {
        // Single DES, so both halves are equal.
        let key = TdesKey::from_hex("5CBE7E38A146FD5C5CBE7E38A146FD5C").unwrap();
        assert_eq!(&unionpay(&key, &[1, 2, 3]), b"F11F2C27");
    }

    #[test]
    fn the_vectors_of_iso_9797_1_annex_b_hold() {
        // MAC algorithm 3, padding method 2, data strings 1 and 2.
        let key = TdesKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        assert_eq!(hex::encode_upper(retail(&key, b"Now is the time for all ")), "E9086230CA3BE796");
        assert_eq!(hex::encode_upper(retail(&key, b"Now is the time for it")), "5A692CE64F404145");
    }

    #[test]
    fn the_vector_of_icao_9303_11_appendix_d_holds() {
        // D.3, basic access control: the MAC over E_IFD.
        let key = TdesKey::from_hex("7962D9ECE03D1ACD4C76089DCE131543").unwrap();
        let data = hex::decode("72C29C2371CC9BDB65B779B8E8D37B29ECC154AA56A8799FAE2F498F76ED92F2").unwrap();
        assert_eq!(hex::encode_upper(retail(&key, &data)), "5F1448EEA8AD90A7");
    }

    fn key(usage: Usage, algorithm: Algorithm, hex: &str) -> Key {
        let attributes = Attributes::new(usage, algorithm, Mode::GenerateVerify);
        Key::new(attributes, &hex::decode(hex).unwrap()).unwrap()
    }

    fn code(key: &Key, scheme: Scheme, message: &[u8]) -> String {
        hex::encode_upper(generate(key, scheme, message).unwrap().as_bytes())
    }

    #[test]
    fn the_vectors_of_psec_hold_for_both_paddings() {
        // knovichikhin/psec, tests/test_mac.py.
        let m1 = key(Usage::MacAlgorithm1, Algorithm::Tdes, "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBB");
        assert_eq!(code(&m1, Scheme::Algorithm1(Padding::Zeros), b"hello world"), "68D9038F23360DF3");
        assert_eq!(code(&m1, Scheme::Algorithm1(Padding::OneAndZeros), b"hello world"), "32DC341271ACCD00");
    }

    #[test]
    fn the_vectors_of_nist_sp_800_38b_appendix_d_hold() {
        let message =
            hex::decode("6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E5130C81C46A35CE411")
                .unwrap();
        // D.1, AES-128, examples 1 to 3.
        let aes = key(Usage::Cmac, Algorithm::Aes, "2B7E151628AED2A6ABF7158809CF4F3C");
        assert_eq!(code(&aes, Scheme::Cmac, b""), "BB1D6929E95937287FA37D129B756746");
        assert_eq!(code(&aes, Scheme::Cmac, &message[..16]), "070A16B46B4D4144F79BDD9DD04A287C");
        assert_eq!(code(&aes, Scheme::Cmac, &message), "DFA66747DE9AE63030CA32611497C827");
        // D.3, AES-256, example 9.
        let aes = key(
            Usage::Cmac,
            Algorithm::Aes,
            "603DEB1015CA71BE2B73AEF0857D77811F352C073B6108D72D9810A30914DFF4",
        );
        assert_eq!(code(&aes, Scheme::Cmac, b""), "028962F61B7BF89EFC6B551F4667D983");
        // D.4, three-key TDEA, examples 13 and 14.
        let tdes = key(Usage::Cmac, Algorithm::Tdes, "8AA83BF8CBDA10620BC1BF19FBB6CD58BC313D4A371CA8B5");
        assert_eq!(code(&tdes, Scheme::Cmac, b""), "B7A688E122FFAF95");
        assert_eq!(code(&tdes, Scheme::Cmac, &message[..8]), "8E8F293136283797");
    }

    #[test]
    fn the_vector_of_rfc_4231_holds() {
        // 4.3, test case 2, with its short key filled up with zeros, which HMAC does too.
        let hmac = key(Usage::Hmac, Algorithm::Hmac, "4A656665000000000000000000000000");
        let right = "5BDCC146BF60754E6A042426089575C75A003F089D2739839DEC58B964EC3843";
        assert_eq!(code(&hmac, Scheme::HmacSha256, b"what do ya want for nothing?"), right);
    }

    #[test]
    fn unionpay_s_mac_with_sm4_is_made_in_the_same_steps() {
        // No vector is published; the steps of Q/CUP 009 one by one, with blocks of 16 bytes.
        let key = key(Usage::UnionPayMac, Algorithm::Sm4, "0123456789ABCDEFFEDCBA9876543210");
        let cipher = Cipher::new(Algorithm::Sm4, key.bytes()).unwrap();
        let message = b"0200 a message of two blocks";
        let mut folded = message[..16].to_vec();
        folded.iter_mut().zip(&message[16..]).for_each(|(sum, byte)| *sum ^= byte);
        let expanded = hex::encode_upper(folded).into_bytes();
        let mut block = expanded[..16].to_vec();
        cipher.encrypt_ecb(&mut block).unwrap();
        block.iter_mut().zip(&expanded[16..]).for_each(|(sum, byte)| *sum ^= byte);
        cipher.encrypt_ecb(&mut block).unwrap();
        let right = &hex::encode_upper(block).into_bytes()[..8];
        assert_eq!(generate(&key, Scheme::UnionPay, message).unwrap().as_bytes(), right);
    }

    #[test]
    fn the_key_model_and_the_plain_functions_agree() {
        let bytes = "0123456789ABCDEFFEDCBA9876543210";
        let plain = TdesKey::from_hex(bytes).unwrap();
        let m3 = key(Usage::MacAlgorithm3, Algorithm::Tdes, bytes);
        let union = key(Usage::UnionPayMac, Algorithm::Tdes, bytes);
        for length in 0..40 {
            let message = vec![0x5A; length];
            let made = generate(&m3, Scheme::Algorithm3(Padding::OneAndZeros), &message).unwrap();
            assert_eq!(made.as_bytes(), retail(&plain, &message));
            let made = generate(&union, Scheme::UnionPay, &message).unwrap();
            assert_eq!(made.as_bytes(), unionpay(&plain, &message));
        }
    }

    #[test]
    fn a_code_verifies_whole_or_cut_and_not_when_changed() {
        let key = key(Usage::Cmac, Algorithm::Aes, "2B7E151628AED2A6ABF7158809CF4F3C");
        let right = generate(&key, Scheme::Cmac, b"message").unwrap();
        for length in SHORTEST..=16 {
            let mut code = right.as_bytes()[..length].to_vec();
            assert_eq!(verify(&key, Scheme::Cmac, b"message", &code), Ok(true));
            code[length - 1] ^= 1;
            assert_eq!(verify(&key, Scheme::Cmac, b"message", &code), Ok(false));
        }
        for length in [0, 3, 17] {
            let refused = Error::Length { what: "a code", expected: "4 to all of its", got: length };
            assert_eq!(verify(&key, Scheme::Cmac, b"message", &vec![0; length]), Err(refused));
        }
    }

    #[test]
    fn a_key_makes_only_the_codes_it_is_for() {
        let key = key(Usage::MacAlgorithm3, Algorithm::Tdes, &"2A".repeat(24));
        assert!(matches!(generate(&key, Scheme::Cmac, b""), Err(Error::NotPermitted { .. })));
        let scheme = Scheme::Algorithm3(Padding::OneAndZeros);
        assert!(matches!(generate(&key, scheme, b""), Err(Error::Algorithm { .. })), "three keys");
    }

    #[test]
    fn codes_of_different_lengths_are_not_equal() {
        assert!(equal(b"F11F2C27", b"F11F2C27"));
        assert!(!equal(b"F11F2C27", b"F11F2C2"));
        assert!(!equal(b"F11F2C27", b"F11F2C28"));
    }
}
