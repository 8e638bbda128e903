//! `smartpos-sim-disk`: the virtual disk.

use std::io::Write as _;
use std::process::ExitCode;

use sim_disk::options::{Options, USAGE};
use sim_disk::process;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "smartpos-sim-disk: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(process::run(&options)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "smartpos-sim-disk: {error}");
            ExitCode::FAILURE
        }
    }
}
