//! What the module keeps over its starts, in one file that nobody but the chip can read or change (PCI PTS POI, DTR B: sensitive data are
//! kept enciphered, and a store that fails its check is not used).
//!
//! The file is sealed by AES-256-GCM under the chip's own secret, and replaced whole: a power cut leaves what was there or what is to be
//! there. A file that does not open is that of a module which somebody tampered with: it is never taken for an empty one.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Tag};
use keys::Key;
use keys::sm2::sm3;
use zeroize::Zeroizing;

use crate::firmware::{Installed, Manifest};

/// What a chip has inside, and gives to nobody. Nothing virtual is secret.
const CHIP_SECRET: &[u8] = b"no secret at all: store 1";
const NONCE: usize = 12;
const TAG: usize = 16;
/// No store is longer.
const LONGEST: u64 = 65_536;

/// The secret that a module draws when it is made, of which its own keys come.
pub(crate) type Made = Zeroizing<[u8; 32]>;

/// The place of what is kept.
pub struct Store {
    file: Option<PathBuf>,
}

/// What a start finds.
pub(crate) enum Found {
    /// The module is new.
    Nothing,
    Kept(Kept),
    Tampered,
}

/// All that outlives a start.
pub(crate) struct Kept {
    pub(crate) made: Made,
    /// The slots that hold a key.
    pub(crate) keys: Vec<(String, Key)>,
    /// The registers of DUKPT.
    pub(crate) dukpt: Option<Zeroizing<Vec<u8>>>,
    /// The certificate of the key distribution host that is bound, in DER.
    pub(crate) host: Option<Vec<u8>>,
    /// When the latest list of revoked certificates was made, since 1970; whole seconds.
    pub(crate) list_made: Duration,
    /// The firmware that runs; none where it is what the module was made with.
    pub(crate) firmware: Option<Installed>,
}

impl Store {
    /// Keeps in `file`; without one all is forgotten when the process ends.
    #[must_use]
    pub fn new(file: Option<PathBuf>) -> Store {
        Store { file }
    }

    /// What was kept.
    ///
    /// # Errors
    /// What the file system said, unless there is no file.
    pub(crate) fn open(&self) -> io::Result<Found> {
        let Some(file) = &self.file else { return Ok(Found::Nothing) };
        match fs::metadata(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error),
            Ok(known) if known.len() > LONGEST => return Ok(Found::Tampered),
            Ok(_) => {}
        }
        let kept = unseal(&fs::read(file)?).and_then(|content| Kept::decode(&content));
        Ok(kept.map_or(Found::Tampered, Found::Kept))
    }

    /// Puts `kept` in the place of what was there. When this returns it is there after a power cut, too.
    ///
    /// # Errors
    /// What the file system said; then the store is what it was.
    pub(crate) fn save(&self, kept: &Kept) -> io::Result<()> {
        match &self.file {
            Some(file) => replace(file, &seal(kept.encode())?),
            None => Ok(()),
        }
    }

    /// Whether all is forgotten when the process ends.
    pub(crate) fn forgets(&self) -> bool {
        self.file.is_none()
    }

    /// Where an image of firmware is; none in a module that forgets.
    pub(crate) fn image(&self, place: u8) -> Option<PathBuf> {
        self.file.as_ref().map(|file| file.with_extension(if place == 0 { "a" } else { "b" }))
    }

    /// Leaves nothing but that the module was tampered with: an empty file is none that opens.
    ///
    /// # Errors
    /// What the file system said.
    pub(crate) fn latch(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        File::create(file)?.sync_all()
    }
}

impl Kept {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Room for any: growing would leave clear copies behind.
        let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(LONGEST).unwrap_or_default()));
        content.extend(*self.made);
        content.push(u8::try_from(self.keys.len()).unwrap_or(u8::MAX));
        for (name, key) in &self.keys {
            put(&mut content, name.as_bytes());
            put(&mut content, &key.state());
        }
        put(&mut content, self.dukpt.as_deref().map_or(&[], Vec::as_slice));
        put(&mut content, self.host.as_deref().unwrap_or_default());
        content.extend(self.list_made.as_secs().to_be_bytes());
        if let Some(Installed { place, manifest }) = &self.firmware {
            content.push(*place);
            content.extend(manifest.encode());
        }
        content
    }

    fn decode(mut content: &[u8]) -> Option<Kept> {
        let rest = &mut content;
        let made = Zeroizing::new(array(rest)?);
        let [count] = array(rest)?;
        let key = |_| Some((String::from_utf8(take(rest)?.to_vec()).ok()?, Key::restore(take(rest)?).ok()?));
        let keys = (0..count).map(key).collect::<Option<_>>()?;
        let some = |bytes: &[u8]| (!bytes.is_empty()).then(|| bytes.to_vec());
        let dukpt = some(take(rest)?).map(Zeroizing::new);
        let host = some(take(rest)?);
        let list_made = Duration::from_secs(u64::from_be_bytes(array(rest)?));
        let firmware = match rest.split_first() {
            None => None,
            Some((place, manifest)) => {
                Some(Installed { place: *place, manifest: Manifest::decode(manifest)? })
            }
        };
        Some(Kept { made, keys, dukpt, host, list_made, firmware })
    }
}

fn put(content: &mut Vec<u8>, bytes: &[u8]) {
    content.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    content.extend(bytes);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u16::from_be_bytes(array(rest)?);
    let (bytes, left) = rest.split_at_checked(usize::from(length))?;
    *rest = left;
    Some(bytes)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*bytes)
}

fn cipher() -> Aes256Gcm {
    Aes256Gcm::new((&*Zeroizing::new(sm3(CHIP_SECRET))).into())
}

fn seal(mut content: Zeroizing<Vec<u8>>) -> io::Result<Vec<u8>> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    let tag = cipher().encrypt_inout_detached(&nonce.into(), &[], content.as_mut_slice().into());
    let tag = tag.map_err(|_| io::Error::other("the store is too long"))?;
    Ok([&nonce[..], &content, &tag].concat())
}

fn unseal(sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE>()?;
    let (content, tag) = rest.split_last_chunk::<TAG>()?;
    let mut content = Zeroizing::new(content.to_vec());
    let tag = Tag::from(*tag);
    cipher().decrypt_inout_detached(&(*nonce).into(), &[], content.as_mut_slice().into(), &tag).ok()?;
    Some(content)
}

/// Replaces the file at once and for good.
fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let new = file.with_extension("new");
    let mut writer = File::create(&new)?;
    writer.write_all(content)?;
    writer.sync_all()?;
    fs::rename(&new, file)?;
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use keys::{Algorithm, Attributes, Mode, Usage};

    use super::*;

    fn kept(byte: u8) -> Kept {
        let key =
            Key::new(Attributes::new(Usage::UnionPayMac, Algorithm::Sm4, Mode::GenerateVerify), &[byte; 16]);
        Kept {
            made: [byte; 32].into(),
            keys: vec![("mak".to_owned(), key.unwrap())],
            dukpt: Some(vec![byte; 40].into()),
            host: None,
            list_made: Duration::from_secs(byte.into()),
            firmware: None,
        }
    }

    fn opened(store: &Store) -> Option<u8> {
        match store.open().unwrap() {
            Found::Kept(kept) => Some(kept.made[0]),
            _ => None,
        }
    }

    #[test]
    fn what_was_kept_is_there_again_and_says_nothing_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Some(folder.path().join("store")));
        assert!(matches!(store.open().unwrap(), Found::Nothing));
        store.save(&kept(0x5A)).unwrap();
        let Found::Kept(found) = store.open().unwrap() else { panic!("nothing was kept") };
        assert!(found.keys == kept(0x5A).keys && found.dukpt == kept(0x5A).dukpt && found.host.is_none());
        assert_eq!((*found.made, found.list_made), ([0x5A; 32], Duration::from_secs(0x5A)));
        let file = fs::read(folder.path().join("store")).unwrap();
        assert!(!file.windows(4).any(|bytes| bytes == [0x5A; 4]));
    }

    #[test]
    fn a_store_that_was_cut_or_changed_anywhere_is_that_of_a_module_tampered_with() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store");
        let store = Store::new(Some(file.clone()));
        store.save(&kept(7)).unwrap();
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            for wrong in [&flipped, &whole[..at], &[&whole[..], &[0]].concat()] {
                fs::write(&file, wrong).unwrap();
                assert!(matches!(store.open().unwrap(), Found::Tampered), "{at}");
            }
        }
        store.save(&kept(7)).unwrap();
        store.latch().unwrap();
        assert!(matches!(store.open().unwrap(), Found::Tampered));
    }

    #[test]
    fn power_that_fails_while_a_store_is_written_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store");
        let store = Store::new(Some(file.clone()));
        store.save(&kept(1)).unwrap();
        let after = seal(kept(2).encode()).unwrap();
        for written in 0..=after.len() {
            fs::write(file.with_extension("new"), &after[..written]).unwrap();
            assert_eq!(opened(&store), Some(1), "{written}");
        }
        store.save(&kept(3)).unwrap();
        assert_eq!(opened(&store), Some(3));
    }
}
