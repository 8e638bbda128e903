//! `cardd.toml`, and the EMV parameters beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use link::Pairing;
use serde::Deserialize;
use service::config::find_file;
use zeroize::Zeroizing;

use crate::module::Address;

/// The configuration of this daemon.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the secure card module is that speaks the line protocol; a terminal without one has none.
    pub(crate) device: Option<Address>,
    /// Whether the line to it is protected, with the keys of the pairing that are among the credentials.
    pub(crate) protected_line: bool,
    pub(crate) module: Module,
    /// How long to wait for a card, in seconds.
    pub(crate) card_timeout_s: u32,
    /// How long to wait for the customer to choose among the card's applications, in seconds.
    pub(crate) choice_timeout_s: u32,
    /// Whether a card may pay again without having left the slot meanwhile. For test benches alone.
    pub(crate) card_may_stay: bool,
    /// How long a card waits for the host, and before that for a supervisor, in seconds. The payment daemon gives up before.
    pub(crate) host_timeout_s: u32,
    pub(crate) pin: Pin,
    pub(crate) stripe: Stripe,
}

/// Which driver the secure module takes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Module {
    pub(crate) kind: Kind,
    /// The device node of the smart-card reader, for [`Kind::Ccid`].
    pub(crate) reader: PathBuf,
    /// Which of the reader's slots has the card; the first is 0.
    pub(crate) slot: u8,
    /// The device node of the keypad on which PINs are typed, for [`Kind::Ccid`]; without one none can be entered.
    pub(crate) keypad: Option<PathBuf>,
}

/// The drivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The line protocol, to `device`.
    Link,
    /// A USB smart-card reader with software keys: for development.
    Ccid,
}

/// How a PIN is entered.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Pin {
    /// How long to wait for the first key, in seconds.
    pub(crate) first_key_s: u32,
    /// How long to wait for each further key, in seconds.
    pub(crate) next_key_s: u32,
    /// Whether Enter without a digit goes on without a PIN (EMV Book 4, 6.3.4.3).
    pub(crate) bypass: bool,
    /// Whether the pad helps who does not see it, and waits longer.
    pub(crate) accessible: bool,
}

/// What the magnetic stripe is good for. The host's profile has a word in it, too.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Stripe {
    /// Whether cards without a chip pay by it.
    pub(crate) accepted: bool,
    /// Whether cards do whose chip has failed.
    pub(crate) fallback: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            device: None,
            protected_line: false,
            module: Module::default(),
            card_timeout_s: 60,
            choice_timeout_s: 60,
            card_may_stay: false,
            host_timeout_s: 300,
            pin: Pin::default(),
            stripe: Stripe::default(),
        }
    }
}

impl Default for Module {
    fn default() -> Module {
        Module { kind: Kind::Link, reader: "/dev/smartpos/reader".into(), slot: 0, keypad: None }
    }
}

impl Default for Pin {
    fn default() -> Pin {
        Pin { first_key_s: 60, next_key_s: 20, bypass: false, accessible: false }
    }
}

impl Pin {
    /// How long to wait for the first key.
    pub(crate) fn first_key(&self) -> Duration {
        self.patience(self.first_key_s)
    }

    /// How long to wait for each further key.
    pub(crate) fn next_key(&self) -> Duration {
        self.patience(self.next_key_s)
    }

    /// Who finds the keys by touch takes longer.
    fn patience(&self, seconds: u32) -> Duration {
        Duration::from_secs(seconds.into()) * if self.accessible { 2 } else { 1 }
    }
}

impl Default for Stripe {
    fn default() -> Stripe {
        Stripe { accepted: true, fallback: false }
    }
}

impl Config {
    /// How long to wait for a card.
    pub(crate) fn card_timeout(&self) -> Duration {
        Duration::from_secs(self.card_timeout_s.into())
    }

    /// How long to wait for the customer's choice.
    pub(crate) fn choice_timeout(&self) -> Duration {
        Duration::from_secs(self.choice_timeout_s.into())
    }

    /// How long a card waits for the host.
    pub(crate) fn host_timeout(&self) -> Duration {
        Duration::from_secs(self.host_timeout_s.into())
    }
}

/// What the terminal and its module were paired with in the factory: `module-line-key.pem`, our private key, and
/// `module-line-peer.pem`, the module's public key. None where the line is not protected.
pub(crate) fn pairing(config: &Config, credentials: &Path) -> Result<Option<Pairing>, String> {
    if !config.protected_line {
        return Ok(None);
    }
    let read = |name| {
        let file = credentials.join(name);
        let text = fs::read_to_string(&file).map(Zeroizing::new);
        text.map_err(|error| format!("{}: {error}; `protected_line` needs it", file.display()))
    };
    let (own, peer) = (read("module-line-key.pem")?, read("module-line-peer.pem")?);
    Pairing::from_pem(&own, &peer).map(Some).map_err(|error| {
        format!("{}: module-line-key.pem, module-line-peer.pem: {error}", credentials.display())
    })
}

/// Reads `emv/terminal.toml`, `emv/aids.toml` (of the highest folder that has it), `emv/capks*.toml` (of
/// every folder), and `emv/exceptions.toml` if there is one (of the highest folder that has it).
pub(crate) fn load_emv(folders: &[PathBuf]) -> Result<emv::Config, String> {
    let (_, terminal) = find_file("emv/terminal.toml", folders).map_err(|error| error.to_string())?;
    let (_, applications) = find_file("emv/aids.toml", folders).map_err(|error| error.to_string())?;
    let capks = read_capks(folders)?;
    let capks: Vec<&str> = capks.iter().map(String::as_str).collect();
    let config =
        emv::Config::from_toml_parts(&terminal, &applications, &capks).map_err(|error| error.to_string())?;
    match find_file("emv/exceptions.toml", folders) {
        Ok((path, text)) => {
            config.with_exceptions(&text).map_err(|error| format!("{}: {error}", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(config),
        Err(error) => Err(error.to_string()),
    }
}

/// All files of CA keys; those of higher folders come first, and the kernel takes the first key that fits.
fn read_capks(folders: &[PathBuf]) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    for folder in folders.iter().rev() {
        for file in capk_files(&folder.join("emv"))? {
            let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            texts.push(text);
        }
    }
    Ok(texts)
}

fn capk_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", folder.display())),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("capks") && name.ends_with(".toml")) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) {
        fs::create_dir_all(folder.join("emv")).unwrap();
        fs::write(folder.join("emv").join(name), text).unwrap();
    }

    #[test]
    fn ca_keys_come_from_every_folder_and_the_rest_from_the_highest() {
        let (below, above) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let terminal = include_str!("../../../config/emv/terminal.toml");
        write(below.path(), "terminal.toml", "not even TOML");
        write(below.path(), "aids.toml", include_str!("../../../config/emv/aids.toml"));
        write(below.path(), "capks-test.toml", &sim_cards::capks_toml());
        write(above.path(), "terminal.toml", terminal);
        write(above.path(), "capks.toml", "# none yet");
        write(above.path(), "capks.toml.old", "not even TOML");
        let folders = [below.path().to_path_buf(), above.path().to_path_buf()];
        let emv = load_emv(&folders).unwrap();
        assert!(!emv.capks.is_empty() && !emv.applications.is_empty());
    }

    #[test]
    fn an_exception_file_is_read_where_there_is_one_and_a_broken_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "terminal.toml", include_str!("../../../config/emv/terminal.toml"));
        write(folder.path(), "aids.toml", include_str!("../../../config/emv/aids.toml"));
        let folders = [folder.path().to_path_buf()];
        assert!(load_emv(&folders).unwrap().exceptions.is_none());
        write(folder.path(), "exceptions.toml", &format!("key = \"{}\"\ncards = []", "5A".repeat(32)));
        assert!(load_emv(&folders).unwrap().exceptions.is_some());
        write(folder.path(), "exceptions.toml", "cards = 7");
        assert!(load_emv(&folders).unwrap_err().contains("emv/exceptions.toml"));
    }

    #[test]
    fn a_terminal_without_emv_parameters_is_told_which_file_is_missing() {
        let problem = load_emv(&[]).unwrap_err();
        assert!(problem.contains("emv/terminal.toml"), "{problem}");
    }
}
