//! What a power cut left behind, when the terminal is up again.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};
use tokio::time::{Instant, sleep};

use super::super::{Checks, RECEIPT_LIMIT};
use super::{AMOUNT, Cut, posctl_sale, text};
use crate::error::{Error, Result};

/// Where the image keeps the journal, with its write-ahead log beside it.
const JOURNAL: &str = "/var/lib/smartpos/paymentd/journal.sqlite";

/// What the guest says of itself that it would not after an orderly end: units that failed, a file system with errors. ext4
/// repairs itself from its journal when it is mounted, and says so in other words.
const COMPLAINTS: &str = "systemctl --failed --no-legend --plain; \
    dmesg | grep -E 'EXT4-fs (error|warning)|I/O error|journal.*(corrupt|abort)'; true";

impl Checks {
    /// How the sale of `cut` ended, and all that is wrong with the terminal; nothing if all is well.
    ///
    /// The app asks again with its key, as apps do. A sale that had begun is settled by then; one of which the journal has
    /// nothing never began, if nobody was told of it, and is made now.
    pub(super) async fn aftermath(&mut self, cut: &Cut) -> Result<(String, Vec<String>)> {
        let mut problems = Vec::new();
        let agent = &mut self.machine.agent;
        problems.extend(agent.output(COMPLAINTS).await?.lines().map(str::to_owned));
        let known = agent.run(&format!("posctl --json show {}", cut.key)).await?.status == 0;
        if !known && !cut.told.step.is_empty() {
            problems.push(format!(
                "the app was told of the sale, and the journal has nothing of it: {}",
                cut.key
            ));
            return Ok(("lost".to_owned(), problems));
        }
        self.type_pin().await?;
        let again = self.machine.agent.run(&posctl_sale(&cut.key)).await?.output;
        let result = again.lines().find_map(|line| serde_json::from_str::<Value>(line).ok());
        let outcome = result.as_ref().and_then(|result| text(result, "outcome")).unwrap_or_default();
        if outcome.is_empty() {
            problems.push(format!("the app asked again, and the sale has no outcome: {again}"));
        }
        if let Some(told) = cut.told.outcome.as_ref().filter(|told| **told != outcome) {
            problems.push(format!("the app was told `{told}`, and it is `{outcome}` now"));
        }
        problems.extend(self.left_to_settle().await?.lines().map(str::to_owned));
        if outcome == "approved" && !self.receipt(&cut.key).await? {
            problems.push("the receipt was not printed".to_owned());
        }
        problems.extend(self.damage_to_the_journal().await?);
        let outcome = if known { outcome } else { format!("never began, {outcome} when asked again") };
        Ok((outcome, problems))
    }

    /// Whether the receipt of `order` comes out of the printer.
    pub(super) async fn receipt(&self, order: &str) -> Result<bool> {
        let paper = self.machine.hardware.layout().paper();
        let begin = Instant::now();
        while begin.elapsed() < RECEIPT_LIMIT {
            for entry in fs::read_dir(&paper).map_err(Error::file(&paper))? {
                let file = entry.map_err(Error::file(&paper))?.path();
                if file.extension().is_some_and(|end| end == "txt") {
                    let text = fs::read_to_string(&file).map_err(Error::file(&file))?;
                    // The amount is printed after the order's number.
                    if text.split_whitespace().any(|word| word == order) && text.contains(AMOUNT) {
                        return Ok(true);
                    }
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(false)
    }

    /// What SQLite finds wrong with the journal, from a copy: nothing is written while all is settled.
    async fn damage_to_the_journal(&mut self) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
        let copy = folder.path().join("journal.sqlite");
        for end in ["", "-wal"] {
            let content = self.machine.agent.file(&format!("{JOURNAL}{end}")).await?;
            let file = folder.path().join(format!("journal.sqlite{end}"));
            fs::write(&file, content).map_err(Error::file(&file))?;
        }
        let mut journal = SqliteConnection::connect(&format!("sqlite://{}", copy.display())).await?;
        let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut journal).await?;
        journal.close().await?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }
}
