//! What the acquirer has booked: the truth that a terminal's journal is compared with.
//!
//! The file has one entry on each line, as JSON; a later line with the same terminal, batch and STAN replaces
//! the earlier one. A line is written before its answer is sent: it outlives this process, and is not forced to the disk,
//! since nobody cuts this host's power. A last line that was cut off by a crash was never answered, and is dropped.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sim_control::lines::Lines;

use crate::service::Service;

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
    /// DE 7: when the terminal sent it; empty where the dialect does not have it.
    #[serde(default)]
    pub sent: String,
    /// The message type that made the entry.
    pub mti: String,
    /// What was asked for.
    pub service: Service,
    /// The transaction that it builds on.
    pub original: Option<Original>,
    /// In minor units.
    pub amount: u64,
    /// In how many instalments the cardholder pays it; 0 for at once.
    #[serde(default)]
    pub instalments: u8,
    /// Whether the card's number was keyed.
    #[serde(default)]
    pub moto: bool,
    /// DE 49.
    pub currency: String,
    /// First six and last four digits; empty where the card could not be read.
    pub masked_pan: String,
    /// DE 38.
    pub approval: Option<String>,
    /// DE 37.
    pub rrn: Option<String>,
    /// DE 13 of the answer: MMDD.
    pub date: Option<String>,
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
    /// Issuer scripts: empty where the answer had none, `sent`, and then the results that the terminal told (DF31), in hex.
    #[serde(default)]
    pub script: String,
    /// The card's certificate of it: empty where there is none, `due`, and then `taken` or `declined`.
    #[serde(default)]
    pub certificate: String,
    /// Whether the terminal has uploaded it.
    pub uploaded: bool,
    /// Whether its batch is closed.
    pub settled: bool,
}

/// What names an original of the same terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// DE 60.2 of the original.
    pub batch: String,
    /// DE 11 of the original.
    pub stan: String,
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

    /// What identifies the transaction that it builds on.
    #[must_use]
    pub fn original_key(&self) -> Option<Key> {
        let Original { batch, stan } = self.original.clone()?;
        Some(Key { terminal: self.terminal.clone(), batch, stan })
    }
}

/// The ledger, in memory and in its file.
#[derive(Debug)]
pub struct Ledger {
    file: Lines,
    lines: u64,
    entries: Vec<Entry>,
    /// Where in `entries` what is; refused messages are nowhere.
    booked: HashMap<Key, usize>,
    /// The transactions that name one as their original.
    successors: HashMap<Key, Vec<usize>>,
    /// The transactions of a terminal's batch.
    batches: HashMap<(String, String), Vec<usize>>,
    /// The transaction counters that each card has used.
    counters: HashSet<(String, u16)>,
    /// What each card's owner owes.
    owed: HashMap<String, i64>,
}

impl Ledger {
    /// Opens or makes the ledger at `path`.
    ///
    /// # Errors
    /// What the file system says, and `InvalidData` for a whole line that is no entry.
    pub fn open(path: &Path) -> io::Result<Ledger> {
        let (file, entries) = Lines::open(path)?;
        let mut ledger = Ledger {
            file,
            lines: 0,
            entries: Vec::new(),
            booked: HashMap::new(),
            successors: HashMap::new(),
            batches: HashMap::new(),
            counters: HashSet::new(),
            owed: HashMap::new(),
        };
        for entry in entries {
            ledger.keep(entry);
        }
        Ok(ledger)
    }

    /// Books all `entries` or none: written when this returns.
    ///
    /// # Errors
    /// What the file system says; nothing is booked then.
    pub fn record(&mut self, entries: Vec<Entry>) -> io::Result<()> {
        self.file.append(&entries)?;
        entries.into_iter().for_each(|entry| self.keep(entry));
        Ok(())
    }

    fn keep(&mut self, entry: Entry) {
        self.lines += 1;
        if entry.state == State::Refused {
            self.entries.push(entry);
            return;
        }
        let root = self.root(&entry);
        let before = self.exposure(&root);
        self.place(entry);
        let change = self.exposure(&root).saturating_sub(before);
        if let Some(card) = self.find(&root).and_then(|root| root.card.clone()) {
            let owed = self.owed.entry(card).or_default();
            *owed = owed.saturating_add(change);
        }
    }

    /// Puts a booked entry where it is found again.
    fn place(&mut self, entry: Entry) {
        let key = entry.key();
        if let Some(counter) = entry.card.clone().zip(entry.atc) {
            self.counters.insert(counter);
        }
        if let Some(known) = self.booked.get(&key).and_then(|index| self.entries.get_mut(*index)) {
            *known = entry;
            return;
        }
        let index = self.entries.len();
        self.batches.entry((key.terminal.clone(), key.batch.clone())).or_default().push(index);
        if let Some(original) = entry.original_key() {
            self.successors.entry(original).or_default().push(index);
        }
        self.booked.insert(key, index);
        self.entries.push(entry);
    }

    /// The first transaction of those that build on each other, up to `entry`.
    fn root(&self, entry: &Entry) -> Key {
        // A completion's void is two steps from its pre-authorisation, and nothing is further.
        let first = entry.original_key().and_then(|key| self.find(&key));
        let second = first.and_then(Entry::original_key).and_then(|key| self.find(&key));
        second.or(first).unwrap_or(entry).key()
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

    /// The booked transactions that name `key` as their original, oldest first.
    pub fn successors(&self, key: &Key) -> impl Iterator<Item = &Entry> {
        let places = self.successors.get(key).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|index| self.entries.get(*index))
    }

    /// The booked transactions of a terminal's batch, oldest first.
    pub fn batch(&self, terminal: &str, batch: &str) -> impl Iterator<Item = &Entry> {
        let places =
            self.batches.get(&(terminal.to_owned(), batch.to_owned())).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|index| self.entries.get(*index))
    }

    /// Whether the batch is closed.
    #[must_use]
    pub fn is_closed(&self, terminal: &str, batch: &str) -> bool {
        // All of a batch are closed at once.
        self.batch(terminal, batch).next().is_some_and(|entry| entry.settled)
    }

    /// What the card's owner owes or has reserved, in minor units; less than nothing after refunds that no sale was
    /// named for.
    #[must_use]
    pub fn owed(&self, card: &str) -> i64 {
        self.owed.get(card).copied().unwrap_or_default()
    }

    /// Whether the card has used this transaction counter already.
    #[must_use]
    pub fn has_seen(&self, card: &str, atc: u16) -> bool {
        self.counters.contains(&(card.to_owned(), atc))
    }
}

/// `entries` as a table for a person.
#[must_use]
pub fn table(entries: &[&Entry]) -> String {
    let mut table = format!(
        "{:8}  {:6}  {:6}  {:4}  {:23}  {:13}  {:>12}  {:19}  {:8}  {:6}  {:4}  {:7}  {}",
        "terminal",
        "batch",
        "stan",
        "mti",
        "service",
        "original",
        "amount",
        "card",
        "state",
        "code38",
        "code",
        "settled",
        "reason"
    );
    for entry in entries {
        // The state as the data have it, in lower case.
        let state = format!("{:?}", entry.state).to_lowercase();
        let approval = entry.approval.as_deref().unwrap_or("-");
        let service = entry.service.to_string();
        let original = entry.original.as_ref();
        let original = original.map_or("-".to_owned(), |one| format!("{}/{}", one.batch, one.stan));
        let settled = if entry.settled { "yes" } else { "no" };
        // Writing to a String does not fail.
        let _ = write!(
            table,
            "\n{:8}  {:6}  {:6}  {:4}  {service:23}  {original:13}  {:>12}  {:19}  {state:8}  {approval:6}  {:4}  \
             {settled:7}  {}",
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
