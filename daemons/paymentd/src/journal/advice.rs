//! Sales that were approved offline, until the host has answered their advices. The journal alone says what waits: a void may
//! withdraw an advice at any time before it is sent.

use sqlx::{Row as _, SqliteConnection};

use super::{Journal, JournalError, Result, next_stan, read, write};
use crate::services::Service;
use crate::transaction::{Acceptor, Advice, Card, Event, Outcome, Transaction};

/// What the host has still to be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) count: u32,
    /// In minor units.
    pub(crate) sum: u64,
    /// When the oldest one was asked for, in milliseconds since 1970.
    pub(crate) oldest: i64,
    /// How many of the open batch the host refused.
    pub(crate) refused: u32,
    /// Transactions of whose issuer scripts the host has still to be told.
    pub(crate) scripts: u32,
    /// Payments by code of the open batch that do not stand, and of which a part of the customer's money stays.
    pub(crate) kept: u32,
}

impl Journal {
    /// Approves `transaction` offline, gives it its numbers, and keeps its card (`track2`, sealed) for the advice; durable before
    /// anybody is told.
    pub(crate) async fn approve_offline(
        &self,
        transaction: &mut Transaction,
        acceptor: Acceptor,
        (card, chip_data): (Card, String),
        track2: &[u8],
        now: i64,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        let (stan, batch) = next_stan(&mut tx).await?;
        let event = Event::ApprovedOffline { stan, batch, acceptor, card, chip_data };
        let next = write(&mut tx, transaction, &event, now).await?;
        let insert = "INSERT INTO stored_cards (transaction_id, track2) VALUES (?, ?)";
        sqlx::query(insert).bind(transaction.id).bind(track2).execute(&mut *tx).await?;
        tx.commit().await?;
        *transaction = next;
        Ok(())
    }

    /// The oldest sale that the host has still to be told of, and its card. That its advice is sent is durable when this
    /// returns.
    pub(crate) async fn send_advice(&self, now: i64) -> Result<Option<(Transaction, Vec<u8>)>> {
        let select = "SELECT one.id, body, track2 FROM transactions AS one
                      JOIN stored_cards ON transaction_id = one.id
                      WHERE advice IN ('stored', 'sent') ORDER BY one.id LIMIT 1";
        let mut tx = self.write().await?;
        let mut oldest = None;
        if let Some(row) = sqlx::query(select).fetch_optional(&mut *tx).await? {
            let (mut transaction, track2) = (read(&row)?, row.try_get("track2")?);
            if transaction.advice == Some(Advice::Stored) {
                transaction = write(&mut tx, &transaction, &Event::AdviceSent, now).await?;
            }
            oldest = Some((transaction, track2));
        }
        tx.commit().await?;
        Ok(oldest)
    }

    /// Records the host's answer to an advice, and forgets the card.
    pub(crate) async fn end_advice(
        &self,
        transaction: &mut Transaction,
        event: &Event,
        now: i64,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        let next = write(&mut tx, transaction, event, now).await?;
        forget_card(&mut tx, transaction.id).await?;
        tx.commit().await?;
        *transaction = next;
        Ok(())
    }

    /// What the host has still to be told.
    pub(crate) async fn waiting(&self) -> Result<Waiting> {
        let select = "SELECT count(*) FILTER (WHERE advice <> 'refused') AS count,
                             coalesce(sum(amount) FILTER (WHERE advice <> 'refused'), 0) AS sum,
                             coalesce(min(created) FILTER (WHERE advice <> 'refused'), 0) AS oldest,
                             count(*) FILTER (WHERE advice = 'refused') AS refused,
                             (SELECT count(*) FROM transactions WHERE script = 'pending') AS scripts,
                             (SELECT count(*) FROM transactions
                              WHERE reversal = 'rest-kept' AND batch = (SELECT batch FROM counters)) AS kept
                      FROM transactions
                      WHERE advice IN ('stored', 'sent')
                         OR (advice = 'refused' AND batch = (SELECT batch FROM counters))";
        let row = sqlx::query(select).fetch_one(&self.reader).await?;
        let sum: i64 = row.try_get("sum")?;
        Ok(Waiting {
            count: row.try_get("count")?,
            sum: u64::try_from(sum).unwrap_or_default(),
            oldest: row.try_get("oldest")?,
            refused: row.try_get("refused")?,
            scripts: row.try_get("scripts")?,
            kept: row.try_get("kept")?,
        })
    }

    /// The transaction with this number.
    pub(crate) async fn by_id(&self, id: i64) -> Result<Transaction> {
        let row = sqlx::query("SELECT id, body FROM transactions WHERE id = ?").bind(id);
        read(&row.fetch_one(&self.reader).await?)
    }

    /// Ends what the host never hears of, once a supervisor has approved it.
    pub(crate) async fn record_approved(&self, transaction: &mut Transaction, now: i64) -> Result<()> {
        let mut tx = self.write().await?;
        let next = end_record(&mut tx, transaction, now).await?;
        tx.commit().await?;
        *transaction = next;
        Ok(())
    }
}

/// Ends what the host never hears of: approved, and with the void of a stored sale its advice is withdrawn. A sale that was sent
/// meanwhile is not voided.
pub(super) async fn end_record(
    connection: &mut SqliteConnection,
    transaction: &Transaction,
    now: i64,
) -> Result<Transaction> {
    if let (Service::OfflineVoid, Some(original)) = (transaction.service(), &transaction.original) {
        let row = sqlx::query("SELECT id, body FROM transactions WHERE id = ?").bind(original.id);
        let sale = read(&row.fetch_one(&mut *connection).await?)?;
        if sale.advice != Some(Advice::Stored) {
            let reason = "the sale was sent to the host meanwhile; void it again";
            return write(connection, transaction, &Event::finished(Outcome::Declined, reason), now).await;
        }
        let by = transaction.request.key.to_string();
        write(connection, &sale, &Event::AdviceWithdrawn { by }, now).await?;
        forget_card(connection, sale.id).await?;
    }
    write(connection, transaction, &Event::finished(Outcome::Approved, ""), now).await
}

async fn forget_card(connection: &mut SqliteConnection, id: i64) -> Result<()> {
    let delete = "DELETE FROM stored_cards WHERE transaction_id = ?";
    let deleted = sqlx::query(delete).bind(id).execute(connection).await?;
    match deleted.rows_affected() {
        1 => Ok(()),
        _ => Err(JournalError::Event(format!("transaction {id} has no stored card"))),
    }
}
