//! Dropping what is older than the owner wants to keep, from the oldest on, and only up to a seal: what is left still verifies,
//! from that seal.

use sqlx::Row as _;

use super::{Journal, Result};

/// The seal up to which the next step would drop, and the newest transaction that it covers.
const NEXT: &str = "
    SELECT seal, (SELECT max(transaction_id) FROM events WHERE id <= seal) AS newest
    FROM (SELECT min(last) AS seal FROM seals WHERE last >= (SELECT min(id) FROM events))
    WHERE seal IS NOT NULL";

/// Whether something has to stay: it is open, unsettled or young, reserves an amount that is neither taken nor given up, or is the
/// newest of all, without which its number would be given again.
const STAYS: &str = "
    SELECT EXISTS (
        SELECT 1 FROM transactions AS one
        WHERE id <= ?1
          AND (state <> 'final' OR reversal = 'pending' OR receipt = 'owed' OR script = 'pending' OR created >= ?2
               OR batch = (SELECT batch FROM counters) OR id = (SELECT max(id) FROM transactions)
               OR (service = 'preauthorisation' AND outcome = 'approved'
                   AND NOT EXISTS (SELECT 1 FROM transactions AS next WHERE next.original = one.id
                                   AND next.outcome = 'approved'
                                   AND next.service IN ('completion', 'preauthorisation-cancel')))))";

/// What built on a transaction that goes says in its body what that was.
const FORGET: &str = "
    UPDATE transactions SET original = NULL
    WHERE original <= ?1 AND NOT EXISTS (SELECT 1 FROM events WHERE transaction_id = transactions.original)";

/// A transaction goes with the last of its events.
const DROP: &str = "
    DELETE FROM transactions
    WHERE id <= ?1 AND NOT EXISTS (SELECT 1 FROM events WHERE transaction_id = transactions.id)";

impl Journal {
    /// Drops the events up to the next seal, and the transactions that have no others, if these were begun before the time `before`
    /// (milliseconds since 1970) and nothing is left to do for them; whether it did.
    pub(crate) async fn drop_oldest(&self, before: i64) -> Result<bool> {
        let mut tx = self.write().await?;
        let next = sqlx::query(NEXT).fetch_optional(&mut *tx).await?;
        let Some(next) = next else { return Ok(false) };
        let (seal, newest): (i64, i64) = (next.try_get("seal")?, next.try_get("newest")?);
        if sqlx::query_scalar(STAYS).bind(newest).bind(before).fetch_one(&mut *tx).await? {
            return Ok(false);
        }
        sqlx::query("DELETE FROM events WHERE id <= ?").bind(seal).execute(&mut *tx).await?;
        sqlx::query(FORGET).bind(newest).execute(&mut *tx).await?;
        sqlx::query(DROP).bind(newest).execute(&mut *tx).await?;
        // The seal itself stays: it is where the chain begins now.
        sqlx::query("DELETE FROM seals WHERE last < ?").bind(seal).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }
}
