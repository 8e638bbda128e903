//! What became of the scripts that an issuer had a card run: the host is told when there is time, and again until it answers. A sale
//! does not wait for that.

use super::Teller;
use crate::host::HostError;
use crate::journal::JournalError;
use crate::now;
use crate::transaction::{Event, Script, Transaction};

impl Teller {
    /// Takes note of a transaction that has ended.
    pub(super) async fn note_script(&mut self, transaction: &Transaction) -> Result<(), JournalError> {
        if transaction.script != Some(Script::Pending) {
            return Ok(());
        }
        self.scripts.push(transaction.clone());
        self.note_waiting().await
    }

    /// Tells the host all that it is owed.
    pub(super) async fn settle_host(&mut self) -> Result<(), HostError> {
        self.prepare().await?;
        if self.scripts.is_empty() {
            return Ok(());
        }
        let mut link = self.host.connect().await?;
        while let Some(noted) = self.scripts.first() {
            // A receipt may have been recorded since; and so may the answer, if a transaction came just then.
            let mut transaction = self.journal.by_id(noted.id).await?;
            if transaction.script != Some(Script::Pending) {
                self.scripts.remove(0);
                continue;
            }
            let told = self.host.tell_scripts(&mut link, &transaction).await;
            let code = told.inspect_err(|_| {
                // One that the host does not take now keeps it from no other.
                self.scripts.rotate_left(1);
            })?;
            match code.as_str() {
                "00" => {
                    log::info!(stan = transaction.stan; "the host knows what became of the issuer's scripts")
                }
                code => {
                    log::error!(stan = transaction.stan; "the host refuses the results of scripts with code {code}")
                }
            }
            self.journal.record(&mut transaction, &Event::ScriptTold { code }, now()).await?;
            self.show(&transaction).await;
            self.scripts.remove(0);
            self.note_waiting().await?;
        }
        Ok(())
    }
}
