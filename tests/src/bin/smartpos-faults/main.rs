//! `cargo xtask faults`: whatever dies and whenever, terminal and host agree afterwards.
//!
//! Runs the production daemons on private buses with the virtual terminal. Each case is named, and `--case` with the
//! same `--seed` runs it again.

#![allow(clippy::print_stderr, reason = "a command-line tool says what went wrong on stderr")]

mod case;
mod clock;
mod crowd;
mod dice;
mod line;
mod matrix;
mod operations;
mod power;
mod service;
mod supervisor;
mod tracer;
mod work;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use crate::case::{Case, Fault};
use crate::dice::Dice;
use crate::service::Service;
use crate::work::Done;

const HELP: &str = "\
smartpos-faults [OPTIONS]
smartpos-faults crowd [--seed N] [--requests N]
smartpos-faults link [--seed N] [--case NAME] [--sample N]

  --seed N        what chance decides: which cases of a sample, what a power cut spares (default: the process id)
  --case NAME     only cases whose name begins so, such as sale/power or sale/kill/fsync-3
  --sample N      only N cases, chosen by the seed
  --jobs N        terminals side by side (default: two for each processor, since most of a case is waiting)

  crowd           eight apps at one terminal at the same time, while its daemons die
  link            the line to the secure module, hurt at each byte of a session of each operation
  --requests N    how many requests they make in all (default 10000)
";

/// What is to be run.
struct Options {
    seed: u64,
    case: String,
    sample: Option<usize>,
    jobs: usize,
    requests: u32,
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let crowd = words.next_if_eq("crowd").is_some();
    let line = words.next_if_eq("link").is_some();
    let options = match options(words) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprint!("{error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    println!("seed {}", options.seed);
    let begin = Instant::now();
    if crowd {
        return end_of_crowd(&options, crowd::run(options.seed, options.requests), begin);
    }
    if line {
        return end_of_line(line::run(options.seed, &options.case, options.sample), begin);
    }
    match all(&options) {
        Ok(done) if done.is_empty() => {
            eprintln!("no case has a name that begins with `{}`", options.case);
            ExitCode::from(2)
        }
        Ok(done) => {
            print!("{}", table(&done));
            let failed: Vec<&Done> = done.iter().filter(|done| done.result.is_err()).collect();
            println!(
                "{} cases in {:.0} s, {} failed",
                done.len(),
                begin.elapsed().as_secs_f64(),
                failed.len()
            );
            for Done { case, result } in &failed {
                let problem = result.as_ref().err().map(String::as_str).unwrap_or_default();
                println!(
                    "\nFAILED {case}\n  {problem}\n  cargo xtask faults --seed {} --case {case}",
                    options.seed
                );
            }
            if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn end_of_crowd(options: &Options, result: Result<String, String>, begin: Instant) -> ExitCode {
    let Options { seed, requests, .. } = options;
    match result {
        Ok(told) => {
            println!("{requests} requests in {:.0} s by {told}", begin.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            println!("FAILED\n  {problem}\n  cargo xtask faults crowd --seed {seed} --requests {requests}");
            ExitCode::FAILURE
        }
    }
}

fn end_of_line(result: Result<(String, usize), String>, begin: Instant) -> ExitCode {
    match result {
        Ok((told, failed)) => {
            println!("{told}in {:.0} s", begin.elapsed().as_secs_f64());
            if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let (seed, case) = (std::process::id().into(), String::new());
    let jobs = 2 * std::thread::available_parallelism().map_or(1, |processors| processors.get());
    let mut options = Options { seed, case, sample: None, jobs, requests: 10_000 };
    while let Some(word) = words.next() {
        if word == "--help" {
            return Ok(None);
        }
        let value = words.next().ok_or_else(|| format!("`{word}` needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{word}: `{value}` is not a number"));
        match word.as_str() {
            "--seed" => options.seed = number()?,
            "--case" => options.case = value,
            "--sample" => options.sample = Some(usize::try_from(number()?).unwrap_or(usize::MAX)),
            "--requests" => options.requests = u32::try_from(number()?).unwrap_or(u32::MAX),
            "--jobs" => options.jobs = usize::try_from(number()?).unwrap_or(1).clamp(1, 64),
            _ => return Err(format!("`{word}` is not an option")),
        }
    }
    Ok(Some(options))
}

/// First a faultless run of each service, which shows where faults can strike; then the cases.
fn all(options: &Options) -> Result<Vec<Done>, String> {
    let named =
        |service: &Service| options.case.is_empty() || options.case.split('/').next() == Some(service.name());
    let faultless: Vec<Case> =
        Service::ALL.into_iter().filter(named).map(|service| Case { service, fault: Fault::None }).collect();
    let mut cases = Vec::new();
    for Done { case, result } in work::run(faultless, options.seed, options.jobs) {
        let report = result.map_err(|error| format!("{case}, without any fault: {error}"))?;
        cases.extend(matrix::cases(case.service, &report));
    }
    cases.retain(|case| {
        let name = case.to_string();
        name.strip_prefix(&options.case).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            || options.case.is_empty()
    });
    if let Some(sample) = options.sample {
        let mut dice = Dice(options.seed);
        while cases.len() > sample {
            let index = dice.below(u64::try_from(cases.len()).unwrap_or(u64::MAX));
            cases.swap_remove(usize::try_from(index).unwrap_or_default());
        }
    }
    Ok(work::run(cases, options.seed, options.jobs))
}

/// How many cases of each service and fault came to which outcome.
fn table(done: &[Done]) -> String {
    let mut rows: BTreeMap<(Service, &str), BTreeMap<String, usize>> = BTreeMap::new();
    for Done { case, result } in done {
        let row = rows.entry((case.service, case.fault.name())).or_default();
        let (outcome, struck) = match result {
            Ok(report) => (report.outcome.clone(), report.struck),
            Err(_) => ("FAILED".to_owned(), true),
        };
        *row.entry(outcome).or_default() += 1;
        *row.entry("cases".to_owned()).or_default() += 1;
        if !struck {
            *row.entry("not reached".to_owned()).or_default() += 1;
        }
    }
    let mut text = String::new();
    for ((service, fault), row) in rows {
        let cells: Vec<String> = row.iter().map(|(name, count)| format!("{count} {name}")).collect();
        text.push_str(&format!("{:24} {:8} {}\n", service.name(), fault, cells.join(", ")));
    }
    text
}
