//! The keys of a protected line, as a factory pairs a terminal with its module: one pair for each end, in a folder.
//!
//! They are for tests: the private keys lie unencrypted in the folder, for the owner alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use link::Pairing;
use p256::SecretKey;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use zeroize::Zeroizing;

/// The private key of the terminal's processor.
pub const HOST_KEY: &str = "host-key.pem";
/// The public key of the module.
pub const MODULE_PUBLIC: &str = "module-public.pem";

const HOST_PUBLIC: &str = "host-public.pem";
const MODULE_KEY: &str = "module-key.pem";

/// Makes the keys in `dir`, unless it has them already.
///
/// # Errors
/// What the file system says.
pub fn ensure(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    if dir.join(MODULE_PUBLIC).exists() {
        return Ok(());
    }
    make(dir, HOST_KEY, HOST_PUBLIC)?;
    // Last: a folder with it is complete.
    make(dir, MODULE_KEY, MODULE_PUBLIC)
}

/// The module's end of the pairing in `dir`.
///
/// # Errors
/// A file that is missing or wrong.
pub fn module_end(dir: &Path) -> io::Result<Pairing> {
    let read = |name| fs::read_to_string(dir.join(name)).map(Zeroizing::new);
    Pairing::from_pem(&read(MODULE_KEY)?, &read(HOST_PUBLIC)?)
        .map_err(|error| io::Error::other(format!("{}: {error}", dir.display())))
}

fn make(dir: &Path, private: &str, public: &str) -> io::Result<()> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(io::Error::other)?;
    let key = SecretKey::from_slice(&*bytes).map_err(io::Error::other)?;
    let text = key.to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?;
    write(&dir.join(private), &text, 0o600)?;
    let text = key.public_key().to_public_key_pem(LineEnding::LF).map_err(io::Error::other)?;
    write(&dir.join(public), &text, 0o644)
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}
