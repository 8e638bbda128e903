//! Configuration in layers: built-in default < `/usr/lib/smartpos` < `/etc/smartpos` < `/run/smartpos`.
//!
//! In each folder `NAME.toml` is read first, then `NAME.toml.d/*.toml` in the order of their names; what is read later
//! wins, key by key. `SMARTPOS_CONFIG_PATH` (folders separated by `:`) replaces the list of folders.

use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

const FOLDERS: &str = "/usr/lib/smartpos:/etc/smartpos:/run/smartpos";

/// A configuration that can't be used: where it is wrong, and how.
#[derive(Debug, PartialEq)]
pub struct ConfigError {
    file: Option<PathBuf>,
    line: Option<usize>,
    key: String,
    problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}", file.display())?,
            None => f.write_str("configuration")?,
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// The folders to read, lowest layer first.
#[must_use]
pub fn folders() -> Vec<PathBuf> {
    let list = env::var("SMARTPOS_CONFIG_PATH").unwrap_or_else(|_| FOLDERS.to_string());
    env::split_paths(&list).collect()
}

/// Reads the configuration `name` from `folders`; what no file sets has the default of `T`.
///
/// # Errors
/// A file that can't be read or is no TOML, a key that is unknown or has a wrong value: with file, line and key.
pub fn load<T: DeserializeOwned>(name: &str, folders: &[PathBuf]) -> Result<T, ConfigError> {
    let layers = read_layers(name, folders)?;
    let mut merged = Table::new();
    for layer in &layers {
        merge(&mut merged, layer.values.clone());
    }
    serde_path_to_error::deserialize(Value::Table(merged)).map_err(|error| explain(&layers, &error))
}

/// The text of the highest `file` (a path relative to a configuration folder), with its own path.
///
/// # Errors
/// `NotFound` that names the folders when none holds it.
pub fn find_file(file: &str, folders: &[PathBuf]) -> io::Result<(PathBuf, String)> {
    for folder in folders.iter().rev() {
        let path = folder.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => return Ok((path, text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }
    let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Err(io::Error::new(io::ErrorKind::NotFound, format!("{file} is in none of {}", looked.join(", "))))
}

struct Layer {
    file: PathBuf,
    text: String,
    values: Table,
}

fn read_layers(name: &str, folders: &[PathBuf]) -> Result<Vec<Layer>, ConfigError> {
    let mut layers = Vec::new();
    for folder in folders {
        let main = folder.join(format!("{name}.toml"));
        let mut files = drop_ins(&folder.join(format!("{name}.toml.d")))?;
        files.insert(0, main);
        for file in files {
            layers.extend(read_layer(file)?);
        }
    }
    Ok(layers)
}

fn drop_ins(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(folder, &error)),
    };
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .filter(|path| path.as_ref().map_or(true, |path| path.extension().is_some_and(|end| end == "toml")))
        .collect::<io::Result<Vec<PathBuf>>>()
        .map_err(|error| unreadable(folder, &error))?;
    files.sort();
    Ok(files)
}

fn read_layer(file: PathBuf) -> Result<Option<Layer>, ConfigError> {
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&file, &error)),
    };
    match text.parse::<Table>() {
        Ok(values) => Ok(Some(Layer { file, text, values })),
        Err(error) => {
            let line = error.span().map(|span| line_of(&text, span.start));
            let problem = error.message().to_string();
            Err(ConfigError { file: Some(file), line, key: String::new(), problem })
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    let problem = format!("can't be read: {error}");
    ConfigError { file: Some(path.to_path_buf()), line: None, key: String::new(), problem }
}

/// Tables merge key by key; everything else is replaced.
fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// Finds the highest layer that sets the key which `error` is about.
fn explain(layers: &[Layer], error: &serde_path_to_error::Error<toml::de::Error>) -> ConfigError {
    let key = error.path().to_string();
    let problem = error.inner().message().trim().to_string();
    let keys: Vec<&str> = key.split('.').collect();
    for layer in layers.iter().rev() {
        if let Some(line) = find_line(&layer.text, &keys) {
            return ConfigError { file: Some(layer.file.clone()), line: Some(line), key, problem };
        }
    }
    ConfigError { file: None, line: None, key, problem }
}

fn find_line(text: &str, keys: &[&str]) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut found = None;
    for key in keys {
        let name = key.split('[').next().unwrap_or(key);
        let (name, value) = table.iter().find(|(candidate, _)| candidate.get_ref() == name)?;
        found = Some(line_of(text, name.span().start));
        match value.get_ref() {
            toml::de::DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    found
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.matches('\n').count().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Example {
        host: Host,
        retries: u8,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Host {
        name: String,
        port: u16,
    }

    fn folders(files: &[(&str, &str)]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let list = ["usr", "etc", "run"].map(|name| root.path().join(name)).to_vec();
        (root, list)
    }

    #[test]
    fn later_layers_win_key_by_key() {
        let (_root, folders) = folders(&[
            ("usr/pay.toml", "retries = 1\n[host]\nname = 'a'\nport = 1\n"),
            ("etc/pay.toml.d/20-b.toml", "[host]\nport = 3\n"),
            ("etc/pay.toml.d/10-a.toml", "[host]\nport = 2\n"),
            ("run/pay.toml", "retries = 5\n"),
        ]);
        let example: Example = load("pay", &folders).unwrap();
        assert_eq!(example, Example { host: Host { name: "a".to_string(), port: 3 }, retries: 5 });
    }

    #[test]
    fn an_error_names_file_line_and_key() {
        for (text, line, key) in [
            ("# a comment\n[host]\nport = 'high'\n", 3, "host.port"),
            ("[host]\n\nprot = 1\n", 3, "host.prot"),
            ("retries = 300\n", 1, "retries"),
        ] {
            let (_root, folders) =
                folders(&[("usr/pay.toml", "[host]\nname = 'a'\n"), ("etc/pay.toml", text)]);
            let error = load::<Example>("pay", &folders).unwrap_err();
            assert_eq!((error.line, error.key.as_str()), (Some(line), key), "{error}");
            assert!(error.to_string().contains("etc/pay.toml:"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_no_toml_is_named_with_its_line() {
        let (_root, folders) = folders(&[("etc/pay.toml", "retries = 1\nhost = [\n")]);
        let error = load::<Example>("pay", &folders).unwrap_err();
        assert!(error.to_string().contains("etc/pay.toml:"), "{error}");
    }
}
