//! A key with its attributes: it does what they permit (ANSI X9.143, 6.3; PCI PIN Security requirement 19).

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::attributes::{Algorithm, Attributes, Exportability};
use crate::cipher::Cipher;
use crate::error::{Error, Result};
use crate::permission::Operation;

/// The most bytes that a secret holds without the heap: a symmetric key, or one in its padding.
const INLINE: usize = 96;
/// The most bytes of a key pair: what fits into the longest key block.
const LONGEST_KEY_PAIR: usize = 4_900;
/// The lengths of HMAC keys: from the weakest that X9.24-3 derives to a block of SHA-256.
const HMAC_LENGTHS: std::ops::RangeInclusive<usize> = 16..=64;

/// Secret bytes, wiped on drop. What is short, as symmetric keys are, stays off the heap.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) enum Secret {
    Short { bytes: [u8; INLINE], length: usize },
    Long(Vec<u8>),
}

impl Secret {
    /// `length` zero bytes.
    pub(crate) fn zeros(length: usize) -> Self {
        if length <= INLINE {
            Self::Short { bytes: [0; INLINE], length }
        } else {
            Self::Long(vec![0; length])
        }
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Self {
        let mut secret = Self::zeros(bytes.len());
        secret.as_mut().copy_from_slice(bytes);
        secret
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Short { bytes, length } => bytes.get_mut(..*length).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }

    pub(crate) fn as_ref(&self) -> &[u8] {
        match self {
            Self::Short { bytes, length } => bytes.get(..*length).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

/// A key. It compares in constant time, is wiped on drop, and prints its attributes alone. Its bytes leave it only
/// enciphered, in a [key block](crate::key_block).
#[derive(Clone)]
pub struct Key {
    attributes: Attributes,
    secret: Secret,
}

impl Key {
    /// A key of `bytes`. For RSA, ECC and SM2 they are the key pair in whatever encoding its owner understands.
    ///
    /// # Errors
    /// [`Error::Attributes`] if the attributes contradict each other, [`Error::Length`] for a length that the
    /// algorithm doesn't have.
    pub fn new(attributes: Attributes, bytes: &[u8]) -> Result<Self> {
        attributes.consistent()?;
        Self::unchecked(attributes, Secret::from_slice(bytes))
    }

    /// A key whose attributes are taken as they are. It can do no more than they permit.
    pub(crate) fn unchecked(attributes: Attributes, secret: Secret) -> Result<Self> {
        let got = secret.as_ref().len();
        let (right, expected) = match attributes.algorithm {
            Algorithm::Aes => (matches!(got, 16 | 24 | 32), "16, 24 or 32"),
            Algorithm::Tdes => (matches!(got, 16 | 24), "16 or 24"),
            Algorithm::Sm4 => (got == 16, "16"),
            Algorithm::Des => (got == 8, "8"),
            Algorithm::Hmac => (HMAC_LENGTHS.contains(&got), "16 to 64"),
            Algorithm::Rsa | Algorithm::Ecc | Algorithm::Dsa | Algorithm::Sm2 => {
                ((1..=LONGEST_KEY_PAIR).contains(&got), "1 to 4900")
            }
        };
        if right {
            Ok(Self { attributes, secret })
        } else {
            Err(Error::Length { what: "a key", expected, got })
        }
    }

    /// A key from the components that custodians enter: their exclusive or (X9.24-1, 7.4; PCI PIN requirement 6).
    ///
    /// # Errors
    /// [`Error::Components`] unless there are at least two, all different and of one length;
    /// and as [`new`](Self::new).
    pub fn combine(attributes: Attributes, components: &[&[u8]]) -> Result<Self> {
        let length = components.first().map_or(0, |first| first.len());
        let pairs = components
            .iter()
            .enumerate()
            .flat_map(|(at, a)| components.iter().skip(at + 1).map(move |b| (a, b)));
        let distinct = pairs.into_iter().all(|(a, b)| a.len() == b.len() && !bool::from(a.ct_eq(b)));
        if components.len() < 2 || !distinct {
            return Err(Error::Components);
        }
        let mut secret = Secret::zeros(length);
        for component in components {
            secret.as_mut().iter_mut().zip(*component).for_each(|(sum, byte)| *sum ^= byte);
        }
        attributes.consistent()?;
        Self::unchecked(attributes, secret)
    }

    /// What it is and what it may do.
    #[must_use]
    pub const fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Enciphers whole blocks in place, chained from `iv` of one block.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] unless this is a data key that enciphers; [`Error::Length`] for a part of a block.
    pub fn encrypt_cbc(&self, iv: &[u8], data: &mut [u8]) -> Result<()> {
        self.cipher(Operation::EncryptData)?.encrypt_cbc(iv, data)
    }

    /// Deciphers whole blocks in place, chained from `iv` of one block.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] unless this is a data key that deciphers; [`Error::Length`] for a part of a block.
    pub fn decrypt_cbc(&self, iv: &[u8], data: &mut [u8]) -> Result<()> {
        self.cipher(Operation::DecryptData)?.decrypt_cbc(iv, data)
    }

    /// Enciphers a key of whole blocks under this one, outside a key block (ECB), as UnionPay's hosts send them.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] unless this is a key-encryption key; [`Error::NotExportable`] unless `key` is
    /// sensitive: X9.24 trusts no such form; [`Error::Length`] if the key isn't whole blocks.
    pub fn encrypt_key(&self, key: &Self) -> Result<Zeroizing<Vec<u8>>> {
        let cipher = self.cipher(Operation::EncryptKey)?;
        if key.attributes.exportability != Exportability::Sensitive {
            return Err(Error::NotExportable);
        }
        let mut bytes = Zeroizing::new(key.secret.as_ref().to_vec());
        cipher.encrypt_ecb(&mut bytes)?;
        Ok(bytes)
    }

    /// The key that [`encrypt_key`](Self::encrypt_key) enciphered. Any bytes decipher to some key: compare its
    /// [check value](crate::kcv).
    ///
    /// # Errors
    /// [`Error::NotPermitted`] unless this is a key-encryption key; and as [`new`](Self::new).
    pub fn decrypt_key(&self, attributes: Attributes, enciphered: &[u8]) -> Result<Self> {
        attributes.consistent()?;
        let cipher = self.cipher(Operation::DecryptKey)?;
        let mut secret = Secret::from_slice(enciphered);
        cipher.decrypt_ecb(secret.as_mut())?;
        Self::unchecked(attributes, secret)
    }

    /// The cipher of this key, if it may do `operation`.
    pub(crate) fn cipher(&self, operation: Operation) -> Result<Cipher> {
        Cipher::new(self.attributes.algorithm, self.permitted(operation)?)
    }

    /// The bytes of this key, if it may do `operation`.
    pub(crate) fn permitted(&self, operation: Operation) -> Result<&[u8]> {
        self.attributes.permit(operation)?;
        Ok(self.secret.as_ref())
    }

    /// The bytes of this key.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.secret.as_ref()
    }

    /// The key as its holder keeps it between two starts, with all of its attributes, also those that have no code in X9.143: in the
    /// clear, and so to be sealed before it goes anywhere, as the state of a DUKPT device is.
    #[must_use]
    pub fn state(&self) -> Zeroizing<Vec<u8>> {
        let bytes = self.secret.as_ref();
        let mut state = Zeroizing::new(Vec::with_capacity(Attributes::STATE + bytes.len()));
        state.extend(self.attributes.state());
        state.extend(bytes);
        state
    }

    /// The key of a [state](Self::state).
    ///
    /// # Errors
    /// [`Error::State`] if that isn't one; and as [`new`](Self::new).
    pub fn restore(state: &[u8]) -> Result<Self> {
        let (attributes, bytes) = state.split_first_chunk().ok_or(Error::State)?;
        Self::new(Attributes::restore(attributes).ok_or(Error::State)?, bytes)
    }

    /// The effective strength in bits (NIST SP 800-57 part 1, table 2), where it follows from the length.
    #[must_use]
    pub fn strength(&self) -> Option<usize> {
        match (self.attributes.algorithm, self.secret.as_ref().len()) {
            (Algorithm::Des, _) => Some(56),
            (Algorithm::Tdes, 16) => Some(80),
            (Algorithm::Tdes, _) => Some(112),
            (Algorithm::Aes | Algorithm::Sm4 | Algorithm::Hmac, length) => Some(length * 8),
            (Algorithm::Rsa | Algorithm::Ecc | Algorithm::Dsa | Algorithm::Sm2, _) => None,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.attributes == other.attributes && self.secret.as_ref().ct_eq(other.secret.as_ref()).into()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attributes { usage, algorithm, mode, .. } = self.attributes;
        write!(f, "Key({usage}, {algorithm}, {mode}, …)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attributes::{KeyVersion, Mode, Usage};

    const DATA: Attributes = Attributes::new(Usage::Data, Algorithm::Aes, Mode::Both);
    const KEK: Attributes = Attributes::new(Usage::KeyEncryption, Algorithm::Sm4, Mode::Both);

    #[test]
    fn a_key_never_prints() {
        let key = Key::new(DATA, &[0xA5; 16]).unwrap();
        assert_eq!(format!("{key:?}"), "Key(Data, Aes, Both, …)");
    }

    #[test]
    fn a_key_that_was_kept_is_the_same_key_and_nothing_else_is_one() {
        for usage in Usage::ALL {
            let attributes = Attributes {
                version: KeyVersion::Number(*b"7a"),
                ..Attributes::new(*usage, Algorithm::Sm4, Mode::Both)
            };
            let Ok(key) = Key::new(attributes.exportable(Exportability::Trusted), &[0xA5; 16]) else {
                continue;
            };
            let state = key.state();
            assert_eq!(Key::restore(&state), Ok(key));
            assert!((0..state.len()).all(|length| Key::restore(&state[..length]).is_err()));
            for at in 0..Attributes::STATE {
                let mut wrong = state.clone();
                wrong[at] = 0xFE;
                assert!(Key::restore(&wrong).is_err(), "{at}");
            }
        }
    }

    #[test]
    fn a_key_has_a_length_of_its_algorithm() {
        for (algorithm, usage, lengths) in [
            (Algorithm::Aes, Usage::Data, &[16, 24, 32][..]),
            (Algorithm::Tdes, Usage::Data, &[16, 24]),
            (Algorithm::Sm4, Usage::Data, &[16]),
        ] {
            for length in 0..=40 {
                let made = Key::new(Attributes::new(usage, algorithm, Mode::Both), &vec![1; length]);
                assert_eq!(made.is_ok(), lengths.contains(&length), "{algorithm} {length}");
            }
        }
    }

    #[test]
    fn components_make_a_key_and_one_alone_does_not() {
        let (a, b, c) = ([0x11; 16], [0x22; 16], [0x44; 16]);
        assert_eq!(Key::combine(DATA, &[&a, &b, &c]), Key::new(DATA, &[0x77; 16]));
        for wrong in [&[&a[..]][..], &[&a, &a], &[&a, &b, &a], &[&a, &b[..8]], &[]] {
            assert_eq!(Key::combine(DATA, wrong), Err(Error::Components));
        }
    }

    #[test]
    fn only_a_sensitive_key_leaves_outside_a_key_block() {
        let kek = Key::new(KEK, &[7; 16]).unwrap();
        for (exportability, leaves) in
            [(Exportability::Never, false), (Exportability::Trusted, false), (Exportability::Sensitive, true)]
        {
            let key = Key::new(DATA.exportable(exportability), &[9; 16]).unwrap();
            assert_eq!(kek.encrypt_key(&key).is_ok(), leaves);
        }
    }

    proptest! {
        #[test]
        fn what_is_enciphered_deciphers(key: [u8; 16], kek: [u8; 16], iv: [u8; 16], data: [[u8; 16]; 3]) {
            let sensitive = DATA.exportable(Exportability::Sensitive);
            let (key, clear) = (Key::new(sensitive, &key).unwrap(), data.concat());
            let mut data = clear.clone();
            key.encrypt_cbc(&iv, &mut data).unwrap();
            prop_assert_ne!(&data, &clear);
            key.decrypt_cbc(&iv, &mut data).unwrap();
            prop_assert_eq!(&data, &clear);
            let kek = Key::new(KEK, &kek).unwrap();
            prop_assert_eq!(kek.decrypt_key(sensitive, &kek.encrypt_key(&key).unwrap()).unwrap(), key);
        }
    }
}
