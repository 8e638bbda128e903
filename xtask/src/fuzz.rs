//! `fuzz`: a target of `tests/fuzz` under libFuzzer.
//!
//! The stable compiler can tell libFuzzer what an input reaches. It has no AddressSanitizer; our code has no `unsafe` that it
//! would watch.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::cargo::{cargo, run, shown, workspace};

/// What `cargo fuzz` passes as well: count the edges that an input reaches, and tell the fuzzer what is compared.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

const USAGE: &str = "write `fuzz TARGET [--minutes N]` (N from 1 to 1440, else 1) or `fuzz TARGET FILE`";

/// No input is longer than what the parsers allow, by much.
const LONGEST_INPUT: &str = "-max_len=10000";

/// Runs what the words after `fuzz` ask for.
pub(crate) fn fuzz(words: &[&str]) -> Result {
    let corpus = workspace()?.join("tests/fuzz/corpus");
    match words {
        [] => {
            println!("the targets: {}", targets(&corpus)?.join(" "));
            Err(USAGE.to_owned())
        }
        [target] => search(&corpus, target, 1),
        [target, "--minutes", minutes] => match minutes.parse() {
            Ok(minutes @ 1..=1440) => search(&corpus, target, minutes),
            _ => Err(USAGE.to_owned()),
        },
        [target, file] if !file.starts_with('-') => {
            let file = std::path::absolute(file).map_err(|error| format!("{file}: {error}"))?;
            run(fuzzer(&corpus, target)?.arg(file))
        }
        _ => Err(USAGE.to_owned()),
    }
}

/// Looks for `minutes` for inputs that break a promise, from those of the corpus on.
fn search(corpus: &Path, target: &str, minutes: u32) -> Result {
    let mut command = fuzzer(corpus, target)?;
    let found = workspace()?.join("target/fuzz").join(target);
    let failed = found.join("failed");
    fs::create_dir_all(&failed).map_err(|error| format!("{}: {error}", failed.display()))?;
    // libFuzzer writes what reaches new code to the first folder, and only reads the second.
    let inputs = found.join("found");
    fs::create_dir_all(&inputs).map_err(|error| format!("{}: {error}", inputs.display()))?;
    command.arg(format!("-max_total_time={}", minutes * 60)).arg(LONGEST_INPUT);
    command.arg("-timeout=10").arg("-print_final_stats=1");
    command.arg(format!("-artifact_prefix={}/", failed.display()));
    command.arg(inputs).arg(corpus.join(target));
    run(&mut command).map_err(|error| {
        format!(
            "{error}\nWhat failed is in {}. `cargo xtask fuzz {target} FILE` runs it again; mended, it goes into {}.",
            failed.display(),
            corpus.join(target).display()
        )
    })
}

/// The fuzzer, built.
fn fuzzer(corpus: &Path, target: &str) -> Result<Command> {
    let targets = targets(corpus)?;
    if !targets.iter().any(|known| known == target) {
        return Err(format!("`{target}` is no target; there are: {}", targets.join(" ")));
    }
    let host = host()?;
    let folder = workspace()?.join("target/fuzz");
    // With a target named, build scripts are built without the flags.
    let build = ["build", "--package", "smartpos-fuzz", "--features", "libfuzzer", "--profile", "fuzz"];
    let mut build = cargo(&build)?;
    build.args(["--target", &host]).env("RUSTFLAGS", COVERAGE).env("CARGO_TARGET_DIR", &folder);
    run(&mut build)?;
    let mut command = Command::new(folder.join(host).join("fuzz/smartpos-fuzz"));
    command.env("SMARTPOS_FUZZ_TARGET", target);
    Ok(command)
}

/// The names of the targets: the folders of the corpus.
fn targets(corpus: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// The triple of this machine.
fn host() -> Result<String> {
    let mut command = Command::new("rustc");
    command.arg("--version").arg("--verbose");
    let line = shown(&command);
    let output = command.output().map_err(|error| format!("`{line}` cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| format!("`{line}` names no host"))
}
