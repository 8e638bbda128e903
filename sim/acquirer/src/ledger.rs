//! What the acquirer has booked: the truth that a terminal's journal is compared with.
//!
//! The file has one entry on each line, as JSON; a later line with the same terminal, batch and STAN replaces
//! the earlier one. A line is on disk before its answer is sent. A last line that was cut off by a crash was
//! never answered, and is dropped.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sim_control::lines::Lines;

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Money was taken.
    Approved,
    /// The issuer said no.
    Declined,
    /// Undone, or forbidden before it arrived.
    Reversed,
    /// The message was wrong: nothing was booked, and its STAN was not used up.
    Refused,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// DE 41.
    pub terminal: String,
    /// DE 42.
    pub merchant: String,
    /// DE 60.2.
    pub batch: String,
    /// DE 11.
    pub stan: String,
    /// The message type that made the entry.
    pub mti: String,
    /// In minor units.
    pub amount: u64,
    /// DE 49.
    pub currency: String,
    /// First six and last four digits; empty where the card could not be read.
    pub masked_pan: String,
    /// DE 38.
    pub approval: Option<String>,
    /// DE 37.
    pub rrn: Option<String>,
    /// What became of it.
    pub state: State,
    /// DE 39 of the answer.
    pub code: String,
    /// For a person.
    pub reason: String,
    /// The name of the virtual card, where its cryptogram was right.
    pub card: Option<String>,
    /// That card's application transaction counter.
    pub atc: Option<u16>,
}

/// What identifies a transaction: terminal, batch and STAN.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// DE 41.
    pub terminal: String,
    /// DE 60.2.
    pub batch: String,
    /// DE 11.
    pub stan: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "terminal {} batch {} STAN {}", self.terminal, self.batch, self.stan)
    }
}

impl Entry {
    /// What identifies it.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { terminal: self.terminal.clone(), batch: self.batch.clone(), stan: self.stan.clone() }
    }
}

/// The ledger, in memory and in its file.
#[derive(Debug)]
pub struct Ledger {
    file: Lines,
    entries: Vec<Entry>,
    booked: HashMap<Key, usize>,
    lines: u64,
}

impl Ledger {
    /// Opens or makes the ledger at `path`.
    ///
    /// # Errors
    /// What the file system says, and `InvalidData` for a whole line that is no entry.
    pub fn open(path: &Path) -> io::Result<Ledger> {
        let (file, entries) = Lines::open(path)?;
        let mut ledger = Ledger { file, entries: Vec::new(), booked: HashMap::new(), lines: 0 };
        for entry in entries {
            ledger.keep(entry);
        }
        Ok(ledger)
    }

    /// Books `entry`: on disk when this returns.
    ///
    /// # Errors
    /// What the file system says; the entry is not booked then.
    pub fn record(&mut self, entry: Entry) -> io::Result<()> {
        self.file.append(&entry)?;
        self.keep(entry);
        Ok(())
    }

    fn keep(&mut self, entry: Entry) {
        self.lines += 1;
        if entry.state == State::Refused {
            self.entries.push(entry);
            return;
        }
        let known = self.booked.get(&entry.key()).and_then(|index| self.entries.get_mut(*index));
        match known {
            Some(known) => *known = entry,
            None => {
                self.booked.insert(entry.key(), self.entries.len());
                self.entries.push(entry);
            }
        }
    }

    /// The booked entry of that transaction; a refused message is none.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<&Entry> {
        self.booked.get(key).and_then(|index| self.entries.get(*index))
    }

    /// All entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A number that no earlier answer had, also across restarts: the lines written so far.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.lines + 1
    }

    /// What the card's owner has spent, in minor units.
    #[must_use]
    pub fn spent(&self, card: &str) -> u64 {
        let approved = self.entries.iter().filter(|entry| entry.state == State::Approved);
        let of_card = approved.filter(|entry| entry.card.as_deref() == Some(card));
        of_card.fold(0, |sum, entry| sum.saturating_add(entry.amount))
    }

    /// Whether the card has used this transaction counter already.
    #[must_use]
    pub fn has_seen(&self, card: &str, atc: u16) -> bool {
        self.entries.iter().any(|entry| entry.card.as_deref() == Some(card) && entry.atc == Some(atc))
    }

    /// The entries as a table for a person.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = format!(
            "{:8}  {:6}  {:6}  {:4}  {:>12}  {:19}  {:8}  {:6}  {:4}  {}",
            "terminal", "batch", "stan", "mti", "amount", "card", "state", "code38", "code", "reason"
        );
        for entry in &self.entries {
            // The state as the data have it, in lower case.
            let state = format!("{:?}", entry.state).to_lowercase();
            let approval = entry.approval.as_deref().unwrap_or("-");
            // Writing to a String does not fail.
            let _ = write!(
                table,
                "\n{:8}  {:6}  {:6}  {:4}  {:>12}  {:19}  {state:8}  {approval:6}  {:4}  {}",
                entry.terminal,
                entry.batch,
                entry.stan,
                entry.mti,
                entry.amount,
                entry.masked_pan,
                entry.code,
                entry.reason
            );
        }
        table
    }
}
