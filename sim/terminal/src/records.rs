//! What terminal and host have recorded, and whether they agree.

use std::collections::HashMap;

use client::payment::PaymentProxy;
use client::{Dictionary, get};

use crate::codes;
use crate::compare::{self, Disagreement, Entry};
use crate::error::Result;
use crate::terminal::Terminal;

/// The most that the API gives on one page.
const PAGE: u32 = 100;

impl Terminal {
    /// The terminal's journal, through the API: what the app and what the operator started.
    ///
    /// # Errors
    /// When paymentd does not answer.
    pub async fn journal(&self) -> Result<Vec<Dictionary>> {
        let mut found = HashMap::new();
        for connection in [self.app_bus().await?, self.system_bus().await?] {
            let payment = client::proxy::<PaymentProxy>(&connection).await?;
            let mut cursor = String::new();
            loop {
                let (page, next) = payment.list_transactions(HashMap::new(), &cursor, PAGE).await?;
                found.extend(page.into_iter().map(|transaction| (identity(&transaction), transaction)));
                if next.is_empty() {
                    break;
                }
                cursor = next;
            }
        }
        Ok(found.into_values().collect())
    }

    /// What the host has booked.
    ///
    /// # Errors
    /// When the host does not answer.
    pub async fn ledger(&self) -> Result<Vec<Entry>> {
        compare::from_ledger(&self.simctl(&["ledger"]).await?.data)
    }

    /// All on which the journal and the two ledgers, the host's and the QR gateway's, differ.
    ///
    /// # Errors
    /// When one of them can't be had or read.
    pub async fn disagreements(&self) -> Result<Vec<Disagreement>> {
        self.compare(self.journal().await?).await
    }

    /// All on which `journal`, transactions as `org.smartpos.Payment1` lists them, and the two ledgers differ.
    ///
    /// # Errors
    /// When a ledger can't be had, or something read.
    pub async fn compare(&self, journal: Vec<Dictionary>) -> Result<Vec<Disagreement>> {
        let (by_code, by_card): (Vec<Dictionary>, Vec<Dictionary>) =
            journal.into_iter().partition(codes::is_by_code);
        let by_card = by_card.iter().map(compare::from_journal).collect::<Result<Vec<Entry>>>()?;
        let mut found = compare::compare(&by_card, &self.ledger().await?);
        let orders = self.simctl(&["qr", "ledger"]).await?.data;
        found.extend(codes::compare(&codes::from_journal(&by_code)?, &codes::from_ledger(&orders)?));
        Ok(found)
    }
}

/// A key is unique to its owner.
fn identity(transaction: &Dictionary) -> (String, String) {
    let text = |key: &str| get::<&str>(transaction, key).unwrap_or_default().to_owned();
    (text("owner"), text("key"))
}
