//! A card that is not there (mail order, telephone order): its number is keyed at the secure module's pad, stays in the module,
//! and the host alone decides.

use std::sync::Arc;

use secure_module::{
    Amount, CardEntryOutcome, CardEntryRequest, Error as ModuleError, KeySlot, SecureModule,
};
use service::options::Dictionary;
use tokio::sync::OwnedMutexGuard;

use crate::config::Config;
use crate::interruption::{HostAnswer, Interruption, Signal, Watch};
use crate::report;
use crate::transaction::{APPROVED, Place};

/// One transaction with a keyed card.
pub(crate) struct Keyed {
    pub(crate) config: Config,
    pub(crate) module: Arc<dyn SecureModule>,
    /// What the pad shows.
    pub(crate) amount: Option<Amount>,
    /// Whether the security code is asked for.
    pub(crate) security_code: bool,
    pub(crate) watch: Watch,
}

impl Keyed {
    /// Runs to the end. `place` is given back just before the end is told.
    pub(crate) async fn run(mut self, place: OwnedMutexGuard<Place>) {
        let mut masked_pan = None;
        let processed = self.process(&mut masked_pan).await;
        // A module that is gone has forgotten it.
        let _ = self.module.forget_keyed_card().await;
        drop(place);
        let (outcome, reason) = end_of(processed);
        log::info!("transaction with a keyed card {outcome}: {reason}");
        let result = report::keyed_for_end(masked_pan.as_deref(), &reason);
        self.watch.signal(Signal::Completed(outcome, result)).await;
    }

    async fn process(&mut self, masked_pan: &mut Option<String>) -> Result<Option<HostAnswer>, Interruption> {
        let masked = masked_pan.insert(self.enter().await?);
        self.watch.signal(Signal::Progress("card-read", report::masked_for_screen(masked))).await;
        let sealing = self.module.seal_keyed_card(&KeySlot::TDK);
        let sealed = self.watch.unless_interrupted(sealing).await??;
        let token = self.module.keyed_card_token(&KeySlot::TOKEN);
        let token = self.watch.unless_interrupted(token).await??;
        // The host takes its time, and nothing more is asked of the number.
        if let Err(error) = self.module.forget_keyed_card().await {
            log::warn!("the module keeps the keyed card until the end: {error}");
        }
        self.watch.progress("authorizing").await;
        let card = report::keyed_for_host(masked, sealed, &token);
        self.watch.ask_host(card, self.config.host_timeout()).await
    }

    /// What may be shown of the number that is keyed.
    async fn enter(&mut self) -> Result<String, Interruption> {
        let request = CardEntryRequest {
            security_code: self.security_code,
            first_key: self.config.pin.first_key(),
            next_key: self.config.pin.next_key(),
            amount: self.amount,
        };
        let entry = self.module.enter_card(request);
        match self.watch.entry("key-card", Dictionary::new(), entry).await {
            Ok(Ok(CardEntryOutcome::Entered { masked_pan })) => Ok(masked_pan),
            Ok(Ok(CardEntryOutcome::Cancelled)) => {
                Err(Interruption::cancelled("the entry of the card was cancelled at the pad"))
            }
            Ok(Ok(CardEntryOutcome::TimedOut)) => {
                Err(Interruption::cancelled("no card was keyed at the pad in time"))
            }
            Ok(Err(ModuleError::NotSupported)) => Err(Interruption::failed(
                "the secure card module has no pad for card numbers; take the card itself",
            )),
            Ok(Err(error)) => Err(self.stop_entry(error.into()).await),
            Err(interruption) => Err(self.stop_entry(interruption).await),
        }
    }

    /// The pad goes on by itself until it is told.
    async fn stop_entry(&self, interruption: Interruption) -> Interruption {
        if let Err(error) = self.module.cancel_pin().await {
            log::warn!("the entry of the card is not cancelled: {error}");
        }
        interruption
    }
}

/// How a transaction ended in which the host alone decides.
pub(crate) fn end_of(processed: Result<Option<HostAnswer>, Interruption>) -> (&'static str, String) {
    match processed {
        Ok(Some(answer)) if answer.code == APPROVED => ("approved", String::new()),
        Ok(Some(_)) => ("declined", "the host declined".to_string()),
        Ok(None) => ("declined", "the host could not be reached".to_string()),
        Err(Interruption { outcome, reason }) => (outcome, reason),
    }
}
