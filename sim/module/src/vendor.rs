//! `smartpos-sim-vendor`: the vendor of virtual secure modules, who signs firmware for them.

use std::io::{self, Write};
use std::process::ExitCode;

const USAGE: &str = "usage: smartpos-sim-vendor NUMBER VERSION IMAGE FILE
  writes FILE, for `posctl module update`: the firmware IMAGE (any file), with its NUMBER (each release has a higher one) and
  VERSION (a word), signed";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be listening.
            let _ = writeln!(io::stderr(), "smartpos-sim-vendor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> io::Result<()> {
    let [number, version, image, file] = words else { return Err(io::Error::other(USAGE)) };
    let number = number.parse().map_err(io::Error::other)?;
    std::fs::write(file, sim_module::release(number, version, &std::fs::read(image)?)?)
}
