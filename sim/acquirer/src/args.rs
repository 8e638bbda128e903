//! The command line.

use std::path::PathBuf;

/// What to write on the command line.
pub const USAGE: &str =
    "usage: smartpos-sim-acquirer --control DIR --listen 127.0.0.1:PORT --pki DIR --tmk FILE --ledger FILE
       [--profile NAME] [--bdk FILE]
  --control DIR   folder of control sockets; acquirer.addr is written there
  --listen ADDR   where terminals connect; port 0 takes any free port
  --pki DIR       certificates; made if the folder has none
  --tmk FILE      terminal master key, 32 hex digits; of the algorithm that the profile names
  --ledger FILE   what is booked, one JSON object a line; read again at start
  --profile NAME  the host's dialect: unionpay-direct (as if none was given), unionpay-direct-sm4,
                  iso8583-1987-ascii or p2pe-dukpt
  --bdk FILE      base derivation key of DUKPT: its number, 8 hex digits, and the key, 32 hex digits";

/// The options, all of them required but the last two.
#[derive(Debug, PartialEq, Eq)]
pub struct Args {
    /// Folder of control sockets.
    pub control: PathBuf,
    /// Address and port.
    pub listen: String,
    /// Folder of certificates.
    pub pki: PathBuf,
    /// File of the terminal master key.
    pub tmk: PathBuf,
    /// The ledger's file.
    pub ledger: PathBuf,
    /// The name of the dialect.
    pub profile: Option<String>,
    /// File of the base derivation key.
    pub bdk: Option<PathBuf>,
}

impl Args {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Args, String> {
        let [mut control, mut listen, mut pki, mut tmk, mut ledger, mut profile, mut bdk] =
            [const { None::<String> }; 7];
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let place = match word.as_str() {
                "--control" => &mut control,
                "--listen" => &mut listen,
                "--pki" => &mut pki,
                "--tmk" => &mut tmk,
                "--ledger" => &mut ledger,
                "--profile" => &mut profile,
                "--bdk" => &mut bdk,
                other => return Err(format!("no option {other}")),
            };
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            if place.replace(value).is_some() {
                return Err(format!("{word} is given twice"));
            }
        }
        let need = |value: Option<String>, name: &str| value.ok_or_else(|| format!("{name} is missing"));
        Ok(Args {
            control: need(control, "--control")?.into(),
            listen: need(listen, "--listen")?,
            pki: need(pki, "--pki")?.into(),
            tmk: need(tmk, "--tmk")?.into(),
            ledger: need(ledger, "--ledger")?.into(),
            profile,
            bdk: bdk.map(PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_needed_once() {
        let parse = |line: &str| Args::parse(line.split_whitespace().map(str::to_owned));
        let good = "--control c --listen 127.0.0.1:0 --pki p --tmk t --ledger l";
        assert_eq!(parse(good).unwrap().listen, "127.0.0.1:0");
        assert_eq!(parse("--control c --listen a --pki p --tmk t").unwrap_err(), "--ledger is missing");
        assert_eq!(parse(&format!("{good} --tmk u")).unwrap_err(), "--tmk is given twice");
        assert_eq!(parse("--tmk").unwrap_err(), "--tmk needs a value");
        assert_eq!(parse("--colour").unwrap_err(), "no option --colour");
    }
}
