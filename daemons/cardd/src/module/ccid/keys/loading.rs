//! Keys that come in key blocks (X9.143) under the credential `software-kbpk`: which slot takes what, and where they stay.
//!
//! A block is kept as it came, in a file of its slot, and opened again when the daemon starts: on disk there is no key that the
//! sealed credential does not protect.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;
use std::sync::PoisonError;

use ::keys::slot::{Description, Use};
use ::keys::{Key, key_block};
use secure_module::{Error, KeySlot, KeySlotInfo, Result};

use super::{Slot, SoftwareKeys, find, invalid, key};
use crate::durable;

impl SoftwareKeys {
    /// As [`SecureModule::load_key_block`](secure_module::SecureModule::load_key_block). When this returns the key is there after
    /// a power cut, too. Blocks until the disk has it; meanwhile the other keys work.
    pub(in super::super) fn load_key_block(&self, name: &KeySlot, block: &[u8]) -> Result<()> {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = opened(&*self.lock(), name, block)?;
        let stored = durable::replace(&folder, &file_name(name), block);
        stored.map_err(|error| Error::Protocol(format!("the key can't be kept: {error}")))?;
        put(&mut *self.lock(), name, loaded);
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

/// The key in a block, for a slot that takes it. The key that protects the blocks is a credential.
fn opened(slots: &[Slot], name: &KeySlot, block: &[u8]) -> Result<Key> {
    let slot = find(slots, name)?;
    if slot.usage == Use::Blocks {
        return Err(Error::WrongUsage);
    }
    let protection = key(slots, &KeySlot::KBPK, Use::Blocks)?;
    let new = key_block::unwrap(protection, block).map_err(invalid)?.key;
    slot.usage.takes(&new, slot.key.as_ref()).map_err(invalid)?;
    Ok(new)
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
        let Description { usage, algorithm, check } = self.usage.describe(self.key.as_ref());
        KeySlotInfo { slot: self.name.clone(), usage, algorithm, check }
    }
}
