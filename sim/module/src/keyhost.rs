//! `smartpos-sim-keyhost`: a key distribution host (X9 TR-34) that gives a virtual terminal its keys, file by file.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use sim_module::pki;
use tr34::{Handed, Nonce};
use zeroize::Zeroizing;

const USAGE: &str = "usage: smartpos-sim-keyhost DIR make
       smartpos-sim-keyhost DIR credential FILE
       smartpos-sim-keyhost DIR key DEVICE NONCE HEADER KEY FILE
       smartpos-sim-keyhost DIR unbind DEVICE NONCE FILE
  make        makes the certificates of device and host in DIR, where the module looks for them
  credential  writes the host's credential, for `posctl keys bind`
  key         writes a token with KEY (hexadecimal), which is what HEADER (X9.143, 16 characters) says, for `posctl keys load`;
              DEVICE and NONCE are what `posctl keys credential` and `posctl keys nonce` wrote
  unbind      writes a token for `posctl keys unbind`";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be listening.
            let _ = writeln!(io::stderr(), "smartpos-sim-keyhost: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> io::Result<()> {
    let (token, file) = match words {
        [dir, "make"] => return pki::ensure(Path::new(dir)),
        [dir, "credential", file] => (pki::host(Path::new(dir))?.credential(), file),
        [dir, "key", device, nonce, header, key, file] => {
            let mut random = Zeroizing::new([0; 48]);
            getrandom::fill(&mut *random).map_err(io::Error::other)?;
            let (content_key, iv) = random.split_at(32);
            let key = Zeroizing::new(hex::decode(key).map_err(io::Error::other)?);
            let header =
                header.as_bytes().try_into().map_err(|_| io::Error::other("a header has 16 characters"))?;
            let iv = iv.try_into().map_err(io::Error::other)?;
            let handed = Handed { key: &key, header, content_key, iv };
            (pki::host(Path::new(dir))?.key(&fs::read(device)?, &answering(nonce)?, &handed), file)
        }
        [dir, "unbind", device, nonce, file] => {
            (pki::host(Path::new(dir))?.unbind(&fs::read(device)?, &answering(nonce)?), file)
        }
        _ => return Err(io::Error::other(USAGE)),
    };
    fs::write(file, token.map_err(io::Error::other)?)
}

fn answering(file: &str) -> io::Result<Nonce> {
    Nonce::from_token(&fs::read(file)?).map_err(io::Error::other)
}
