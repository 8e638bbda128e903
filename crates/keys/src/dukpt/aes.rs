//! AES DUKPT: ANSI X9.24-3:2017, clause 6.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Derivation, Registers, Side, State, occurs, split, walk};
use crate::attributes::{Algorithm, Attributes, Mode, Usage};
use crate::cipher;
use crate::error::{Error, Result};
use crate::key::{Key, Secret};
use crate::permission::Operation;

/// Identifies an initial key: the base derivation key's id and the device's, four bytes each.
pub type InitialKeyId = [u8; 8];

/// The counter of the key under which a new initial key comes (6.3.6): no transaction has it.
const UPDATE_COUNTER: u32 = u32::MAX;

/// A key serial number of 12 bytes: initial key id and transaction counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySerialNumber {
    /// The initial key.
    pub id: InitialKeyId,
    /// The transaction counter.
    pub counter: u32,
}

impl KeySerialNumber {
    /// A serial number from its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Self { id: [a, b, c, d, e, f, g, h], counter: u32::from_be_bytes([i, j, k, l]) }
    }

    /// The bytes, as they are sent.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 12] {
        let [a, b, c, d, e, f, g, h] = self.id;
        let [i, j, k, l] = self.counter.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }
}

/// A kind of key that is derived (6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// Double-length TDES.
    Tdes2,
    /// Triple-length TDES.
    Tdes3,
    /// AES, 128 bits.
    Aes128,
    /// AES, 192 bits.
    Aes192,
    /// AES, 256 bits.
    Aes256,
    /// HMAC, 128 bits.
    Hmac128,
    /// HMAC, 192 bits.
    Hmac192,
    /// HMAC, 256 bits.
    Hmac256,
}

impl KeyType {
    /// Its algorithm, its code in derivation data (6.3.2, table 2), and its length in bits.
    const fn parameters(self) -> (Algorithm, u16, u16) {
        match self {
            Self::Tdes2 => (Algorithm::Tdes, 0, 128),
            Self::Tdes3 => (Algorithm::Tdes, 1, 192),
            Self::Aes128 => (Algorithm::Aes, 2, 128),
            Self::Aes192 => (Algorithm::Aes, 3, 192),
            Self::Aes256 => (Algorithm::Aes, 4, 256),
            Self::Hmac128 => (Algorithm::Hmac, 5, 128),
            Self::Hmac192 => (Algorithm::Hmac, 5, 192),
            Self::Hmac256 => (Algorithm::Hmac, 5, 256),
        }
    }

    /// Its length in bytes.
    fn length(self) -> usize {
        let (.., bits) = self.parameters();
        usize::from(bits / 8)
    }

    /// The type of a derivation key of this many bytes.
    const fn deriving(length: usize) -> Option<Self> {
        match length {
            16 => Some(Self::Aes128),
            24 => Some(Self::Aes192),
            32 => Some(Self::Aes256),
            _ => None,
        }
    }
}

/// What a transaction's key is for, as the terminal uses it (6.3.2, table 3). The host's key is its mirror image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Encipher keys.
    KeyEncryption,
    /// Encipher PINs.
    PinEncryption,
    /// Make the codes of requests.
    MacGeneration,
    /// Verify the codes of responses.
    MacVerification,
    /// Make and verify codes.
    MacBothWays,
    /// Encipher the data of requests.
    DataEncryption,
    /// Decipher the data of responses.
    DataDecryption,
    /// Encipher and decipher data.
    DataBothWays,
}

impl Purpose {
    const fn code(self) -> u16 {
        match self {
            Self::KeyEncryption => 0x0002,
            Self::PinEncryption => 0x1000,
            Self::MacGeneration => 0x2000,
            Self::MacVerification => 0x2001,
            Self::MacBothWays => 0x2002,
            Self::DataEncryption => 0x3000,
            Self::DataDecryption => 0x3001,
            Self::DataBothWays => 0x3002,
        }
    }

    /// The attributes of the key at one side. Codes are CMAC's, or HMAC's.
    fn attributes(self, algorithm: Algorithm, side: Side) -> Attributes {
        let mac = if algorithm == Algorithm::Hmac { Usage::Hmac } else { Usage::Cmac };
        let (usage, terminal, host) = match self {
            Self::KeyEncryption => (Usage::KeyEncryption, Mode::Encrypt, Mode::Decrypt),
            Self::PinEncryption => (Usage::PinEncryption, Mode::Encrypt, Mode::Decrypt),
            Self::MacGeneration => (mac, Mode::Generate, Mode::Verify),
            Self::MacVerification => (mac, Mode::Verify, Mode::Generate),
            Self::MacBothWays => (mac, Mode::GenerateVerify, Mode::GenerateVerify),
            Self::DataEncryption => (Usage::Data, Mode::Encrypt, Mode::Decrypt),
            Self::DataDecryption => (Usage::Data, Mode::Decrypt, Mode::Encrypt),
            Self::DataBothWays => (Usage::Data, Mode::Both, Mode::Both),
        };
        Attributes::new(usage, algorithm, if side == Side::Originator { terminal } else { host })
    }
}

/// What the derivation data say the result is for, when it is another derivation key.
const KEY_DERIVATION: u16 = 0x8000;
const INITIAL_KEY: u16 = 0x8001;

/// The initial key of a device, from the base derivation key (6.3.4).
///
/// # Errors
/// [`Error::NotPermitted`] unless `base` is a base derivation key; [`Error::Algorithm`] unless it is AES.
pub fn initial_key(base: &Key, id: InitialKeyId) -> Result<Key> {
    let base = DerivationKey::of(base, Operation::DeriveInitialKey)?;
    let key = base.derive(INITIAL_KEY, id)?;
    Key::new(Attributes::new(Usage::InitialDukpt, Algorithm::Aes, Mode::Derive), key.bytes())
}

/// The keys of the transaction with this serial number, as a host derives them from the initial key (6.3.5).
///
/// # Errors
/// [`Error::KeySerialNumber`] if the counter is 0 or has more than sixteen one bits: no device sends that;
/// [`Error::NotPermitted`] unless `initial` is an initial key; [`Error::Algorithm`] unless it is AES.
pub fn transaction(initial: &Key, serial: KeySerialNumber) -> Result<Transaction> {
    if !occurs::<Scheme>(serial.counter) {
        return Err(Error::KeySerialNumber);
    }
    host_keys(initial, serial)
}

/// The key under which a device gets its next initial key, in a key block (6.3.6).
///
/// # Errors
/// As [`transaction`]; [`Error::Weaker`] if `key_type` is stronger than the initial key.
pub fn update_key(initial: &Key, id: InitialKeyId, key_type: KeyType) -> Result<Key> {
    let keys = host_keys(initial, KeySerialNumber { id, counter: UPDATE_COUNTER })?;
    let (algorithm, ..) = key_type.parameters();
    let attributes = Attributes::new(Usage::KeyBlockProtection, algorithm, Mode::Both);
    keys.derive(Purpose::KeyEncryption, key_type, attributes)
}

fn host_keys(initial: &Key, serial: KeySerialNumber) -> Result<Transaction> {
    let initial = DerivationKey::of(initial, Operation::DeriveTransactionKey)?;
    let key = walk(&Scheme { id: serial.id }, &initial, serial.counter)?;
    Ok(Transaction { serial, key, side: Side::Receiver })
}

/// One transaction's derivation key.
pub struct Transaction {
    serial: KeySerialNumber,
    key: DerivationKey,
    side: Side,
}

impl Transaction {
    /// The serial number that goes with what these keys made.
    #[must_use]
    pub const fn serial(&self) -> KeySerialNumber {
        self.serial
    }

    /// A working key (6.3.5).
    ///
    /// # Errors
    /// [`Error::Weaker`] if `key_type` is stronger than the derivation key; [`Error::Attributes`] for an HMAC key that isn't
    /// for MACs.
    pub fn key(&self, purpose: Purpose, key_type: KeyType) -> Result<Key> {
        let (algorithm, ..) = key_type.parameters();
        let attributes = purpose.attributes(algorithm, self.side);
        self.derive(purpose, key_type, attributes)
    }

    fn derive(&self, purpose: Purpose, key_type: KeyType, attributes: Attributes) -> Result<Key> {
        attributes.consistent()?;
        let context = Scheme { id: self.serial.id }.context(self.serial.counter);
        let mut secret = Secret::zeros(key_type.length());
        derive_into(secret.as_mut(), self.key.bytes(), purpose.code(), key_type, context)?;
        let key = Key::unchecked(attributes, secret)?;
        if key.strength() > Some(self.key.bytes().len() * 8) { Err(Error::Weaker) } else { Ok(key) }
    }
}

/// The terminal's side: 32 registers of derivation keys (6.3.7).
pub struct Device(Registers<Scheme>);

impl Device {
    /// A device with a new initial key.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] unless `initial` is an initial key; [`Error::Algorithm`] unless it is AES.
    pub fn new(initial: &Key, id: InitialKeyId) -> Result<Self> {
        let key = DerivationKey::of(initial, Operation::DeriveTransactionKey)?;
        Registers::load(Scheme { id }, &key).map(Self)
    }

    /// The keys of the next transaction, once `store` has the state after it on its medium: so that no power cut brings a
    /// counter back. If it fails, the counter is skipped.
    ///
    /// # Errors
    /// [`Error::KeysUsedUp`] at the end of the device's life; what `store` says.
    pub fn next<E: From<Error>>(
        &mut self,
        store: impl FnOnce(&State) -> std::result::Result<(), E>,
    ) -> std::result::Result<Transaction, E> {
        let (counter, key) = self.0.take()?;
        store(&self.state())?;
        let serial = KeySerialNumber { id: self.0.derivation.id, counter };
        Ok(Transaction { serial, key, side: Side::Originator })
    }

    /// The serial number of the next transaction; none at the end.
    #[must_use]
    pub fn serial(&self) -> Option<KeySerialNumber> {
        let counter = self.0.next;
        (counter != 0).then_some(KeySerialNumber { id: self.0.derivation.id, counter })
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.to_bytes(&self.0.derivation.id, |key, state| {
            // An AES key has at most 32 bytes.
            state.push(u8::try_from(key.bytes().len()).unwrap_or_default());
            state.extend(key.bytes());
        })
    }

    /// The device of a stored state.
    ///
    /// # Errors
    /// [`Error::State`] if that isn't one.
    pub fn restore(state: &[u8]) -> Result<Self> {
        let read = |rest: &mut &[u8]| {
            let [length] = split(rest)?;
            let (key, left) = rest.split_at_checked(usize::from(length))?;
            *rest = left;
            DerivationKey::new(key)
        };
        Registers::from_bytes(state, |rest| Some(Scheme { id: split(rest)? }), read)
            .map(Self)
            .ok_or(Error::State)
    }
}

/// An AES key from which others come.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct DerivationKey {
    /// The key, then zeros.
    padded: [u8; 32],
    #[zeroize(skip)]
    key_type: KeyType,
}

impl DerivationKey {
    fn new(bytes: &[u8]) -> Option<Self> {
        let mut key = Self { padded: [0; 32], key_type: KeyType::deriving(bytes.len())? };
        key.padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Some(key)
    }

    /// The derivation key that a key is, if it may do `operation`.
    fn of(key: &Key, operation: Operation) -> Result<Self> {
        let (bytes, algorithm) = (key.permitted(operation)?, key.attributes().algorithm);
        let unfit = Error::Algorithm { what: "AES DUKPT", algorithm };
        if algorithm == Algorithm::Aes { Self::new(bytes).ok_or(unfit) } else { Err(unfit) }
    }

    fn bytes(&self) -> &[u8] {
        self.padded.get(..self.key_type.length()).unwrap_or_default()
    }

    /// A derivation key of the same type.
    fn derive(&self, usage: u16, context: [u8; 8]) -> Result<Self> {
        let mut derived = Self { padded: [0; 32], key_type: self.key_type };
        let (bytes, _) = derived.padded.split_at_mut(self.key_type.length());
        derive_into(bytes, self.bytes(), usage, self.key_type, context)?;
        Ok(derived)
    }
}

/// The derivation of derivation keys (6.3.3).
struct Scheme {
    id: InitialKeyId,
}

impl Scheme {
    /// The right half of the derivation data: the device's id and the counter.
    const fn context(&self, counter: u32) -> [u8; 8] {
        let [.., a, b, c, d] = self.id;
        let [e, f, g, h] = counter.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

impl Derivation for Scheme {
    type Secret = DerivationKey;
    const COUNTER_BITS: u32 = 32;
    const MOST_ONES: u32 = 16;

    fn derive(&self, key: &DerivationKey, counter: u32) -> Result<DerivationKey> {
        key.derive(KEY_DERIVATION, self.context(counter))
    }
}

/// The key derivation function (6.3.1): the derivation data, enciphered block by block, cut to the length of `to`.
fn derive_into(to: &mut [u8], key: &[u8], usage: u16, key_type: KeyType, context: [u8; 8]) -> Result<()> {
    let (_, code, bits) = key_type.parameters();
    let ([u, v], [a, b], [l, m]) = (usage.to_be_bytes(), code.to_be_bytes(), bits.to_be_bytes());
    let [c, d, e, f, g, h, i, j] = context;
    let data = |number| [1, number, u, v, a, b, l, m, c, d, e, f, g, h, i, j];
    let mut blocks = Zeroizing::new([data(1), data(2)]);
    let (needed, _) = blocks.as_flattened_mut().split_at_mut(to.len().next_multiple_of(16).min(32));
    cipher::encrypt_aes_once(key, needed)?;
    to.iter_mut().zip(needed).for_each(|(to, byte)| *to = *byte);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn initial(hex: &str) -> Key {
        let attributes = Attributes::new(Usage::InitialDukpt, Algorithm::Aes, Mode::Derive);
        Key::new(attributes, &hex::decode(hex).unwrap()).unwrap()
    }

    #[test]
    fn the_derivation_keys_of_the_x9_24_3_supplement_hold() {
        let id = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56];
        let from_128 = initial("1273671EA26AC29AFA4D1084127652A1");
        let from_256 = initial("CE9CE0C101D1138F97FB6CAD4DF045A7083D4EAE2D35A31789D01CCF0949550F");
        // Pages 2 to 12: each counter that the supplement shows, but 1FFFF, which has more one bits than are used.
        for (counter, right_128, right_256) in [
            (
                1,
                "4F21B565BAD9835E112B6465635EAE44",
                "54AC2B32B145EA4A554CB8BC44B17467063A799856B1CCC2A138D36E8DBF78B3",
            ),
            (
                7,
                "A8253CEED9AC042C54F75D35C8352278",
                "88D0ACA287B3066F5DE0C93396337D4C2DA8D92C1F720A576D62CEB4C979E01E",
            ),
            (
                8,
                "718EE6CF0B27E53D5F7AF99C4D8146A2",
                "20A796D5077D51B8E7613893A4F095B134E02917DC84BD391F3661D0873FF308",
            ),
            (
                0x1_FFFE,
                "E21E8C8D347F8561A2BE752DAA85A111",
                "A289508CBF1228452CD86AB77B15CB35577AC828C18BB66681E5A16D6C9CCED3",
            ),
            (
                0x2_0000,
                "F7AE9025468A25D37B7249CFFED224C8",
                "D62DDA94A47D7DA5D763443B4ECB15EA8DD62E0E4F915958BA459591F8312E37",
            ),
            (
                0x2_0001,
                "692C8EA4013645135B36497131DF9D2C",
                "44110A1102748D4A3AC326F53D8CAC650212590CA7126D54546DDE0F20E89CEE",
            ),
            (
                0xFFFE_2000,
                "48E585B694EB0B18D5C35443E163C0BA",
                "4625EB06E4886D4AFCC9AE37ED4F4E4E1653C9E60E3F24742A87A26AA96AB7A6",
            ),
            (
                0xFFFE_4000,
                "396C2C7CA1EA701C03B86B7D41F0C562",
                "FF20E1BB575539ACCB44E3111BE8757F83AE8549A2DD71B441A4A424F7FFD4B1",
            ),
            (
                0xFFFE_8000,
                "0387625F189B58AE03EF0E8CCA41105E",
                "630535C9C53E1EC6524016930B56F6728909C45403536B419AEBCB25B7351C07",
            ),
            (
                0xFFFF_0000,
                "F6BA59389BD14A9855BE9727E7C52E3C",
                "6D6DB7AAAE8B3EA90E57A39E4BBA71E173B21B446B30A78D64BFC6A8806C55EE",
            ),
        ] {
            for (initial, right) in [(&from_128, right_128), (&from_256, right_256)] {
                let keys = transaction(initial, KeySerialNumber { id, counter }).unwrap();
                assert_eq!(hex::encode_upper(keys.key.bytes()), right, "{counter:08X}");
            }
        }
    }

    #[test]
    fn the_life_of_a_device_ends_at_counter_ffff0000() {
        let (id, initial) = ([7; 8], initial("1273671EA26AC29AFA4D1084127652A1"));
        let hosts = |counter| transaction(&initial, KeySerialNumber { id, counter }).unwrap().key;
        // Before the last counter with fifteen one bits, of which the lowest is bit 17.
        let mut registers =
            Registers { derivation: Scheme { id }, next: 0xFFFE_0000, keys: [const { None }; 32] };
        registers.keys[17] = Some(hosts(0xFFFE_0000));
        let mut device = Device(registers);
        for counter in std::iter::once(0xFFFE_0000).chain((0..17).map(|bit| 0xFFFE_0000 | 1 << bit)) {
            let keys = device.next(|_| Ok::<_, Error>(())).unwrap();
            assert_eq!(keys.serial().counter, counter);
            assert_eq!(keys.key.bytes(), hosts(counter).bytes());
        }
        assert_eq!((device.serial(), device.next(|_| Ok(())).err()), (None, Some(Error::KeysUsedUp)));
    }
}
