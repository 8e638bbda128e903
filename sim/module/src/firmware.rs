//! The module's firmware, and updates of it (PCI PTS POI, DTR B: firmware is authenticated before it runs, and never an older one).
//!
//! There are two places, beside the module's store. An update goes into the one that does not run; what runs is a line of the store, so
//! that the change is one write.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

use link::Refusal;
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::{Refused, refused};

/// What is signed begins with this, so that no other signature of the vendor passes for one.
const CONTEXT: &[u8] = b"smartpos firmware 1";
/// What a file with an update begins with.
const MAGIC: &[u8] = b"smartpos update 1";
/// The vendor's key. Nothing virtual is secret.
const VENDOR_KEY: [u8; 32] = *b"the vendor of virtual modules 01";
/// The longest image: what the memory of this module has room for.
const LONGEST: u32 = 8 * 1024 * 1024;
const SIGNATURE: usize = 64;

/// What a manifest says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Each release has a higher one.
    pub(crate) number: u32,
    /// For a person.
    pub(crate) version: String,
    pub(crate) length: u32,
    pub(crate) hash: [u8; 32],
}

/// The firmware that runs, where it came by an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    /// 0 or 1.
    pub(crate) place: u8,
    pub(crate) manifest: Manifest,
}

/// An update that goes on.
pub(crate) struct Update {
    manifest: Manifest,
    place: u8,
    file: File,
    received: u32,
    hash: Sha256,
}

impl Manifest {
    /// What is signed.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let version = self.version.as_bytes();
        let version = version.get(..255).unwrap_or(version);
        let mut bytes = CONTEXT.to_vec();
        bytes.extend(self.number.to_be_bytes());
        bytes.push(u8::try_from(version.len()).unwrap_or(u8::MAX));
        bytes.extend(version);
        bytes.extend(self.length.to_be_bytes());
        bytes.extend(self.hash);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Manifest> {
        let (number, rest) = bytes.strip_prefix(CONTEXT)?.split_first_chunk()?;
        let (length, rest) = rest.split_first()?;
        let (version, rest) = rest.split_at_checked(usize::from(*length))?;
        let (length, rest) = rest.split_first_chunk()?;
        Some(Manifest {
            number: u32::from_be_bytes(*number),
            version: std::str::from_utf8(version).ok()?.to_owned(),
            length: u32::from_be_bytes(*length),
            hash: rest.try_into().ok()?,
        })
    }

    /// One that the vendor has signed.
    fn signed(bytes: &[u8]) -> Option<Manifest> {
        let (signed, signature) = bytes.split_last_chunk::<SIGNATURE>()?;
        let key = VerifyingKey::from(&SigningKey::from_slice(&VENDOR_KEY).ok()?);
        key.verify(signed, &Signature::from_slice(signature).ok()?).ok()?;
        Manifest::decode(signed)
    }
}

impl Installed {
    /// Whether the image in `file` is the one that was installed.
    pub(crate) fn is_in(&self, file: &PathBuf) -> bool {
        fs::read(file).is_ok_and(|image| <[u8; 32]>::from(Sha256::digest(&image)) == self.manifest.hash)
    }
}

impl Update {
    /// Begins one for the place that does not run; `file` is where that is.
    pub(crate) fn begin(
        manifest: &[u8],
        running: Option<&Installed>,
        file: impl FnOnce(u8) -> Option<PathBuf>,
    ) -> Result<Update, Refused> {
        let Some(manifest) = Manifest::signed(manifest) else {
            return refused(Refusal::Invalid, "the vendor of this module has not signed this manifest");
        };
        let (runs, number) = running.map_or((0, 0), |running| (running.place, running.manifest.number));
        if manifest.number <= number {
            return refused(
                Refusal::Invalid,
                format!("firmware {} is not newer than number {number}, which runs", manifest.number),
            );
        }
        if !(1..=LONGEST).contains(&manifest.length) {
            return refused(Refusal::Invalid, format!("an image has 1 to {LONGEST} bytes"));
        }
        let place = 1 - runs.min(1);
        let Some(file) = file(place) else {
            return refused(Refusal::NotSupported, "this module has no lasting memory");
        };
        let file = File::create(file).map_err(unable)?;
        Ok(Update { manifest, place, file, received: 0, hash: Sha256::new() })
    }

    /// Takes bytes of the image.
    pub(crate) fn take(&mut self, offset: u32, data: &[u8]) -> Result<(), Refused> {
        if offset != self.received {
            return refused(Refusal::Invalid, format!("the image goes on at {}", self.received));
        }
        let after = u32::try_from(data.len()).ok().and_then(|length| offset.checked_add(length));
        let Some(after) = after.filter(|after| *after <= self.manifest.length) else {
            return refused(Refusal::Invalid, "the image is longer than its manifest says");
        };
        self.file.write_all(data).map_err(unable)?;
        self.hash.update(data);
        self.received = after;
        Ok(())
    }

    /// What is to be installed, once its image is whole and on the disk.
    pub(crate) fn finish(self) -> Result<Installed, Refused> {
        if self.received != self.manifest.length
            || <[u8; 32]>::from(self.hash.finalize()) != self.manifest.hash
        {
            return refused(Refusal::Invalid, "the image is not the one of the manifest");
        }
        self.file.sync_all().map_err(unable)?;
        Ok(Installed { place: self.place, manifest: self.manifest })
    }
}

/// A file with an update, as the vendor makes it: for `posctl module update`.
///
/// # Errors
/// An image that is too long.
pub fn release(number: u32, version: &str, image: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(image.len()).map_err(io::Error::other)?;
    let hash = Sha256::digest(image).into();
    let mut manifest = Manifest { number, version: version.to_owned(), length, hash }.encode();
    let key = SigningKey::from_slice(&VENDOR_KEY).map_err(io::Error::other)?;
    let signature: Signature = key.sign(&manifest);
    manifest.extend(signature.to_bytes());
    let length = u16::try_from(manifest.len()).map_err(io::Error::other)?;
    Ok([MAGIC, &length.to_be_bytes(), &manifest, image].concat())
}

fn unable(error: io::Error) -> Refused {
    (Refusal::NotSupported, format!("the module's memory: {error}"))
}
