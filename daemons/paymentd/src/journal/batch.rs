//! A batch: what was done between two settlements, and what it comes to.

use sqlx::{Row as _, SqliteConnection};

use super::{Journal, Result, open_batch, read};
use crate::services::{Service, Side};
use crate::transaction::{CertificatesSent, Sum, Totals, Transaction};

/// What stands: approved, not undone by something approved, and not refused by the host that was told of it later.
macro_rules! standing {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM transactions AS one WHERE batch = ?1 AND +outcome = 'approved'
               AND NOT EXISTS (SELECT 1 FROM transactions AS undone WHERE undone.original = one.id
                               AND undone.outcome = 'approved' AND undone.service IN ('void', 'offline-void', 'completion-void', 'code-void'))
               AND advice <> 'refused'"
        )
    };
}

/// What one service came to in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceSum {
    /// The service's word.
    pub(crate) service: String,
    pub(crate) sum: Sum,
}

/// One transaction as it is uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BatchEntry {
    pub(crate) side: Side,
    pub(crate) stan: u32,
    /// In minor units.
    pub(crate) amount: u64,
}

impl Journal {
    /// The open batch's number, and what each service came to in it so far, voided ones left out.
    pub(crate) async fn open_totals(&self) -> Result<(u32, Vec<ServiceSum>)> {
        let mut connection = self.reader.acquire().await?;
        let batch = open_batch(&mut connection).await?;
        Ok((batch, sums(&mut connection, batch).await?))
    }

    /// Up to `limit` transactions of `batch` that move money, and of which the host did not take the card's certificate, oldest
    /// first, after the first `skip` of them.
    pub(crate) async fn batch_entries(
        &self,
        batch: u32,
        handed: &CertificatesSent,
        skip: u32,
        limit: u8,
    ) -> Result<Vec<BatchEntry>> {
        let select = concat!(
            standing!("service, amount, CAST(body ->> '$.stan' AS INTEGER) AS stan"),
            " AND service IN ('sale', 'tip-adjustment', 'completion', 'refund')
              AND (body ->> '$.card.certificate' IS NULL OR id > ?4 OR id IN (SELECT value FROM json_each(?5)))
              ORDER BY id LIMIT ?3 OFFSET ?2"
        );
        let refused = serde_json::to_string(&handed.refused)?;
        let query = sqlx::query(select).bind(batch).bind(skip).bind(limit).bind(handed.last).bind(refused);
        let rows = query.fetch_all(&self.reader).await?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let service: String = row.try_get("service")?;
            let Some(side) = Service::of(&service).and_then(Service::side) else { continue };
            entries.push(BatchEntry {
                side,
                stan: row.try_get("stan")?,
                amount: amount(row.try_get("amount")?),
            });
        }
        Ok(entries)
    }

    /// How many transactions of `batch` have a card's certificate for the host.
    pub(crate) async fn count_certificates(&self, batch: u32) -> Result<u32> {
        let select = "SELECT count(*) FROM transactions WHERE batch = ?1 AND +outcome = 'approved'
                      AND body ->> '$.card.certificate' IS NOT NULL";
        Ok(sqlx::query_scalar(select).bind(batch).fetch_one(&self.reader).await?)
    }

    /// The next transaction of `batch` after the one with the number `after` whose card's certificate the host is to get.
    pub(crate) async fn next_certificate(&self, batch: u32, after: i64) -> Result<Option<Transaction>> {
        // The + keeps it from an index that has all batches.
        let select =
            "SELECT id, body FROM transactions WHERE batch = ?1 AND id > ?2 AND +outcome = 'approved'
                      AND body ->> '$.card.certificate' IS NOT NULL ORDER BY id LIMIT 1";
        let row = sqlx::query(select).bind(batch).bind(after).fetch_optional(&self.reader).await?;
        row.as_ref().map(read).transpose()
    }
}

/// What `batch` comes to, as the host counts it.
pub(super) async fn totals(connection: &mut SqliteConnection, batch: u32) -> Result<Totals> {
    let mut totals = Totals::default();
    for ServiceSum { service, sum } in sums(connection, batch).await? {
        let service = Service::of(&service);
        let total = match (service.and_then(Service::side), service.and_then(Service::code_side)) {
            (Some(Side::Debit), _) => &mut totals.debit,
            (Some(Side::Credit), _) => &mut totals.credit,
            (None, Some(Side::Debit)) => &mut totals.code_debit,
            (None, Some(Side::Credit)) => &mut totals.code_credit,
            (None, None) => continue,
        };
        *total = total.plus(sum);
    }
    Ok(totals)
}

/// Opens the batch after `batch`.
pub(super) async fn close(connection: &mut SqliteConnection, batch: u32) -> Result<()> {
    let update = "UPDATE counters SET batch = batch % 999999 + 1 WHERE batch = ?";
    sqlx::query(update).bind(batch).execute(connection).await?;
    Ok(())
}

async fn sums(connection: &mut SqliteConnection, batch: u32) -> Result<Vec<ServiceSum>> {
    let select = concat!(
        standing!("service, count(*) AS count, sum(amount) AS amount"),
        " GROUP BY service ORDER BY service"
    );
    let rows = sqlx::query(select).bind(batch).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let sum = Sum { count: row.try_get("count")?, amount: amount(row.try_get("amount")?) };
            Ok(ServiceSum { service: row.try_get("service")?, sum })
        })
        .collect()
}

/// SQLite's integers have a sign, amounts have none.
fn amount(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}
