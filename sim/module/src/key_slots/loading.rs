//! Keys that come in key blocks, in tokens, or by custodians: what each slot takes, and what is told of it.

use keys::slot::{Description, Use, usage_name};
use keys::{Algorithm, Key, Usage, kcv, key_block};
use link::{DUKPT, KBPK, KeySlotInfo, Refusal};

use super::{KeySlots, Slot, invalid};
use crate::{Refused, refused};

impl KeySlots {
    /// Loads the key in a block. It keeps the attributes that its block has.
    pub(crate) fn load_block(&mut self, name: &str, block: &[u8]) -> Result<(), Refused> {
        let protection = self.key(KBPK, Use::Blocks)?;
        let key = key_block::unwrap(&protection, block).map_err(invalid)?.key;
        self.take(name, key)
    }

    /// Puts a key into a slot that needs what it may do.
    pub(crate) fn take(&mut self, name: &str, key: Key) -> Result<(), Refused> {
        let slot = self.slot(name)?;
        slot.usage.takes(&key, slot.key.as_ref()).map_err(invalid)?;
        self.put(name, key)
    }

    /// The key of `components` that custodians entered for a slot under which other keys come.
    pub(crate) fn combine(
        &mut self,
        name: &str,
        algorithm: Algorithm,
        components: &[&[u8]],
    ) -> Result<Vec<u8>, Refused> {
        let attributes = self.entered(name, algorithm)?.attributes(algorithm);
        let key = Key::combine(attributes, components).map_err(invalid)?;
        let check = kcv::shown(&key);
        self.take(name, key)?;
        Ok(check)
    }

    /// The use of a slot that custodians may fill with a key of this algorithm.
    pub(crate) fn entered(&self, name: &str, algorithm: Algorithm) -> Result<Use, Refused> {
        match self.slot(name)?.usage {
            usage @ (Use::Keys | Use::Blocks) if usage.takes_algorithm(algorithm) => Ok(usage),
            Use::Keys => refused(Refusal::WrongUsage, format!("slot {name} takes no key of {algorithm}")),
            _ => {
                refused(Refusal::WrongUsage, "custodians enter keys that other keys come under: tmk and kbpk")
            }
        }
    }

    /// Each slot, and what is in it.
    pub(crate) fn infos(&self) -> Vec<KeySlotInfo> {
        let dukpt = KeySlotInfo {
            name: DUKPT.to_owned(),
            usage: usage_name(Usage::InitialDukpt),
            algorithm: self.dukpt.as_ref().map(|_| "A".to_owned()).unwrap_or_default(),
            check: Vec::new(),
        };
        self.slots.iter().map(Slot::info).chain([dukpt]).collect()
    }
}

impl Slot {
    fn info(&self) -> KeySlotInfo {
        let Description { usage, algorithm, check } = self.usage.describe(self.key.as_ref());
        KeySlotInfo { name: self.name.to_owned(), usage, algorithm, check }
    }
}
