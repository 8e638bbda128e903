//! Keys that come in key blocks, in tokens, or by custodians: what each slot takes, and what is told of it.

use keys::{Algorithm, Key, KeyVersion, Operation, Usage, kcv, key_block};
use link::{DUKPT, KBPK, KeySlotInfo, Refusal};

use super::{KeySlots, Slot, Use, X919_SCHEME, invalid};
use crate::{Refused, refused};

impl Use {
    /// What a key must be able to do, one of these at least, to serve this use; nothing where none is taken.
    fn needs(self) -> &'static [Operation] {
        const X919: Usage = X919_SCHEME.usage();
        match self {
            Use::Keys => &[Operation::DecryptKey],
            Use::Blocks => &[Operation::UnwrapBlock],
            Use::Pin => &[Operation::EncryptPin],
            Use::X919 => &[Operation::GenerateMac(X919), Operation::VerifyMac(X919)],
            Use::Data => &[Operation::EncryptData],
            // X9.143 has no code for UnionPay's MAC: its keys come with the sign-on alone.
            Use::Mac | Use::Storage | Use::Token => &[],
        }
    }

    /// Whether a key of this algorithm serves.
    fn takes(self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Tdes => true,
            Algorithm::Aes => !matches!(self, Use::Keys | Use::X919),
            _ => false,
        }
    }
}

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
        let attributes = key.attributes();
        let may = |operation: &Operation| attributes.permit(*operation).is_ok();
        if !slot.usage.takes(attributes.algorithm) || !slot.usage.needs().iter().any(may) {
            let (usage, mode) = (attributes.usage, attributes.mode);
            return refused(
                Refusal::WrongUsage,
                format!("slot {name} takes no key of usage {usage} and mode {mode}"),
            );
        }
        if slot.usage == Use::X919 && key.strength() != Some(80) {
            return refused(Refusal::WrongUsage, format!("slot {name} takes double-length keys"));
        }
        if let (Some(KeyVersion::Number(held)), KeyVersion::Number(new)) =
            (slot.key.as_ref().map(|held| held.attributes().version), attributes.version)
            && new < held
        {
            return refused(Refusal::Invalid, format!("slot {name} has a newer version of this key"));
        }
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
        let check = shown(&key);
        self.take(name, key)?;
        Ok(check)
    }

    /// The use of a slot that custodians may fill with a key of this algorithm.
    pub(crate) fn entered(&self, name: &str, algorithm: Algorithm) -> Result<Use, Refused> {
        match self.slot(name)?.usage {
            usage @ (Use::Keys | Use::Blocks) if usage.takes(algorithm) => Ok(usage),
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
            usage: code(Usage::InitialDukpt),
            algorithm: self.dukpt.as_ref().map(|_| "A".to_owned()).unwrap_or_default(),
            check: Vec::new(),
        };
        self.slots.iter().map(Slot::info).chain([dukpt]).collect()
    }
}

impl Slot {
    fn info(&self) -> KeySlotInfo {
        let attributes = self.key.as_ref().map(|key| key.attributes());
        let usage =
            attributes.map_or_else(|| self.usage.attributes(Algorithm::Tdes).usage, |known| known.usage);
        let algorithm = attributes.map(|known| match known.algorithm.code() {
            Some([code]) => char::from(code).to_string(),
            None => known.algorithm.to_string(),
        });
        KeySlotInfo {
            name: self.name.to_owned(),
            usage: code(usage),
            algorithm: algorithm.unwrap_or_default(),
            check: self.key.as_ref().map(shown).unwrap_or_default(),
        }
    }
}

/// A usage as a key block has it, or as a word.
fn code(usage: Usage) -> String {
    match usage.code() {
        Some([a, b]) => [char::from(a), char::from(b)].iter().collect(),
        None => usage.to_string(),
    }
}

/// As much of the check value as may be shown (ANSI X9.24-1, annex A).
pub(crate) fn shown(key: &Key) -> Vec<u8> {
    let algorithm = key.attributes().algorithm;
    let length = if algorithm == Algorithm::Aes { 5 } else { 3 };
    let value = kcv::of(key, kcv::Method::of(algorithm)).unwrap_or_default();
    value.get(..length).unwrap_or_default().to_vec()
}
