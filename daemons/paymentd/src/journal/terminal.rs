//! What the host says of this terminal, kept with the journal: a restart goes by it, too.

use super::{Journal, JournalError, Result};
use crate::terminal_parameters::TerminalParameters;

impl Journal {
    /// What the host said last; nothing where it said nothing yet.
    pub(crate) async fn terminal_parameters(&self) -> Result<TerminalParameters> {
        let select = "SELECT body FROM terminal_parameters";
        let body: Option<String> = sqlx::query_scalar(select).fetch_optional(&self.reader).await?;
        let said = body.map(|body| serde_json::from_str(&body).map_err(JournalError::from)).transpose()?;
        Ok(said.unwrap_or_default())
    }

    /// Keeps what the host says, in place of what it said before.
    pub(crate) async fn keep_terminal_parameters(&self, said: &TerminalParameters) -> Result<()> {
        let mut tx = self.write().await?;
        let replace = "INSERT OR REPLACE INTO terminal_parameters (one, body) VALUES (1, ?)";
        sqlx::query(replace).bind(serde_json::to_string(said)?).execute(&mut *tx).await?;
        tx.commit().await
    }
}
