//! Seals over the journal's chain: which are there, and whether the next is due.

use audit::Identity;
use audit::chain::Chain;
use audit::seal::Seal;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::chain::{load, octets};
use super::{Journal, Result};

impl Journal {
    /// Where the chain is, if it is to be sealed there: `every` events after the last seal, or when a batch was closed since.
    pub(crate) async fn unsealed(&self, every: i64) -> Result<Option<(Identity, Chain)>> {
        let mut connection = self.reader.acquire().await?;
        let select = "SELECT chain.last - coalesce(newest.last, 0) AS events,
                             counters.batch <> coalesce(newest.batch, 1) AS closed
                      FROM chain, counters
                      LEFT JOIN (SELECT last, batch FROM seals ORDER BY last DESC LIMIT 1) AS newest";
        let row = sqlx::query(select).fetch_one(&mut *connection).await?;
        let (events, closed): (i64, bool) = (row.try_get("events")?, row.try_get("closed")?);
        if events == 0 || (events < every && !closed) {
            return Ok(None);
        }
        load(&mut connection).await.map(Some)
    }

    /// Keeps a seal; it is durable when this returns.
    pub(crate) async fn keep_seal(&self, seal: &Seal) -> Result<()> {
        let mut tx = self.write().await?;
        let insert = "INSERT OR IGNORE INTO seals (last, head, at, key, signature, batch)
                      SELECT ?, ?, ?, ?, ?, batch FROM counters";
        sqlx::query(insert)
            .bind(seal.last)
            .bind(seal.head.0.to_vec())
            .bind(seal.at)
            .bind(seal.key.0.to_vec())
            .bind(seal.signature.0.to_vec())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// Up to `limit` seals, oldest first, that cover more than the event `after`.
    pub(crate) async fn seals(&self, after: i64, limit: u32) -> Result<Vec<Seal>> {
        let select = "SELECT last, head, at, key, signature FROM seals WHERE last > ? ORDER BY last LIMIT ?";
        let rows = sqlx::query(select).bind(after).bind(limit).fetch_all(&self.reader).await?;
        rows.iter().map(seal).collect()
    }
}

fn seal(row: &SqliteRow) -> Result<Seal> {
    Ok(Seal {
        last: row.try_get("last")?,
        head: octets(row.try_get("head")?)?,
        at: row.try_get("at")?,
        key: octets(row.try_get("key")?)?,
        signature: octets(row.try_get("signature")?)?,
    })
}
