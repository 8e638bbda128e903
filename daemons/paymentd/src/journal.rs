//! The journal: SQLite through sqlx, each commit durable before it returns (WAL, `synchronous=FULL`).

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use service::request::Key;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row as _, SqliteConnection};

use crate::transaction::{Acceptor, Card, Event, Outcome, Request, State, Transaction};

/// The schema, one step for each version (`PRAGMA user_version`).
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_journal.sql")];

/// The journal can't be read or written: a full disk, a broken file, or a bug of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// What SQLite said.
    #[error("the journal: {0}")]
    Sql(#[from] sqlx::Error),
    /// Another process has the journal open.
    #[error("the journal is in use by another process; stop that one first")]
    InUse,
    /// What stands there can't be understood.
    #[error("the journal holds something that can't be read: {0}")]
    Json(#[from] serde_json::Error),
    /// The event does not fit the transaction's state.
    #[error("the journal refuses an event: {0}")]
    Event(String),
    /// The file was written by a newer version.
    #[error("the journal is of version {0}; this program knows up to {known}; install the newer one", known = MIGRATIONS.len())]
    Newer(usize),
}

impl JournalError {
    /// Whether there is no room left to write (SQLITE_FULL).
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, JournalError::Sql(sqlx::Error::Database(error)) if error.code().as_deref() == Some("13"))
    }
}

type Result<T> = std::result::Result<T, JournalError>;

/// The part that both lists share.
macro_rules! list {
    () => {
        "SELECT id, body FROM transactions
         WHERE id < ?1 AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR outcome = ?3)
           AND (?4 IS NULL OR created >= ?4) AND (?5 IS NULL OR created < ?5)"
    };
}

/// Which transactions to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Only this owner's; `None` is everybody's.
    pub(crate) owner: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) outcome: Option<String>,
    /// Milliseconds since 1970, inclusive.
    pub(crate) since: Option<i64>,
    /// Milliseconds since 1970, exclusive.
    pub(crate) until: Option<i64>,
}

/// The journal of this terminal; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    /// One connection, kept for ever: it orders the writes, and an idle daemon has no pool to tend.
    writer: SqlitePool,
    /// Another for looking things up, so that nobody's reading keeps a sale waiting.
    reader: SqlitePool,
    /// Held while the journal is open: one process writes it.
    _lock: Arc<File>,
}

impl Journal {
    /// Opens the journal `file`, made where it is missing, and brings its schema up to date.
    pub(crate) async fn open(file: &Path) -> Result<Journal> {
        let lock = lock(&file.with_extension("lock"))?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("cache_size", "-256")
            .busy_timeout(Duration::from_secs(5));
        let writer = one_connection(options.clone());
        migrate(&writer).await?;
        let reader = one_connection(options.create_if_missing(false).read_only(true));
        Ok(Journal { writer, reader, _lock: Arc::new(lock) })
    }

    /// Begins a transaction; it is durable when this returns.
    pub(crate) async fn create(&self, request: Request, now: i64) -> Result<Transaction> {
        let event = Event::Created { request: request.clone() };
        let mut transaction = Transaction::new(request, now);
        let mut tx = self.writer.begin().await?;
        let insert = "INSERT INTO transactions (owner, key, created, state, outcome, reversal, receipt, body)
                      VALUES (?, ?, ?, 'created', '', '', '', ?)";
        let inserted = sqlx::query(insert)
            .bind(&transaction.request.owner)
            .bind(transaction.request.key.as_str())
            .bind(now)
            .bind(serde_json::to_string(&transaction)?)
            .execute(&mut *tx)
            .await?;
        transaction.id = inserted.last_insert_rowid();
        append_event(&mut tx, transaction.id, now, &event).await?;
        tx.commit().await?;
        Ok(transaction)
    }

    /// Gives the transaction its trace number and arms the reversal; durable before the request is sent.
    pub(crate) async fn authorize(
        &self,
        transaction: &mut Transaction,
        acceptor: Acceptor,
        card: Card,
        chip_data: String,
        now: i64,
    ) -> Result<()> {
        let mut tx = self.writer.begin().await?;
        let (stan, batch) = next_stan(&mut tx).await?;
        let event = Event::Authorized { stan, batch, acceptor, card, chip_data };
        let next = write(&mut tx, transaction, &event, now).await?;
        tx.commit().await?;
        *transaction = next;
        Ok(())
    }

    /// Records what happened to `transaction`; durable when this returns.
    pub(crate) async fn record(&self, transaction: &mut Transaction, event: &Event, now: i64) -> Result<()> {
        let mut tx = self.writer.begin().await?;
        let next = write(&mut tx, transaction, event, now).await?;
        tx.commit().await?;
        *transaction = next;
        Ok(())
    }

    /// A trace number and the batch, for a message that is no transaction of its own.
    pub(crate) async fn next_stan(&self) -> Result<(u32, u32)> {
        let mut connection = self.writer.acquire().await?;
        next_stan(&mut connection).await
    }

    /// The transaction that `owner` began with `key`; with no owner, the newest that anybody did.
    pub(crate) async fn find(&self, owner: Option<&str>, key: &Key) -> Result<Option<Transaction>> {
        let query = match owner {
            Some(owner) => {
                sqlx::query("SELECT id, body FROM transactions WHERE owner = ? AND key = ?").bind(owner)
            }
            None => sqlx::query("SELECT id, body FROM transactions WHERE key = ? ORDER BY id DESC LIMIT 1"),
        };
        let row = query.bind(key.as_str()).fetch_optional(&self.reader).await?;
        row.as_ref().map(read).transpose()
    }

    /// Up to `limit` transactions, newest first, below the id `before`.
    pub(crate) async fn list(&self, filter: &Filter, before: i64, limit: u32) -> Result<Vec<Transaction>> {
        // With its owner given outright, SQLite takes the index; a parameter that may be null would make it read all.
        let query = match &filter.owner {
            Some(owner) => sqlx::query(concat!(list!(), " AND owner = ?7 ORDER BY id DESC LIMIT ?6"))
                .bind(before)
                .bind(&filter.state)
                .bind(&filter.outcome)
                .bind(filter.since)
                .bind(filter.until)
                .bind(limit)
                .bind(owner),
            None => sqlx::query(concat!(list!(), " ORDER BY id DESC LIMIT ?6"))
                .bind(before)
                .bind(&filter.state)
                .bind(&filter.outcome)
                .bind(filter.since)
                .bind(filter.until)
                .bind(limit),
        };
        let rows = query.fetch_all(&self.reader).await?;
        rows.iter().map(read).collect()
    }

    /// What is not done, oldest first: transactions without an end, reversals that the host has not acknowledged, receipts
    /// that the printer has not taken.
    pub(crate) async fn open_items(&self) -> Result<Vec<Transaction>> {
        let select = "SELECT id, body FROM transactions
                      WHERE state <> 'final' OR reversal = 'pending' OR receipt = 'owed' ORDER BY id";
        let rows = sqlx::query(select).fetch_all(&self.writer).await?;
        rows.iter().map(read).collect()
    }

    /// Closes the file in an orderly way.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// A pool of one connection, which is made when it is first needed and stays.
fn one_connection(options: SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_timeout(Duration::from_secs(300))
        .connect_lazy_with(options)
}

/// Takes `file` for this process alone, until it is closed.
fn lock(file: &Path) -> Result<File> {
    let lock = File::create(file).map_err(sqlx::Error::Io)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::InUse,
        TryLockError::Error(error) => JournalError::Sql(sqlx::Error::Io(error)),
    })?;
    Ok(lock)
}

async fn migrate(pool: &SqlitePool) -> Result<()> {
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(pool).await?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    let steps = MIGRATIONS.get(version..).ok_or(JournalError::Newer(version))?;
    for (index, step) in steps.iter().enumerate() {
        let mut tx = pool.begin().await?;
        sqlx::raw_sql(*step).execute(&mut *tx).await?;
        let number = version.saturating_add(index).saturating_add(1);
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PRAGMA user_version = {number}")))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    Ok(())
}

fn read(row: &sqlx::sqlite::SqliteRow) -> Result<Transaction> {
    let body: String = row.try_get("body")?;
    let mut transaction: Transaction = serde_json::from_str(&body)?;
    transaction.id = row.try_get("id")?;
    Ok(transaction)
}

async fn next_stan(connection: &mut SqliteConnection) -> Result<(u32, u32)> {
    let update = "UPDATE counters SET stan = stan % 999999 + 1 RETURNING stan, batch";
    let row = sqlx::query(update).fetch_one(connection).await?;
    Ok((row.try_get("stan")?, row.try_get("batch")?))
}

async fn write(
    connection: &mut SqliteConnection,
    before: &Transaction,
    event: &Event,
    now: i64,
) -> Result<Transaction> {
    let mut transaction = before.clone();
    transaction.apply(event, now).map_err(JournalError::Event)?;
    append_event(connection, transaction.id, now, event).await?;
    // The state that the event was decided on must still be the one that stands here.
    let update = "UPDATE transactions SET state = ?, outcome = ?, reversal = ?, receipt = ?, body = ? WHERE id = ? AND state = ?";
    let updated = sqlx::query(update)
        .bind(transaction.state.as_str())
        .bind(transaction.outcome.map(|outcome| outcome.as_str()).unwrap_or_default())
        .bind(transaction.reversal.map(|reversal| reversal.as_str()).unwrap_or_default())
        .bind(if transaction.wants_receipt() { "owed" } else { "" })
        .bind(serde_json::to_string(&transaction)?)
        .bind(transaction.id)
        .bind(before.state.as_str())
        .execute(connection)
        .await?;
    if updated.rows_affected() == 1 {
        Ok(transaction)
    } else {
        Err(JournalError::Event(format!("transaction {} is no longer {}", before.id, before.state.as_str())))
    }
}

async fn append_event(connection: &mut SqliteConnection, id: i64, now: i64, event: &Event) -> Result<()> {
    sqlx::query("INSERT INTO events (transaction_id, at, body) VALUES (?, ?, ?)")
        .bind(id)
        .bind(now)
        .bind(serde_json::to_string(event)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether `state` is the word for a state; filters are checked before they are looked up.
pub(crate) fn is_state(word: &str) -> bool {
    [State::Created, State::Authorizing, State::Answered, State::Final]
        .iter()
        .any(|state| state.as_str() == word)
}

/// Whether `word` is the word for an outcome.
pub(crate) fn is_outcome(word: &str) -> bool {
    [Outcome::Approved, Outcome::Declined, Outcome::Cancelled, Outcome::Failed, Outcome::Reversed]
        .iter()
        .any(|outcome| outcome.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: &str) -> Request {
        Request {
            owner: "com.example.shop".to_string(),
            key: key.parse().unwrap(),
            amount: 1234,
            currency: "CNY".to_string(),
            order: String::new(),
            print: true,
        }
    }

    async fn journal() -> (tempfile::TempDir, Journal) {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.sqlite")).await.unwrap();
        (folder, journal)
    }

    #[tokio::test]
    async fn a_journal_that_is_open_is_refused_to_everybody_else() {
        let (folder, _journal) = journal().await;
        let second = Journal::open(&folder.path().join("journal.sqlite")).await;
        assert!(matches!(second, Err(JournalError::InUse)), "{second:?}");
    }

    #[tokio::test]
    async fn an_event_that_does_not_fit_changes_nothing() {
        let (_folder, journal) = journal().await;
        let mut sale = journal.create(request("order-1"), 1).await.unwrap();
        let before = sale.clone();
        let answered = Event::Answered { answer: crate::transaction::Answer::default() };
        assert!(matches!(journal.record(&mut sale, &answered, 2).await, Err(JournalError::Event(_))));
        assert_eq!(sale, before);
        let found = journal.find(Some("com.example.shop"), &before.request.key).await.unwrap();
        assert_eq!(found, Some(before));
        let events: i64 =
            sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(&journal.writer).await.unwrap();
        assert_eq!(events, 1);
    }

    #[tokio::test]
    async fn two_sales_never_share_an_owner_and_a_key() {
        let (_folder, journal) = journal().await;
        journal.create(request("order-1"), 1).await.unwrap();
        assert!(journal.create(request("order-1"), 2).await.is_err());
    }

    #[tokio::test]
    async fn a_journal_of_a_newer_version_is_left_alone() {
        let (folder, journal) = journal().await;
        sqlx::raw_sql("PRAGMA user_version = 99").execute(&journal.writer).await.unwrap();
        journal.close().await;
        drop(journal);
        let opened = Journal::open(&folder.path().join("journal.sqlite")).await;
        assert!(matches!(opened, Err(JournalError::Newer(99))), "{opened:?}");
    }

    #[tokio::test]
    async fn looking_up_a_key_and_listing_read_an_index_and_not_the_table() {
        let (_folder, journal) = journal().await;
        for query in [
            "SELECT id, body FROM transactions WHERE owner = 'a' AND key = 'b'",
            "SELECT id, body FROM transactions WHERE key = 'b' ORDER BY id DESC LIMIT 1",
            concat!(list!(), " AND owner = ?7 ORDER BY id DESC LIMIT ?6"),
            "SELECT id, body FROM transactions WHERE state <> 'final' OR reversal = 'pending' OR receipt = 'owed' ORDER BY id",
        ] {
            let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")));
            let steps = plan.fetch_all(&journal.writer).await.unwrap();
            for step in steps {
                let detail: String = step.get("detail");
                assert!(!detail.starts_with("SCAN") || detail.contains("INDEX"), "{query}: {detail}");
            }
        }
    }
}
