//! A secure module in the test's own hands, with a virtual card in its slot.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use async_trait::async_trait;
use keys::offline_pin::{self, CardKey};
use keys::pin_block::PinBlock;
use keys::{Pan, Pin, TdesKey};
use secure_module::{
    CardSlot, Error, Event, KeySlot, OfflinePinOutcome, OfflinePinRequest, PinOutcome, PinRequest, Result,
    Secret, SecureModule, Status, SwipeResult, SwipedCard,
};
use sim_cards::Card;
use tokio::sync::{Notify, mpsc};

/// What happens at the PIN pad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PinPad {
    /// So many digits are typed, and Enter.
    Types(u8),
    /// Nobody touches it until it is cancelled.
    Waits,
    /// It fails.
    Fails,
    /// It is not there, or does not work.
    Broken,
    /// These PINs are typed for the card, one at each entry, the last one again and again; an empty one is a bypass.
    TypesForCard(&'static [&'static str]),
}

pub(super) struct FakeModule {
    pub(super) card: Mutex<Option<Card>>,
    pub(super) pin_pad: PinPad,
    pub(super) powered: AtomicBool,
    pub(super) pin_cancelled: AtomicBool,
    /// From this APDU on, counted from 1, the module is gone.
    pub(super) gone_at: AtomicU32,
    /// Whether the PAN in track 2 is changed on its way from the card.
    pub(super) swaps_track: bool,
    /// Whether it makes card tokens.
    pub(super) makes_tokens: bool,
    /// Whether track 2 comes under a private tag.
    pub(super) hides_track: bool,
    /// How many PINs were typed for the card.
    typed: AtomicUsize,
    /// Whether it has a head for stripes.
    pub(super) has_head: bool,
    pub(super) armed: AtomicBool,
    swiped: Mutex<Option<stripe::Swipe>>,
    apdus: AtomicU32,
    reports: mpsc::UnboundedSender<Event>,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Event>>,
    gone: Notify,
    cancel: Notify,
}

/// The key that the module seals with.
pub(super) fn tdk() -> TdesKey {
    TdesKey::new(*b"0123456789ABCDEF")
}

/// What the module makes of every PIN.
pub(super) const PIN_BLOCK: [u8; 8] = [0xB1; 8];

impl FakeModule {
    pub(super) fn new(card: Option<&str>, pin_pad: PinPad) -> FakeModule {
        let (reports, events) = mpsc::unbounded_channel();
        FakeModule {
            card: Mutex::new(card.map(|name| sim_cards::load(name).unwrap())),
            pin_pad,
            powered: AtomicBool::new(false),
            pin_cancelled: AtomicBool::new(false),
            gone_at: AtomicU32::new(u32::MAX),
            swaps_track: false,
            makes_tokens: true,
            hides_track: false,
            typed: AtomicUsize::new(0),
            has_head: false,
            armed: AtomicBool::new(false),
            swiped: Mutex::new(None),
            apdus: AtomicU32::new(0),
            reports,
            events: tokio::sync::Mutex::new(events),
            gone: Notify::new(),
            cancel: Notify::new(),
        }
    }

    pub(super) fn insert(&self, name: &str) {
        *self.card.lock().unwrap() = Some(sim_cards::load(name).unwrap());
        self.report(Event::CardInserted(CardSlot::Contact));
    }

    /// Swipes a card; nothing comes of it where the head is not armed.
    pub(super) fn swipe(&self, name: &str) {
        let card = sim_cards::profiles().find(|card| card.name == name).unwrap();
        if self.armed.swap(false, Ordering::Relaxed) {
            let swiped = stripe::Swipe::read(&card.swipe().tracks()).ok();
            let result = if swiped.is_some() { SwipeResult::Read } else { SwipeResult::Unreadable };
            *self.swiped.lock().unwrap() = swiped;
            self.report(Event::CardSwiped(result));
        }
    }

    /// Whether it holds a card that was swiped.
    pub(super) fn holds_swiped(&self) -> bool {
        self.swiped.lock().unwrap().is_some()
    }

    pub(super) fn remove(&self) {
        *self.card.lock().unwrap() = None;
        self.report(Event::CardRemoved(CardSlot::Contact));
    }

    pub(super) fn report(&self, event: Event) {
        self.reports.send(event).unwrap();
    }

    pub(super) fn go(&self) {
        self.gone_at.store(0, Ordering::Relaxed);
        self.gone.notify_one();
    }

    fn here(&self) -> Result<()> {
        if self.apdus.load(Ordering::Relaxed) < self.gone_at.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(Error::Gone)
        }
    }
}

/// Where track 2 begins: at the PAN that a field separator follows.
fn find_track(response: &[u8], pan: &[u8]) -> Option<usize> {
    let length = pan.len();
    response.windows(length + 1).position(|bytes| bytes.starts_with(pan) && bytes[length] >> 4 == 0x0D)
}

#[async_trait]
impl SecureModule for FakeModule {
    async fn status(&self) -> Result<Status> {
        self.here()?;
        Ok(Status {
            certified: false,
            kind: "fake".to_owned(),
            firmware: "1".to_owned(),
            serial: "0".to_owned(),
            tampered: false,
            card_present: self.card.lock().unwrap().is_some(),
        })
    }

    async fn next_event(&self) -> Result<Event> {
        let mut events = self.events.lock().await;
        tokio::select! {
            event = events.recv() => event.ok_or(Error::Gone),
            () = self.gone.notified() => Err(Error::Gone),
        }
    }

    async fn random(&self, length: u16) -> Result<Secret> {
        Ok(vec![7; length.into()].into())
    }

    async fn card_power_on(&self, _: CardSlot) -> Result<Vec<u8>> {
        self.here()?;
        let mut slot = self.card.lock().unwrap();
        let card = slot.as_mut().ok_or(Error::NoCard)?;
        card.reset();
        let atr = card.atr().ok_or(Error::CardMute)?;
        self.powered.store(true, Ordering::Relaxed);
        Ok(atr)
    }

    async fn card_power_off(&self, _: CardSlot) -> Result<()> {
        self.powered.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn card_transmit(&self, _: CardSlot, command: &[u8]) -> Result<Secret> {
        self.apdus.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.here() {
            self.gone.notify_one();
            return Err(error);
        }
        let mut slot = self.card.lock().unwrap();
        let card = slot.as_mut().ok_or(Error::NoCard)?;
        let Some(mut response) = card.transmit(command) else {
            // As a reader that notices the silence before the slot.
            *slot = None;
            self.report(Event::CardRemoved(CardSlot::Contact));
            return Err(Error::CardMute);
        };
        let pan = hex_bytes(card.profile().pan.digits());
        if let Some(track) = find_track(&response, &pan) {
            // The last digit of the PAN; the tag before a length of one byte.
            response[track + pan.len() - 1] ^= u8::from(self.swaps_track);
            response[track - 2] |= if self.hides_track { 0x80 } else { 0 };
        }
        Ok(response.into())
    }

    async fn enter_pin(&self, request: PinRequest) -> Result<PinOutcome> {
        assert_eq!(request.key, KeySlot::PIK);
        if matches!(self.pin_pad, PinPad::Types(_) | PinPad::Waits) {
            self.report(Event::PadAsks);
        }
        match self.pin_pad {
            PinPad::Types(digits) => {
                for count in 1..=digits {
                    self.report(Event::PinDigits(count));
                    tokio::task::yield_now().await;
                }
                Ok(PinOutcome::Entered(PinBlock::Short(PIN_BLOCK)))
            }
            PinPad::Waits => {
                self.cancel.notified().await;
                Ok(PinOutcome::Cancelled)
            }
            PinPad::Fails => Err(Error::NoKey),
            PinPad::Broken => Err(Error::PinPadBroken),
            PinPad::TypesForCard(_) => Err(Error::NotSupported),
        }
    }

    async fn verify_offline_pin(&self, request: OfflinePinRequest) -> Result<OfflinePinOutcome> {
        assert_eq!((request.slot, request.digits), (CardSlot::Contact, 4..=12));
        if matches!(self.pin_pad, PinPad::TypesForCard(_) | PinPad::Waits) {
            self.report(Event::PadAsks);
        }
        let pins = match self.pin_pad {
            PinPad::TypesForCard(pins) => pins,
            PinPad::Waits => {
                self.cancel.notified().await;
                return Ok(OfflinePinOutcome::Cancelled);
            }
            PinPad::Broken => return Err(Error::PinPadBroken),
            PinPad::Types(_) | PinPad::Fails => return Err(Error::NotSupported),
        };
        let typed = self.typed.fetch_add(1, Ordering::Relaxed);
        let digits = pins.get(typed).or(pins.last()).unwrap();
        if digits.is_empty() {
            return Ok(OfflinePinOutcome::Bypassed);
        }
        let pin = Pin::new(digits).unwrap();
        let command = match request.encipherment {
            None => offline_pin::plaintext(&pin),
            Some(with) => {
                let key = CardKey::new(&with.modulus, &with.exponent).unwrap();
                let padding = vec![0x5C; key.padding_length()];
                offline_pin::enciphered(&pin, &key, &with.challenge, &padding).unwrap()
            }
        };
        let status = self.card_transmit(request.slot, &command).await?;
        Ok(OfflinePinOutcome::Presented(u16::from_be_bytes(status.as_slice().try_into().unwrap())))
    }

    async fn cancel_pin(&self) -> Result<()> {
        self.pin_cancelled.store(true, Ordering::Relaxed);
        self.cancel.notify_one();
        Ok(())
    }

    async fn seal_track2(&self, slot: &KeySlot, track2: &[u8]) -> Result<Vec<u8>> {
        assert!([KeySlot::TDK, KeySlot::STORE].contains(slot));
        keys::track2::seal(&tdk(), [9; 8], track2).map_err(|error| Error::Invalid(error.to_string()))
    }

    async fn arm_stripe(&self) -> Result<()> {
        self.here()?;
        if !self.has_head {
            return Err(Error::NotSupported);
        }
        *self.swiped.lock().unwrap() = None;
        self.armed.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn swiped_card(&self) -> Result<SwipedCard> {
        let swiped = self.swiped.lock().unwrap();
        let card = swiped.as_ref().ok_or(Error::NoCard)?;
        Ok(SwipedCard { masked_pan: card.pan().masked(), service_code: card.service_code().to_string() })
    }

    async fn seal_swiped_card(&self, slot: &KeySlot) -> Result<Vec<u8>> {
        let track2 = self.swiped.lock().unwrap().as_ref().ok_or(Error::NoCard)?.track2().to_vec();
        self.seal_track2(slot, &track2).await
    }

    async fn swiped_card_token(&self, slot: &KeySlot) -> Result<Vec<u8>> {
        let pan = self.swiped.lock().unwrap().as_ref().ok_or(Error::NoCard)?.pan().clone();
        self.card_token(slot, &pan).await
    }

    async fn forget_swiped_card(&self) -> Result<()> {
        *self.swiped.lock().unwrap() = None;
        self.armed.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn card_token(&self, slot: &KeySlot, pan: &Pan) -> Result<Vec<u8>> {
        assert_eq!(slot, &KeySlot::TOKEN);
        if !self.makes_tokens {
            return Err(Error::NotSupported);
        }
        Ok(keys::mac::retail(&tdk(), pan.digits().as_bytes()).to_vec())
    }
}

/// The bytes of an even number of decimal digits, as BCD.
fn hex_bytes(digits: &str) -> Vec<u8> {
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | (digit & 0x0F)))
        .collect()
}
