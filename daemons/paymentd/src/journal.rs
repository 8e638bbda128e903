//! The journal: SQLite through sqlx, each commit durable before it returns (WAL, `synchronous=FULL`).

mod advice;
mod batch;
mod chain;
mod history;
mod limits;
mod retention;
mod seals;
mod terminal;
mod writing;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use service::request::Key;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};
use tokio::sync::watch;

pub(crate) use advice::Waiting;
pub(crate) use batch::{BatchEntry, ServiceSum};
pub(crate) use chain::Linked;
use writing::Writing;

use crate::limits::OwnerLimits;
use crate::originals::Bounds;
use crate::services::{Class, Service};
use crate::transaction::{Acceptor, Card, Event, Order, Request, State, Totals, Transaction};

/// The schema, one step for each version (`PRAGMA user_version`).
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_journal.sql"),
    include_str!("../migrations/0002_services.sql"),
    include_str!("../migrations/0003_chain.sql"),
    include_str!("../migrations/0004_seals.sql"),
    include_str!("../migrations/0005_advices.sql"),
    include_str!("../migrations/0006_moto.sql"),
    include_str!("../migrations/0007_scripts.sql"),
    include_str!("../migrations/0008_terminal_parameters.sql"),
    include_str!("../migrations/0009_rest_kept.sql"),
];
/// The first version whose events are a chain.
const CHAINED: usize = 3;

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
    /// The chain's row is damaged.
    #[error("the journal's chain can't be read: {0}")]
    Chain(audit::NotOctets),
    /// The event does not fit the transaction's state.
    #[error("the journal refuses an event: {0}")]
    Event(String),
    /// The terminal's rules forbid what was asked for; nothing was begun.
    #[error("{0}")]
    Refused(service::Error),
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

/// Which transactions to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Only this owner's; `None` is everybody's.
    pub(crate) owner: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) outcome: Option<String>,
    /// Milliseconds since 1970, inclusive.
    pub(crate) since: Option<i64>,
    /// Milliseconds since 1970, exclusive.
    pub(crate) until: Option<i64>,
}

/// What a new transaction has to keep to.
pub(crate) struct Terms<'a> {
    pub(crate) bounds: Bounds,
    pub(crate) limits: &'a OwnerLimits,
}

/// The journal of this terminal; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    /// One connection, kept for ever: it orders the writes, and an idle daemon has no pool to tend.
    writer: SqlitePool,
    /// Another for looking things up, so that nobody's reading keeps a sale waiting.
    reader: SqlitePool,
    /// Whether there was a commit that may be durable or not.
    in_doubt: watch::Sender<bool>,
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
        let (in_doubt, _) = watch::channel(false);
        Ok(Journal { writer, reader, in_doubt, _lock: Arc::new(lock) })
    }

    /// Begins a transaction within `terms`; it is durable when this returns. `original` is the number of the one it builds
    /// on.
    pub(crate) async fn create(
        &self,
        request: Request,
        original: Option<i64>,
        terms: &Terms<'_>,
        now: i64,
    ) -> Result<Transaction> {
        let mut tx = self.write().await?;
        let original = match original {
            Some(id) => Some(history::admit(&mut tx, id, &request, terms.bounds, now).await?),
            None => None,
        };
        let mut transaction = Transaction::new(request.clone(), original.clone(), now);
        let over_limit = limits::check(&mut tx, &transaction, terms.limits, now).await?;
        if let Some(limit) = &over_limit {
            transaction.ask_approval(limit.clone());
        }
        let record = transaction.service().class() == Class::Record;
        if record {
            transaction.batch = open_batch(&mut tx).await?;
        }
        transaction.id = insert(&mut tx, &transaction).await?;
        let created = Event::Created { request, original, batch: transaction.batch, over_limit };
        append_event(&mut tx, transaction.id, now, &created).await?;
        if record && transaction.state == State::Created {
            transaction = advice::end_record(&mut tx, &transaction, now).await?;
        }
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
        let mut tx = self.write().await?;
        let (stan, batch) = next_stan(&mut tx).await?;
        let event = Event::Authorized { stan, batch, acceptor, card, chip_data, totals: None };
        let next = write(&mut tx, transaction, &event, now).await?;
        tx.commit().await?;
        *transaction = next;
        Ok(())
    }

    /// Gives what goes to the QR gateway `gateway` its numbers; durable before it is asked. A payment's order has a number of
    /// its own, also where another journal was kept under the same key; what undoes one names the same order.
    pub(crate) async fn order(&self, transaction: &mut Transaction, gateway: &str, now: i64) -> Result<()> {
        let mut tx = self.write().await?;
        let (stan, batch) = next_stan(&mut tx).await?;
        let own = chain::number(&mut tx, transaction.id).await?;
        let order = match transaction.original.as_ref().and_then(|original| original.order.clone()) {
            Some(order) if transaction.service() == Service::CodeRefund => Order { refund: own, ..order },
            Some(order) => order,
            None => Order { gateway: gateway.to_string(), number: own, refund: String::new() },
        };
        let next = write(&mut tx, transaction, &Event::Ordered { stan, batch, order }, now).await?;
        tx.commit().await?;
        *transaction = next;
        Ok(())
    }

    /// Takes the totals of the open batch, which `transaction` closes; durable before the host is told of them.
    pub(crate) async fn authorize_settlement(
        &self,
        transaction: &mut Transaction,
        acceptor: Acceptor,
        now: i64,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        let (stan, batch) = next_stan(&mut tx).await?;
        let totals: Totals = batch::totals(&mut tx, batch).await?;
        let (card, chip_data) = (Card::default(), String::new());
        let event = Event::Authorized { stan, batch, acceptor, card, chip_data, totals: Some(totals) };
        let next = write(&mut tx, transaction, &event, now).await?;
        tx.commit().await?;
        *transaction = next;
        Ok(())
    }

    /// Records what happened to `transaction`; durable when this returns.
    pub(crate) async fn record(&self, transaction: &mut Transaction, event: &Event, now: i64) -> Result<()> {
        let mut tx = self.write().await?;
        let next = write(&mut tx, transaction, event, now).await?;
        tx.commit().await?;
        *transaction = next;
        Ok(())
    }

    /// A trace number and the batch, for a message that is no transaction of its own.
    pub(crate) async fn next_stan(&self) -> Result<(u32, u32)> {
        let mut tx = self.write().await?;
        let numbers = next_stan(&mut tx).await?;
        tx.commit().await?;
        Ok(numbers)
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
        let rows = list(filter, before, limit).build().fetch_all(&self.reader).await?;
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

    /// The transactions of whose issuer scripts the host has still to be told, oldest first.
    pub(crate) async fn untold_scripts(&self) -> Result<Vec<Transaction>> {
        let select = "SELECT id, body FROM transactions WHERE script = 'pending' ORDER BY id";
        let rows = sqlx::query(select).fetch_all(&self.writer).await?;
        rows.iter().map(read).collect()
    }

    async fn write(&self) -> Result<Writing> {
        Writing::begin(&self.writer, &self.in_doubt).await
    }

    /// Returns when a commit failed in a way that leaves it in doubt. Only opening the journal anew tells.
    pub(crate) async fn in_doubt(&self) {
        // The sender lives as long as this journal.
        let _ = self.in_doubt.subscribe().wait_for(|in_doubt| *in_doubt).await;
    }

    /// Closes the file in an orderly way.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// Only what is asked for stands in the query: SQLite then walks one index from the newest on, however many there are.
fn list(filter: &Filter, before: i64, limit: u32) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT id, body FROM transactions WHERE id < ");
    query.push_bind(before);
    let Filter { owner, service, state, outcome, since, until } = filter;
    let words = [("owner", owner), ("service", service), ("state", state), ("outcome", outcome)];
    for (column, word) in words.into_iter().filter_map(|(column, word)| Some((column, word.clone()?))) {
        query.push(format_args!(" AND {column} = ")).push_bind(word);
    }
    // The + keeps it from an index whose order is another one.
    for (bound, time) in [(">=", *since), ("<", *until)] {
        if let Some(time) = time {
            query.push(format_args!(" AND +created {bound} ")).push_bind(time);
        }
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
    query
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
        if number == CHAINED {
            chain::begin(&mut tx).await?;
        }
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

async fn open_batch(connection: &mut SqliteConnection) -> Result<u32> {
    Ok(sqlx::query_scalar("SELECT batch FROM counters").fetch_one(connection).await?)
}

async fn insert(connection: &mut SqliteConnection, transaction: &Transaction) -> Result<i64> {
    let insert = "INSERT INTO transactions
                      (owner, key, created, state, outcome, reversal, receipt, body, service, original, amount, batch, moto)
                  VALUES (?, ?, ?, ?, '', '', '', ?, ?, ?, ?, ?, ?)";
    let inserted = sqlx::query(insert)
        .bind(&transaction.request.owner)
        .bind(transaction.request.key.as_str())
        .bind(transaction.created)
        .bind(transaction.state.as_str())
        .bind(serde_json::to_string(transaction)?)
        .bind(transaction.service().as_str())
        .bind(transaction.original.as_ref().map(|original| original.id))
        .bind(i64::try_from(transaction.amount()).unwrap_or(i64::MAX))
        .bind(transaction.batch)
        .bind(transaction.is_moto())
        .execute(connection)
        .await?;
    Ok(inserted.last_insert_rowid())
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
    let update = "UPDATE transactions
                  SET state = ?, outcome = ?, reversal = ?, receipt = ?, body = ?, batch = ?, token = ?, advice = ?,
                      script = ?
                  WHERE id = ? AND state = ?";
    let updated = sqlx::query(update)
        .bind(transaction.state.as_str())
        .bind(transaction.outcome.map(|outcome| outcome.as_str()).unwrap_or_default())
        .bind(transaction.reversal.map(|reversal| reversal.as_str()).unwrap_or_default())
        .bind(if transaction.wants_receipt() { "owed" } else { "" })
        .bind(serde_json::to_string(&transaction)?)
        .bind(transaction.batch)
        .bind(&transaction.card.token)
        .bind(transaction.advice.map(|advice| advice.as_str()).unwrap_or_default())
        .bind(transaction.script.map(|script| script.as_str()).unwrap_or_default())
        .bind(transaction.id)
        .bind(before.state.as_str())
        .execute(&mut *connection)
        .await?;
    if updated.rows_affected() != 1 {
        let (id, state) = (before.id, before.state.as_str());
        return Err(JournalError::Event(format!("transaction {id} is no longer {state}")));
    }
    if transaction.closes_batch() && !before.is_final() {
        batch::close(connection, transaction.batch).await?;
    }
    Ok(transaction)
}

async fn append_event(connection: &mut SqliteConnection, id: i64, now: i64, event: &Event) -> Result<()> {
    chain::append(connection, id, now, serde_json::to_string(event)?).await
}

#[cfg(test)]
mod tests;
