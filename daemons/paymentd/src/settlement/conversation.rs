//! Several questions to the host, on one connection as long as that stands.

use crate::host::{Host, HostError, Link};
use crate::journal::JournalError;
use crate::teller::Teller;

/// How often what no money hangs on is asked.
const TRIES: usize = 3;

pub(super) struct Conversation<'t> {
    teller: &'t mut Teller,
    link: Option<Link>,
}

/// What became of a question that is not asked for ever.
pub(super) enum Asked<T> {
    Answered(T),
    /// Not after several tries.
    Unanswered,
    /// The daemon is to stop.
    Stopping,
}

impl<'t> Conversation<'t> {
    pub(super) fn new(teller: &'t mut Teller) -> Conversation<'t> {
        Conversation { teller, link: None }
    }

    pub(super) fn teller(&mut self) -> &mut Teller {
        self.teller
    }

    /// Asks again, with growing pauses, until the host answers; `None` when the daemon is to stop.
    pub(super) async fn until_answered<T>(
        &mut self,
        ask: impl AsyncFn(&mut Host, &mut Link) -> Result<T, HostError>,
    ) -> Result<Option<T>, JournalError> {
        Ok(match self.ask(usize::MAX, ask).await? {
            Asked::Answered(answer) => Some(answer),
            Asked::Unanswered | Asked::Stopping => None,
        })
    }

    /// Asks again, with growing pauses, a few times.
    pub(super) async fn a_few_times<T>(
        &mut self,
        ask: impl AsyncFn(&mut Host, &mut Link) -> Result<T, HostError>,
    ) -> Result<Asked<T>, JournalError> {
        self.ask(TRIES, ask).await
    }

    async fn ask<T>(
        &mut self,
        tries: usize,
        ask: impl AsyncFn(&mut Host, &mut Link) -> Result<T, HostError>,
    ) -> Result<Asked<T>, JournalError> {
        let mut attempt = 0_usize;
        loop {
            match self.once(&ask).await {
                Ok(answer) => return Ok(Asked::Answered(answer)),
                Err(HostError::Journal(error)) => return Err(error),
                Err(error) => log::warn!("the settlement is still to be answered: {error}"),
            }
            attempt = attempt.saturating_add(1);
            if attempt >= tries {
                return Ok(Asked::Unanswered);
            }
            let delay = self.teller.host().reversal_delay(attempt);
            if !self.teller.pause(delay).await {
                return Ok(Asked::Stopping);
            }
        }
    }

    async fn once<T>(
        &mut self,
        ask: &impl AsyncFn(&mut Host, &mut Link) -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => {
                self.teller.prepare().await?;
                self.teller.connect().await?
            }
        };
        let answer = ask(self.teller.host_mut(), &mut link).await?;
        self.link = Some(link);
        Ok(answer)
    }
}
