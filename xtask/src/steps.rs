//! A list of commands run one after the other: each announced, timed, and shown in a summary.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::Result;
use crate::cargo::{run, shown};

/// One command with the name that the summary gives it.
pub(crate) struct Step {
    name: &'static str,
    command: Command,
}

impl Step {
    pub(crate) fn new(name: &'static str, command: Command) -> Step {
        Step { name, command }
    }
}

/// Runs `steps` until one fails, then prints how each ended.
pub(crate) fn run_all(steps: Vec<Step>) -> Result {
    let mut summary = Vec::new();
    let mut failure = None;
    for Step { name, mut command } in steps {
        if failure.is_some() {
            summary.push(format!("  -     not run  {name}"));
            continue;
        }
        println!("\n==> {name}: {}", shown(&command));
        let begin = Instant::now();
        let outcome = run(&mut command);
        let time = seconds(begin.elapsed());
        match outcome {
            Ok(()) => summary.push(format!("  ok   {time:>8}  {name}")),
            Err(error) => {
                summary.push(format!("  FAIL {time:>8}  {name}"));
                failure = Some(error);
            }
        }
    }
    println!("\n==> summary\n{}", summary.join("\n"));
    failure.map_or(Ok(()), Err)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_stops_the_list_and_is_the_result() {
        let mark = std::env::temp_dir().join(format!("xtask-steps-{}", std::process::id()));
        let mut later = Command::new("touch");
        later.arg(&mark);
        let steps = vec![
            Step::new("first", Command::new("true")),
            Step::new("second", Command::new("false")),
            Step::new("third", later),
        ];
        assert!(run_all(steps).unwrap_err().contains("`false` failed"));
        assert!(!mark.exists(), "the third step ran after the second had failed");
    }
}
