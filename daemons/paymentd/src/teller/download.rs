//! Fetching parameters of the EMV kernel: all records of a set from the host, then the set to the card daemon, which checks it and
//! has it on disk, and only then is the host told that it was taken. What breaks off before leaves the set that was there.

use client::card::CardParametersProxy;

use super::Teller;
use crate::downloads::{Attempt, End, Progress, Set};
use crate::host::{HostError, is_invalid};

impl Teller {
    /// Fetches what is wanted. It may be given up at any time.
    pub(super) async fn download(&mut self) {
        let attempt = self.downloads.begin();
        let downloads = self.downloads.clone();
        let mut taken = Vec::new();
        let fetched = tokio::select! {
            biased;
            () = downloads.cancelled() => None,
            fetched = self.fetch_all(&attempt, &mut taken) => Some(fetched),
        };
        let end = match fetched {
            None => End { taken, ..End::cancelled() },
            Some(Ok(())) => End { outcome: "completed", reason: String::new(), taken },
            Some(Err(error)) => {
                log::warn!("parameters can't be fetched from the host: {error}");
                End { outcome: "failed", reason: error.to_string(), taken }
            }
        };
        let pause = self.host.reversal_delay(attempt.failures().saturating_add(1));
        attempt.end(end, pause).await;
    }

    async fn fetch_all(&mut self, attempt: &Attempt, taken: &mut Vec<(Set, usize)>) -> Result<(), HostError> {
        self.prepare().await?;
        let card = client::proxy::<CardParametersProxy>(&self.bus).await?;
        let mut link = self.host.connect().await?;
        for set in attempt.sets.iter().copied() {
            let names = self.host.list_records(&mut link, set).await?;
            if names.is_empty() {
                log::info!("the host has no {} for this terminal", set.name());
                continue;
            }
            let mut records = Vec::with_capacity(names.len());
            for name in &names {
                attempt.progress(Progress { set, done: records.len(), total: names.len() }).await;
                records.push(self.host.fetch_record(&mut link, set, name).await?);
            }
            attempt.progress(Progress { set, done: records.len(), total: names.len() }).await;
            let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
            match card.replace(set.name(), &records).await {
                Err(error) if is_invalid(&error) => return Err(HostError::BadAnswer(error.to_string())),
                replaced => replaced?,
            }
            self.host.end_download(&mut link, set).await?;
            log::info!(records = records.len(); "took the host's {}", set.name());
            taken.push((set, records.len()));
        }
        Ok(())
    }
}
