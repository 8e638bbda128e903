//! A PIN that the card verifies: the module has it typed and hands it to the card, and this hears what the card said.

use emv::{Event, PinResult};
use secure_module::{CardSlot, Error as ModuleError, OfflinePinOutcome, OfflinePinRequest, PinEncipherment};
use service::options::Dictionary;

use super::{Progress, Step, Transaction};

impl Transaction {
    /// Has a PIN entered for the card; the screen says how many tries are left, where the card told.
    pub(super) async fn verify_pin(
        &mut self,
        tries_left: Option<u8>,
        encipherment: Option<PinEncipherment>,
    ) -> Progress<Step> {
        let pin = &self.config.pin;
        let request = OfflinePinRequest {
            slot: CardSlot::Contact,
            tries_left,
            encipherment,
            digits: super::PIN_DIGITS,
            first_key: pin.first_key(),
            next_key: pin.next_key(),
            bypass: pin.bypass,
            accessible: pin.accessible,
            amount: self.amount,
        };
        let tries = tries_left.map(|tries| ("tries_left".to_owned(), u32::from(tries).into()));
        let entry = self.module.verify_offline_pin(request);
        let event = match self.watch.entry("pin", Dictionary::from_iter(tries), entry).await {
            Ok(Ok(OfflinePinOutcome::Presented(status))) => Event::PinPresented(status),
            Ok(Ok(OfflinePinOutcome::Bypassed)) => Event::Pin(PinResult::Bypassed),
            Ok(Ok(OfflinePinOutcome::Cancelled)) => Event::Pin(PinResult::Cancelled),
            Ok(Ok(OfflinePinOutcome::TimedOut)) => Event::Pin(PinResult::TimedOut),
            Ok(Err(ModuleError::NotSupported | ModuleError::PinPadBroken)) => {
                Event::Pin(PinResult::PinPadBroken)
            }
            Ok(Err(ModuleError::CardMute)) => return self.meet_silence().await,
            Ok(Err(error)) => return Err(self.stop_pin(error.into()).await),
            Err(interruption) => return Err(self.stop_pin(interruption).await),
        };
        Ok(self.kernel.step(event).into())
    }
}
