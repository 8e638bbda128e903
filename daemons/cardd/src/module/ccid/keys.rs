//! Software keys: the key slots of a secure module in this daemon's memory, for development.
//!
//! Credentials hold what a real module would have been given in the factory, each as 32 hexadecimal digits: `software-tmk`, the
//! TDES master key; `software-tmk-sm4`, the SM4 master key, where there is one; `software-kbpk`, where keys come in key blocks, the
//! AES key that protects them; and `software-secret`, from which the keys of card tokens, of cards that wait for the host and of journal seals are
//! derived. Keys that come in blocks stay, and only blocks replace them; working keys of a sign-on are lost with the process. A reader that
//! is unplugged takes none of them along. A slot has one use, by its name (ANSI X9.24-1, 7.3).

mod loading;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::keys::mac::{self, Scheme};
use ::keys::pin_block::{self, Format, PinBlock};
use ::keys::slot::{TOKEN_SCHEME, Use, X919_SCHEME};
use ::keys::sm2::{self, PrivateKey};
use ::keys::{Algorithm, Key, Pan, Pin, kcv, track2};
use audit::chain::Chain;
use audit::{Octets, seal};
use secure_module::{Error, JournalSeal, KeySlot, Result};
use zeroize::Zeroizing;

struct Slot {
    name: KeySlot,
    usage: Use,
    key: Option<Key>,
    /// Whether a key block is kept for it.
    from_block: bool,
}

/// A PIN key: the one that was there when the entry of a PIN began.
pub(super) struct PinKey(Key);

impl PinKey {
    /// The PIN in the format that goes with the key.
    pub(super) fn encipher(&self, pin: &Pin, pan: &Pan) -> Result<PinBlock> {
        let format = match self.0.attributes().algorithm {
            Algorithm::Sm4 => Format::UnionPaySm4(pan),
            Algorithm::Aes => Format::Iso4(pan),
            _ => Format::Iso0(pan),
        };
        let mut random = Zeroizing::new([0; 16]);
        fill(&mut *random)?;
        pin_block::encrypt(&self.0, format, pin, &random).map_err(invalid)
    }
}

/// The keys. They outlive the readers that they are used beside.
pub(crate) struct SoftwareKeys {
    slots: Mutex<[Slot; 9]>,
    audit: PrivateKey,
    /// Where keys stay that came in blocks; held by the one who writes there.
    folder: Mutex<PathBuf>,
}

impl SoftwareKeys {
    /// Reads the credentials in the folder `credentials`, and the blocks of keys in the folder `state`.
    ///
    /// # Errors
    /// A sentence that says which credential is missing or wrong.
    pub(crate) fn open(credentials: &Path, state: &Path) -> std::result::Result<Self, String> {
        let credential = |name, usage: Use, algorithm| {
            let bytes = read(credentials, name)?;
            let key = bytes.map(|bytes| Key::new(usage.attributes(algorithm), &*bytes)).transpose();
            key.map_err(|error| format!("the credential {name}: {error}"))
        };
        let needed = |name| format!("software keys need the credential {name}: see docs/porting.md");
        let tmk = credential("software-tmk", Use::Keys, Algorithm::Tdes)?;
        let tmk = tmk.ok_or_else(|| needed("software-tmk"))?;
        let tmk_sm4 = credential("software-tmk-sm4", Use::Keys, Algorithm::Sm4)?;
        let kbpk = credential("software-kbpk", Use::Blocks, Algorithm::Aes)?;
        let secret = read(credentials, "software-secret")?.ok_or_else(|| needed("software-secret"))?;
        let unusable = |error: ::keys::Error| format!("the credential software-secret: {error}");
        let own = |usage: Use, label| {
            let bytes = derived(&secret, label);
            let bytes = bytes.get(..16).unwrap_or_default();
            Key::new(usage.attributes(Algorithm::Tdes), bytes).map_err(unusable)
        };
        let token = own(Use::Token, b"card token")?;
        let store = own(Use::Storage, b"card storage")?;
        let audit = PrivateKey::new(&derived(&secret, b"journal seal")).map_err(unusable)?;
        let slot = |name, usage, key| Slot { name, usage, key, from_block: false };
        let mut slots = [
            slot(KeySlot::TMK, Use::Keys, Some(tmk)),
            slot(KeySlot::TMK_SM4, Use::Keys, tmk_sm4),
            slot(KeySlot::KBPK, Use::Blocks, kbpk),
            slot(KeySlot::PIK, Use::Pin, None),
            slot(KeySlot::MAK, Use::Mac, None),
            slot(KeySlot::MAK_X919, Use::X919, None),
            slot(KeySlot::TDK, Use::Data, None),
            slot(KeySlot::TOKEN, Use::Token, Some(token)),
            slot(KeySlot::STORE, Use::Storage, Some(store)),
        ];
        loading::restore(&mut slots, state);
        Ok(Self { slots: Mutex::new(slots), audit, folder: Mutex::new(state.to_path_buf()) })
    }

    /// As [`SecureModule::load_key`](secure_module::SecureModule::load_key), into a slot that holds no key of a block: that one would be
    /// back after a restart, and an older one might take its place meanwhile.
    pub(super) fn load_key(
        &self,
        name: &KeySlot,
        under: &KeySlot,
        wrapped: &[u8; 16],
        check: [u8; 4],
    ) -> Result<()> {
        let mut slots = self.lock();
        let slot = find(&*slots, name)?;
        let usage = slot.usage;
        if !usage.is_working() {
            return Err(Error::WrongUsage);
        }
        if slot.from_block {
            let file = loading::file_name(name);
            let kept =
                format!("the slot {name} has a key that came in a key block: load another block, or take");
            return Err(Error::Invalid(format!("{kept} the file {file} away and restart")));
        }
        let master = key(&*slots, under, Use::Keys)?;
        let attributes = usage.attributes(master.attributes().algorithm);
        let loaded = master.decrypt_key(attributes, wrapped).map_err(invalid)?;
        kcv::check(&loaded, kcv::Method::Zeros, &check).map_err(|_| Error::BadCheckValue)?;
        if let Some(slot) = slots.iter_mut().find(|slot| slot.name == *name) {
            slot.key = Some(loaded);
        }
        Ok(())
    }

    pub(super) fn check_value(&self, name: &KeySlot) -> Result<[u8; 4]> {
        let slots = self.lock();
        let key = find(&*slots, name)?.key.as_ref().ok_or(Error::NoKey)?;
        let [a, b, c, d, ..] = kcv::of(key, kcv::Method::Zeros).map_err(invalid)?;
        Ok([a, b, c, d])
    }

    pub(super) fn mac(&self, name: &KeySlot, message: &[u8]) -> Result<[u8; 8]> {
        let slots = self.lock();
        let (usage, scheme) = match find(&*slots, name)?.usage {
            Use::X919 => (Use::X919, X919_SCHEME),
            _ => (Use::Mac, Scheme::UnionPay),
        };
        let code = mac::generate(key(&*slots, name, usage)?, scheme, message).map_err(invalid)?;
        code.as_bytes().try_into().map_err(|_| Error::Invalid("a MAC has 8 bytes".to_owned()))
    }

    pub(super) fn verify_mac(&self, name: &KeySlot, message: &[u8], code: [u8; 8]) -> Result<bool> {
        Ok(mac::equal(&self.mac(name, message)?, &code))
    }

    pub(super) fn pin_key(&self, name: &KeySlot) -> Result<PinKey> {
        key(&*self.lock(), name, Use::Pin).cloned().map(PinKey)
    }

    pub(super) fn seal_track2(&self, name: &KeySlot, track: &[u8]) -> Result<Vec<u8>> {
        let usage = if *name == KeySlot::STORE { Use::Storage } else { Use::Data };
        let slots = self.lock();
        seal(key(&*slots, name, usage)?, track)
    }

    pub(super) fn reseal_track2(&self, from: &KeySlot, name: &KeySlot, sealed: &[u8]) -> Result<Vec<u8>> {
        let slots = self.lock();
        let (from, to) = (key(&*slots, from, Use::Storage)?, key(&*slots, name, Use::Data)?);
        seal(to, track2::decrypt(from, sealed).map_err(invalid)?.as_bytes())
    }

    pub(super) fn card_token(&self, name: &KeySlot, pan: &Pan) -> Result<Vec<u8>> {
        let slots = self.lock();
        let key = key(&*slots, name, Use::Token)?;
        let token = mac::generate(key, TOKEN_SCHEME, pan.digits().as_bytes()).map_err(invalid)?;
        Ok(token.as_bytes().to_vec())
    }

    pub(super) fn seal_journal(
        &self,
        journal: [u8; 16],
        last: i64,
        head: [u8; 32],
        at: i64,
    ) -> Result<JournalSeal> {
        let statement = seal::statement(&Octets(journal), &Chain { last, head: Octets(head) }, at);
        let signature = self.audit.sign(sm2::DEFAULT_ID, &statement).map_err(invalid)?;
        Ok(JournalSeal { public_key: self.audit.public_key(), signature })
    }

    fn lock(&self) -> MutexGuard<'_, [Slot; 9]> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seal(key: &Key, track: &[u8]) -> Result<Vec<u8>> {
    let mut confounder = [0; 16];
    fill(&mut confounder)?;
    track2::encrypt(key, &confounder, track).map_err(invalid)
}

fn find<'a>(slots: &'a [Slot], name: &KeySlot) -> Result<&'a Slot> {
    let unknown = || Error::Invalid(format!("there is no key slot {name}"));
    slots.iter().find(|slot| slot.name == *name).ok_or_else(unknown)
}

fn key<'a>(slots: &'a [Slot], name: &KeySlot, usage: Use) -> Result<&'a Key> {
    let slot = find(slots, name)?;
    if slot.usage == usage { slot.key.as_ref().ok_or(Error::NoKey) } else { Err(Error::WrongUsage) }
}

/// A credential; none where there is none.
fn read(credentials: &Path, name: &str) -> std::result::Result<Option<Zeroizing<[u8; 16]>>, String> {
    let text = match std::fs::read_to_string(credentials.join(name)).map(Zeroizing::new) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("the credential {name}: {error}")),
    };
    let mut bytes = Zeroizing::new([0; 16]);
    let decoded = hex::decode_to_slice(text.trim(), &mut *bytes);
    decoded.map_err(|_| format!("the credential {name} is to be 32 hexadecimal digits"))?;
    Ok(Some(bytes))
}

/// The secret itself serves no use but this.
fn derived(secret: &[u8; 16], label: &[u8]) -> Zeroizing<[u8; 32]> {
    let input = Zeroizing::new([&secret[..], label].concat());
    Zeroizing::new(sm2::sm3(&input))
}

/// Fills `bytes` with random ones.
pub(super) fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| Error::Protocol(format!("no randomness: {error}")))
}

fn invalid(error: ::keys::Error) -> Error {
    match error {
        ::keys::Error::NotPermitted { .. } | ::keys::Error::NotForSlot { .. } => Error::WrongUsage,
        error => Error::Invalid(error.to_string()),
    }
}
