//! Has the secure module seal the journal while the terminal is at rest, and then drops what is older than the owner keeps.
//!
//! A seal is owed after so many events, and after a settlement. It waits until the teller has had nothing to do for a moment,
//! gives way to a sale at any time, and where the module is away it is made after a later transaction. While none is
//! owed nothing wakes the daemon.

use std::time::Duration;

use audit::seal::Seal;
use audit::{Identity, Octets, chain::Chain};
use client::card::CardPaymentProxy;

use crate::journal::{Journal, JournalError};
use crate::{config, limits, now};

/// The terminal counts as at rest when so long nothing was asked of it.
const REST: Duration = Duration::from_secs(2);
/// In milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// Seals the journal.
pub(crate) struct Sealer {
    journal: Journal,
    card: CardPaymentProxy<'static>,
    /// Events after which a seal is owed; 0 is never.
    every: u32,
    /// Days that the journal goes back; 0 is for ever.
    keep_days: u32,
    owed: bool,
}

/// Why a seal was not made.
#[derive(Debug, thiserror::Error)]
enum SealError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the secure card module: {0}")]
    Module(#[from] zbus::Error),
    #[error("the secure card module's seal is none")]
    False,
}

impl Sealer {
    pub(crate) fn new(journal: Journal, card: CardPaymentProxy<'static>, config: &config::Journal) -> Sealer {
        let config::Journal { seal_events: every, keep_days } = *config;
        Sealer { journal, card, every, keep_days, owed: true }
    }

    /// Something was appended: a seal may be owed, or something be old enough.
    pub(crate) fn note(&mut self) {
        self.owed = true;
    }

    pub(crate) fn is_owed(&self) -> bool {
        self.owed
    }

    /// Waits for the terminal to be at rest, and seals if that is due. Dropping it undoes nothing.
    pub(crate) async fn seal(&mut self) {
        tokio::time::sleep(REST).await;
        let done = async {
            let sealed = self.seal_now().await?;
            self.drop_old().await?;
            Ok(sealed)
        };
        let done = done.await;
        self.owed = false;
        match done {
            Ok(Some(last)) => log::info!(event = last; "the journal is sealed"),
            Ok(None) => {}
            Err(SealError::Module(zbus::Error::MethodError(name, ..)))
                if name == "org.smartpos.Error.NotSupported" =>
            {
                log::warn!("the secure card module seals no journals");
                self.every = 0;
            }
            Err(error) => log::warn!("the journal is sealed later: {error}"),
        }
    }

    /// Drops what is too old, a seal's worth at a time, so that a sale waits for one at most.
    async fn drop_old(&self) -> Result<(), JournalError> {
        if self.keep_days > 0 {
            let today = limits::day_of(now());
            let before = today.saturating_sub(DAY.saturating_mul(self.keep_days.into()));
            while self.journal.drop_oldest(before).await? {}
        }
        Ok(())
    }

    /// The last event that is sealed now; `None` where nothing is due.
    async fn seal_now(&self) -> Result<Option<i64>, SealError> {
        if self.every == 0 {
            return Ok(None);
        }
        let Some((journal, chain)) = self.journal.unsealed(self.every.into()).await? else { return Ok(None) };
        let seal = self.ask(&journal, &chain).await?;
        self.journal.keep_seal(&seal).await?;
        Ok(Some(seal.last))
    }

    async fn ask(&self, journal: &Identity, chain: &Chain) -> Result<Seal, SealError> {
        let at = now();
        let (key, signature) = self.card.seal_journal(&journal.0, chain.last, &chain.head.0, at).await?;
        let wrong = |_| SealError::False;
        let seal = Seal {
            last: chain.last,
            head: chain.head,
            at,
            key: Octets::try_from(key.as_slice()).map_err(wrong)?,
            signature: Octets::try_from(signature.as_slice()).map_err(wrong)?,
        };
        // What nobody can verify is not worth keeping.
        if seal.is_signed(journal) { Ok(seal) } else { Err(SealError::False) }
    }
}
