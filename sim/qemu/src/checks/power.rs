//! Power cuts: in the midst of a sale the disk loses power and all that its cache held, then the machine does. When the terminal
//! has booted again, the journal must be whole, every sale settled, and nothing that an app was told may be untrue.

mod aftermath;
mod control;

use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use sim_terminal::Terminal;
use tokio::time::{Instant, sleep};

use super::network::STILL_WORKING;
use super::{CARD, Checks};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::machine::{Disk, Machine, Processors, medium};
use crate::tool;

/// The cuts of `test`, over the whole sale.
const SEEDS: RangeInclusive<u64> = 1..=10;

/// What every sale is for.
const AMOUNT: &str = "12.34";

/// How long to wait for a step of the disk that the sale did not need.
const LINGER: Duration = Duration::from_secs(10);

/// When the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// With this write or flush of the disk, counted from 1 where the sale begins.
    Step(u64),
    /// While the host keeps its approval to itself.
    HostWaits,
    /// As soon as the app has been told how the sale ended.
    Told,
}

/// A cut that was made.
#[derive(Debug)]
struct Cut {
    /// The idempotency key of the sale.
    key: String,
    /// The writes and flushes from the sale's beginning to the cut.
    steps: u64,
    /// What happened to the cache, in words.
    loss: String,
    /// What the app had seen of its sale.
    told: Told,
}

/// What `posctl` had shown when the power went.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// The last step; empty before the terminal acknowledged that there is a sale.
    step: String,
    outcome: Option<String>,
}

/// The ten cuts of `test`, and the control that shows what they would catch; returns how many checks failed.
pub(super) async fn ten_cuts(image: &Image, folder: &Path) -> Result<usize> {
    println!("\nPower cuts");
    let (mut checks, length) = Checks::of_lossy_machine(image, folder).await?;
    for seed in SEEDS {
        checks.power_cut(seed, Moment::of(seed, length)).await?;
    }
    checks.is_approved("a sale after the power cuts is approved").await?;
    checks.settles("after the power cuts").await?;
    checks.cuts_would_catch_a_missing_fsync().await?;
    checks.end().await
}

/// The cut of `seed` alone; returns how many checks failed.
pub(super) async fn one_cut(image: &Image, folder: &Path, seed: u64) -> Result<usize> {
    let (mut checks, length) = Checks::of_lossy_machine(image, folder).await?;
    checks.power_cut(seed, Moment::of(seed, length)).await?;
    checks.end().await
}

impl Moment {
    /// The moment of `seed` in a sale of `length` writes and flushes. Ten seeds in a row are spread over all of it.
    fn of(seed: u64, length: u64) -> Moment {
        let Some(ninth) = (seed % 10).checked_sub(1) else { return Moment::HostWaits };
        let (begin, end) = (ninth * length / 9, (ninth + 1) * length / 9);
        let within = fastrand::Rng::with_seed(seed).u64(..end.saturating_sub(begin).max(1));
        Moment::Step(begin + within + 1)
    }
}

impl Told {
    /// Reads what the console shows of the sale `key`.
    fn read(console: &str, key: &str) -> Told {
        let begin = format!("key {key}");
        let lines = console.lines().map(str::trim_end).skip_while(|line| !line.ends_with(&begin)).skip(1);
        lines.fold(Told::default(), |told, line| match serde_json::from_str::<Value>(line) {
            Ok(result) => Told { outcome: text(&result, "outcome"), ..told },
            Err(_) if line.starts_with("  ") => Told { step: line.trim().to_owned(), ..told },
            Err(_) => told,
        })
    }
}

impl Checks {
    /// Boots a machine with a lossy disk, and sells once: so many writes and flushes make the first sale after a boot.
    async fn of_lossy_machine(image: &Image, folder: &Path) -> Result<(Checks, u64)> {
        let machine = Machine::start(image, folder, Disk::Lossy, Processors::Two).await?;
        let mut checks = Checks { machine, failed: 0 };
        checks.machine.hardware.simctl(&["card", "insert", CARD]).await?;
        checks.type_pin().await?;
        let before = checks.begin().await?;
        let key = "uncut";
        checks.succeeds("a sale is approved whose power is not cut", &posctl_sale(key)).await?;
        let receipt = checks.receipt(key).await?;
        checks.check("its receipt is printed", receipt, "nothing was printed");
        // The printer has the paper out before printerd has noted that.
        checks.settles("before the power cuts").await?;
        let length = disk(&checks.machine.hardware).await?.steps.saturating_sub(before);
        println!("  a sale and its receipt take {length} writes and flushes of the disk");
        Ok((checks, length))
    }

    /// One cut and what it left behind.
    async fn power_cut(&mut self, seed: u64, moment: Moment) -> Result {
        let cut = self.cut(seed, moment).await?;
        self.machine.power_on().await?;
        let (outcome, problems) = self.aftermath(&cut).await?;
        let told = match (&cut.told.outcome, cut.told.step.as_str()) {
            (Some(outcome), _) => format!("`{outcome}`"),
            (None, "") => "nothing".to_owned(),
            (None, step) => format!("`{step}`"),
        };
        let what = format!(
            "seed {seed}, step {}, the app was told {told}: {}; up again in {:.0} s: {outcome}",
            cut.steps,
            cut.loss,
            self.machine.boot_time.as_secs_f64(),
        );
        self.check(&what, problems.is_empty(), &problems.join("\n"));
        Ok(())
    }

    /// Begins a sale and cuts the power at `moment`; `seed` says what the disk keeps.
    async fn cut(&mut self, seed: u64, moment: Moment) -> Result<Cut> {
        // A seed can come twice in the life of a terminal, its key can't.
        let key = format!("cut-{seed}-{}", self.machine.hardware.ledger().await?.len());
        let before = self.begin().await?;
        self.type_pin().await?;
        self.prepare(seed, moment).await?;
        self.sell_until(moment, &key).await?;
        let hardware = &self.machine.hardware;
        if disk(hardware).await?.loss.is_none() {
            hardware.simctl(&["disk", "cut", &seed.to_string()]).await?;
        }
        let after = disk(hardware).await?;
        self.machine.power_off().await?;
        let told = Told::read(&self.machine.console()?, &key);
        let loss = after.loss.unwrap_or_default();
        Ok(Cut { key, steps: after.steps.saturating_sub(before), loss, told })
    }

    /// Tells the disk or the host what to do in the sale that comes.
    async fn prepare(&self, seed: u64, moment: Moment) -> Result {
        let hardware = &self.machine.hardware;
        match moment {
            Moment::Step(step) => {
                hardware.simctl(&["disk", "cut-after", &step.to_string(), &seed.to_string()]).await?;
            }
            Moment::HostWaits => {
                hardware.simctl(&["host", "once", "late", STILL_WORKING]).await?;
            }
            Moment::Told => {}
        }
        Ok(())
    }

    /// Sells until `moment` has come.
    async fn sell_until(&mut self, moment: Moment, key: &str) -> Result {
        let Machine { hardware, agent, .. } = &mut self.machine;
        // The console outlives the machine: it shows what an app had seen.
        let command = format!("{} > /dev/ttyAMA0 2>&1", posctl_sale(key));
        let sale = async {
            agent.run(&command).await?;
            match moment {
                Moment::Step(_) => power_gone_within(LINGER, hardware).await,
                Moment::HostWaits | Moment::Told => Ok(()),
            }
        };
        let hit = async {
            match moment {
                Moment::Step(_) => power_gone_within(Duration::MAX, hardware).await,
                Moment::HostWaits => booked(hardware).await,
                Moment::Told => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = sale => ended,
            hit = hit => hit,
        }
    }

    /// Nothing is left to write before a sale begins; returns the disk's steps until now.
    async fn begin(&mut self) -> Result<u64> {
        self.machine.agent.output("sync").await?;
        Ok(disk(&self.machine.hardware).await?.steps)
    }

    /// Ends the machine in an orderly way, looks at what all the cuts made of its disk, and returns how many checks failed.
    async fn end(mut self) -> Result<usize> {
        self.machine.shut_down().await?;
        let medium = medium(self.machine.hardware.layout().root());
        let (sound, said) = match tool::output(Command::new("e2fsck").arg("-fn").arg(&medium)) {
            Ok(said) => (true, said),
            Err(error) => (false, error.to_string()),
        };
        self.check("the file system is sound after all the cuts", sound, &said);
        self.machine.hardware.stop().await?;
        Ok(self.failed)
    }
}

/// The sale of a key, also the second time.
fn posctl_sale(key: &str) -> String {
    format!("posctl --json sale {AMOUNT} --key {key} --order {key}")
}

/// How the virtual disk is.
struct DiskStatus {
    steps: u64,
    /// In words, while there is no power.
    loss: Option<String>,
}

async fn disk(hardware: &Terminal) -> Result<DiskStatus> {
    let reply = hardware.simctl(&["disk", "status"]).await?;
    let steps = reply.data.get("steps").and_then(Value::as_u64);
    let steps =
        steps.ok_or_else(|| Error::Agent(format!("the disk's status has no steps: {}", reply.data)))?;
    let number = |name: &str| reply.data.get("loss")?.get(name)?.as_u64();
    let loss = number("unflushed").zip(number("kept")).zip(number("torn"));
    let loss =
        loss.map(|((unflushed, kept), torn)| format!("{unflushed} unflushed, {kept} kept, {torn} torn"));
    Ok(DiskStatus { steps, loss })
}

/// Returns when the disk has no power any more, or after `limit`.
async fn power_gone_within(limit: Duration, hardware: &Terminal) -> Result {
    let begin = Instant::now();
    while disk(hardware).await?.loss.is_none() && begin.elapsed() < limit {
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Returns when the host has booked one more transaction.
async fn booked(hardware: &Terminal) -> Result {
    let before = hardware.ledger().await?.len();
    while hardware.ledger().await?.len() == before {
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// What `key` is in a transaction of `posctl --json`.
fn text(transaction: &Value, key: &str) -> Option<String> {
    Some(transaction.get(key)?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seeds_in_a_row_hit_every_part_of_a_sale_and_a_seed_hits_the_same_part_again() {
        for first in [1, 12, 4711] {
            let moments: Vec<Moment> = (first..first + 10).map(|seed| Moment::of(seed, 90)).collect();
            for ninth in 0..9 {
                let part = ninth * 10 + 1..=ninth * 10 + 10;
                let hits = |moment: &Moment| matches!(moment, Moment::Step(step) if part.contains(step));
                assert_eq!(moments.iter().filter(|moment| hits(moment)).count(), 1, "{moments:?}");
            }
            assert!(moments.contains(&Moment::HostWaits));
            assert_eq!(moments, (first..first + 10).map(|seed| Moment::of(seed, 90)).collect::<Vec<_>>());
        }
        assert_eq!(Moment::of(1, 0), Moment::Step(1));
    }

    #[test]
    fn what_an_app_was_told_is_read_off_the_console() {
        let console = "root@smartpos:~# sale of 12.34 CNY, key old\r\n  asking the host\r\n{\"outcome\":\"declined\"}\r\n\
            sale of 12.34 CNY, key cut-1\r\n";
        assert_eq!(Told::read(console, "cut-1"), Told::default());
        let console = format!("{console}  insert the card\r\n  asking the host\r\n");
        let told = Told::read(&console, "cut-1");
        assert_eq!((told.step.as_str(), told.outcome.clone()), ("asking the host", None));
        let told = Told::read(&format!("{console}{{\"outcome\":\"approved\"}}\r\n"), "cut-1");
        assert_eq!(told.outcome.as_deref(), Some("approved"));
    }
}
