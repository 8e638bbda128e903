//! What goes wrong in the field: a daemon dies or hangs, the disk is full.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Checks, DAEMONS, PIN};
use crate::error::Result;

/// A reversal is repeated after 0, 5, 15, 30 and 60 s.
const SETTLE_LIMIT: Duration = Duration::from_secs(150);

/// How long a daemon that died may be missing, by the guest's clock.
const BACK_LIMIT: Duration = Duration::from_secs(2);

/// A host with nothing else to do boots the guest within this. On a busy one everything takes longer by the guest's clock,
/// which goes on while the guest waits for a processor: the limit then grows as the boot did.
const QUIET_BOOT: Duration = Duration::from_secs(25);

impl Checks {
    /// A daemon that dies is ready again within two seconds of the guest's clock, with a process of its own.
    pub(super) async fn killed(&mut self) -> Result {
        let slowness = self.machine.boot_time.as_secs_f64() / QUIET_BOOT.as_secs_f64();
        let limit = BACK_LIMIT.mul_f64(slowness.max(1.0));
        for (daemon, ..) in DAEMONS {
            // Whoever asks all the time slows down what he waits for: here the guest has one task, to start the daemon.
            let kill = format!(
                "old=$(systemctl show -P MainPID {daemon}); read -r killed rest < /proc/uptime; \
                 kill -KILL $old; sleep {}",
                BACK_LIMIT.as_secs()
            );
            let ready = format!("echo $killed; systemctl show -P ActiveEnterTimestampMonotonic {daemon}");
            let done = self.machine.agent.run(&comes_back(&kill, daemon, 50, &ready)).await?;
            let missing = missing(&done.output).filter(|_| done.status == 0);
            let time = missing.map_or("never".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()));
            let holds = missing.is_some_and(|time| time <= limit);
            let limit = limit.as_secs_f64();
            self.check(
                &format!("{daemon} is back after kill -9: {time}, of {limit:.1} s"),
                holds,
                &done.output,
            );
        }
        Ok(())
    }

    /// A daemon that hangs is ended by its watchdog. Three minutes would be long to wait: here it bites after 4 s.
    pub(super) async fn hung(&mut self) -> Result {
        let daemon = "smartpos-printerd";
        let hang = format!(
            "mkdir -p /run/systemd/system/{daemon}.service.d; \
             printf '[Service]\\nWatchdogSec=4s\\nTimeoutAbortSec=4s\\n' \
             > /run/systemd/system/{daemon}.service.d/quick.conf; \
             systemctl daemon-reload; systemctl restart {daemon}; \
             old=$(systemctl show -P MainPID {daemon}); kill -STOP $old"
        );
        self.succeeds("a daemon that hangs is ended by its watchdog", &comes_back(&hang, daemon, 150, "true"))
            .await
    }

    /// Nothing can be written: no sale may be lost, and there is one again as soon as there is room.
    pub(super) async fn disk_full(&mut self) -> Result {
        self.succeeds("the disk is filled", "fallocate -l $(df --output=avail -B1 / | tail -1) /var/filler")
            .await?;
        self.type_pin().await?;
        let sale = self.machine.agent.run("posctl sale 6.00").await?;
        // What the journal needs may be reserved already; a refusal must say what was wrong.
        let said = sale.output.trim().replace('\n', "; ");
        let what = if sale.status == 0 { "done all the same" } else { &said };
        self.check(&format!("a sale with a full disk: {what}"), !said.is_empty(), "neither done nor refused");
        self.succeeds("the disk has room again", "rm /var/filler").await?;
        self.settles("after a full disk").await?;
        self.is_approved("a sale after the full disk is approved").await
    }

    /// The customer types the PIN as soon as it is asked for.
    pub(super) async fn type_pin(&mut self) -> Result {
        self.machine.hardware.simctl(&["pin", PIN]).await?;
        Ok(())
    }

    pub(super) async fn is_approved(&mut self, what: &str) -> Result {
        self.type_pin().await?;
        self.succeeds(what, "posctl sale 7.00").await
    }

    pub(super) async fn is_not_approved(&mut self, what: &str) -> Result {
        self.type_pin().await?;
        let sale = self.machine.agent.run("posctl sale 4.00").await?;
        self.check(what, sale.status == 1, &sale.output);
        Ok(())
    }

    /// Checks that both sides come to tell the same story.
    pub(super) async fn settles(&mut self, when: &str) -> Result {
        let found = self.left_to_settle().await?;
        self.check(&format!("terminal and host agree {when}"), found.is_empty(), &found);
        Ok(())
    }

    /// On what the two sides still differ when they have had the time to settle it.
    pub(super) async fn left_to_settle(&mut self) -> Result<String> {
        let begin = Instant::now();
        loop {
            let found = self.disagreements().await?;
            if found.is_empty() || begin.elapsed() > SETTLE_LIMIT {
                return Ok(found);
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
}

/// A command that does `harm` to the process `$old` of a daemon, waits, 0.2 s a try, until another one is active, and
/// then does what comes `after`.
fn comes_back(harm: &str, daemon: &str, tries: u32, after: &str) -> String {
    format!(
        "{harm}; for try in $(seq {tries}); do new=$(systemctl show -P MainPID {daemon}); \
         [ $new != 0 ] && [ $new != $old ] && systemctl --quiet is-active {daemon} && {{ {after}; exit; }}; \
         sleep 0.2; done; systemctl status --no-pager {daemon}; exit 1"
    )
}

/// The time between two lines: the first in seconds, the second in microseconds, both of the guest's clock.
fn missing(text: &str) -> Option<Duration> {
    let mut lines = text.lines();
    let killed = Duration::try_from_secs_f64(lines.next()?.parse().ok()?).ok()?;
    Duration::from_micros(lines.next()?.parse().ok()?).checked_sub(killed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_missing_from_its_death_until_it_is_ready() {
        assert_eq!(missing("30.25\n31500000\n"), Some(Duration::from_millis(1250)));
        assert_eq!(missing("30.25\n16000000\n"), None, "it has been ready before, and not since");
        assert_eq!(missing("inactive"), None);
    }
}
