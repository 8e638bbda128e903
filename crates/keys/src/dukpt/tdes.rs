//! TDES DUKPT: ANSI X9.24-1:2009, Annex A (the same as X9.24-3:2017, Annex C).

use std::sync::LazyLock;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Derivation, Registers, Side, State, occurs, split, walk};
use crate::attributes::{Algorithm, Attributes, Mode, Usage};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::permission::Operation;
use crate::tdea::{Des, Tdea};

/// The bits of the serial number that count transactions.
const COUNTER_MASK: u32 = 0x1F_FFFF;
/// What makes the other key of a pair: A.2, "C0C0 C0C0 0000 0000".
const VARIANT: u64 = 0xC0C0_C0C0_0000_0000;
/// The variants of a transaction key (A.4.1), for each half.
const PIN: u64 = 0xFF;
const REQUEST_MAC: u64 = 0xFF00;
const RESPONSE_MAC: u64 = 0xFF00_0000;
const REQUEST_DATA: u64 = 0xFF_0000;
const RESPONSE_DATA: u64 = 0xFF_0000_0000;

/// The round keys of [`VARIANT`].
static VARIANT_SCHEDULE: LazyLock<Des> = LazyLock::new(|| Des::new(VARIANT));

/// A key serial number of 10 bytes: key set, device, and the transaction counter of 21 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySerialNumber([u8; 10]);

impl KeySerialNumber {
    /// A serial number from its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 10]) -> Self {
        Self(bytes)
    }

    /// The bytes, as they are sent.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 10] {
        &self.0
    }

    /// The transaction counter.
    #[must_use]
    pub fn counter(&self) -> u32 {
        let [.., a, b, c] = self.0;
        u32::from_be_bytes([0, a, b, c]) & COUNTER_MASK
    }

    /// The same device at another counter.
    fn at(self, counter: u32) -> Self {
        let [a, b, c, d, e, f, g, h, i, j] = self.0;
        let [_, y, z, w] = (u32::from_be_bytes([0, h, i, j]) & !COUNTER_MASK | counter).to_be_bytes();
        Self([a, b, c, d, e, f, g, y, z, w])
    }

    /// The left eight bytes.
    fn left(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The right eight bytes.
    fn right(self) -> u64 {
        let [_, _, a, b, c, d, e, f, g, h] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// The initial key of a device, from the base derivation key (A.6). The counter of `serial` plays no part.
///
/// # Errors
/// [`Error::NotPermitted`] unless `base` is a base derivation key; [`Error::Algorithm`] unless it is double-length TDES.
pub fn initial_key(base: &Key, serial: KeySerialNumber) -> Result<Key> {
    let base_key = pair(base, base.permitted(Operation::DeriveInitialKey)?)?;
    let clear = serial.at(0).left();
    let half = |variant| Tdea::double(&base_key.varied(variant)).encrypt(clear);
    let key = Pair([half(0), half(VARIANT)]).varied(0);
    Key::new(Attributes::new(Usage::InitialDukpt, Algorithm::Tdes, Mode::Derive), &*key)
}

/// The keys of the transaction with this serial number, as a host derives them from the initial key.
///
/// # Errors
/// [`Error::KeySerialNumber`] if the counter is 0 or has more than ten one bits: no device sends that;
/// [`Error::NotPermitted`] unless `initial` is an initial key; [`Error::Algorithm`] unless it is double-length TDES.
pub fn transaction(initial: &Key, serial: KeySerialNumber) -> Result<Transaction> {
    let initial = pair(initial, initial.permitted(Operation::DeriveTransactionKey)?)?;
    if !occurs::<Scheme>(serial.counter()) {
        return Err(Error::KeySerialNumber);
    }
    let key = walk(&Scheme { serial }, &initial, serial.counter())?;
    Ok(Transaction { serial, key, side: Side::Receiver })
}

/// Request or response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the terminal to the host.
    Request,
    /// From the host to the terminal.
    Response,
}

/// One transaction's keys.
pub struct Transaction {
    serial: KeySerialNumber,
    key: Pair,
    side: Side,
}

impl Transaction {
    /// The serial number that goes with what these keys made.
    #[must_use]
    pub const fn serial(&self) -> KeySerialNumber {
        self.serial
    }

    /// The PIN encryption key.
    ///
    /// # Errors
    /// None that can occur.
    pub fn pin_key(&self) -> Result<Key> {
        self.variant(PIN, Usage::PinEncryption, self.ciphering(Way::Request))
    }

    /// The key of message authentication codes. `usage` is that of the codes: X9.24-1 has ISO 9797-1 algorithm 3.
    ///
    /// # Errors
    /// [`Error::Attributes`] if `usage` is not one of MACs.
    pub fn mac_key(&self, way: Way, usage: Usage) -> Result<Key> {
        let variant = if way == Way::Request { REQUEST_MAC } else { RESPONSE_MAC };
        let ours = (way == Way::Request) == (self.side == Side::Originator);
        self.variant(variant, usage, if ours { Mode::Generate } else { Mode::Verify })
    }

    /// The data encryption key: the variant, enciphered under itself (A.4.1).
    ///
    /// # Errors
    /// None that can occur.
    pub fn data_key(&self, way: Way) -> Result<Key> {
        let variant = if way == Way::Request { REQUEST_DATA } else { RESPONSE_DATA };
        let cipher = Tdea::double(&self.key.varied(variant));
        let key = Pair(self.key.0.map(|half| cipher.encrypt(half ^ variant))).varied(0);
        Key::new(Attributes::new(Usage::Data, Algorithm::Tdes, self.ciphering(way)), &*key)
    }

    fn variant(&self, variant: u64, usage: Usage, mode: Mode) -> Result<Key> {
        let key = self.key.varied(variant);
        Key::new(Attributes::new(usage, Algorithm::Tdes, mode), &*key)
    }

    fn ciphering(&self, way: Way) -> Mode {
        let ours = (way == Way::Request) == (self.side == Side::Originator);
        if ours { Mode::Encrypt } else { Mode::Decrypt }
    }
}

/// The terminal's side: 21 registers of future keys (A.3).
pub struct Device(Registers<Scheme>);

impl Device {
    /// A device with a new initial key. The counter of `serial` plays no part: it begins at 1.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] unless `initial` is an initial key; [`Error::Algorithm`] unless it is double-length TDES.
    pub fn new(initial: &Key, serial: KeySerialNumber) -> Result<Self> {
        let key = pair(initial, initial.permitted(Operation::DeriveTransactionKey)?)?;
        Registers::load(Scheme { serial: serial.at(0) }, &key).map(Self)
    }

    /// The keys of the next transaction, once `store` has the state after it on its medium: so that no power cut brings a
    /// counter back. If it fails, the counter is skipped.
    ///
    /// # Errors
    /// [`Error::KeysUsedUp`] at the end of the device's life (about a million transactions); what `store` says.
    pub fn next<E: From<Error>>(
        &mut self,
        store: impl FnOnce(&State) -> std::result::Result<(), E>,
    ) -> std::result::Result<Transaction, E> {
        let (counter, key) = self.0.take()?;
        store(&self.state())?;
        Ok(Transaction { serial: self.0.derivation.serial.at(counter), key, side: Side::Originator })
    }

    /// The serial number of the next transaction; none at the end.
    #[must_use]
    pub fn serial(&self) -> Option<KeySerialNumber> {
        (self.0.next != 0).then(|| self.0.derivation.serial.at(self.0.next))
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        let serial = self.0.derivation.serial.as_bytes();
        self.0.to_bytes(serial, |key, state| state.extend(&*key.varied(0)))
    }

    /// The device of a stored state.
    ///
    /// # Errors
    /// [`Error::State`] if that isn't one.
    pub fn restore(state: &[u8]) -> Result<Self> {
        let identify = |rest: &mut &[u8]| Some(Scheme { serial: KeySerialNumber(split(rest)?).at(0) });
        let half = |rest: &mut &[u8]| Some(u64::from_be_bytes(split(rest)?));
        Registers::from_bytes(state, identify, |rest| Some(Pair([half(rest)?, half(rest)?])))
            .map(Self)
            .ok_or(Error::State)
    }
}

/// The halves of a key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Pair([u64; 2]);

impl Pair {
    /// The bytes of the key whose halves are these, exclusive-or `variant`.
    fn varied(&self, variant: u64) -> Zeroizing<[u8; 16]> {
        let [left, right] = self.0.map(|half| u128::from(half ^ variant));
        Zeroizing::new((left << 64 | right).to_be_bytes())
    }
}

/// Non-reversible key generation (A.2).
struct Scheme {
    serial: KeySerialNumber,
}

impl Derivation for Scheme {
    type Secret = Pair;
    const COUNTER_BITS: u32 = 21;
    const MOST_ONES: u32 = 10;

    fn derive(&self, key: &Pair, counter: u32) -> Result<Pair> {
        let [left, right] = key.0;
        let serial = self.serial.at(counter).right();
        let schedule = Des::new(left);
        let varied = right ^ VARIANT;
        let new_left = schedule.xor(&VARIANT_SCHEDULE).encrypt(serial ^ varied) ^ varied;
        Ok(Pair([new_left, schedule.encrypt(serial ^ right) ^ right]))
    }
}

fn pair(key: &Key, bytes: &[u8]) -> Result<Pair> {
    let algorithm = key.attributes().algorithm;
    match (algorithm, bytes.as_chunks::<8>()) {
        (Algorithm::Tdes, ([left, right], [])) => {
            Ok(Pair([u64::from_be_bytes(*left), u64::from_be_bytes(*right)]))
        }
        _ => Err(Error::Algorithm { what: "TDES DUKPT", algorithm }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_a_device_ends_at_counter_1ff800() {
        let serial = KeySerialNumber([0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xE0, 0, 0]);
        let bytes = hex::decode("6AC292FAA1315B4D858AB3A3D7D5933A").unwrap();
        let initial =
            Key::new(Attributes::new(Usage::InitialDukpt, Algorithm::Tdes, Mode::Derive), &bytes).unwrap();
        let hosts = |counter| transaction(&initial, serial.at(counter)).unwrap().key;
        // Before the last counter with nine one bits, of which the lowest is bit 12.
        let mut registers =
            Registers { derivation: Scheme { serial }, next: 0x1F_F000, keys: [const { None }; 32] };
        registers.keys[12] = Some(hosts(0x1F_F000));
        let mut device = Device(registers);
        for counter in std::iter::once(0x1F_F000).chain((0..12).map(|bit| 0x1F_F000 | 1 << bit)) {
            let keys = device.next(|_| Ok::<_, Error>(())).unwrap();
            assert_eq!((keys.serial(), keys.key.0), (serial.at(counter), hosts(counter).0));
        }
        assert_eq!(device.serial(), None);
        assert_eq!(device.next(|_| Ok(())).err(), Some(Error::KeysUsedUp));
        let restored = Device::restore(device.state().as_bytes());
        assert_eq!(restored.unwrap().next(|_| Ok(())).err(), Some(Error::KeysUsedUp));
    }
}
