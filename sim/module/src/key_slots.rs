//! Key slots. Each has one use, given by its name: a key can't be used for another (ANSI X9.24-1, 7.3).

use std::path::PathBuf;

use keys::dukpt::aes::Purpose;
use keys::mac::Scheme;
use keys::slot::{Use, X919_SCHEME};
use keys::sm2::sm3;
use keys::{Algorithm, Key, kcv};
use link::{DUKPT, KBPK, MAK_X919, Refusal, STORE, TMK_SM4};
use zeroize::Zeroizing;

use crate::dukpt::Dukpt;
use crate::firmware::Installed;
use crate::key_host::KeyHost;
use crate::store::{Found, Kept, Made, Store};
use crate::{Refused, refused};

mod loading;

/// The keys that the factory, or a service, puts into the module.
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
    /// None in a module that was tampered with.
    made: Option<Made>,
    firmware: Option<Installed>,
    store: Store,
}

impl KeySlots {
    /// The slots as they were kept in `store`; of a new module those with what the factory put in. A module that was tampered with has
    /// no keys.
    ///
    /// # Errors
    /// What is wrong with the store.
    pub(crate) fn open(store: Store, factory: MasterKeys) -> Result<Self, String> {
        let found = store.open().map_err(|error| format!("the module's store: {error}"))?;
        let mut slots =
            Self { slots: empty_slots(), dukpt: None, key_host: None, made: None, firmware: None, store };
        match found {
            Found::Nothing => slots.make(factory)?,
            Found::Tampered => slots.wipe(),
            Found::Kept(kept) => {
                if slots.recall(kept, factory.key_host).is_none() {
                    slots.wipe();
                }
            }
        }
        Ok(slots)
    }

    /// Makes the module: it draws a secret of its own, and gets the keys of the factory.
    ///
    /// # Errors
    /// Why it can't be made.
    pub(crate) fn make(&mut self, factory: MasterKeys) -> Result<(), String> {
        let mut made = Made::default();
        getrandom::fill(&mut *made).map_err(|error| format!("no randomness: {error}"))?;
        self.slots = empty_slots();
        self.made = Some(made);
        self.dukpt = factory.dukpt;
        self.key_host = factory.key_host;
        self.fill("tmk", factory.tmk);
        if let Some(key) = factory.tmk_sm4 {
            self.fill(TMK_SM4, key);
        }
        for (name, usage, label) in
            [("token", Use::Token, &b"card token"[..]), (STORE, Use::Storage, b"stored card")]
        {
            let own = self.own(label).map_err(|(_, reason)| reason)?;
            let own = own.first_chunk::<16>().ok_or("a key is too short")?;
            let key = Key::new(usage.attributes(Algorithm::Tdes), own).map_err(|error| error.to_string())?;
            self.fill(name, key);
        }
        let saved = self.save();
        if saved.is_err() {
            self.wipe();
        }
        saved.map_err(|(_, reason)| reason)
    }

    /// Takes what was kept; none if that can't be what this module has kept.
    fn recall(&mut self, kept: Kept, key_host: Option<KeyHost>) -> Option<()> {
        self.dukpt = kept.dukpt.map(|state| Dukpt::restore(&state)).transpose().ok()?;
        self.key_host = key_host;
        if let Some(key_host) = &mut self.key_host {
            key_host.recall(kept.host.as_deref(), kept.list_made).ok()?;
        }
        self.made = Some(kept.made);
        self.firmware = kept.firmware;
        kept.keys.into_iter().try_for_each(|(name, key)| self.fill(&name, key).then_some(()))
    }

    /// Whether the module was tampered with: it has nothing left.
    pub(crate) fn wiped(&self) -> bool {
        self.made.is_none()
    }

    /// A secret that the module has for its life and for one use. Derived, so that each serves its one use alone.
    pub(crate) fn own(&self, label: &[u8]) -> Result<Zeroizing<[u8; 32]>, Refused> {
        let made = self.made.as_ref().ok_or_else(|| (Refusal::Tampered, "its keys are wiped".to_owned()))?;
        Ok(Zeroizing::new(sm3(&Zeroizing::new([&made[..], label].concat()))))
    }

    /// All that outlives a start.
    fn kept(&self) -> Result<Kept, Refused> {
        let made = self.made.clone().ok_or_else(|| (Refusal::Tampered, "its keys are wiped".to_owned()))?;
        let held = |slot: &Slot| slot.key.clone().map(|key| (slot.name.to_owned(), key));
        let (host, list_made) = self.key_host.as_ref().map(KeyHost::kept).unwrap_or_default();
        let dukpt = self.dukpt.as_ref().map(Dukpt::state);
        let (keys, firmware) = (self.slots.iter().filter_map(held).collect(), self.firmware.clone());
        Ok(Kept { made, keys, dukpt, host, list_made, firmware })
    }

    /// The firmware that runs, where it came by an update.
    pub(crate) fn firmware(&self) -> Option<&Installed> {
        self.firmware.as_ref()
    }

    /// Has this firmware run from the next start: for good, or not at all.
    pub(crate) fn install(&mut self, firmware: Installed) -> Result<(), Refused> {
        let before = self.firmware.replace(firmware);
        self.save().inspect_err(|_| self.firmware = before)
    }

    /// Where the image in `place` is.
    pub(crate) fn image(&self, place: u8) -> Option<PathBuf> {
        self.store.image(place)
    }

    /// Whether the store works: what could not be written before is written now. None where somebody has changed it.
    pub(crate) fn test_store(&self) -> Option<bool> {
        match self.store.open() {
            Ok(Found::Kept(_)) => Some(self.save().is_ok()),
            Ok(Found::Nothing) if self.store.forgets() => Some(true),
            Ok(Found::Nothing | Found::Tampered) => None,
            Err(_) => Some(false),
        }
    }

    fn save(&self) -> Result<(), Refused> {
        self.store.save(&self.kept()?).map_err(not_kept)
    }

    /// Puts a key into its slot, for good; if that fails, the slot has what it had.
    fn put(&mut self, name: &str, key: Key) -> Result<(), Refused> {
        let before = self.slot(name)?.key.clone();
        self.fill(name, key);
        let saved = self.save();
        if saved.is_err()
            && let Some(slot) = self.slots.iter_mut().find(|slot| slot.name == name)
        {
            slot.key = before;
        }
        saved
    }

    /// Whether there is such a slot, into which the key then is.
    fn fill(&mut self, name: &str, key: Key) -> bool {
        let slot = self.slots.iter_mut().find(|slot| slot.name == name);
        slot.map(|slot| slot.key = Some(key)).is_some()
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
        let kept = self.kept()?;
        let dukpt = self.dukpt.as_mut().ok_or_else(|| empty(name))?;
        dukpt.next(|state| self.store.save(&Kept { dukpt: Some(state.to_vec().into()), ..kept }))
    }

    /// Ends the DUKPT transaction that is going on.
    pub(crate) fn end_dukpt(&mut self) {
        if let Some(dukpt) = &mut self.dukpt {
            dukpt.end();
        }
    }

    /// Has the module's end of TR-34 do something; what it has learned by it is kept, also where it refused.
    pub(crate) fn key_host<T>(
        &mut self,
        act: impl FnOnce(&mut KeyHost) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let none =
            || (Refusal::NotSupported, "this module has no credential for key distribution hosts".to_owned());
        let host = self.key_host.as_mut().ok_or_else(none)?;
        let before = host.kept();
        let done = act(host);
        if host.kept() != before {
            self.save()?;
        }
        done
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
        if !self.slot(name)?.usage.is_working() {
            return refused(
                Refusal::WrongUsage,
                "keys that others come under have their own ways in, token and store are made inside",
            );
        }
        self.put(name, key)
    }

    /// The check value of the key in slot `name`.
    pub(crate) fn check_value(&self, name: &str) -> Result<[u8; 4], Refused> {
        let key = self.slot(name)?.key.as_ref().ok_or_else(|| empty(name))?;
        let [a, b, c, d, ..] = kcv::of(key, kcv::Method::Zeros).map_err(invalid)?;
        Ok([a, b, c, d])
    }

    /// Wipes all keys, for good: first where they are kept.
    pub(crate) fn wipe(&mut self) {
        // A disk that can't be written to has a real module erase its secret, which no disk has.
        let _ = self.store.latch();
        self.slots = empty_slots();
        self.dukpt = None;
        self.key_host = None;
        self.made = None;
        self.firmware = None;
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

/// The slots, without keys.
fn empty_slots() -> [Slot; 9] {
    let empty = |name, usage| Slot { name, usage, key: None };
    [
        empty("tmk", Use::Keys),
        empty(TMK_SM4, Use::Keys),
        empty(KBPK, Use::Blocks),
        empty("pik", Use::Pin),
        empty("mak", Use::Mac),
        empty(MAK_X919, Use::X919),
        empty("tdk", Use::Data),
        empty("token", Use::Token),
        empty(STORE, Use::Storage),
    ]
}

fn not_kept(error: std::io::Error) -> Refused {
    (Refusal::NotSupported, format!("the module can not keep it: {error}"))
}

/// What the keys themselves refuse.
pub(crate) fn invalid(error: keys::Error) -> Refused {
    let refusal = match error {
        keys::Error::NotPermitted { .. } | keys::Error::NotForSlot { .. } => Refusal::WrongUsage,
        _ => Refusal::Invalid,
    };
    (refusal, error.to_string())
}

fn empty(name: &str) -> Refused {
    (Refusal::NoKey, format!("slot {name} is empty"))
}

#[cfg(test)]
mod tests {
    use keys::{Attributes, Exportability, Mode, Usage};

    use super::*;

    fn slots() -> KeySlots {
        let master = |algorithm| MasterKeys::key(algorithm, &[0x11; 16]).unwrap();
        let tmk_sm4 = Some(master(Algorithm::Sm4));
        let masters = MasterKeys { tmk: master(Algorithm::Tdes), tmk_sm4, dukpt: None, key_host: None };
        KeySlots::open(Store::new(None), masters).unwrap()
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
