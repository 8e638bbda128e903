//! An idle daemon sleeps: nothing wakes it but the watchdog of its unit, and that is counted.

use std::time::Duration;

use tokio::time::sleep;

use super::{Checks, DAEMONS};
use crate::error::{Error, Result};

/// How long nothing may wake a daemon.
const WINDOW: Duration = Duration::from_secs(60);

/// Half of `WatchdogSec` of our units: how often a daemon reports.
const WATCHDOG: Duration = Duration::from_secs(90);

/// How often a daemon may be woken for one report: tokio's timer wheel comes to a moment that far away in three steps.
const STEPS: u64 = 3;

/// How the daemons stood at one moment.
#[derive(Debug)]
pub(super) struct Sample {
    /// Since the guest's kernel began.
    time: Duration,
    /// How often the threads of each daemon have gone to sleep, which is also how often they were woken, in the order of
    /// [`DAEMONS`].
    sleeps: Vec<u64>,
}

impl Checks {
    /// Looks at the daemons, which are to be left alone from now on until [`slept`](Self::slept).
    pub(super) async fn idle(&mut self) -> Result<Sample> {
        let uptime = self.machine.agent.output("cat /proc/uptime").await?;
        let mut daemons = Vec::new();
        for (daemon, ..) in DAEMONS {
            let command = format!("cat /proc/$(systemctl show -P MainPID {daemon})/task/*/status");
            daemons.push(sleeps(&self.machine.agent.output(&command).await?));
        }
        Ok(Sample { time: seconds(&uptime)?, sleeps: daemons })
    }

    /// Checks that since `begin`, for a minute or longer, no daemon was woken but to report to the watchdog.
    pub(super) async fn slept(&mut self, begin: &Sample) -> Result {
        let now = seconds(&self.machine.agent.output("cat /proc/uptime").await?)?;
        sleep(WINDOW.saturating_sub(now.saturating_sub(begin.time))).await;
        let end = self.idle().await?;
        let window = end.time.saturating_sub(begin.time);
        let allowed = STEPS * (1 + window.as_secs() / WATCHDOG.as_secs());
        for ((daemon, ..), (before, after)) in DAEMONS.iter().zip(begin.sleeps.iter().zip(&end.sleeps)) {
            let woken = after.saturating_sub(*before);
            let what = format!(
                "{daemon} was woken {woken} times in {} s, of at most {allowed} for its watchdog",
                window.as_secs()
            );
            self.check(&what, woken <= allowed, &format!("{before}, then {after}"));
        }
        Ok(())
    }
}

/// How often a process's threads have gone to sleep, from their `status` in `/proc`.
fn sleeps(status: &str) -> u64 {
    let counts = status.lines().filter_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    counts.filter_map(|count| count.trim().parse::<u64>().ok()).sum()
}

/// The first number of `/proc/uptime`.
fn seconds(uptime: &str) -> Result<Duration> {
    let first = uptime.split_whitespace().next().and_then(|word| word.parse().ok());
    let time = first.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| Error::Agent(format!("/proc/uptime holds `{uptime}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sleeps_of_all_threads_are_counted_and_preemptions_are_not() {
        let status = "Name:\tcardd\nvoluntary_ctxt_switches:\t56\nnonvoluntary_ctxt_switches:\t170\n\
            Name:\tworker\nvoluntary_ctxt_switches:\t4\nnonvoluntary_ctxt_switches:\t9\n";
        assert_eq!(sleeps(status), 60);
    }

    #[test]
    fn the_clock_of_the_guest_is_read_and_nonsense_is_told() {
        assert_eq!(seconds("17.25 31.00\n").unwrap(), Duration::from_millis(17_250));
        assert!(seconds("never").unwrap_err().to_string().contains("never"));
    }
}
