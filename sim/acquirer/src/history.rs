//! What a transaction has become, by those that build on it. Nothing of it is stored: an approval that is reversed drops
//! out, and what it had changed is as before.

use crate::ledger::{Entry, Key, Ledger, State};
use crate::service::Service;

/// What a batch comes to on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// In minor units.
    pub amount: u64,
    /// How many transactions.
    pub count: u64,
}

impl Sum {
    fn add(&mut self, entry: &Entry) {
        self.amount = self.amount.saturating_add(entry.amount);
        self.count += 1;
    }
}

/// What a batch comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Sales, their tips, and completions.
    pub debit: Sum,
    /// Refunds.
    pub credit: Sum,
}

/// On which side of the totals a transaction counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The merchant gets money.
    Debit,
    /// The cardholder gets money.
    Credit,
}

impl Entry {
    /// The side on which it counts; a void takes both itself and what it voids out, and a reservation moves nothing.
    #[must_use]
    pub fn side(&self) -> Option<Side> {
        match self.service {
            Service::Sale | Service::TipAdjustment | Service::Completion => Some(Side::Debit),
            Service::Refund => Some(Side::Credit),
            _ => None,
        }
    }
}

impl Ledger {
    /// Whether `entry` was approved, and nothing approved has taken it back.
    #[must_use]
    pub fn stands(&self, entry: &Entry) -> bool {
        let undoes = |one: &Entry| one.state == State::Approved && one.service.undoes();
        entry.state == State::Approved && !self.successors(&entry.key()).any(undoes)
    }

    /// What stands of the transactions of `service` that build on `key`.
    pub(crate) fn standing(&self, key: &Key, service: Service) -> impl Iterator<Item = &Entry> {
        self.successors(key).filter(move |one| one.service == service && self.stands(one))
    }

    /// Its amount, of a pre-authorisation with its increments, and of a sale with its tip.
    pub(crate) fn held(&self, entry: &Entry) -> u64 {
        let added =
            [Service::Increment, Service::TipAdjustment].map(|service| self.sum(&entry.key(), service));
        added.into_iter().fold(entry.amount, u64::saturating_add)
    }

    /// How much of it was given back.
    pub(crate) fn refunded(&self, entry: &Entry) -> u64 {
        self.sum(&entry.key(), Service::Refund)
    }

    fn sum(&self, key: &Key, service: Service) -> u64 {
        self.standing(key, service).fold(0, |sum, one| sum.saturating_add(one.amount))
    }

    /// What the cardholder owes by the transaction `key` and all that build on it; negative where money was given.
    #[must_use]
    pub fn exposure(&self, key: &Key) -> i64 {
        let Some(entry) = self.find(key).filter(|entry| self.stands(entry)) else { return 0 };
        let paid = |entry: &Entry| signed(self.held(entry)).saturating_sub(signed(self.refunded(entry)));
        match entry.service {
            Service::Sale | Service::Completion => paid(entry),
            Service::Refund => signed(entry.amount).saturating_neg(),
            Service::Preauthorisation => {
                // More than one stands where the reversal of a void has brought the first one back.
                let completions = self.standing(key, Service::Completion).map(paid);
                let taken = completions.reduce(i64::saturating_add);
                taken.unwrap_or_else(|| signed(self.held(entry)))
            }
            _ => 0,
        }
    }

    /// The transactions of the batch that move money, each with its side.
    pub fn counted(&self, terminal: &str, batch: &str) -> impl Iterator<Item = (Side, &Entry)> {
        let standing = self.batch(terminal, batch).filter(|entry| self.stands(entry));
        standing.filter_map(|entry| Some((entry.side()?, entry)))
    }

    /// What the batch comes to.
    #[must_use]
    pub fn totals(&self, terminal: &str, batch: &str) -> Totals {
        let mut totals = Totals::default();
        for (side, entry) in self.counted(terminal, batch) {
            match side {
                Side::Debit => totals.debit.add(entry),
                Side::Credit => totals.credit.add(entry),
            }
        }
        totals
    }
}

/// An amount of twelve digits always fits.
pub(crate) fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
