//! `smartpos-sim-printer`: the virtual printer.

use std::io::Write as _;
use std::process::ExitCode;

use sim_printer::options::{Options, USAGE};
use sim_printer::process;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "smartpos-sim-printer: {problem}\n{USAGE}");
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
            let _ = writeln!(std::io::stderr(), "smartpos-sim-printer: {error}");
            ExitCode::FAILURE
        }
    }
}
