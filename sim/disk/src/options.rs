//! The command line.

use std::path::PathBuf;

/// How to call the program.
pub const USAGE: &str = "usage: smartpos-sim-disk --control DIR --listen unix:PATH --image FILE";

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The folder of the control sockets.
    pub control: PathBuf,
    /// The NBD socket.
    pub socket: PathBuf,
    /// The medium, which is written to.
    pub image: PathBuf,
}

impl Options {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
        let (mut control, mut socket, mut image) = (None, None, None);
        while let Some(flag) = words.next() {
            let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--control" => control = Some(PathBuf::from(value)),
                "--image" => image = Some(PathBuf::from(value)),
                "--listen" => {
                    let path = value.strip_prefix("unix:").ok_or("--listen takes unix:PATH")?;
                    socket = Some(PathBuf::from(path));
                }
                _ => return Err(format!("unknown flag {flag}")),
            }
        }
        Ok(Options {
            control: control.ok_or("--control DIR is missing")?,
            socket: socket.ok_or("--listen unix:PATH is missing")?,
            image: image.ok_or("--image FILE is missing")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_command_line_says_what_is_wrong() {
        let parse = |line: &str| Options::parse(line.split(' ').map(str::to_owned));
        assert_eq!(parse("--control c --listen unix:s --image i").unwrap().socket, PathBuf::from("s"));
        for (line, word) in [
            ("--control c --listen unix:s", "--image"),
            ("--control c --listen tcp:1 --image i", "unix:PATH"),
            ("--control", "--control"),
            ("--seed 9", "--seed"),
        ] {
            assert!(parse(line).unwrap_err().contains(word), "{line}");
        }
    }
}
