//! AES DUKPT (ANSI X9.24-3): the registers of future keys, which outlive the module's starts, and the keys of the one
//! transaction that is going on.

use std::fs;
use std::io;
use std::path::Path;

use keys::dukpt::aes::{self, KeyType, Purpose, Transaction};
use keys::{Algorithm, Attributes, Key, Mode, Usage};
use link::Refusal;
use zeroize::Zeroizing;

use crate::{Refused, refused};

/// All keys of a transaction have the strength of the base derivation key.
const KEY_TYPE: KeyType = KeyType::Aes128;

/// The DUKPT keys of the module.
pub struct Dukpt {
    device: aes::Device,
    current: Option<Transaction>,
}

impl Dukpt {
    /// The registers of a new initial key, which is derived from the base derivation key in the file `base`: as a key injection
    /// facility does it, for a device number that nobody had before.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn inject(base: &Path) -> Result<Dukpt, String> {
        let device = device(base).map_err(|error| format!("{}: {error}", base.display()))?;
        Ok(Dukpt { device, current: None })
    }

    /// The registers that were kept.
    pub(crate) fn restore(state: &[u8]) -> keys::Result<Dukpt> {
        Ok(Dukpt { device: aes::Device::restore(state)?, current: None })
    }

    /// The registers, to be kept.
    pub(crate) fn state(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.device.state().as_bytes().to_vec())
    }

    /// Begins with the keys of the next transaction, and returns its key serial number. `keep` has the registers after it on the
    /// disk before anything is made with them: no power cut brings a counter back.
    pub(crate) fn next(&mut self, keep: impl FnOnce(&[u8]) -> io::Result<()>) -> Result<[u8; 12], Refused> {
        self.current = None;
        let taken = self.device.next(|state| keep(state.as_bytes()).map_err(Stopped::Store));
        match taken {
            Ok(transaction) => Ok(self.current.insert(transaction).serial().to_bytes()),
            Err(Stopped::Keys(keys::Error::KeysUsedUp)) => {
                refused(Refusal::NoKey, "the DUKPT keys are used up: the module needs a new initial key")
            }
            Err(Stopped::Keys(error)) => refused(Refusal::NotSupported, error.to_string()),
            Err(Stopped::Store(error)) => refused(Refusal::NotSupported, format!("the DUKPT state: {error}")),
        }
    }

    /// Ends the transaction that is going on.
    pub(crate) fn end(&mut self) {
        self.current = None;
    }

    /// A key of the transaction that is going on.
    pub(crate) fn key(&self, purpose: Purpose) -> Result<Key, Refused> {
        let Some(current) = &self.current else {
            return refused(Refusal::NoKey, "no transaction has begun: ask for the next DUKPT key");
        };
        current.key(purpose, KEY_TYPE).map_err(|error| (Refusal::WrongUsage, error.to_string()))
    }
}

enum Stopped {
    Keys(keys::Error),
    Store(io::Error),
}

impl From<keys::Error> for Stopped {
    fn from(error: keys::Error) -> Stopped {
        Stopped::Keys(error)
    }
}

/// A device with an initial key of its own. The file has the number of the base derivation key and the key, in hex.
fn device(base: &Path) -> Result<aes::Device, String> {
    let text = fs::read_to_string(base).map(Zeroizing::new).map_err(|error| error.to_string())?;
    let (number, key) = text.trim().split_once(' ').ok_or("expected a number and a key")?;
    let mut id = [0; 8];
    let mut bytes = Zeroizing::new([0; 16]);
    let (bdk_number, device) = id.split_at_mut(4);
    hex::decode_to_slice(number, bdk_number).map_err(|error| error.to_string())?;
    getrandom::fill(device).map_err(|error| error.to_string())?;
    hex::decode_to_slice(key, &mut *bytes).map_err(|error| error.to_string())?;
    let attributes = Attributes::new(Usage::BaseDerivation, Algorithm::Aes, Mode::Derive);
    let initial = Key::new(attributes, &*bytes).and_then(|base| aes::initial_key(&base, id));
    initial.and_then(|initial| aes::Device::new(&initial, id)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(folder: &Path) -> std::path::PathBuf {
        let base = folder.join("bdk");
        fs::write(&base, "53500001 000102030405060708090A0B0C0D0E0F").unwrap();
        base
    }

    #[test]
    fn no_start_brings_a_serial_number_back_and_another_module_is_another_device() {
        let folder = tempfile::tempdir().unwrap();
        let base = base(folder.path());
        let mut kept = Dukpt::inject(&base).unwrap().state().to_vec();
        let mut serials = Vec::new();
        for _ in 0..3 {
            let mut dukpt = Dukpt::restore(&kept).unwrap();
            assert!(dukpt.key(Purpose::MacGeneration).is_err(), "a start begins no transaction");
            for _ in 0..2 {
                let serial = dukpt.next(|state| {
                    kept = state.to_vec();
                    Ok(())
                });
                serials.push(serial.unwrap());
            }
            // What was taken and never used is gone: a power cut, without a word to the disk.
        }
        let counters: Vec<u8> = serials.iter().map(|serial| serial[11]).collect();
        assert_eq!(counters, [1, 2, 3, 4, 5, 6]);
        let other = Dukpt::inject(&base).unwrap().next(|_| Ok(())).unwrap();
        assert_ne!(other[..8], serials[0][..8]);
    }

    #[test]
    fn a_transaction_has_no_keys_where_its_counter_is_not_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut dukpt = Dukpt::inject(&base(folder.path())).unwrap();
        dukpt.next(|_| Ok(())).unwrap();
        assert!(dukpt.next(|_| Err(io::Error::other("the disk is full"))).is_err());
        assert!(dukpt.key(Purpose::PinEncryption).is_err(), "those of the one before are gone, too");
    }
}
