//! What the limits are held against, read inside of the transaction that is going to add to it.

use sqlx::{Row as _, SqliteConnection};

use super::{Journal, JournalError, Result};
use crate::limits::{Done, LimitsByService, OverLimit, day_of, hour_before};
use crate::services::Service;
use crate::transaction::Transaction;

/// What counts of a service: approved, or under way.
macro_rules! counted {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM transactions WHERE service = ?1 AND (state <> 'final' OR outcome = 'approved')"
        )
    };
}

impl Journal {
    /// What the card with `token` had of `service` on the day of `now`, in minor units.
    pub(crate) async fn card_day(&self, service: Service, token: &str, now: i64) -> Result<u64> {
        let select = concat!(counted!("coalesce(sum(amount), 0)"), " AND token = ?2 AND created >= ?3");
        let query = sqlx::query_scalar(select).bind(service.as_str()).bind(token).bind(day_of(now));
        let sum: i64 = query.fetch_one(&self.reader).await?;
        Ok(u64::try_from(sum).unwrap_or_default())
    }
}

/// Whether `transaction`, which is not there yet, is within its service's limits; if not, what a supervisor has to approve.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    transaction: &Transaction,
    limits: &LimitsByService,
    now: i64,
) -> Result<Option<String>> {
    let service = transaction.service();
    let Some(limits) = limits.get(&service) else { return Ok(None) };
    let done = done(connection, service, &transaction.request.owner, now).await?;
    match (limits.check(service, transaction.amount(), done), limits.over_limit) {
        (Ok(()), _) => Ok(None),
        (Err(service::Error::LimitExceeded(limit)), OverLimit::Supervisor) => Ok(Some(limit)),
        (Err(refusal), _) => Err(JournalError::Refused(refusal)),
    }
}

async fn done(connection: &mut SqliteConnection, service: Service, owner: &str, now: i64) -> Result<Done> {
    let select = concat!(
        counted!(
            "coalesce(sum(amount) FILTER (WHERE created >= ?2), 0) AS day,
             coalesce(sum(amount) FILTER (WHERE created >= ?2 AND owner = ?4), 0) AS app_day,
             count(*) FILTER (WHERE created >= ?3) AS hour"
        ),
        " AND created >= min(?2, ?3)"
    );
    let query =
        sqlx::query(select).bind(service.as_str()).bind(day_of(now)).bind(hour_before(now)).bind(owner);
    let row = query.fetch_one(connection).await?;
    let sum = |name: &str| row.try_get::<i64, _>(name).map(|sum| u64::try_from(sum).unwrap_or_default());
    Ok(Done { day: sum("day")?, app_day: sum("app_day")?, hour: row.try_get("hour")? })
}
