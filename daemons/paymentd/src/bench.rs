//! The journal's five commits of a sale beside the same rows written by bare SQLite with the same pragmas, and pages of a million
//! transactions. `cargo bench -p smartpos-paymentd`

#![allow(
    dead_code,
    unused_imports,
    reason = "the journal's modules are the program's, of which this uses a part"
)]
#![allow(clippy::expect_used, reason = "a benchmark may stop at the first surprise")]

mod journal;
mod limits;
mod originals;
mod services;
mod terminal_parameters;
mod transaction;

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use divan::Bencher;
use rusqlite::{Connection, ToSql, params};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::journal::{Filter, Journal, Terms};
use crate::limits::{Limits, LimitsByService, OwnerLimits};
use crate::originals::Bounds;
use crate::services::Service;
use crate::transaction::{Acceptor, Answer, Card, Event, Outcome, Request, Transaction};

static NO_LIMITS: OwnerLimits = OwnerLimits { by_service: LimitsByService::new(), moto: Limits::NONE };
const TERMS: Terms<'_> =
    Terms { bounds: Bounds { completion: 100, tip: 0, refund_days: 0 }, limits: &NO_LIMITS };
const NOW: i64 = 1_763_900_000_000;
const MILLION: i64 = 1_000_000;
const PAGE: u32 = 100;
const ROUNDS: usize = 300;

fn main() {
    commits();
    divan::main();
}

/// A journal in a folder of its own, with what runs it.
struct Bench {
    runtime: Runtime,
    journal: Journal,
    file: PathBuf,
    _folder: TempDir,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("journal.sqlite");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let journal = runtime.block_on(Journal::open(&file)).expect("a journal");
        Bench { runtime, journal, file, _folder: folder }
    }
}

fn request(key: &str) -> Request {
    Request {
        service: Service::Sale,
        owner: "com.example.shop".to_string(),
        key: key.parse().expect("a key"),
        amount: 1234,
        currency: "CNY".to_string(),
        tip: 0,
        instalments: 0,
        moto: false,
        choose_application: false,
        code: String::new(),
        original: None,
        order: "A-1042".to_string(),
        operator: "01".to_string(),
        print: true,
    }
}

fn card() -> Card {
    Card {
        masked_pan: "621700******0007".to_string(),
        token: "00112233445566778899aabbccddeeff".to_string(),
        entry_mode: "051".to_string(),
        aid: "A000000333010101".to_string(),
        label: "UnionPay Debit".to_string(),
        ..Card::default()
    }
}

/// What paymentd commits for a sale: created, reversal armed, answered, final, receipt handed over.
async fn sell(journal: &Journal, key: &str) -> Transaction {
    let done = "a commit";
    let mut sale = journal.create(request(key), None, &TERMS, NOW).await.expect(done);
    let chip_data = "9f".repeat(145);
    journal.authorize(&mut sale, Acceptor::default(), card(), chip_data, NOW).await.expect(done);
    let answer = Answer { code: "00".to_string(), approval: "A00001".to_string(), ..Answer::default() };
    journal.record(&mut sale, &Event::Answered { answer }, NOW).await.expect(done);
    journal.record(&mut sale, &Event::finished(Outcome::Approved, ""), NOW).await.expect(done);
    journal.record(&mut sale, &Event::ReceiptQueued { job: "1".to_string() }, NOW).await.expect(done);
    sale
}

/// The floor: the same rows, from texts that are ready, by statements that are prepared.
struct Bare {
    sqlite: Connection,
    bodies: Vec<String>,
    sale: Transaction,
    number: i64,
    event: i64,
    _bench: Bench,
}

impl Bare {
    fn new() -> Bare {
        let bench = Bench::new();
        let sale = bench.runtime.block_on(sell(&bench.journal, "order"));
        let events = bench.runtime.block_on(bench.journal.events(0, 5)).expect("its events");
        let sqlite = Connection::open(&bench.file).expect("the same file");
        let pragmas = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -256";
        sqlite.execute_batch(pragmas).expect("pragmas");
        let bodies = events.into_iter().map(|event| event.body).collect();
        Bare { sqlite, bodies, sale, number: 1, event: 5, _bench: bench }
    }

    fn run(&self, sql: &str, values: &[&dyn ToSql]) {
        let ran = self.sqlite.prepare_cached(sql).and_then(|mut statement| statement.execute(values));
        ran.expect("a statement");
    }

    fn sell(&mut self) {
        self.number += 1;
        let (number, link) = (self.number, [7_u8; 32]);
        let body = serde_json::to_string(&self.sale).expect("a text");
        for (step, text) in self.bodies.iter().enumerate() {
            let event = self.event + 1 + i64::try_from(step).unwrap_or_default();
            self.run("BEGIN IMMEDIATE", &[]);
            let (state, outcome, receipt) = match step {
                0 => ("created", "", ""),
                1 => ("authorizing", "", ""),
                2 => ("answered", "", ""),
                3 => ("final", "approved", "owed"),
                _ => ("final", "approved", ""),
            };
            if step == 0 {
                let insert = "INSERT INTO transactions (id, owner, key, created, state, outcome, reversal, receipt, body)
                              VALUES (?, 'com.example.shop', ?, ?, ?, '', '', '', ?)";
                self.run(insert, params![number, format!("bare-{number}"), NOW, state, body]);
            } else {
                let update = "UPDATE transactions
                              SET state = ?, outcome = ?, receipt = ?, body = ?, batch = 1, token = ? WHERE id = ?";
                self.run(update, params![state, outcome, receipt, body, self.sale.card.token, number]);
            }
            if step == 1 {
                self.run("UPDATE counters SET stan = stan % 999999 + 1", &[]);
            }
            let insert = "INSERT INTO events (id, transaction_id, at, body, link) VALUES (?, ?, ?, ?, ?)";
            self.run(insert, params![event, number, NOW, text, link]);
            self.run("UPDATE chain SET last = ?, head = ?", params![event, link]);
            self.run("COMMIT", &[]);
        }
        self.event += 5;
    }
}

/// Both take turns, so that what else the disk has to do hits both.
fn commits() {
    let (bench, mut bare) = (Bench::new(), Bare::new());
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let began = Instant::now();
        bench.runtime.block_on(sell(&bench.journal, &format!("order-{round}")));
        ours.push(began.elapsed());
        let began = Instant::now();
        bare.sell();
        floor.push(began.elapsed());
    }
    let [ours, floor] = [ours, floor].map(|mut times| {
        times.sort();
        times.get(ROUNDS / 2).map_or(0.0, Duration::as_secs_f64)
    });
    println!(
        "five commits of a sale, median of {ROUNDS}: {:.2} ms; bare SQLite {:.2} ms",
        ours * 1e3,
        floor * 1e3
    );
    println!("commits a second: {:.0}; ratio {:.2}, at most 1.3", 5.0 / ours, ours / floor);
}

/// A journal of a million sales, of which one in ten thousand is a settlement; their events are left out.
static MILLION_SALES: LazyLock<Bench> = LazyLock::new(|| {
    let bench = Bench::new();
    let sale = bench.runtime.block_on(sell(&bench.journal, "order"));
    let body = serde_json::to_string(&sale).expect("a text");
    let sqlite = Connection::open(&bench.file).expect("the same file");
    let fill = "WITH RECURSIVE counted (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM counted WHERE n < ?1)
                INSERT INTO transactions
                    (id, owner, key, created, state, outcome, reversal, receipt, body, service, amount, batch, token)
                SELECT n, 'com.example.shop' || (n % 8), 'order-' || n, ?2 + n * 1000, 'final', 'approved', '', '', ?3,
                       iif(n % 10000 = 0, 'settlement', 'sale'), 1234, n / 10000, 'token-' || (n % 5000)
                FROM counted";
    sqlite.execute(fill, params![MILLION, NOW, body]).expect("a million rows");
    bench
});

fn page(bencher: Bencher, filter: &Filter, before: i64) {
    let bench = &*MILLION_SALES;
    bencher.bench_local(|| {
        let listed = bench.runtime.block_on(bench.journal.list(filter, before, PAGE)).expect("a page");
        assert_eq!(listed.len(), 100);
    });
}

#[divan::bench]
fn page_1_of_a_million(bencher: Bencher) {
    page(bencher, &Filter::default(), i64::MAX);
}

#[divan::bench]
fn page_10000_of_a_million(bencher: Bencher) {
    page(bencher, &Filter::default(), i64::from(PAGE) + 1);
}

#[divan::bench]
fn page_of_one_app_in_a_million(bencher: Bencher) {
    let owner = Some("com.example.shop3".to_string());
    page(bencher, &Filter { owner, ..Filter::default() }, 2000);
}

#[divan::bench]
fn page_of_settlements_in_a_million(bencher: Bencher) {
    let service = Some("settlement".to_string());
    page(bencher, &Filter { service, ..Filter::default() }, i64::MAX);
}
