//! Everything there is to run: `cargo xtask help`.
//!
//! No dependencies, so that it compiles in a second on a machine that has nothing yet.

#![expect(clippy::print_stderr, reason = "a command-line tool says what went wrong on stderr")]

mod arm;
mod cargo;
mod checks;
mod fuzz;
mod image;
mod packages;
mod steps;
mod terminal;
mod yocto;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  demo            build, start a virtual terminal, sell for ¥12.34, compare the ledgers
  up              build, start a virtual terminal and leave it running
  down            stop it
  test [--fast]   what every change has to pass; --fast leaves out what takes minutes
  faults [--seed N] [--case NAME]
                  for each service, each step of its run and all that can go wrong there: do terminal and
                  host agree afterwards? --help tells the rest
  faults crowd [--seed N] [--requests N]
                  eight apps at one terminal at the same time, while its daemons die
  faults link [--seed N] [--sample N] [--case NAME]
                  the line to the secure module, hurt at each byte of a session of each operation
  lint            format, clippy, documentation, dependencies
  bench           measure speed and size of the release build
  fuzz TARGET [--minutes N]
                  look with libFuzzer for bytes that break a promise of a parser; fuzz TARGET FILE: run
                  such a file again; fuzz: name the targets
  image           build for ARM and make a disk image of it (as root); --arch armv7: build the 32-bit
                  programs, weigh them, and start each under an emulator
  qemu up         boot that image in QEMU and leave it running; `qemu console`, `qemu down`
  qemu test       boot it and check what only a whole system can show, cut its power ten times
  qemu power      only the power cuts; --seed N: only that one of the seeds 1 to 10, or of another seed
  yocto           write what is generated for the Yocto layers; --check: see that it and they hold
                  together; check --oe DIR: parse them in a build environment
  help            this text

demo, up, test, faults, bench, image and qemu install the Debian packages that they miss, and say so.
";

/// An error is a sentence for the person at the keyboard: what failed, and what to do.
type Result<T = ()> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        ["test"] => checks::test(checks::Depth::All),
        ["test", "--fast"] => checks::test(checks::Depth::Fast),
        ["faults", rest @ ..] => terminal::faults(rest),
        ["fuzz", rest @ ..] => fuzz::fuzz(rest),
        ["lint"] => checks::lint(),
        [command @ ("demo" | "up" | "down"), rest @ ..] => terminal::run(command, rest),
        ["image", rest @ ..] => image::image(rest),
        ["qemu", rest @ ..] => image::qemu(rest),
        ["yocto", rest @ ..] => yocto::command(rest),
        ["bench", rest @ ..] => terminal::bench(rest),
        _ => {
            eprint!("`{}` is not a command.\n\n{HELP}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
