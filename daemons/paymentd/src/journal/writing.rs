//! A write of the journal: all of it becomes durable, or nothing.
//!
//! SQLite may roll back by itself where a disk fails, and sqlx's own transactions then miscount: the next one would be a
//! savepoint in nothing. So BEGIN and COMMIT are said here, and a connection that did not commit is thrown away, which
//! rolls back whatever there is.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};
use tokio::sync::watch;

use super::{JournalError, Result};

/// A write that has begun.
pub(super) struct Writing {
    connection: PoolConnection<Sqlite>,
    in_doubt: watch::Sender<bool>,
    committed: bool,
}

impl Writing {
    /// Begins to write. `in_doubt` becomes true when nobody can say whether a commit is durable.
    pub(super) async fn begin(pool: &SqlitePool, in_doubt: &watch::Sender<bool>) -> Result<Writing> {
        let connection = pool.acquire().await?;
        let mut writing = Writing { connection, in_doubt: in_doubt.clone(), committed: false };
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *writing.connection).await?;
        Ok(writing)
    }

    /// Ends the write; it is durable when this returns.
    ///
    /// # Errors
    /// On a full disk nothing was written. After any other error the commit may be there or not.
    pub(super) async fn commit(mut self) -> Result<()> {
        let committed = sqlx::query("COMMIT").execute(&mut *self.connection).await;
        if let Err(error) = committed {
            let error = JournalError::from(error);
            if !error.is_full() {
                self.in_doubt.send_replace(true);
            }
            return Err(error);
        }
        self.committed = true;
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.committed {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Writing {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}
