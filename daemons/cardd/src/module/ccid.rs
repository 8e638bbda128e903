//! The driver of a USB smart-card reader (`crates/ccid`), with software keys beside it: the development kit.
//!
//! It is a secure module that nobody certifies: keys are in this daemon's memory, and so is a PIN for as long as it takes to
//! encipher it, where the terminal has a keypad to type it on.

mod keys;
mod offline_pin;
mod pad;
mod pipes;
mod slot;
#[cfg(test)]
mod tests;
mod usb;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use ::keys::Pan;
use async_trait::async_trait;
use ccid::Descriptor;
use secure_module::{
    CardEntryOutcome, CardEntryRequest, CardSlot, Error, Event, JournalSeal, KeySlot, KeySlotInfo,
    OfflinePinOutcome, OfflinePinRequest, PinOutcome, PinRequest, Result, Secret, SecureModule, Status,
};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use zeroize::Zeroizing;

pub(crate) use keys::SoftwareKeys;
use pad::Pad;
use pipes::Pipes;
use slot::{Call, LONGEST_CALL, Slot};

use crate::config::Module;

/// How many events wait for a daemon that doesn't take them.
const MAX_EVENTS: usize = 64;
/// How many calls wait for the reader before callers wait to be let in.
const CALLS: usize = 16;

/// What a reader says of itself to a person.
#[derive(Debug, Clone)]
struct Identity {
    firmware: String,
    serial: String,
}

/// A reader, keys, and perhaps a keypad. It is a handle: an actor owns the reader.
pub(crate) struct CcidModule {
    identity: Identity,
    keys: Arc<SoftwareKeys>,
    pad: Option<Pad>,
    calls: mpsc::Sender<Call>,
    /// What the keypad has to tell goes among the events, which end with the reader.
    reports: mpsc::WeakSender<Event>,
    /// Only [`SecureModule::next_event`] locks it, and has one caller at a time.
    events: Mutex<mpsc::Receiver<Event>>,
}

impl CcidModule {
    /// Opens the reader, and starts the actor on the current runtime.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the reader. A keypad is looked for when a PIN is asked for.
    pub(crate) async fn open(devices: &Module, keys: Arc<SoftwareKeys>) -> std::result::Result<Self, String> {
        let path = devices.reader.clone();
        let opened = spawn_blocking(move || usb::open(&path)).await;
        let (pipes, descriptor, identity) = opened.map_err(|error| error.to_string())??;
        let (slot, last) = (devices.slot, descriptor.last_slot);
        if slot > last {
            let place = devices.reader.display();
            return Err(format!(
                "{place} has no slot {slot}: the last one is {last}; put it right in cardd.toml"
            ));
        }
        let pad = devices.keypad.clone().map(Pad::new);
        Ok(Self::start(pipes, (descriptor, slot), identity, keys, pad))
    }

    fn start<P: Pipes>(
        pipes: P,
        (descriptor, slot): (Descriptor, u8),
        identity: Identity,
        keys: Arc<SoftwareKeys>,
        pad: Option<Pad>,
    ) -> Self {
        let (calls, commands) = mpsc::channel(CALLS);
        let (sender, events) = mpsc::channel(MAX_EVENTS);
        let reports = sender.downgrade();
        tokio::spawn(Slot::new(pipes, descriptor, slot, commands, sender).run());
        Self { identity, keys, pad, calls, reports, events: Mutex::new(events) }
    }

    fn pad(&self) -> Result<&Pad> {
        self.pad.as_ref().ok_or(Error::NotSupported)
    }

    async fn call<T>(&self, call: impl FnOnce(oneshot::Sender<Result<T>>) -> Call) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.calls.send(call(reply)).await.map_err(|_| Error::Gone)?;
        answer.await.map_err(|_| Error::Gone)?
    }

    async fn power_on(&self, slot: CardSlot, limit: Duration) -> Result<Vec<u8>> {
        only_slot(slot)?;
        let until = Instant::now() + limit;
        self.call(|reply| Call::PowerOn(until, reply)).await
    }

    async fn transmit(&self, slot: CardSlot, command: &[u8], limit: Duration) -> Result<Secret> {
        only_slot(slot)?;
        let (command, until) = (Zeroizing::new(command.to_vec()), Instant::now() + limit);
        self.call(|reply| Call::Transmit(command, until, reply)).await
    }

    /// Whose fault it is that nothing came in time: no session ends here, so that a reader that still answers has only lost its card.
    async fn in_time<T>(&self, outcome: Result<T>) -> Result<T> {
        match outcome {
            Err(Error::Timeout | Error::Protocol(_)) => {
                self.call(Call::CardPresent).await?;
                Err(Error::CardMute)
            }
            outcome => outcome,
        }
    }
}

#[async_trait]
impl SecureModule for CcidModule {
    async fn status(&self) -> Result<Status> {
        let card_present = self.call(Call::CardPresent).await?;
        Ok(Status {
            certified: false,
            kind: "USB smart-card reader with software keys, for development".to_owned(),
            firmware: self.identity.firmware.clone(),
            serial: self.identity.serial.clone(),
            tampered: false,
            card_present,
        })
    }

    async fn next_event(&self) -> Result<Event> {
        self.events.lock().await.recv().await.ok_or(Error::Gone)
    }

    async fn random(&self, length: u16) -> Result<Secret> {
        if !(1..=256).contains(&length) {
            return Err(Error::Invalid("1 to 256 random bytes can be had".to_owned()));
        }
        let mut bytes = Zeroizing::new(vec![0; usize::from(length)]);
        keys::fill(&mut bytes)?;
        Ok(bytes)
    }

    async fn card_power_on(&self, slot: CardSlot) -> Result<Vec<u8>> {
        self.power_on(slot, LONGEST_CALL).await
    }

    async fn card_power_on_within(&self, slot: CardSlot, limit: Duration) -> Result<Vec<u8>> {
        let outcome = self.power_on(slot, limit).await;
        self.in_time(outcome).await
    }

    async fn card_power_off(&self, slot: CardSlot) -> Result<()> {
        only_slot(slot)?;
        self.call(Call::PowerOff).await
    }

    async fn card_transmit(&self, slot: CardSlot, command: &[u8]) -> Result<Secret> {
        self.transmit(slot, command, LONGEST_CALL).await
    }

    async fn card_transmit_within(&self, slot: CardSlot, command: &[u8], limit: Duration) -> Result<Secret> {
        let outcome = self.transmit(slot, command, limit).await;
        self.in_time(outcome).await
    }

    async fn enter_pin(&self, request: PinRequest) -> Result<PinOutcome> {
        self.pad()?.enter_pin(&request, &self.keys, &self.reports).await
    }

    async fn verify_offline_pin(&self, request: OfflinePinRequest) -> Result<OfflinePinOutcome> {
        let verify = offline_pin::Verify::new(&request)?;
        let pin = match self.pad()?.enter_offline_pin(&request, &self.reports).await? {
            ControlFlow::Continue(pin) => pin,
            ControlFlow::Break(outcome) => return Ok(outcome),
        };
        let command = verify.command(&pin)?;
        drop(pin);
        let response = self.card_transmit(request.slot, &command).await?;
        offline_pin::status(&response).map(OfflinePinOutcome::Presented)
    }

    async fn enter_card(&self, request: CardEntryRequest) -> Result<CardEntryOutcome> {
        self.pad()?.enter_card(&request, &self.reports).await
    }

    async fn seal_keyed_card(&self, slot: &KeySlot) -> Result<Vec<u8>> {
        self.pad()?.seal_keyed_card(&self.keys, slot)
    }

    async fn keyed_card_token(&self, slot: &KeySlot) -> Result<Vec<u8>> {
        self.pad()?.keyed_card_token(&self.keys, slot)
    }

    async fn forget_keyed_card(&self) -> Result<()> {
        self.pad()?.forget_keyed_card();
        Ok(())
    }

    async fn cancel_pin(&self) -> Result<()> {
        // Without a pad no entry is going on.
        if let Some(pad) = &self.pad {
            pad.cancel();
        }
        Ok(())
    }

    async fn load_key(
        &self,
        slot: &KeySlot,
        under: &KeySlot,
        wrapped: [u8; 16],
        check: [u8; 4],
    ) -> Result<()> {
        self.keys.load_key(slot, under, &wrapped, check)
    }

    async fn load_key_block(&self, slot: &KeySlot, block: &[u8]) -> Result<()> {
        let (keys, slot, block) = (Arc::clone(&self.keys), slot.clone(), block.to_vec());
        // The disk takes its time.
        let loading = spawn_blocking(move || keys.load_key_block(&slot, &block));
        loading.await.unwrap_or_else(|error| Err(Error::Protocol(error.to_string())))
    }

    async fn key_slots(&self) -> Result<Vec<KeySlotInfo>> {
        Ok(self.keys.infos())
    }

    async fn key_check_value(&self, slot: &KeySlot) -> Result<[u8; 4]> {
        self.keys.check_value(slot)
    }

    async fn mac(&self, slot: &KeySlot, message: &[u8]) -> Result<[u8; 8]> {
        self.keys.mac(slot, message)
    }

    async fn verify_mac(&self, slot: &KeySlot, message: &[u8], mac: [u8; 8]) -> Result<bool> {
        self.keys.verify_mac(slot, message, mac)
    }

    async fn seal_track2(&self, slot: &KeySlot, track2: &[u8]) -> Result<Vec<u8>> {
        self.keys.seal_track2(slot, track2)
    }

    async fn reseal_track2(&self, from: &KeySlot, slot: &KeySlot, sealed: &[u8]) -> Result<Vec<u8>> {
        self.keys.reseal_track2(from, slot, sealed)
    }

    async fn card_token(&self, slot: &KeySlot, pan: &Pan) -> Result<Vec<u8>> {
        self.keys.card_token(slot, pan)
    }

    async fn seal_journal(
        &self,
        journal: [u8; 16],
        last: i64,
        head: [u8; 32],
        at: i64,
    ) -> Result<JournalSeal> {
        self.keys.seal_journal(journal, last, head, at)
    }
}

/// The reader's slot that is configured is the terminal's slot with contacts.
fn only_slot(slot: CardSlot) -> Result<()> {
    match slot {
        CardSlot::Contact => Ok(()),
        _ => Err(Error::NotSupported),
    }
}
