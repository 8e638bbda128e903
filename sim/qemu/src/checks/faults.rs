//! What goes wrong in the field: a daemon dies or hangs, the cable is pulled, the disk is full.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Checks, DAEMONS, PIN};
use crate::error::Result;
use crate::machine::Machine;

/// A reversal is repeated after 0, 5, 15, 30 and 60 s.
const SETTLE_LIMIT: Duration = Duration::from_secs(150);

/// How long the host keeps an approval to itself: longer than `answer_timeout_ms` of `board/etc/smartpos/paymentd.toml`.
pub(super) const HELD_BACK: &str = "40s";

impl Checks {
    /// A daemon that dies is started again, with a process of its own.
    pub(super) async fn killed(&mut self) -> Result {
        for (daemon, ..) in DAEMONS {
            let kill = format!("old=$(systemctl show -P MainPID {daemon}); kill -KILL $old");
            self.succeeds(&format!("{daemon} comes back after kill -9"), &comes_back(&kill, daemon, 50))
                .await?;
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
        self.succeeds("a daemon that hangs is ended by its watchdog", &comes_back(&hang, daemon, 150)).await
    }

    /// The cable is pulled before a sale, and while the host holds its approval back.
    pub(super) async fn network_cut(&mut self) -> Result {
        self.machine.monitor.set_network(false).await?;
        self.is_not_approved("a sale without a network comes to nothing").await?;
        self.machine.monitor.set_network(true).await?;
        self.settles("after a cut before the request").await?;

        self.machine.hardware.simctl(&["host", "once", "late", HELD_BACK]).await?;
        self.type_pin().await?;
        let booked = self.machine.hardware.ledger().await?.len();
        let Machine { hardware, agent, monitor, .. } = &mut self.machine;
        let cut = async {
            while hardware.ledger().await?.len() == booked {
                sleep(Duration::from_millis(50)).await;
            }
            monitor.set_network(false).await
        };
        let (sale, cut) = tokio::join!(agent.run("posctl sale 5.00"), cut);
        cut?;
        let sale = sale?;
        self.check("a sale whose answer is lost is not approved", sale.status == 1, &sale.output);
        self.machine.monitor.set_network(true).await?;
        self.settles("after a cut during the request").await?;
        self.is_approved("a sale after the cuts is approved").await
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

    async fn is_not_approved(&mut self, what: &str) -> Result {
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

/// A command that does `harm` to the process `$old` of a daemon and waits, 0.2 s a try, until another one is active.
fn comes_back(harm: &str, daemon: &str, tries: u32) -> String {
    format!(
        "{harm}; for try in $(seq {tries}); do new=$(systemctl show -P MainPID {daemon}); \
         [ $new != 0 ] && [ $new != $old ] && systemctl --quiet is-active {daemon} && exit 0; sleep 0.2; done; \
         systemctl status --no-pager {daemon}; exit 1"
    )
}
