//! What the host says of this terminal, kept with the journal: a restart goes by it, too.

use super::{Journal, JournalError, Result};
use crate::terminal_parameters::TerminalParameters;

impl Journal {
    /// What the host `source` said last; nothing where it said nothing yet.
    pub(crate) async fn terminal_parameters(&self, source: &str) -> Result<TerminalParameters> {
        let select = "SELECT body FROM terminal_parameters WHERE source = ?";
        let body: Option<String> =
            sqlx::query_scalar(select).bind(source).fetch_optional(&self.reader).await?;
        let said = body.map(|body| serde_json::from_str(&body).map_err(JournalError::from)).transpose()?;
        Ok(said.unwrap_or_default())
    }

    /// Keeps what the host `source` says, in place of what was said before.
    pub(crate) async fn keep_terminal_parameters(
        &self,
        source: &str,
        said: &TerminalParameters,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        let replace = "INSERT OR REPLACE INTO terminal_parameters (one, source, body) VALUES (1, ?, ?)";
        let body = serde_json::to_string(said)?;
        sqlx::query(replace).bind(source).bind(body).execute(&mut *tx).await?;
        tx.commit().await
    }
}
