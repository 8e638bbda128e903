//! One EMV transaction: the kernel decides what comes next, and this does it, with the secure module.
//!
//! The trait of secure modules has no display. Where the card has several of our applications, or wants its only one
//! confirmed, the customer chooses on the app's, if it offers that; else the first by priority is taken that needs no
//! confirmation.

pub(crate) mod stripe;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use emv::{Action, Candidate, Decision, Event, Kernel, Online, Outcome, PinResult, Reason};
use keys::pin_block::PinBlock;
use keys::{Pan, Track2};
use secure_module::{
    Amount, CardSlot, Error as ModuleError, KeySlot, PinEncipherment, PinOutcome, PinRequest, Secret,
    SecureModule,
};
use service::options::Dictionary;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use self::stripe::{Swiped, chip_failed};
use crate::config::Config;
use crate::interruption::{Interruption, Signal, Stay, Watch};
use crate::report::{self, Sealed, Stored};
use crate::terms::{Protection, SwipeTerms};

/// DE 39 of an approval.
pub(crate) const APPROVED: [u8; 2] = *b"00";
/// How many digits a PIN may have (ISO 9564-1, 9.1).
const PIN_DIGITS: RangeInclusive<u8> = 4..=12;
/// How long the end waits for the card to lose its power. The module does it in any case, when it comes to
/// it.
const POWER_OFF: Duration = Duration::from_secs(2);

type Progress<T> = Result<T, Interruption>;

/// What the kernel wants next.
enum Step {
    Transmit(Secret),
    Choose(Vec<Candidate>),
    EnterPin,
    VerifyPin { tries_left: Option<u8>, encipherment: Option<PinEncipherment> },
    GoOnline,
    End,
}

impl From<Action<'_>> for Step {
    fn from(action: Action<'_>) -> Step {
        match action {
            Action::Transmit(command) => Step::Transmit(command.to_vec().into()),
            Action::ChooseApplication(candidates) => Step::Choose(candidates.to_vec()),
            Action::EnterOnlinePin => Step::EnterPin,
            Action::VerifyOfflinePin(pin) => Step::VerifyPin {
                tries_left: pin.tries_left,
                encipherment: pin.encipherment.map(|with| PinEncipherment {
                    modulus: with.modulus.to_vec(),
                    exponent: with.exponent.to_vec(),
                    challenge: with.challenge,
                }),
            },
            Action::GoOnline => Step::GoOnline,
            Action::Complete(_) => Step::End,
        }
    }
}

/// The one place for a transaction, and what the last one left there.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// The stay of the last card that was asked for a cryptogram, or that the host was asked about.
    used: Option<Stay>,
}

/// One transaction, from waiting for the card to its removal.
pub(crate) struct Transaction {
    pub(crate) config: Config,
    pub(crate) module: Arc<dyn SecureModule>,
    pub(crate) kernel: Kernel,
    /// Whether somebody has the customer choose among the card's applications.
    pub(crate) choose_application: bool,
    /// What the PIN pad shows.
    pub(crate) amount: Option<Amount>,
    pub(crate) protection: Protection,
    /// How a card is taken that is swiped; `None` where none is.
    pub(crate) swipe: Option<SwipeTerms>,
    /// Of the DUKPT transaction, once its keys are needed.
    pub(crate) key_serial: Option<[u8; 12]>,
    pub(crate) watch: Watch,
}

impl Transaction {
    /// Runs to the end. `place` is given back just before the end is told, so that who hears of it can begin
    /// anew.
    pub(crate) async fn run(mut self, mut place: OwnedMutexGuard<Place>) {
        let mut pin_block = None;
        let processed = match self.process(place.used, &mut pin_block).await {
            Ok(Some(swiped)) => return self.run_swiped(swiped, place).await,
            Ok(None) => Ok(()),
            Err(interruption) => Err(interruption),
        };
        let stored = match &processed {
            Ok(()) => self.store().await,
            Err(_) => Ok(None),
        };
        if self.kernel.asked_for_cryptogram() || self.watch.has_asked_host() {
            place.used = self.watch.stay();
        }
        self.power_off().await;
        drop(place);
        let (mut outcome, mut reason) = conclude(&mut self.kernel, processed.err());
        // An approval that the host could never be told of is none.
        let stored = stored.unwrap_or_else(|interruption| {
            (outcome, reason) = (interruption.outcome, interruption.reason);
            None
        });
        log::info!("transaction {outcome}: {reason}");
        let result = report::for_end(&self.kernel, pin_block.is_some(), &reason, stored);
        self.watch.signal(Signal::Completed(outcome, result)).await;
        if self.watch.card_is_in() {
            self.watch.progress("remove-card").await;
        }
    }

    /// The card in the slot, to its end. Where a card was swiped in its place, that is returned.
    async fn process(
        &mut self,
        used: Option<Stay>,
        pin_block: &mut Option<PinBlock>,
    ) -> Progress<Option<Swiped>> {
        let used = used.filter(|_| !self.config.card_may_stay);
        if let Some(swiped) = self.card_presented(used).await? {
            return Ok(Some(swiped));
        }
        self.watch.progress("reading").await;
        match self.watch.unless_interrupted(self.module.card_power_on(CardSlot::Contact)).await? {
            Ok(_) => self.run_kernel(pin_block).await?,
            Err(ModuleError::CardMute) if self.may_fall_back() => {
                let swiped = self.swiped_instead().await?;
                return swiped.map(Some).ok_or_else(|| ModuleError::CardMute.into());
            }
            Err(error) => return Err(error.into()),
        }
        if self.may_fall_back() && chip_failed(&mut self.kernel) {
            return self.swiped_instead().await;
        }
        Ok(None)
    }

    /// What the kernel wants, until its end.
    async fn run_kernel(&mut self, pin_block: &mut Option<PinBlock>) -> Progress<()> {
        let mut shown = false;
        let mut step = Step::from(self.kernel.start());
        loop {
            if !shown && self.kernel.masked_pan().is_some() {
                shown = true;
                self.watch.signal(Signal::Progress("card-read", report::for_screen(&self.kernel))).await;
            }
            step = match step {
                Step::Transmit(command) => self.transmit(&command).await?,
                Step::Choose(candidates) => self.choose(&candidates).await?,
                Step::EnterPin => self.enter_pin(pin_block).await?,
                Step::VerifyPin { tries_left, encipherment } => {
                    self.verify_pin(tries_left, encipherment).await?
                }
                Step::GoOnline => self.go_online(*pin_block).await?,
                Step::End => return Ok(()),
            };
        }
    }

    /// Nothing can be done about a card that keeps its power; a card that is gone has none.
    async fn power_off(&self) {
        let _ = timeout(POWER_OFF, self.module.card_power_off(CardSlot::Contact)).await;
    }

    async fn transmit(&mut self, command: &[u8]) -> Progress<Step> {
        let sent = self.module.card_transmit(CardSlot::Contact, command);
        match self.watch.unless_interrupted(sent).await? {
            Ok(response) => Ok(self.kernel.step(Event::Response(&response)).into()),
            Err(ModuleError::CardMute) => self.meet_silence().await,
            Err(error) => Err(error.into()),
        }
    }

    /// A card that is being pulled out falls silent before its slot notices.
    async fn meet_silence(&mut self) -> Progress<Step> {
        let status = self.watch.unless_interrupted(self.module.status()).await??;
        if status.card_present {
            Ok(self.kernel.step(Event::TransmitFailed).into())
        } else {
            Err(Interruption::card_removed())
        }
    }

    /// EMV Book 1 clause 12.4: which of the candidates, which come by priority. What nobody can confirm is not taken.
    async fn choose(&mut self, candidates: &[Candidate]) -> Progress<Step> {
        let index = if self.choose_application {
            let labels = candidates.iter().map(|candidate| candidate.label.as_str()).collect();
            self.watch.choice(labels, self.config.choice_timeout()).await?
        } else {
            let unasked = candidates.iter().position(|candidate| !candidate.confirmation);
            unasked.ok_or_else(|| {
                Interruption::failed(
                    "the card wants its application confirmed by the customer; ask with `choose_application`",
                )
            })?
        };
        Ok(self.kernel.step(Event::Chosen(index)).into())
    }

    async fn enter_pin(&mut self, pin_block: &mut Option<PinBlock>) -> Progress<Step> {
        let pan = pan(&self.kernel)?;
        let result = match self.ask_pin(Some(pan)).await? {
            Some(PinOutcome::Entered(block)) => {
                *pin_block = Some(block);
                PinResult::Entered
            }
            Some(PinOutcome::Bypassed) => PinResult::Bypassed,
            Some(PinOutcome::Cancelled) => PinResult::Cancelled,
            Some(PinOutcome::TimedOut) => PinResult::TimedOut,
            None => PinResult::PinPadBroken,
        };
        Ok(self.kernel.step(Event::Pin(result)).into())
    }

    /// Has the PIN entered for `pan`, or for that of the card that was swiped. `None` where no pad works.
    async fn ask_pin(&mut self, pan: Option<Pan>) -> Progress<Option<PinOutcome>> {
        let request = PinRequest {
            pan,
            key: self.slot(KeySlot::PIK).await?,
            digits: PIN_DIGITS,
            first_key: self.config.pin.first_key(),
            next_key: self.config.pin.next_key(),
            bypass: self.config.pin.bypass,
            accessible: self.config.pin.accessible,
            amount: self.amount,
        };
        let entry = self.module.enter_pin(request);
        match self.watch.entry("pin", Dictionary::new(), entry).await {
            Ok(Ok(outcome)) => Ok(Some(outcome)),
            Ok(Err(ModuleError::NotSupported | ModuleError::PinPadBroken)) => Ok(None),
            Ok(Err(error)) => Err(self.stop_pin(error.into()).await),
            Err(interruption) => Err(self.stop_pin(interruption).await),
        }
    }

    /// The PIN pad goes on by itself until it is told.
    async fn stop_pin(&self, interruption: Interruption) -> Interruption {
        if let Err(error) = self.module.cancel_pin().await {
            log::warn!("the PIN entry is not cancelled: {error}");
        }
        interruption
    }

    async fn go_online(&mut self, pin_block: Option<PinBlock>) -> Progress<Step> {
        let (track2, pan) = account(&self.kernel)?;
        let slot = self.slot(KeySlot::TDK).await?;
        let sealing = self.module.seal_track2(&slot, &track2);
        let track2 = self.watch.unless_interrupted(sealing).await??;
        let key_serial = self.key_serial;
        let sealed = Sealed { track2, pin_block, key_serial, token: self.token(&pan).await? };
        if self.kernel.identifies() {
            self.power_off().await;
            self.watch.release_card();
        }
        self.watch.progress("authorizing").await;
        let card = report::for_host(&self.kernel, &sealed);
        let answer = self.watch.ask_host(card, self.config.host_timeout()).await?;
        let event = match &answer {
            Some(answer) => Event::Host(emv::HostAnswer {
                approved: answer.code == APPROVED,
                arc: answer.code,
                authorisation_code: None,
                field_55: &answer.issuer_data,
            }),
            None => Event::HostUnreachable,
        };
        Ok(self.kernel.step(event).into())
    }

    /// Where the key for what `working` is for is. The first time, the keys of the next DUKPT transaction are begun with.
    async fn slot(&mut self, working: KeySlot) -> Progress<KeySlot> {
        if self.protection == Protection::WorkingKeys {
            return Ok(working);
        }
        if self.key_serial.is_none() {
            let next = self.module.next_dukpt_key(&KeySlot::DUKPT);
            self.key_serial = Some(self.watch.unless_interrupted(next).await??);
        }
        Ok(KeySlot::DUKPT)
    }

    /// Seals, for the terminal's storage, the account of a card that approved without the host; `None` where it did not.
    /// Whatever happens to the card meanwhile, it has decided.
    async fn store(&mut self) -> Progress<Option<Stored>> {
        if !approved_without_host(&mut self.kernel) {
            return Ok(None);
        }
        let (track2, pan) = account(&self.kernel)?;
        let track2 = self.module.seal_track2(&KeySlot::STORE, &track2).await?;
        let token = match self.module.card_token(&KeySlot::TOKEN, &pan).await {
            Ok(token) => Some(token),
            Err(ModuleError::NotSupported) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Stored { track2, token }))
    }

    /// The token by which the journal knows the card again; none from a module that makes no tokens.
    async fn token(&mut self, pan: &Pan) -> Progress<Option<Vec<u8>>> {
        let token = self.module.card_token(&KeySlot::TOKEN, pan);
        match self.watch.unless_interrupted(token).await? {
            Ok(token) => Ok(Some(token)),
            Err(ModuleError::NotSupported) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The PAN, for the module alone.
fn pan(kernel: &Kernel) -> Progress<Pan> {
    let pan = kernel.pan().and_then(|pan| Pan::from_bcd(pan.expose()).ok());
    pan.ok_or_else(|| Interruption::failed("the card has no PAN that can be read"))
}

/// The card's track 2 and its PAN, for the module alone.
fn account(kernel: &Kernel) -> Progress<(Secret, Pan)> {
    let track2 = Secret::new(kernel.track2().map(|track2| track2.expose().to_vec()).unwrap_or_default());
    let on_track = Track2::from_bytes(&track2);
    let on_track =
        on_track.map_err(|_| Interruption::failed("the card has no track 2 data that can be read"))?;
    // Else the card could have one account checked and another one charged.
    let pan = pan(kernel)?;
    if *on_track.pan() != pan {
        return Err(Interruption::failed("the PAN in the card's track 2 data is not the card's PAN"));
    }
    Ok((track2, pan))
}

/// Whether a kernel that has ended holds a card's approval that the host knows nothing of.
fn approved_without_host(kernel: &mut Kernel) -> bool {
    let decides = !kernel.identifies();
    match kernel.step(Event::Cancelled) {
        Action::Complete(outcome) => {
            decides && outcome.decision == Decision::Approved && outcome.online != Online::Approved
        }
        _ => false,
    }
}

/// How the transaction ended, and why. What the card has decided stands, whatever interrupted the rest.
fn conclude(kernel: &mut Kernel, interruption: Option<Interruption>) -> (&'static str, String) {
    let ended = match kernel.step(Event::Cancelled) {
        Action::Complete(outcome) => outcome,
        _ => return ("failed", "the kernel did not end".to_string()),
    };
    match interruption {
        Some(Interruption { outcome, reason }) if ended.decision == Decision::Terminated => (outcome, reason),
        _ => (name(ended), ended.reason.to_string()),
    }
}

fn name(outcome: &Outcome) -> &'static str {
    match (outcome.decision, outcome.reason) {
        (Decision::Approved, _) => "approved",
        (Decision::Declined, _) => "declined",
        (Decision::Terminated, Reason::Cancelled | Reason::PinTimedOut) => "cancelled",
        (Decision::Terminated, _) => "failed",
    }
}

mod offline_pin;
#[cfg(test)]
mod tests;
