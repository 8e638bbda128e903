//! How long a machine took to boot, and our own share of it.

use std::fmt;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::machine::Machine;

/// The units whose share is measured.
const OURS: &str = "smartpos-cardd smartpos-paymentd smartpos-printerd smartpos-appbus";

/// The most of the boot that our units may take.
const TARGET: f64 = 0.10;

/// One paragraph: what the watch on the wall says, and what systemd says.
pub(crate) async fn boot(machine: &mut Machine) -> Result<String> {
    let target = target(machine).await?;
    let systemd = machine.agent.output("systemd-analyze time").await?;
    Ok(format!(
        "{:.1} s from power-on until everything was started; smartpos.target {:.1} s after the kernel began.\n{}",
        machine.boot_time.as_secs_f64(),
        target.as_secs_f64(),
        systemd.lines().next().unwrap_or_default(),
    ))
}

/// What our units took of a boot.
#[derive(Debug)]
pub(crate) struct Share {
    ours: Duration,
    boot: Duration,
}

impl Share {
    /// Whether it is within its target.
    pub(crate) fn is_small(&self) -> bool {
        self.part() <= TARGET
    }

    fn part(&self) -> f64 {
        self.ours.as_secs_f64() / self.boot.as_secs_f64()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_small() { "ok  " } else { "FAIL" };
        write!(
            text,
            "  {verdict}  our units took {:.2} s of a boot of {:.1} s, counted in instructions: {:.1} %, of {:.0} %",
            self.ours.as_secs_f64(),
            self.boot.as_secs_f64(),
            100.0 * self.part(),
            100.0 * TARGET,
        )
    }
}

/// The processor time of our units, their sandboxes included, beside the time from the kernel's begin to our target. The
/// machine must have one processor and be [counted](crate::machine::Processors::Counted): else it says how busy the host is.
pub(crate) async fn share(machine: &mut Machine) -> Result<Share> {
    // First, for it counts on.
    let ours = machine.agent.output(&format!("systemctl show -P CPUUsageNSec {OURS}")).await?;
    Ok(Share { ours: nanoseconds(&ours), boot: target(machine).await? })
}

/// When our target was reached, from the kernel's begin.
async fn target(machine: &mut Machine) -> Result<Duration> {
    let time =
        machine.agent.output("systemctl show -P ActiveEnterTimestampMonotonic smartpos.target").await?;
    time.trim()
        .parse()
        .map(Duration::from_micros)
        .map_err(|_| Error::Agent(format!("smartpos.target has no time of its start: {time}")))
}

/// The sum of numbers of nanoseconds.
fn nanoseconds(text: &str) -> Duration {
    text.split_whitespace().filter_map(|word| word.parse().ok()).map(Duration::from_nanos).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_units_are_added_and_one_without_accounting_is_left_out() {
        assert_eq!(nanoseconds("1500000000\n\n[not set]\n500000000\n"), Duration::from_secs(2));
    }
    #[test]
    fn a_share_beyond_its_target_is_a_failure() {
        let share = |ours| Share { ours: Duration::from_millis(ours), boot: Duration::from_secs(10) };
        assert!(share(1000).is_small() && share(900).to_string().contains("ok    our units took 0.90 s"));
        assert!(!share(1001).is_small() && share(1001).to_string().contains("FAIL"));
    }
}
