//! What the gateway has booked: the truth that a terminal's journal is compared with.
//!
//! As the acquirer's: one entry on each line of a file, as JSON; a later line with the same terminal and order replaces the
//! earlier one, and a line is on disk before its answer is sent.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sim_control::lines::Lines;

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The customer has yet to confirm.
    Pending,
    /// Money was taken; what was given back is in the refunds.
    Paid,
    /// The customer or the wallet said no.
    Failed,
    /// Cancelled, expired, or forbidden before it arrived. Money that was taken is given back.
    Closed,
    /// The request was wrong: it had no effect, and its number was not used up.
    Refused,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The name of the terminal's key.
    pub terminal: String,
    /// The order's number.
    pub order: String,
    /// The operation that made the entry.
    pub operation: String,
    /// In minor units.
    pub amount: u64,
    /// ISO 4217, letters.
    pub currency: String,
    /// The wallet, once it is known.
    pub wallet: Option<String>,
    /// The customer's code, masked; empty where there was none.
    pub code: String,
    /// SHA-256 of the customer's code, to know it again by.
    pub digest: String,
    /// The gateway's number for the payment.
    pub reference: Option<String>,
    /// What became of it.
    pub state: State,
    /// For a person.
    pub reason: String,
    /// When it was asked for, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it was paid, in seconds since 1970.
    pub paid_at: Option<u64>,
    /// The code that is shown to the customer, and until when.
    pub shown: Option<(String, u64)>,
    /// What was given back.
    pub refunds: Vec<Refund>,
}

/// One refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its number.
    pub refund: String,
    /// In minor units.
    pub amount: u64,
    /// The gateway's number for it.
    pub reference: String,
    /// When, in seconds since 1970.
    pub at: u64,
}

impl Entry {
    /// What was given back by refunds, in minor units.
    #[must_use]
    pub fn refunded(&self) -> u64 {
        self.refunds.iter().fold(0, |sum, refund| sum.saturating_add(refund.amount))
    }
}

/// The ledger, in memory and in its file.
#[derive(Debug)]
pub struct Ledger {
    file: Lines,
    entries: Vec<Entry>,
    booked: HashMap<(String, String), usize>,
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
        self.file.append(std::slice::from_ref(&entry))?;
        self.keep(entry);
        Ok(())
    }

    fn keep(&mut self, entry: Entry) {
        self.lines += 1;
        if entry.state == State::Refused {
            self.entries.push(entry);
            return;
        }
        let key = (entry.terminal.clone(), entry.order.clone());
        match self.booked.get(&key).and_then(|index| self.entries.get_mut(*index)) {
            Some(known) => *known = entry,
            None => {
                self.booked.insert(key, self.entries.len());
                self.entries.push(entry);
            }
        }
    }

    /// The booked entry of that order; a refused request is none.
    #[must_use]
    pub fn find(&self, terminal: &str, order: &str) -> Option<&Entry> {
        let key = (terminal.to_owned(), order.to_owned());
        self.booked.get(&key).and_then(|index| self.entries.get(*index))
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

    /// The entries as a table for a person.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = format!(
            "{:17}  {:20}  {:8}  {:>12}  {:>12}  {:8}  {:8}  {}",
            "terminal", "order", "from", "amount", "refunded", "wallet", "state", "reason"
        );
        for entry in &self.entries {
            // The state as the data have it, in lower case.
            let state = format!("{:?}", entry.state).to_lowercase();
            let wallet = entry.wallet.as_deref().unwrap_or("-");
            // Writing to a String does not fail.
            let _ = write!(
                table,
                "\n{:17}  {:20}  {:8}  {:>12}  {:>12}  {wallet:8}  {state:8}  {}",
                entry.terminal,
                entry.order,
                entry.operation,
                entry.amount,
                entry.refunded(),
                entry.reason
            );
        }
        table
    }
}
