//! Keys that come in key blocks (X9.143) under the credential `software-kbpk`: which slot takes what, and where they stay.
//!
//! A block is kept as it came, in a file of its slot, and opened again when the daemon starts: on disk there is no key that the
//! sealed credential does not protect.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use ::keys::{Algorithm, Attributes, Key, KeyVersion, Operation, Usage, kcv, key_block};
use secure_module::{Error, KeySlot, KeySlotInfo, Result};

use super::{Slot, SoftwareKeys, Use, X919_SCHEME, find, invalid, key};
use crate::durable;

impl Use {
    /// What a key must be able to do, one of these at least, to serve this use; nothing where no block is taken: X9.143 has no code
    /// for UnionPay's MAC, whose keys come with the sign-on, and the rest comes of the credentials.
    fn needs(self) -> &'static [Operation] {
        const X919: Usage = X919_SCHEME.usage();
        match self {
            Use::Keys => &[Operation::DecryptKey],
            Use::Pin => &[Operation::EncryptPin],
            Use::X919 => &[Operation::GenerateMac(X919), Operation::VerifyMac(X919)],
            Use::Data => &[Operation::EncryptData],
            Use::Blocks | Use::Mac | Use::Storage | Use::Token => &[],
        }
    }

    fn takes(self, key: &Key) -> bool {
        let attributes = key.attributes();
        let algorithm = match attributes.algorithm {
            // X9.19 has keys of double length.
            Algorithm::Tdes => self != Use::X919 || key.strength() == Some(80),
            Algorithm::Aes => !matches!(self, Use::Keys | Use::X919),
            _ => false,
        };
        algorithm && self.needs().iter().any(|operation| attributes.permit(*operation).is_ok())
    }
}

impl SoftwareKeys {
    /// As [`SecureModule::load_key_block`](secure_module::SecureModule::load_key_block). When this returns the key is there after
    /// a power cut, too.
    pub(in super::super) fn load_key_block(&self, name: &KeySlot, block: &[u8]) -> Result<()> {
        let mut slots = self.lock();
        let loaded = opened(&*slots, name, block)?;
        let stored = durable::replace(&self.folder, &file_name(name), block);
        stored.map_err(|error| Error::Protocol(format!("the key can't be kept: {error}")))?;
        put(&mut *slots, name, loaded);
        Ok(())
    }

    /// As [`SecureModule::key_slots`](secure_module::SecureModule::key_slots).
    pub(in super::super) fn infos(&self) -> Vec<KeySlotInfo> {
        self.lock().iter().map(Slot::info).collect()
    }
}

/// Puts the keys into `slots` whose blocks are in `folder`. A block that can't be opened is left alone, and its slot is empty.
pub(super) fn restore(slots: &mut [Slot], folder: &Path) {
    let names: Vec<KeySlot> = slots.iter().map(|slot| slot.name.clone()).collect();
    for name in names {
        let restored = match read(&folder.join(file_name(&name))) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => Err(error.to_string()),
            Ok(block) => opened(slots, &name, &block).map_err(|error| error.to_string()),
        };
        match restored {
            Ok(key) => put(slots, &name, key),
            Err(problem) => log::error!("the key of the slot {name} can't be used, load it again: {problem}"),
        }
    }
}

pub(super) fn file_name(slot: &KeySlot) -> String {
    format!("software-{slot}.block")
}

/// A file that is longer than any block is none.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    let longest = u64::try_from(key_block::LONGEST).unwrap_or(u64::MAX);
    File::open(file)?.take(longest + 1).read_to_end(&mut block)?;
    Ok(block)
}

/// The key in a block, for a slot that takes it.
fn opened(slots: &[Slot], name: &KeySlot, block: &[u8]) -> Result<Key> {
    let slot = find(slots, name)?;
    let protection = key(slots, &KeySlot::KBPK, Use::Blocks)?;
    let new = key_block::unwrap(protection, block).map_err(invalid)?.key;
    if !slot.usage.takes(&new) {
        return Err(Error::WrongUsage);
    }
    let version = |key: &Key| match key.attributes().version {
        KeyVersion::Number(version) => Some(version),
        _ => None,
    };
    match (slot.key.as_ref().and_then(version), version(&new)) {
        (Some(held), Some(new)) if new < held => {
            Err(Error::Invalid(format!("the slot {name} has a newer version of this key")))
        }
        _ => Ok(new),
    }
}

fn put(slots: &mut [Slot], name: &KeySlot, key: Key) {
    if let Some(slot) = slots.iter_mut().find(|slot| slot.name == *name) {
        slot.key = Some(key);
        slot.from_block = true;
    }
}

impl Slot {
    /// What may be told of it.
    fn info(&self) -> KeySlotInfo {
        let held = self.key.as_ref().map(Key::attributes);
        let usage = held.map_or_else(|| self.usage.attributes(Algorithm::Tdes).usage, |held| held.usage);
        let usage = match usage.code() {
            Some(code) => code.map(char::from).iter().collect(),
            None => usage.to_string(),
        };
        let algorithm = held.map(|Attributes { algorithm, .. }| match algorithm.code() {
            Some([code]) => char::from(code).to_string(),
            None => algorithm.to_string(),
        });
        KeySlotInfo {
            slot: self.name.clone(),
            usage,
            algorithm: algorithm.unwrap_or_default(),
            check: self.key.as_ref().map(shown).unwrap_or_default(),
        }
    }
}

/// As much of the check value as may be shown (ANSI X9.24-1, annex A).
fn shown(key: &Key) -> Vec<u8> {
    let algorithm = key.attributes().algorithm;
    let length = if algorithm == Algorithm::Aes { 5 } else { 3 };
    let value = kcv::of(key, kcv::Method::of(algorithm)).unwrap_or_default();
    value.get(..length).unwrap_or_default().to_vec()
}
