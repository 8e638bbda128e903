//! The EMV parameters in force: those that are shipped and configured, and over them the sets that the host has sent.
//!
//! A set is a file of its own, a record in hexadecimal on each line, as the host sent it. It is written beside its place, synced, and
//! renamed: what is found after a power cut is the set before or the new one, whole. It is checked again whenever it is read; one that
//! does not pass is left alone and told, and the shipped parameters are in force.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use emv::{Config, ConfigError};
use service::{Error, Result};
use tokio::task::spawn_blocking;

use crate::durable;

/// The longest file of a set: 100 records of 512 bytes, two digits for each byte, and line ends.
const MAX_FILE: u64 = 100 * (2 * 512 + 1);

/// What the host has sets of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// Certification authority public keys.
    Capks,
    /// Applications that the terminal accepts.
    Applications,
}

impl Set {
    const ALL: [Set; 2] = [Set::Capks, Set::Applications];

    /// The set that callers call `name`.
    pub(crate) fn named(name: &str) -> Result<Set> {
        Set::ALL.into_iter().find(|set| set.name() == name).ok_or_else(|| {
            Error::invalid("set", format!("`{name}` is no set; they are capks and applications"))
        })
    }

    fn name(self) -> &'static str {
        match self {
            Set::Capks => "capks",
            Set::Applications => "applications",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Set::Capks => "capks.records",
            Set::Applications => "applications.records",
        }
    }

    /// `config` with `records` in place of this set of it. What the records don't say is that of `shipped`.
    fn lay(
        self,
        config: &Config,
        shipped: &Config,
        records: &[Vec<u8>],
    ) -> std::result::Result<Config, ConfigError> {
        let config = config.clone();
        Ok(match self {
            Set::Capks => Config { capks: shipped.with_capks(records)?.capks, ..config },
            Set::Applications => {
                Config { applications: shipped.with_applications(records)?.applications, ..config }
            }
        })
    }
}

/// The EMV parameters of this terminal; clones are the same ones.
#[derive(Clone)]
pub(crate) struct Parameters {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    shipped: Config,
    in_force: Mutex<InForce>,
    /// Held by the one who changes what is in force.
    writer: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct InForce {
    config: Arc<Config>,
    /// The sets of it that are the host's.
    from_host: Vec<Set>,
}

impl Parameters {
    /// Lays the sets that `folder` holds over `shipped`.
    pub(crate) fn open(shipped: Config, folder: &Path) -> Parameters {
        let mut in_force = InForce { config: Arc::new(shipped.clone()), from_host: Vec::new() };
        for set in Set::ALL {
            let laid = match read(&folder.join(set.file())) {
                Ok(None) => continue,
                Ok(Some(records)) => {
                    set.lay(&in_force.config, &shipped, &records).map_err(|error| error.to_string())
                }
                Err(problem) => Err(problem.to_string()),
            };
            match laid {
                Ok(config) => {
                    in_force.config = Arc::new(config);
                    in_force.from_host.push(set);
                }
                Err(problem) => {
                    let (file, set) = (set.file(), set.name());
                    log::error!("{file}: {problem}; the shipped {set} are in force: fetch them again");
                }
            }
        }
        let (folder, in_force) = (folder.to_path_buf(), Mutex::new(in_force));
        let writer = tokio::sync::Mutex::default();
        Parameters { shared: Arc::new(Shared { folder, shipped, in_force, writer }) }
    }

    /// What the next transaction goes by. One that runs keeps what it began with.
    pub(crate) fn in_force(&self) -> Arc<Config> {
        Arc::clone(&self.lock().config)
    }

    /// Whether `set` is the host's.
    pub(crate) fn is_from_host(&self, set: Set) -> bool {
        self.lock().from_host.contains(&set)
    }

    /// Puts `records` in place of all of `set`. When this returns they are on disk, or what is in force is as it was. Others go on meanwhile:
    /// the disk takes its time.
    ///
    /// # Errors
    /// `InvalidArgument` for the first record that is wrong; `Internal` when it can't be stored.
    pub(crate) async fn replace(&self, set: Set, records: Vec<Vec<u8>>) -> Result<()> {
        let _writer = self.shared.writer.lock().await;
        let config = set.lay(&self.in_force(), &self.shared.shipped, &records);
        let config = config.map_err(|error| Error::invalid("records", error))?;
        let (folder, count) = (self.shared.folder.clone(), records.len());
        let stored = spawn_blocking(move || write(&folder, set.file(), &records)).await;
        let stored = stored.unwrap_or_else(|error| Err(io::Error::other(error)));
        stored.map_err(|error| Error::internal("the set can't be stored", error))?;
        let mut in_force = self.lock();
        in_force.config = Arc::new(config);
        if !in_force.from_host.contains(&set) {
            in_force.from_host.push(set);
        }
        log::info!(records = count; "the host's {} are in force from the next transaction on", set.name());
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, InForce> {
        self.shared.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The records of a file; `None` where there is none.
fn read(file: &Path) -> io::Result<Option<Vec<Vec<u8>>>> {
    let length = match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?.len(),
    };
    if length > MAX_FILE {
        return Err(io::Error::other("it is too long"));
    }
    let text = fs::read_to_string(file)?;
    let records = text.lines().map(hex::decode).collect::<std::result::Result<_, _>>();
    records.map(Some).map_err(io::Error::other)
}

fn write(folder: &Path, name: &str, records: &[Vec<u8>]) -> io::Result<()> {
    let lines: String = records.iter().map(|record| hex::encode_upper(record) + "\n").collect();
    durable::replace(folder, name, lines.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Config {
        let terminal = include_str!("../../../config/emv/terminal.toml");
        let applications = include_str!("../../../config/emv/aids.toml");
        Config::from_toml_parts(terminal, applications, &[&sim_cards::capks_toml()]).unwrap()
    }

    fn records() -> Vec<Vec<u8>> {
        sim_cards::capk_records()
    }

    fn keys(parameters: &Parameters) -> usize {
        parameters.in_force().capks.len()
    }

    #[tokio::test]
    async fn a_set_of_the_host_replaces_the_shipped_one_whole_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let parameters = Parameters::open(shipped(), folder.path());
        let before = parameters.in_force();
        assert_eq!((keys(&parameters), parameters.is_from_host(Set::Capks)), (3, false));
        let two = records()[1..].to_vec();
        parameters.replace(Set::Capks, two).await.unwrap();
        let again = Parameters::open(shipped(), folder.path());
        for parameters in [&parameters, &again] {
            assert_eq!((keys(parameters), parameters.is_from_host(Set::Capks)), (2, true));
            assert_eq!(parameters.in_force().applications, shipped().applications);
        }
        assert_eq!(before.capks.len(), 3, "a transaction that runs keeps its own");
    }

    #[tokio::test]
    async fn a_set_with_one_wrong_record_changes_nothing_and_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let parameters = Parameters::open(shipped(), folder.path());
        let mut wrong = records();
        *wrong[2].last_mut().unwrap() ^= 1;
        let refused = parameters.replace(Set::Capks, wrong).await;
        assert!(matches!(refused, Err(Error::InvalidArgument(ref problem)) if problem.contains("SHA-1")));
        assert!(matches!(parameters.replace(Set::Capks, Vec::new()).await, Err(Error::InvalidArgument(_))));
        assert_eq!((keys(&parameters), keys(&Parameters::open(shipped(), folder.path()))), (3, 3));
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    }

    /// What the steps of [`write`] leave behind where the power goes between them: a draft that is a part of the new set or all of
    /// it, the old set beside it; from the rename on, the new set.
    #[tokio::test]
    async fn a_power_cut_at_any_step_leaves_the_old_set_or_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let parameters = Parameters::open(shipped(), folder.path());
        parameters.replace(Set::Capks, records()[..1].to_vec()).await.unwrap();
        let old = fs::read(folder.path().join("capks.records")).unwrap();
        parameters.replace(Set::Capks, records()[1..].to_vec()).await.unwrap();
        let new = fs::read(folder.path().join("capks.records")).unwrap();
        fs::write(folder.path().join("capks.records"), old).unwrap();
        for length in (0..=new.len()).step_by(97).chain([new.len()]) {
            fs::write(folder.path().join("capks.records.draft"), &new[..length]).unwrap();
            assert_eq!(keys(&Parameters::open(shipped(), folder.path())), 1, "cut after {length} bytes");
        }
        fs::rename(folder.path().join("capks.records.draft"), folder.path().join("capks.records")).unwrap();
        assert_eq!(keys(&Parameters::open(shipped(), folder.path())), 2);
    }

    #[test]
    fn a_set_that_the_disk_spoiled_leaves_the_shipped_one_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("capks.records");
        let too_long = vec![b'0'; usize::try_from(MAX_FILE).unwrap() + 1];
        for spoiled in [&b"9F06"[..], b"\xFF\xFE", b"", b"no hex", &too_long] {
            fs::write(&file, spoiled).unwrap();
            let parameters = Parameters::open(shipped(), folder.path());
            assert_eq!((keys(&parameters), parameters.is_from_host(Set::Capks)), (3, false));
        }
    }
}
