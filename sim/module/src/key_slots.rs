//! Key slots. Each has one use, given by its name: a key can't be used for another (ANSI X9.24-1, 7.3).

use keys::{TdesKey, kcv};
use link::Refusal;

use crate::{Refused, refused};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Enciphers other keys.
    Keys,
    /// Enciphers PIN blocks.
    Pin,
    /// Makes and verifies MACs.
    Mac,
    /// Seals card data.
    Data,
    /// Makes card tokens.
    Token,
}

#[derive(Debug)]
struct Slot {
    name: &'static str,
    usage: Use,
    key: Option<TdesKey>,
}

/// The key slots of the module.
#[derive(Debug)]
pub(crate) struct KeySlots([Slot; 5]);

impl KeySlots {
    /// The slots of a module that has made its token key, and into which only the master key has been loaded.
    pub(crate) fn new(tmk: TdesKey, token: TdesKey) -> Self {
        let empty = |name, usage| Slot { name, usage, key: None };
        Self([
            Slot { name: "tmk", usage: Use::Keys, key: Some(tmk) },
            empty("pik", Use::Pin),
            empty("mak", Use::Mac),
            empty("tdk", Use::Data),
            Slot { name: "token", usage: Use::Token, key: Some(token) },
        ])
    }

    /// The key in the slot `name`, for `usage`.
    pub(crate) fn key(&self, name: &str, usage: Use) -> Result<&TdesKey, Refused> {
        let slot = self.slot(name)?;
        if slot.usage != usage {
            return refused(
                Refusal::WrongUsage,
                format!("slot {name} is for {:?}, not {usage:?}", slot.usage),
            );
        }
        slot.key.as_ref().ok_or_else(|| empty(name))
    }

    /// Loads a working key that is enciphered under the key in slot `under`.
    pub(crate) fn load(
        &mut self,
        name: &str,
        under: &str,
        wrapped: &[u8; 16],
        check: [u8; 4],
    ) -> Result<(), Refused> {
        let key = self.key(under, Use::Keys)?.unwrap_key(wrapped);
        self.slot(name)?;
        if !kcv::matches(&key, check) {
            return refused(
                Refusal::BadCheckValue,
                format!("the key for slot {name} has another check value"),
            );
        }
        match self.0.iter_mut().find(|slot| slot.name == name) {
            Some(slot) if !matches!(slot.usage, Use::Keys | Use::Token) => {
                slot.key = Some(key);
                Ok(())
            }
            _ => refused(
                Refusal::WrongUsage,
                "tmk is injected by hand and token made inside: neither is loaded",
            ),
        }
    }

    /// The check value of the key in slot `name`.
    pub(crate) fn check_value(&self, name: &str) -> Result<[u8; 4], Refused> {
        self.slot(name)?.key.as_ref().map(kcv::check_value).ok_or_else(|| empty(name))
    }

    /// Wipes all keys.
    pub(crate) fn wipe(&mut self) {
        for slot in &mut self.0 {
            slot.key = None;
        }
    }

    /// The names of the slots, and whether they hold a key.
    pub(crate) fn loaded(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.0.iter().map(|slot| (slot.name, slot.key.is_some()))
    }

    fn slot(&self, name: &str) -> Result<&Slot, Refused> {
        let unknown =
            || (Refusal::Invalid, "there are the key slots tmk, pik, mak, tdk and token".to_owned());
        self.0.iter().find(|slot| slot.name == name).ok_or_else(unknown)
    }
}

fn empty(name: &str) -> Refused {
    (Refusal::NoKey, format!("slot {name} is empty"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> (TdesKey, KeySlots) {
        let tmk = TdesKey::new([0x11; 16]);
        (tmk.clone(), KeySlots::new(tmk, TdesKey::new([0x33; 16])))
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T, Refused>) -> Refusal {
        result.unwrap_err().0
    }

    #[test]
    fn a_working_key_is_loaded_with_its_check_value_only() {
        let ((tmk, mut slots), mak) = (slots(), TdesKey::new([0x22; 16]));
        let wrapped = tmk.wrap(&mak);
        assert_eq!(refusal(slots.load("mak", "tmk", &wrapped, [0; 4])), Refusal::BadCheckValue);
        assert_eq!(refusal(slots.key("mak", Use::Mac)), Refusal::NoKey);
        slots.load("mak", "tmk", &wrapped, kcv::check_value(&mak)).unwrap();
        assert_eq!(slots.key("mak", Use::Mac), Ok(&mak));
    }

    #[test]
    fn a_key_has_one_use() {
        let (tmk, mut slots) = slots();
        let check = kcv::check_value(&tmk);
        assert_eq!(refusal(slots.key("tmk", Use::Mac)), Refusal::WrongUsage);
        assert_eq!(refusal(slots.key("mak", Use::Data)), Refusal::WrongUsage);
        assert_eq!(refusal(slots.load("pik", "mak", &[0; 16], [0; 4])), Refusal::WrongUsage);
        assert_eq!(refusal(slots.load("tmk", "tmk", &tmk.wrap(&tmk), check)), Refusal::WrongUsage);
        assert_eq!(refusal(slots.load("token", "tmk", &tmk.wrap(&tmk), check)), Refusal::WrongUsage);
        assert_eq!(refusal(slots.load("zmk", "tmk", &tmk.wrap(&tmk), check)), Refusal::Invalid);
    }
}
