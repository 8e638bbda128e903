//! `smartpos-terminal`: a whole virtual terminal, for people. `cargo xtask` builds it and passes its commands on.

#![expect(clippy::print_stderr, reason = "a command-line tool says what went wrong on stderr")]

mod demo;
mod guest;
mod lock;
mod up;

use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
smartpos-terminal COMMAND

  demo              start a terminal, sell for ¥12.34 by card and PIN, compare the ledgers, end it
  up [--module-key] start a terminal and leave it running; run/terminal.env says how to reach it;
                    with --module-key the TLS key for the host is in the secure module
  down              end it
  run -- COMMAND…   start a terminal, run COMMAND with its addresses in the environment, end it

The records are left below ./run; up goes on where the last up ended.
";

/// The folder of all that the commands leave behind.
const RUN: &str = "run";

/// An error is a sentence for the person at the keyboard.
type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        ["demo"] => unless_interrupted(demo::demo(Path::new(RUN))).await,
        ["up", options @ ..] if up::client_key(options).is_some() => up::up(Path::new(RUN), options).await,
        ["down"] => up::down(Path::new(RUN)).await,
        [up::SERVE, folder, options @ ..] => up::serve(Path::new(folder), options).await,
        ["run", "--", program, arguments @ ..] => unless_interrupted(guest::run(program, arguments)).await,
        _ => {
            eprint!("`{}` is not understood.\n\n{HELP}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("smartpos-terminal: {error}");
        ExitCode::FAILURE
    })
}

/// Ctrl-C ends what was begun instead of leaving it behind.
async fn unless_interrupted(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    }
}
