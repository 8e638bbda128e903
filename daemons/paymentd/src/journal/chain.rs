//! The chain of hashes through the events, by which a removed, changed, reordered or inserted one is found.
//!
//! The head is kept in a row of its own: appending reads no table, and events that somebody cut off at the end are
//! missed, because the next one is bound to them.

use audit::chain::{Chain, Record};
use audit::{Identity, Link};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::{Journal, JournalError, Result};

/// Events that are bound at a time when a journal is brought up to date.
const PAGE: u32 = 256;

/// An event with its link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) id: i64,
    pub(crate) transaction: i64,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) body: String,
    /// Empty while it is not bound.
    pub(crate) link: Vec<u8>,
}

impl Linked {
    pub(super) fn record(&self) -> Record<'_> {
        Record { id: self.id, transaction: self.transaction, at: self.at, body: &self.body }
    }
}

impl Journal {
    /// Which journal this is, and where its chain is.
    pub(crate) async fn chain(&self) -> Result<(Identity, Chain)> {
        let mut connection = self.reader.acquire().await?;
        load(&mut connection).await
    }

    /// Up to `limit` events, oldest first, above the id `after`.
    pub(crate) async fn events(&self, after: i64, limit: u32) -> Result<Vec<Linked>> {
        let mut connection = self.reader.acquire().await?;
        page(&mut connection, after, limit).await
    }
}

/// Appends an event, bound to all before it.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    transaction: i64,
    at: i64,
    body: String,
) -> Result<()> {
    let (_, mut chain) = load(connection).await?;
    chain.append(&Record { id: chain.next_id(), transaction, at, body: &body });
    // Both in one call: each is a way to SQLite's thread and back.
    let append = "INSERT INTO events (id, transaction_id, at, body, link) VALUES (?, ?, ?, ?, ?);
                  UPDATE chain SET last = ?, head = ?";
    sqlx::query(append)
        .bind(chain.last)
        .bind(transaction)
        .bind(at)
        .bind(body)
        .bind(chain.head.0.to_vec())
        .bind(chain.last)
        .bind(chain.head.0.to_vec())
        .execute(connection)
        .await?;
    Ok(())
}

/// Binds the events of a journal that had no chain.
pub(super) async fn begin(connection: &mut SqliteConnection) -> Result<()> {
    let identity: Vec<u8> =
        sqlx::query_scalar("SELECT identity FROM chain").fetch_one(&mut *connection).await?;
    let mut chain = Chain::new(&octets(&identity)?);
    loop {
        let events = page(connection, chain.last, PAGE).await?;
        for event in &events {
            chain.append(&event.record());
            sqlx::query("UPDATE events SET link = ? WHERE id = ?")
                .bind(chain.head.0.to_vec())
                .bind(event.id)
                .execute(&mut *connection)
                .await?;
        }
        if events.is_empty() {
            return keep(connection, &chain).await;
        }
    }
}

/// A number for the transaction `id` that no other journal gives: 12 digits of this one's identity, and its own number.
pub(super) async fn number(connection: &mut SqliteConnection, id: i64) -> Result<String> {
    let (identity, _) = load(connection).await?;
    let journal = identity.to_string();
    Ok(format!("{}-{id}", journal.get(..12).unwrap_or(&journal)))
}

pub(super) async fn load(connection: &mut SqliteConnection) -> Result<(Identity, Chain)> {
    let row = sqlx::query("SELECT identity, last, head FROM chain").fetch_one(connection).await?;
    let head: Link = octets(row.try_get("head")?)?;
    Ok((octets(row.try_get("identity")?)?, Chain { last: row.try_get("last")?, head }))
}

async fn keep(connection: &mut SqliteConnection, chain: &Chain) -> Result<()> {
    let update = sqlx::query("UPDATE chain SET last = ?, head = ?");
    update.bind(chain.last).bind(chain.head.0.to_vec()).execute(connection).await?;
    Ok(())
}

async fn page(connection: &mut SqliteConnection, after: i64, limit: u32) -> Result<Vec<Linked>> {
    let select = "SELECT id, transaction_id, at, body, link FROM events WHERE id > ? ORDER BY id LIMIT ?";
    let rows = sqlx::query(select).bind(after).bind(limit).fetch_all(connection).await?;
    rows.iter().map(linked).collect()
}

fn linked(row: &SqliteRow) -> Result<Linked> {
    Ok(Linked {
        id: row.try_get("id")?,
        transaction: row.try_get("transaction_id")?,
        at: row.try_get("at")?,
        body: row.try_get("body")?,
        link: row.try_get("link")?,
    })
}

pub(super) fn octets<const N: usize>(bytes: &[u8]) -> Result<audit::Octets<N>> {
    audit::Octets::try_from(bytes).map_err(JournalError::Chain)
}
