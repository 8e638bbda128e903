//! What built on a transaction, read inside of the transaction that is going to add to it.

use sqlx::{Row as _, SqliteConnection};

use super::{JournalError, Result, open_batch, read};
use crate::originals::{Bounds, History, Successor};
use crate::services::Service;
use crate::transaction::{Original, Request};

/// Whether `request` may build on the transaction `id`; then, what it has to know of it.
pub(super) async fn admit(
    connection: &mut SqliteConnection,
    id: i64,
    request: &Request,
    bounds: Bounds,
    now: i64,
) -> Result<Original> {
    let row = sqlx::query("SELECT id, body FROM transactions WHERE id = ?")
        .bind(id)
        .fetch_one(&mut *connection)
        .await?;
    let original = read(&row)?;
    let successors = successors(connection, id).await?;
    let settled = original.batch != open_batch(connection).await?;
    let history = History { original: &original, successors: &successors, settled, now };
    history.admit(request.service, request.amount, bounds).map_err(JournalError::Refused)
}

/// What built on the transaction `id` and stands, or may come to stand. What was undone in its turn is left out.
async fn successors(connection: &mut SqliteConnection, id: i64) -> Result<Vec<Successor>> {
    let select = "SELECT service, amount, state <> 'final' AS open FROM transactions AS one
                  WHERE original = ? AND (state <> 'final' OR outcome = 'approved')
                    AND NOT EXISTS (SELECT 1 FROM transactions AS undone WHERE undone.original = one.id
                                    AND undone.outcome = 'approved' AND undone.service = 'completion-void')";
    let rows = sqlx::query(select).bind(id).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let word: String = row.try_get("service")?;
            let service = Service::of(&word);
            let service = service.ok_or_else(|| JournalError::Event(format!("no service `{word}`")))?;
            let amount: i64 = row.try_get("amount")?;
            let amount = u64::try_from(amount).unwrap_or_default();
            Ok(Successor { service, amount, open: row.try_get("open")? })
        })
        .collect()
}
