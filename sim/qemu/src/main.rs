//! `smartpos-qemu`: a terminal in QEMU, from a disk image for ARM. `cargo xtask` installs what it needs, builds the
//! programs and passes its commands on.

#![expect(clippy::print_stderr, reason = "a command-line tool says what went wrong on stderr")]

mod agent;
mod checks;
mod console;
mod error;
mod image;
mod lock;
mod machine;
mod monitor;
mod reader;
mod report;
mod secure_module;
mod table;
mod tool;
mod up;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::error::{Error, Result};
use crate::image::Image;

const HELP: &str = "\
smartpos-qemu COMMAND

  image PROGRAMS   make the disk, the kernel and the initrd below target/image, with the ARM programs in PROGRAMS
  up               boot a terminal and leave it running; run/qemu/machine.env says how to reach its hardware
  console          root's shell on its serial console
  down             end it
  test             boot a terminal and check what only a whole system can show; cut the power of another ten times
  power            only the power cuts, which have the seeds 1 to 10
  power --seed N   only one
";

/// The folder of all that a machine leaves behind.
const RUN: &str = "run/qemu";

/// The same for the machine of the tests.
const TEST: &str = "run/qemu-test";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = Path::new(RUN);
    let outcome = match words.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        ["image", programs] => image().make(Path::new(""), Path::new(programs)),
        ["up"] => match up::up(run).await {
            Ok(true) => Ok(()),
            // What went wrong has been told by the machine's own process.
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        [up::SERVE] => {
            let outcome = up::serve(&image(), run).await;
            if let Err(error) = &outcome {
                println!("{error}");
            }
            outcome
        }
        ["console"] => control().and_then(|folder| console::join(&folder)),
        ["down"] => up::down(run).await,
        ["test"] => unless_interrupted(checks::all(&image(), Path::new(TEST))).await,
        ["power"] => unless_interrupted(checks::power(&image(), Path::new(TEST), None)).await,
        ["power", "--seed", seed] => match seed.parse() {
            Ok(seed) => unless_interrupted(checks::power(&image(), Path::new(TEST), Some(seed))).await,
            Err(_) => Err(Error::Seed((*seed).to_owned())),
        },
        _ => {
            eprint!("`{}` is not understood.\n\n{HELP}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("smartpos-qemu: {error}");
            ExitCode::FAILURE
        }
    }
}

fn image() -> Image {
    Image::at(Path::new("target/image"))
}

/// The folder of the control sockets, from the file that `up` left.
fn control() -> Result<PathBuf> {
    let text = fs::read_to_string(Path::new(RUN).join("machine.env")).map_err(|_| Error::NotRunning)?;
    let folder =
        text.lines().find_map(|line| line.strip_prefix("export SMARTPOS_SIM_DIR='")?.strip_suffix('\''));
    folder.map(PathBuf::from).ok_or(Error::NotRunning)
}

/// Ctrl-C ends what was begun instead of leaving it behind.
async fn unless_interrupted(work: impl Future<Output = Result>) -> Result {
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err(Error::Agent("interrupted".to_owned())),
    }
}
