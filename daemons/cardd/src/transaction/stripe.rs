//! The magnetic stripe: where a card has no chip, or where its chip has failed (EMV Book 4, 6.6: fallback). Its account stays in the
//! module, and the host alone decides.
//!
//! The service code (ISO/IEC 7813) says whether the card has a chip, which then is to be used, what it pays for, and whether a PIN
//! goes with it.

use std::sync::Arc;

use emv::{Action, Event, Kernel};
use keys::pin_block::PinBlock;
use secure_module::{Error as ModuleError, KeySlot, PinOutcome, SecureModule, SwipeResult, SwipedCard};
use stripe::{PinRule, Range, ServiceCode};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

use super::{Place, Progress, Transaction};
use crate::interruption::{HostAnswer, Interruption, Signal, Stay, Swipes};
use crate::keyed;
use crate::report::{self, Sealed};

/// A card that was swiped, and may pay so.
#[derive(Debug)]
pub(crate) struct Swiped {
    pub(crate) masked_pan: String,
    /// It has a chip, which has failed.
    pub(crate) fallback: bool,
    pin: PinRule,
}

/// How the cardholder was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verified {
    /// By a PIN, which the host checks.
    OnlinePin,
    /// By the signature on the receipt.
    Signature,
    /// Not at all.
    None,
}

impl Transaction {
    /// Waits for a card in the slot, or for one that is swiped; `None` for the slot. The head is armed only for as long.
    pub(super) async fn card_presented(&mut self, used: Option<Stay>) -> Progress<Option<Swiped>> {
        let limit = self.config.card_timeout();
        let swipes = self.watch.swipes();
        if self.swipe.is_none() || self.watch.card_waits(used) || !self.arm().await? {
            self.watch.card_inserted(limit, used, false).await?;
            return Ok(None);
        }
        let swiped = self.head(swipes, false).accepted();
        let presented = tokio::select! {
            biased;
            inserted = self.watch.card_inserted(limit, used, true) => inserted.map(|()| None),
            swiped = swiped => swiped.map(Some),
        };
        if !matches!(presented, Ok(Some(_))) {
            self.forget().await;
        }
        presented
    }

    /// Whether the stripe may be tried where the chip fails.
    pub(super) fn may_fall_back(&self) -> bool {
        self.swipe.is_some() && self.config.stripe.fallback
    }

    /// The chip has failed: waits for its card, or another one, to be swiped. `None` from a module that has no head.
    pub(super) async fn swiped_instead(&mut self) -> Progress<Option<Swiped>> {
        let swipes = self.watch.swipes();
        self.power_off().await;
        self.watch.release_card();
        if !self.arm().await? {
            return Ok(None);
        }
        log::warn!("the chip has failed: the stripe may be used");
        self.watch.progress("swipe-card").await;
        let swiped = self.head(swipes, true).accepted();
        let deadline = Instant::now() + self.config.card_timeout();
        let swiped = match timeout_at(deadline, self.watch.unless_interrupted(swiped)).await {
            Ok(swiped) => swiped.and_then(|swiped| swiped),
            Err(_) => Err(Interruption::cancelled("no card was swiped in time")),
        };
        if swiped.is_err() {
            self.forget().await;
        }
        swiped.map(Some)
    }

    /// Runs to the end with a card that was swiped.
    pub(super) async fn run_swiped(mut self, card: Swiped, mut place: OwnedMutexGuard<Place>) {
        let mut verified = Verified::None;
        let processed = self.process_swiped(&card, &mut verified).await;
        self.forget().await;
        if self.watch.has_asked_host() {
            place.used = self.watch.stay();
        }
        drop(place);
        let (outcome, reason) = keyed::end_of(processed);
        log::info!("transaction with a swiped card {outcome}: {reason}");
        let result = report::swiped_for_end(&card, verified, &reason);
        self.watch.signal(Signal::Completed(outcome, result)).await;
        if self.watch.card_is_in() {
            self.watch.progress("remove-card").await;
        }
    }

    async fn process_swiped(
        &mut self,
        card: &Swiped,
        verified: &mut Verified,
    ) -> Progress<Option<HostAnswer>> {
        self.watch.signal(Signal::Progress("card-read", report::masked_for_screen(&card.masked_pan))).await;
        let pin_block = self.pin_of_swiped(card.pin, verified).await?;
        let slot = self.slot(KeySlot::TDK).await?;
        let sealing = self.module.seal_swiped_card(&slot);
        let track2 = self.watch.unless_interrupted(sealing).await??;
        let token =
            match self.watch.unless_interrupted(self.module.swiped_card_token(&KeySlot::TOKEN)).await? {
                Ok(token) => Some(token),
                Err(ModuleError::NotSupported) => None,
                Err(error) => return Err(error.into()),
            };
        // The host takes its time, and nothing more is asked of the card.
        self.forget().await;
        self.watch.progress("authorizing").await;
        let sealed = Sealed { track2, pin_block, key_serial: self.key_serial, token };
        let card = report::swiped_for_host(card, *verified, &sealed);
        self.watch.ask_host(card, self.config.host_timeout()).await
    }

    /// The PIN block, where one is entered: a card that pays is asked for it as its service code says, one that is only identified
    /// where the host wants that.
    async fn pin_of_swiped(&mut self, rule: PinRule, verified: &mut Verified) -> Progress<Option<PinBlock>> {
        let asked = self.swipe.and_then(|terms| terms.pin);
        let (rule, without) = match asked {
            None => (rule, Verified::Signature),
            Some(true) => (PinRule::Required, Verified::None),
            Some(false) => (PinRule::None, Verified::None),
        };
        *verified = without;
        if rule == PinRule::None {
            return Ok(None);
        }
        match self.ask_pin(None).await? {
            Some(PinOutcome::Entered(block)) => {
                *verified = Verified::OnlinePin;
                Ok(Some(block))
            }
            Some(PinOutcome::Bypassed) => Ok(None),
            Some(PinOutcome::Cancelled) => Err(Interruption::cancelled("the PIN entry was cancelled")),
            Some(PinOutcome::TimedOut) => Err(Interruption::cancelled("the PIN was not entered in time")),
            None if rule == PinRule::WherePossible => Ok(None),
            None => Err(Interruption::failed("the card needs a PIN, and the PIN pad does not work")),
        }
    }

    /// Has the head read the next card; `false` where there is none.
    async fn arm(&mut self) -> Progress<bool> {
        match self.watch.unless_interrupted(self.module.arm_stripe()).await? {
            Ok(()) => Ok(true),
            Err(ModuleError::NotSupported) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A module that is gone has forgotten it.
    async fn forget(&self) {
        if let Err(error) = self.module.forget_swiped_card().await {
            log::debug!("the head of the stripe is not disarmed: {error}");
        }
    }

    fn head(&self, swipes: Swipes, chip_failed: bool) -> Head {
        Head { module: Arc::clone(&self.module), swipes, chip_failed }
    }
}

/// Whether a kernel that has ended did so for a chip that does not work (EMV Book 4, 6.6).
pub(super) fn chip_failed(kernel: &mut Kernel) -> bool {
    matches!(kernel.step(Event::Cancelled), Action::Complete(outcome) if outcome.fallback)
}

/// The head of the stripe, which is armed.
struct Head {
    module: Arc<dyn SecureModule>,
    swipes: Swipes,
    chip_failed: bool,
}

impl Head {
    /// The first card that is read and may pay by its stripe. Who swipes another one is told what to do instead.
    async fn accepted(mut self) -> Progress<Swiped> {
        loop {
            let hint = match self.swipes.next().await? {
                SwipeResult::Unreadable => "swipe-again",
                SwipeResult::Read => match self.module.swiped_card().await {
                    Ok(card) => match self.judge(card)? {
                        Ok(swiped) => return Ok(swiped),
                        Err(hint) => hint,
                    },
                    // What was read before the head was armed this time is forgotten.
                    Err(ModuleError::NoCard) => continue,
                    Err(error) => return Err(error.into()),
                },
            };
            self.module.arm_stripe().await?;
            self.swipes.tell(hint).await;
        }
    }

    /// What a card may do by its service code; else what its holder is told.
    fn judge(&self, card: SwipedCard) -> Progress<Result<Swiped, &'static str>> {
        let Ok(code) = card.service_code.parse::<ServiceCode>() else { return Ok(Err("swipe-again")) };
        if code.has_chip() && !self.chip_failed {
            return Ok(Err("use-chip"));
        }
        if matches!(code.services().range, Range::Cash | Range::Atm) {
            return Err(Interruption::declined("the card gives cash alone, by its service code"));
        }
        let (masked_pan, pin) = (card.masked_pan, code.services().pin);
        Ok(Ok(Swiped { masked_pan, fallback: code.has_chip(), pin }))
    }
}
