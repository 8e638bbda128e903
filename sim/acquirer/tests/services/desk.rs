//! An acquirer and a terminal's keys on one table.

use jiff::Zoned;
use sim_acquirer::host::Acquirer;
use sim_acquirer::issuer::Issuer;
use sim_acquirer::ledger::{Entry, Ledger};
use tempfile::TempDir;

use crate::terminal::{Answer, Keys, Named, Sale, dialect, master_key, sign_on};

pub(super) struct Desk {
    dir: TempDir,
    pub(super) acquirer: Acquirer,
    keys: Keys,
    now: Zoned,
}

fn acquirer(dir: &TempDir) -> Acquirer {
    let ledger = Ledger::open(&dir.path().join("ledger")).unwrap();
    Acquirer::new(dialect().clone(), master_key(), Issuer::new(sim_cards::profiles().collect()), ledger)
}

impl Desk {
    pub(super) fn open() -> Desk {
        Desk::open_in(TempDir::new().unwrap())
    }

    fn open_in(dir: TempDir) -> Desk {
        let (mut acquirer, now) = (acquirer(&dir), Zoned::now());
        let answer = acquirer.handle(&sign_on(), &now).unwrap().answers.remove(0);
        Desk { dir, acquirer, keys: Keys::read(&answer).unwrap(), now }
    }

    /// The same after the host's process was killed.
    pub(super) fn reopen(self) -> Desk {
        Desk::open_in(self.dir)
    }

    pub(super) fn pack(&self, request: &Sale) -> Vec<u8> {
        request.pack(&self.keys)
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn exchange(&mut self, message: &[u8]) -> Answer {
        let answer = self.acquirer.handle(message, &self.now).unwrap().answers.remove(0);
        let answer = Answer::read(&answer, Some(&self.keys));
        assert!(answer.mac_is_right);
        answer
    }

    pub(super) fn ask(&mut self, request: &Sale) -> Answer {
        let message = self.pack(request);
        self.exchange(&message)
    }

    /// Asks for what has to be approved.
    pub(super) fn approve(&mut self, request: &Sale) -> Named {
        let answer = self.ask(request);
        let reason = self.entries().last().map(|entry| entry.reason.clone());
        assert_eq!(answer.code(), "00", "{} STAN {}: {reason:?}", request.service, request.stan);
        Named::read(request, &answer)
    }

    /// Reverses, and expects `code`.
    pub(super) fn reverse(&mut self, request: &Sale, code: &str) {
        let message = request.pack_reversal(&self.keys, request.amount);
        assert_eq!(self.exchange(&message).code(), code, "{} STAN {}", request.service, request.stan);
    }

    pub(super) fn entries(&self) -> &[Entry] {
        self.acquirer.ledger.entries()
    }

    /// What the owner of the card of most tests owes.
    pub(super) fn owed(&self) -> i64 {
        self.acquirer.ledger.owed("unionpay-credit")
    }

    /// Books copies of the first entry under other trace numbers and counters.
    pub(super) fn fill(&mut self, stans: std::ops::Range<u64>) {
        let first = self.entries()[0].clone();
        let copies = stans.map(|stan| Entry {
            stan: format!("{stan:06}"),
            atc: Some(u16::try_from(stan).unwrap()),
            ..first.clone()
        });
        self.acquirer.ledger.record(copies.collect()).unwrap();
    }
}

impl Named {
    pub(super) fn read(request: &Sale, answer: &Answer) -> Named {
        let text = |number| answer.text(number).to_owned();
        Named { batch: request.batch, stan: request.stan, date: text(13), rrn: text(37), approval: text(38) }
    }
}
