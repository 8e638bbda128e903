//! How long a machine took to boot, and our own share of it.

use std::time::Duration;

use crate::error::Result;
use crate::machine::Machine;

/// The units whose share is measured.
const OURS: &str = "smartpos-cardd smartpos-paymentd smartpos-printerd smartpos-appbus";

/// One paragraph: what the watch on the wall says, what systemd says, and what our units took.
pub(crate) async fn boot(machine: &mut Machine) -> Result<String> {
    // First, for it counts on.
    let ours = machine.agent.output(&format!("systemctl show -P CPUUsageNSec {OURS}")).await?;
    let all = machine.agent.output("cat /sys/fs/cgroup/*/cpu.stat").await?;
    let target =
        machine.agent.output("systemctl show -P ActiveEnterTimestampMonotonic smartpos.target").await?;
    let systemd = machine.agent.output("systemd-analyze time").await?;
    let (ours, all) = (nanoseconds(&ours), busy(&all));
    Ok(format!(
        "{:.1} s from power-on until everything was started; smartpos.target {:.1} s after the kernel began.\n\
         {}\n\
         Our units took {:.1} s of processor time of the {:.1} s of all processes until then: {:.0} %.",
        machine.boot_time.as_secs_f64(),
        target.trim().parse().unwrap_or(0.0) / 1e6,
        systemd.lines().next().unwrap_or_default(),
        ours.as_secs_f64(),
        all.as_secs_f64(),
        100.0 * ours.as_secs_f64() / all.as_secs_f64(),
    ))
}

/// The sum of numbers of nanoseconds.
fn nanoseconds(text: &str) -> Duration {
    text.split_whitespace().filter_map(|word| word.parse().ok()).map(Duration::from_nanos).sum()
}

/// How long all processes worked, from `cpu.stat` of the control groups at the top, which count by the same clock as those
/// of the units: `/proc/stat` counts ticks, of which an emulated processor misses many when its host is busy.
fn busy(stats: &str) -> Duration {
    let usage = stats.lines().filter_map(|line| line.strip_prefix("usage_usec "));
    usage.filter_map(|time| time.parse().ok()).map(Duration::from_micros).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_all_groups_are_added_and_their_parts_are_not_counted_twice() {
        let stats = "usage_usec 3000000\nuser_usec 1000000\nsystem_usec 2000000\nusage_usec 1000000\nuser_usec 1000000\n";
        assert_eq!(busy(stats), Duration::from_secs(4));
        assert_eq!(busy("none"), Duration::ZERO);
    }

    #[test]
    fn the_times_of_units_are_added_and_one_without_accounting_is_left_out() {
        assert_eq!(nanoseconds("1500000000\n\n[not set]\n500000000\n"), Duration::from_secs(2));
    }
}
