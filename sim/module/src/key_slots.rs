//! Key slots. Each has one use, given by its name: a key can't be used for another (ANSI X9.24-1, 7.3).

use keys::dukpt::aes::Purpose;
use keys::mac::{Padding, Scheme};
use keys::{Algorithm, Attributes, Key, Mode, Usage, kcv};
use link::{DUKPT, KBPK, MAK_X919, Refusal, STORE, TMK_SM4};

use crate::dukpt::Dukpt;
use crate::key_host::KeyHost;
use crate::{Refused, refused};

mod loading;

pub(crate) use loading::shown;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Enciphers other keys.
    Keys,
    /// Protects key blocks.
    Blocks,
    /// Enciphers PIN blocks.
    Pin,
    /// Makes and verifies UnionPay's MACs.
    Mac,
    /// Makes and verifies MACs by ANSI X9.19.
    X919,
    /// Seals card data.
    Data,
    /// Seals card data that wait, and opens them again.
    Storage,
    /// Makes card tokens.
    Token,
}

/// ANSI X9.19 is ISO/IEC 9797-1 algorithm 3 with padding method 1.
pub(crate) const X919_SCHEME: Scheme = Scheme::Algorithm3(Padding::Zeros);

/// How card tokens are made.
pub(crate) const TOKEN_SCHEME: Scheme = Scheme::Algorithm3(Padding::OneAndZeros);

/// The keys that the module holds when it starts.
pub struct MasterKeys {
    /// TDES.
    pub tmk: Key,
    /// SM4, where it has one.
    pub tmk_sm4: Option<Key>,
    /// The registers of DUKPT, where it has them.
    pub dukpt: Option<Dukpt>,
    /// Its end of TR-34, where it has one.
    pub key_host: Option<KeyHost>,
}

impl MasterKeys {
    /// A master key of `algorithm`.
    ///
    /// # Errors
    /// For an algorithm that has no keys of 16 bytes.
    pub fn key(algorithm: Algorithm, bytes: &[u8; 16]) -> keys::Result<Key> {
        Key::new(Use::Keys.attributes(algorithm), bytes)
    }
}

impl Use {
    /// What a key for this use may do, and nothing else.
    fn attributes(self, algorithm: Algorithm) -> Attributes {
        let (usage, mode) = match self {
            Use::Keys => (Usage::KeyEncryption, Mode::Decrypt),
            Use::Blocks => (Usage::KeyBlockProtection, Mode::Decrypt),
            Use::Pin => (Usage::PinEncryption, Mode::Encrypt),
            Use::Mac => (Scheme::UnionPay.usage(), Mode::GenerateVerify),
            Use::X919 => (X919_SCHEME.usage(), Mode::GenerateVerify),
            Use::Data => (Usage::Data, Mode::Encrypt),
            Use::Storage => (Usage::Data, Mode::Both),
            Use::Token => (TOKEN_SCHEME.usage(), Mode::Generate),
        };
        Attributes::new(usage, algorithm, mode)
    }
}

#[derive(Debug)]
struct Slot {
    name: &'static str,
    usage: Use,
    key: Option<Key>,
}

/// The key slots of the module.
pub(crate) struct KeySlots {
    slots: [Slot; 9],
    dukpt: Option<Dukpt>,
    key_host: Option<KeyHost>,
}

/// The keys that a module made itself.
pub(crate) struct OwnKeys {
    /// Of card tokens.
    pub(crate) token: [u8; 16],
    /// Of card data that wait.
    pub(crate) store: [u8; 16],
}

impl KeySlots {
    /// The slots of a module that `made` its own, and into which only master keys have been loaded.
    pub(crate) fn new(masters: MasterKeys, made: &OwnKeys) -> Self {
        let empty = |name, usage| Slot { name, usage, key: None };
        let own = |name, usage: Use, key| {
            let key = Key::new(usage.attributes(Algorithm::Tdes), key).ok();
            Slot { name, usage, key }
        };
        let slots = [
            Slot { name: "tmk", usage: Use::Keys, key: Some(masters.tmk) },
            Slot { name: TMK_SM4, usage: Use::Keys, key: masters.tmk_sm4 },
            empty(KBPK, Use::Blocks),
            empty("pik", Use::Pin),
            empty("mak", Use::Mac),
            empty(MAK_X919, Use::X919),
            empty("tdk", Use::Data),
            own("token", Use::Token, &made.token),
            own(STORE, Use::Storage, &made.store),
        ];
        Self { slots, dukpt: masters.dukpt, key_host: masters.key_host }
    }

    /// The key in the slot `name`, for `usage`.
    pub(crate) fn key(&self, name: &str, usage: Use) -> Result<Key, Refused> {
        match (name, usage) {
            (DUKPT, Use::Pin) => return self.of_transaction(Purpose::PinEncryption),
            (DUKPT, Use::Data) => return self.of_transaction(Purpose::DataEncryption),
            _ => {}
        }
        let slot = self.slot(name)?;
        if slot.usage != usage {
            return refused(
                Refusal::WrongUsage,
                format!("slot {name} is for {:?}, not {usage:?}", slot.usage),
            );
        }
        slot.key.clone().ok_or_else(|| empty(name))
    }

    /// The key in the slot `name` for the MACs of requests, or of answers, and how they are made there.
    pub(crate) fn mac(&self, name: &str, of_answer: bool) -> Result<(Key, Scheme), Refused> {
        match name {
            DUKPT if of_answer => Ok((self.of_transaction(Purpose::MacVerification)?, Scheme::Cmac)),
            DUKPT => Ok((self.of_transaction(Purpose::MacGeneration)?, Scheme::Cmac)),
            MAK_X919 => Ok((self.key(name, Use::X919)?, X919_SCHEME)),
            _ => Ok((self.key(name, Use::Mac)?, Scheme::UnionPay)),
        }
    }

    /// Begins with the keys of the next DUKPT transaction; its key serial number.
    pub(crate) fn next_dukpt(&mut self, name: &str) -> Result<[u8; 12], Refused> {
        if name != DUKPT {
            return refused(Refusal::WrongUsage, format!("slot {name} has no keys of DUKPT"));
        }
        self.dukpt.as_mut().ok_or_else(|| empty(name))?.next()
    }

    /// The module's end of TR-34.
    pub(crate) fn key_host(&mut self) -> Result<&mut KeyHost, Refused> {
        let none =
            || (Refusal::NotSupported, "this module has no credential for key distribution hosts".to_owned());
        self.key_host.as_mut().ok_or_else(none)
    }

    fn of_transaction(&self, purpose: Purpose) -> Result<Key, Refused> {
        self.dukpt.as_ref().ok_or_else(|| empty(DUKPT))?.key(purpose)
    }

    /// Loads a working key that is enciphered under the key in slot `under`.
    pub(crate) fn load(
        &mut self,
        name: &str,
        under: &str,
        wrapped: &[u8; 16],
        check: [u8; 4],
    ) -> Result<(), Refused> {
        let master = self.key(under, Use::Keys)?;
        let attributes = self.slot(name)?.usage.attributes(master.attributes().algorithm);
        let key = master.decrypt_key(attributes, wrapped).map_err(invalid)?;
        if kcv::check(&key, kcv::Method::Zeros, &check).is_err() {
            return refused(
                Refusal::BadCheckValue,
                format!("the key for slot {name} has another check value"),
            );
        }
        match self.slots.iter_mut().find(|slot| slot.name == name) {
            Some(slot) if !matches!(slot.usage, Use::Keys | Use::Blocks | Use::Token | Use::Storage) => {
                slot.key = Some(key);
                Ok(())
            }
            _ => refused(
                Refusal::WrongUsage,
                "keys that others come under have their own ways in, token and store are made inside",
            ),
        }
    }

    /// The check value of the key in slot `name`.
    pub(crate) fn check_value(&self, name: &str) -> Result<[u8; 4], Refused> {
        let key = self.slot(name)?.key.as_ref().ok_or_else(|| empty(name))?;
        let [a, b, c, d, ..] = kcv::of(key, kcv::Method::Zeros).map_err(invalid)?;
        Ok([a, b, c, d])
    }

    /// Wipes all keys.
    pub(crate) fn wipe(&mut self) {
        for slot in &mut self.slots {
            slot.key = None;
        }
        if let Some(dukpt) = self.dukpt.take() {
            dukpt.wipe();
        }
        self.key_host = None;
    }

    /// The names of the slots, and whether they hold a key.
    pub(crate) fn loaded(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let slots = self.slots.iter().map(|slot| (slot.name, slot.key.is_some()));
        slots.chain([(DUKPT, self.dukpt.is_some())])
    }

    fn slot(&self, name: &str) -> Result<&Slot, Refused> {
        let unknown = || {
            (
                Refusal::Invalid,
                "there are the key slots tmk, tmk-sm4, kbpk, pik, mak, mak-x919, tdk, token, store and dukpt"
                    .to_owned(),
            )
        };
        self.slots.iter().find(|slot| slot.name == name).ok_or_else(unknown)
    }
}

/// What the keys themselves refuse.
pub(crate) fn invalid(error: keys::Error) -> Refused {
    let refusal = match error {
        keys::Error::NotPermitted { .. } => Refusal::WrongUsage,
        _ => Refusal::Invalid,
    };
    (refusal, error.to_string())
}

fn empty(name: &str) -> Refused {
    (Refusal::NoKey, format!("slot {name} is empty"))
}

#[cfg(test)]
mod tests {
    use keys::Exportability;

    use super::*;

    fn slots() -> KeySlots {
        let master = |algorithm| MasterKeys::key(algorithm, &[0x11; 16]).unwrap();
        let tmk_sm4 = Some(master(Algorithm::Sm4));
        KeySlots::new(
            MasterKeys { tmk: master(Algorithm::Tdes), tmk_sm4, dukpt: None, key_host: None },
            &OwnKeys { token: [0x33; 16], store: [0x44; 16] },
        )
    }

    /// The MAC key [0x22; 16] as a host sends it: enciphered, and its check value.
    fn sent(algorithm: Algorithm) -> ([u8; 16], [u8; 4]) {
        let master = Attributes::new(Usage::KeyEncryption, algorithm, Mode::Encrypt);
        let mak = Use::Mac.attributes(algorithm).exportable(Exportability::Sensitive);
        let mak = Key::new(mak, &[0x22; 16]).unwrap();
        let wrapped = Key::new(master, &[0x11; 16]).unwrap().encrypt_key(&mak).unwrap();
        let check = kcv::of(&mak, kcv::Method::Zeros).unwrap();
        (wrapped.as_slice().try_into().unwrap(), *check.first_chunk().unwrap())
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T, Refused>) -> Refusal {
        result.unwrap_err().0
    }

    #[test]
    fn a_working_key_is_loaded_with_its_check_value_only_and_has_the_algorithm_of_its_master() {
        let mut slots = slots();
        for (under, algorithm) in [("tmk", Algorithm::Tdes), ("tmk-sm4", Algorithm::Sm4)] {
            let (wrapped, check) = sent(algorithm);
            let before = slots.check_value("mak");
            assert_eq!(refusal(slots.load("mak", under, &wrapped, [0; 4])), Refusal::BadCheckValue);
            assert_eq!(slots.check_value("mak"), before);
            slots.load("mak", under, &wrapped, check).unwrap();
            assert_eq!(slots.check_value("mak"), Ok(check));
            assert_eq!(slots.key("mak", Use::Mac).unwrap().attributes().algorithm, algorithm);
        }
    }

    #[test]
    fn a_key_has_one_use() {
        let mut slots = slots();
        let (wrapped, check) = sent(Algorithm::Tdes);
        assert_eq!(refusal(slots.key("tmk", Use::Mac)), Refusal::WrongUsage);
        assert_eq!(refusal(slots.key("mak", Use::Data)), Refusal::WrongUsage);
        assert_eq!(refusal(slots.load("pik", "mak", &[0; 16], [0; 4])), Refusal::WrongUsage);
        for name in ["tmk", "tmk-sm4", "kbpk", "token", "store"] {
            assert_eq!(refusal(slots.load(name, "tmk", &wrapped, check)), Refusal::WrongUsage, "{name}");
        }
        assert_eq!(refusal(slots.load("zmk", "tmk", &wrapped, check)), Refusal::Invalid);
    }
}
