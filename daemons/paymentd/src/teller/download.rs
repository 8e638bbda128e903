//! Fetching parameters. Of those of the EMV kernel all records of a set come from the host, then the set goes to the card daemon, which
//! checks it and has it on disk, and only then is the host told that it was taken. What the host says of the terminal goes into the
//! journal. What breaks off before leaves what was there.

use client::card::CardParametersProxy;

use super::Teller;
use crate::downloads::{Attempt, End, Progress, Set};
use crate::host::{HostError, Link, is_invalid};

/// Why a set was not taken.
enum Failure {
    Host(HostError),
    /// The card daemon will never take it as it is.
    Invalid(String),
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        Failure::Host(error)
    }
}

impl Teller {
    /// Fetches what is wanted. It may be given up at any time.
    pub(super) async fn download(&mut self) {
        let attempt = self.downloads.begin();
        let downloads = self.downloads.clone();
        let (mut taken, mut settled) = (Vec::new(), Vec::new());
        let fetched = tokio::select! {
            biased;
            () = downloads.cancelled() => None,
            fetched = self.fetch_all(&attempt, &mut taken, &mut settled) => Some(fetched),
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
        attempt.end(end, &settled, pause);
    }

    /// Fetches each set, also where another one can't be had. Those that are `settled` need not be fetched again: they were taken,
    /// there is nothing in them, or the card daemon will never take them.
    async fn fetch_all(
        &mut self,
        attempt: &Attempt,
        taken: &mut Vec<(Set, usize)>,
        settled: &mut Vec<Set>,
    ) -> Result<(), HostError> {
        self.prepare().await?;
        let card = client::proxy::<CardParametersProxy>(&self.bus).await?;
        let mut link = self.host.connect().await?;
        let mut failed = None;
        for set in attempt.sets.iter().copied() {
            let fetched = match set {
                Set::Terminal => self.fetch_terminal(&mut link, attempt).await.map_err(Failure::Host),
                set => self.fetch_set(&mut link, &card, attempt, set).await,
            };
            match fetched {
                Ok(0) => log::info!(set = set.name(); "the host has no such parameters for this terminal"),
                Ok(count) => {
                    log::info!(set = set.name(), records = count; "took the host's parameters");
                    taken.push((set, count));
                }
                Err(Failure::Invalid(problem)) => {
                    failed.get_or_insert(HostError::BadAnswer(problem));
                }
                Err(Failure::Host(error @ HostError::BadAnswer(_))) => {
                    failed.get_or_insert(error);
                    continue;
                }
                Err(Failure::Host(error)) => return Err(error),
            }
            settled.push(set);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Fetches what the host says of the terminal, which is in force from now on; how many values it has.
    async fn fetch_terminal(&mut self, link: &mut Link, attempt: &Attempt) -> Result<usize, HostError> {
        attempt.progress(Progress { set: Set::Terminal, done: 0, total: 1 }).await;
        let Some(said) = self.host.fetch_terminal(link).await? else { return Ok(0) };
        self.journal.keep_terminal_parameters(self.host.source(), &said).await?;
        let count = said.count();
        self.said.send_replace(said);
        Ok(count)
    }

    /// Fetches a set and has it taken; how many records it has.
    async fn fetch_set(
        &mut self,
        link: &mut Link,
        card: &CardParametersProxy<'_>,
        attempt: &Attempt,
        set: Set,
    ) -> Result<usize, Failure> {
        let names = self.host.list_records(link, set).await?;
        let mut records = Vec::with_capacity(names.len());
        for name in &names {
            attempt.progress(Progress { set, done: records.len(), total: names.len() }).await;
            records.push(self.host.fetch_record(link, set, name).await?);
        }
        if records.is_empty() {
            return Ok(0);
        }
        attempt.progress(Progress { set, done: records.len(), total: names.len() }).await;
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        match card.replace(set.name(), &records).await {
            Err(error) if is_invalid(&error) => return Err(Failure::Invalid(error.to_string())),
            replaced => replaced.map_err(HostError::from)?,
        }
        self.host.end_download(link, set).await?;
        Ok(records.len())
    }
}
