//! The cable is pulled: before the host is called, while it works on the request, and after it has answered.
//!
//! The last two differ in what the host knows. It either holds its answer back until the terminal has given up, or
//! sends it into the cut cable. Both times it has booked the money, and the terminal can't know.

use std::time::Duration;

use sim_terminal::compare::{Entry, Standing};
use tokio::time::sleep;

use super::Checks;
use crate::error::Result;
use crate::machine::Machine;

/// Longer than `answer_timeout_ms` of `board/etc/smartpos/paymentd.toml`: the host answers whom nobody waits for any more.
pub(super) const STILL_WORKING: &str = "40s";

/// Long enough to pull the cable first, and short enough that the terminal still waits.
const ANSWERED: &str = "5s";

impl Checks {
    pub(super) async fn network_cut(&mut self) -> Result {
        self.machine.monitor.set_network(false).await?;
        self.is_not_approved("a sale without a network comes to nothing").await?;
        self.machine.monitor.set_network(true).await?;
        self.settles("after a cut before the request").await?;
        self.answer_lost("while the host works on the request", STILL_WORKING).await?;
        self.answer_lost("after the host has answered", ANSWERED).await?;
        self.is_approved("a sale after the cuts is approved").await
    }

    /// A sale that the host books, with the cable pulled right then, and the answer sent `delay` later.
    async fn answer_lost(&mut self, when: &str, delay: &str) -> Result {
        self.machine.hardware.simctl(&["host", "once", "late", delay]).await?;
        self.type_pin().await?;
        let before = self.machine.hardware.ledger().await?.len();
        let Machine { hardware, agent, monitor, .. } = &mut self.machine;
        let cut = async {
            while hardware.ledger().await?.len() == before {
                sleep(Duration::from_millis(50)).await;
            }
            monitor.set_network(false).await
        };
        let (sale, cut) = tokio::join!(agent.run("posctl sale 5.00"), cut);
        cut?;
        let sale = sale?;
        self.check(&format!("a sale cut {when} is not approved"), sale.status == 1, &sale.output);
        let booked = self.last_booked().await?;
        let held = booked.as_ref().is_some_and(|entry| entry.standing == Standing::Approved);
        self.check(&format!("the host has booked the sale cut {when}"), held, &format!("{booked:?}"));
        self.machine.monitor.set_network(true).await?;
        self.settles(&format!("after a cut {when}")).await?;
        let booked = self.last_booked().await?;
        let reversed = booked.as_ref().is_some_and(|entry| entry.standing == Standing::Reversed);
        self.check(&format!("the host has taken back the sale cut {when}"), reversed, &format!("{booked:?}"));
        Ok(())
    }

    async fn last_booked(&self) -> Result<Option<Entry>> {
        Ok(self.machine.hardware.ledger().await?.pop())
    }
}
