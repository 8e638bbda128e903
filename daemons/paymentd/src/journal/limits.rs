//! What the limits are held against, read inside of the transaction that is going to add to it.

use sqlx::{Row as _, SqliteConnection};

use super::{Journal, JournalError, Result};
use crate::limits::{Applied, Done, OverLimit, OwnerLimits, day_of, hour_before};
use crate::services::Service;
use crate::transaction::Transaction;

/// What counts of a service: approved, or under way; where `?3` says so, with a keyed card alone.
macro_rules! counted {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM transactions WHERE service IN (?1, ?2) AND (state <> 'final' OR outcome = 'approved') AND moto >= ?3"
        )
    };
}

impl Journal {
    /// What of the card with `token` counts for `applied` on the day of `now` besides the transaction `own`, in minor units.
    pub(crate) async fn card_day(
        &self,
        applied: &Applied<'_>,
        own: i64,
        token: &str,
        now: i64,
    ) -> Result<u64> {
        let select =
            concat!(counted!("coalesce(sum(amount), 0)"), " AND token = ?4 AND created >= ?5 AND id <> ?6");
        let [one, other] = applied.services.map(Service::as_str);
        let query = sqlx::query_scalar(select).bind(one).bind(other).bind(applied.moto);
        let sum: i64 = query.bind(token).bind(day_of(now)).bind(own).fetch_one(&self.reader).await?;
        Ok(u64::try_from(sum).unwrap_or_default())
    }
}

/// Whether `transaction`, which is not there yet, is within the owner's limits; if not, what a supervisor has to approve.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    transaction: &Transaction,
    limits: &OwnerLimits,
    now: i64,
) -> Result<Option<String>> {
    let mut over = Vec::new();
    for applied in limits.of(transaction) {
        let done = done(connection, transaction, &applied, now).await?;
        match (applied.check(transaction.amount(), done), applied.limits.over_limit) {
            (Ok(()), _) => {}
            (Err(service::Error::LimitExceeded(limit)), OverLimit::Supervisor) => over.push(limit),
            (Err(refusal), _) => return Err(JournalError::Refused(refusal)),
        }
    }
    Ok((!over.is_empty()).then(|| over.join("; ")))
}

async fn done(
    connection: &mut SqliteConnection,
    transaction: &Transaction,
    applied: &Applied<'_>,
    now: i64,
) -> Result<Done> {
    let select = concat!(
        counted!(
            "coalesce(sum(amount) FILTER (WHERE created >= ?4), 0) AS day,
             coalesce(sum(amount) FILTER (WHERE created >= ?4 AND owner = ?6), 0) AS app_day,
             count(*) FILTER (WHERE created >= ?5) AS hour"
        ),
        " AND created >= min(?4, ?5)"
    );
    let [one, other] = applied.services.map(Service::as_str);
    let query = sqlx::query(select)
        .bind(one)
        .bind(other)
        .bind(applied.moto)
        .bind(day_of(now))
        .bind(hour_before(now))
        .bind(&transaction.request.owner);
    let row = query.fetch_one(connection).await?;
    let sum = |name: &str| row.try_get::<i64, _>(name).map(|sum| u64::try_from(sum).unwrap_or_default());
    Ok(Done { day: sum("day")?, app_day: sum("app_day")?, hour: row.try_get("hour")? })
}
