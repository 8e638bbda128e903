//! The command line.

use std::path::PathBuf;

/// How to call the program.
pub const USAGE: &str = "usage: smartpos-sim-printer --control DIR --paper DIR \
    (--listen unix:PATH | --listen tcp:ADDRESS:PORT | --pty LINK) [--dots N]";

/// Where the host is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wire {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port, as raw network printers have it.
    Tcp(String),
    /// A pty, as of a serial printer, with a link to its other end.
    Pty(PathBuf),
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The folder of the control sockets.
    pub control: PathBuf,
    /// The folder that receipts are put into.
    pub paper: PathBuf,
    /// Where the host is connected.
    pub wire: Wire,
    /// Dots across the paper.
    pub dots: usize,
}

impl Options {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
        let (mut control, mut paper, mut wire, mut dots) = (None, None, None, 384);
        while let Some(flag) = words.next() {
            let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
            match (flag.as_str(), value.split_once(':')) {
                ("--control", _) => control = Some(PathBuf::from(value)),
                ("--paper", _) => paper = Some(PathBuf::from(value)),
                ("--pty", _) => wire = Some(Wire::Pty(value.into())),
                ("--listen", Some(("unix", path))) => wire = Some(Wire::Unix(path.into())),
                ("--listen", Some(("tcp", address))) => wire = Some(Wire::Tcp(address.into())),
                ("--listen", _) => {
                    return Err(format!("--listen {value} is neither unix:PATH nor tcp:ADDRESS:PORT"));
                }
                ("--dots", _) => {
                    dots = value
                        .parse()
                        .ok()
                        .filter(|dots| (192..=1152).contains(dots) && dots % 24 == 0)
                        .ok_or_else(|| format!("--dots {value}: 192 to 1152 in steps of 24"))?;
                }
                _ => return Err(format!("unknown flag {flag}")),
            }
        }
        Ok(Options {
            control: control.ok_or("--control DIR is missing")?,
            paper: paper.ok_or("--paper DIR is missing")?,
            wire: wire.ok_or("--listen or --pty is missing")?,
            dots,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn the_command_line_is_read() {
        let options = parse("--control c --paper p --listen tcp:127.0.0.1:9100").unwrap();
        assert_eq!((options.wire, options.dots), (Wire::Tcp("127.0.0.1:9100".into()), 384));
    }

    #[test]
    fn a_wrong_command_line_says_what_is_wrong() {
        for (line, word) in [
            ("--control c --paper p", "--listen"),
            ("--control c --paper p --listen usb:1", "usb:1"),
            ("--control c --paper p --pty l --dots 100", "--dots"),
            ("--control", "--control"),
            ("--speed 9", "--speed"),
        ] {
            assert!(parse(line).unwrap_err().contains(word), "{line}");
        }
    }
}
