//! The module itself: what it does when it is asked, and what it reports.

use std::time::{Duration, Instant};

use audit::chain::Chain;
use audit::{Identity, Octets, seal};
use keys::mac;
use keys::slot::{TOKEN_SCHEME, Use};
use keys::sm2::{self, PrivateKey};
use keys::{Key, Pan, track2};
use link::{CardSlotInfo, CardSlotKind, Event, PinEntry, Refusal, Request, Response, STORE, Status};
use sim_cards::Drawer;
use zeroize::Zeroizing;

use crate::card_slot::CardSlot;
use crate::firmware::Update;
use crate::key_entry::KeyEntry;
use crate::key_host::KeyHost;
use crate::key_slots::{KeySlots, MasterKeys, invalid};
use crate::keyed_card::KeyedCard;
use crate::pin_pad::PinPad;
use crate::store::Store;
use crate::stripe::Head;
use crate::tls_key::TlsKey;
use crate::{Refused, refused};

mod upkeep;

/// The serial number: each virtual module is the same device.
const SERIAL: &str = "SIM-00000001";
/// The instruction by which a card verifies a PIN (EMV Book 3 clause 6.5.12).
const VERIFY: u8 = 0x20;
/// How many PINs may be entered at once: an hour's.
const PINS: u32 = 120;

/// The state of the virtual secure module. It outlives the line's sessions.
pub struct Device {
    boot: u32,
    keys: KeySlots,
    pub(crate) slot: CardSlot,
    /// Slots 1 and 2 on the line.
    sams: [CardSlot; 2],
    pub(crate) pad: PinPad,
    head: Head,
    key_entry: KeyEntry,
    /// The time of the latest poll.
    now: Duration,
    events: Vec<Event>,
    update: Option<Update>,
    /// New firmware is to start as soon as the host has heard of it.
    restarts: bool,
    /// A test that the tester has fail.
    failing: Option<String>,
    /// The tests that failed last.
    failed: Vec<String>,
    /// When the next ones are due.
    test_due: Instant,
}

impl Device {
    /// A module that has just started, with what is in its store and a drawer of cards beside it. A new one gets the keys of the
    /// factory. `boot` is a random number.
    ///
    /// # Errors
    /// What is wrong with the store.
    pub fn new(store: Store, factory: MasterKeys, boot: u32, drawer: Drawer) -> Result<Self, String> {
        let mut device = Self {
            boot,
            keys: KeySlots::open(store, factory)?,
            sams: [CardSlot::with(&drawer, "psam"), CardSlot::new(drawer.clone())],
            slot: CardSlot::new(drawer),
            pad: PinPad::new(PINS),
            head: Head::default(),
            key_entry: KeyEntry::default(),
            now: Duration::ZERO,
            events: Vec::new(),
            update: None,
            restarts: false,
            failing: None,
            failed: Vec::new(),
            test_due: Instant::now(),
        };
        device.test();
        Ok(device)
    }

    /// The same module on whose pad so many PINs may be entered at once, and one more each 30 s; 120 if nobody says.
    #[must_use]
    pub fn with_pins(mut self, pins: u32) -> Self {
        self.pad = PinPad::new(pins);
        self
    }

    /// The number of this start.
    #[must_use]
    pub fn boot(&self) -> u32 {
        self.boot
    }

    /// A host has opened a session: what an earlier one began ends.
    pub(crate) fn opened(&mut self) {
        self.pad.abandon();
        self.head.forget();
        self.key_entry.end("the terminal began a new session");
        self.power_off();
        self.events.clear();
        self.update = None;
    }

    /// Does what is asked.
    pub(crate) fn handle(&mut self, request: Request, now: Duration) -> Response {
        self.carry_out(request, now).unwrap_or_else(|(refusal, reason)| Response::Refused { refusal, reason })
    }

    /// Lets time pass, and returns what there is to report.
    pub(crate) fn poll(&mut self, now: Duration) -> Vec<Event> {
        self.now = now;
        self.key_entry.poll(now);
        if self.test_due <= Instant::now() && !self.pad.asks() && !self.key_entry.asks() {
            self.test();
        }
        let entered = self.pad.poll(now, &mut self.slot);
        entered.iter().for_each(|event| self.slot.recorder.event(event));
        self.events.extend(entered);
        std::mem::take(&mut self.events)
    }

    /// When to call [`poll`](Self::poll) at the latest.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        // While something is being entered, its end is earlier.
        let test = self.now + self.test_due.saturating_duration_since(Instant::now());
        let entered = self.pad.deadline().into_iter().chain(self.key_entry.deadline()).min();
        entered.or(Some(test))
    }

    /// What the module says of itself.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            certified: false,
            tampered: self.keys.wiped(),
            card_present: self.slot.card().is_some(),
            kind: "virtual secure module (software keys)".to_owned(),
            firmware: match self.keys.firmware() {
                Some(installed) => installed.manifest.version.clone(),
                None => env!("CARGO_PKG_VERSION").to_owned(),
            },
            serial: SERIAL.to_owned(),
        }
    }

    /// The names of the key slots, and whether they hold a key.
    pub(crate) fn key_slots(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.keys.loaded()
    }

    /// Puts a card in; the error is for the tester.
    pub(crate) fn insert(&mut self, name: &str) -> Result<(), String> {
        self.slot.insert(name)?;
        self.events.push(Event::CardInserted { slot: 0 });
        Ok(())
    }

    /// Takes the card out, and returns its name.
    pub(crate) fn remove(&mut self) -> Option<String> {
        let name = self.slot.remove()?;
        self.events.push(Event::CardRemoved { slot: 0 });
        self.events.extend(self.pad.lose_card());
        Some(name)
    }

    /// Swipes a card; whether the head was armed for it. The error is for the tester.
    pub(crate) fn swipe(&mut self, name: &str) -> Result<bool, String> {
        let card = sim_cards::profiles().find(|card| card.name == name);
        let card = card.ok_or_else(|| format!("there is no card {name}; `card list` shows the cards"))?;
        let event = self.head.swipe(&card.swipe());
        let read = event.is_some();
        self.events.extend(event);
        Ok(read)
    }

    /// Opens the case: all keys are wiped, and the module stays useless until it is [reset](Self::reset), also over starts.
    pub(crate) fn tamper(&mut self) {
        self.keys.wipe();
        self.key_entry.end("the case was opened");
        // Told first: the PIN entry does not end because the cardholder wants it to.
        self.events.push(Event::Tampered);
        self.events.extend(self.pad.cancel());
        self.pad.card = None;
        self.head.forget();
        self.power_off();
        self.update = None;
    }

    /// Services and starts the module anew: with the keys of the factory, and others of its own than before. A card stays in.
    ///
    /// # Errors
    /// Why it can't be made.
    pub(crate) fn reset(&mut self, factory: MasterKeys) -> Result<(), String> {
        self.keys.make(factory)?;
        self.pad.service();
        self.failing = None;
        self.start();
        Ok(())
    }

    fn carry_out(&mut self, request: Request, now: Duration) -> Result<Response, Refused> {
        if self.keys.wiped() && request != Request::Status {
            return refused(Refusal::Tampered, "the case was opened, and the keys are wiped");
        }
        if !self.failed.is_empty() && !upkeep::works_when_failed(&request) {
            return refused(Refusal::Failed, format!("these self-tests failed: {}", self.failed.join(" ")));
        }
        match request {
            Request::Status => Ok(Response::Status(self.status())),
            Request::Random { length } => random(length).map(Response::Data),
            Request::CardTransmit { slot: 0, .. } if self.pad.has_card() => {
                refused(Refusal::Busy, "a PIN is being entered for the card")
            }
            Request::CardTransmit { slot: 0, command } if command.get(1) == Some(&VERIFY) => {
                refused(Refusal::Invalid, "a PIN comes from the pad, by Verify PIN")
            }
            Request::CardPowerOn { slot } => {
                self.reset_card(slot);
                self.card_slot(slot)?.power_on().map(|atr| Response::Data(Zeroizing::new(atr)))
            }
            Request::CardPowerOff { slot } => {
                self.reset_card(slot);
                self.card_slot(slot)?.power_off();
                Ok(Response::Done)
            }
            Request::CardTransmit { slot, command } => {
                let (answer, pulled) = self.card_slot(slot)?.transmit(&command);
                if pulled {
                    self.events.push(Event::CardRemoved { slot });
                }
                answer.map(Response::Data)
            }
            Request::CardSlots => Ok(Response::CardSlots(self.card_slots())),
            Request::EnterPin(_) | Request::EnterCard(_) | Request::VerifyPin(_) if self.key_entry.asks() => {
                refused(Refusal::Busy, "custodians enter a key")
            }
            Request::EnterPin(entry) => {
                let key = self.keys.key(&entry.key, Use::Pin)?;
                let pan = self.pan_for(&entry)?;
                self.pad.begin(entry, pan, key, now).map(|()| Response::Done)
            }
            Request::VerifyPin(entry) => {
                self.pad.begin_offline(entry, &mut self.slot, now).map(|()| Response::Done)
            }
            Request::EnterCard(entry) => self.pad.begin_card(entry, now).map(|()| Response::Done),
            Request::KeyedCard => {
                let masked = self.keyed_card()?.pan.masked();
                Ok(Response::Data(Zeroizing::new(masked.into_bytes())))
            }
            Request::SealKeyedCard { key } => {
                let key = self.keys.key(&key, Use::Data)?;
                let track = self.keyed_card()?.track2();
                let track = track.ok_or_else(|| (Refusal::NotSupported, "it makes no track 2".to_owned()))?;
                seal_track2(&key, &track).map(Response::Data)
            }
            Request::KeyedCardToken { key } => {
                let key = self.keys.key(&key, Use::Token)?;
                card_token(&key, &self.keyed_card()?.pan).map(Response::Data)
            }
            Request::ForgetKeyedCard => {
                self.pad.card = None;
                Ok(Response::Done)
            }
            Request::ArmStripe => {
                self.head.arm();
                Ok(Response::Done)
            }
            Request::SwipedCard => self.head.shown().map(Response::SwipedCard),
            Request::SealSwipedCard { key } => {
                let key = self.keys.key(&key, Use::Data)?;
                seal_track2(&key, self.head.card()?.track2()).map(Response::Data)
            }
            Request::SwipedCardToken { key } => {
                let key = self.keys.key(&key, Use::Token)?;
                card_token(&key, self.head.card()?.pan()).map(Response::Data)
            }
            Request::ForgetSwipedCard => {
                self.head.forget();
                Ok(Response::Done)
            }
            Request::CancelPin => {
                self.events.extend(self.pad.cancel());
                Ok(Response::Done)
            }
            Request::LoadKey { key, under, wrapped, check } => {
                self.keys.load(&key, &under, &wrapped, check).map(|()| Response::Done)
            }
            Request::KeyCheckValue { key } => self.keys.check_value(&key).map(Response::CheckValue),
            Request::Mac { key, message } => {
                let mac = self.mac(&key, &message)?;
                Ok(Response::Mac(mac))
            }
            Request::VerifyMac { key, mac, message } => {
                let (key, scheme) = self.keys.mac(&key, true)?;
                mac::verify(&key, scheme, &message, &mac).map(Response::Verified).map_err(invalid)
            }
            Request::SealTrack2 { key, track2 } => {
                let usage = if key == STORE { Use::Storage } else { Use::Data };
                seal_track2(&self.keys.key(&key, usage)?, &track2).map(Response::Data)
            }
            Request::ResealTrack2 { from, key, sealed } => {
                let (from, key) = (self.keys.key(&from, Use::Storage)?, self.keys.key(&key, Use::Data)?);
                let track = track2::decrypt(&from, &sealed).map_err(invalid)?;
                seal_track2(&key, track.as_bytes()).map(Response::Data)
            }
            Request::CardToken { key, pan } => {
                let key = self.keys.key(&key, Use::Token)?;
                let pan = Pan::new(&pan).map_err(|error| (Refusal::Invalid, error.to_string()))?;
                card_token(&key, &pan).map(Response::Data)
            }
            Request::NextDukptKey { key } => {
                let serial = self.keys.next_dukpt(&key)?;
                Ok(Response::Data(Zeroizing::new(serial.to_vec())))
            }
            Request::SealJournal { journal, last, head, at } => {
                let secret = self.keys.own(b"audit")?;
                let chain = Chain { last, head: Octets(head) };
                seal_journal(&secret, &Octets(journal), &chain, at).map(Response::Data)
            }
            Request::TlsPublicKey => self.tls_key()?.public_key().map(Response::Data),
            Request::SignTls { transcript } => self.tls_key()?.sign(&transcript).map(Response::Data),
            Request::TlsRequest { subject } => self.tls_key()?.request(&subject).map(Response::Data),
            Request::SelfTest => Ok(Response::SelfTest(self.test())),
            Request::Clock => upkeep::clock().map(Response::Clock),
            other @ (Request::BeginUpdate { .. }
            | Request::UpdateData { .. }
            | Request::FinishUpdate
            | Request::CancelUpdate) => self.update(other),
            other => self.load_keys(other, now),
        }
    }

    /// The slot with this number on the line.
    fn card_slot(&mut self, number: u8) -> Result<&mut CardSlot, Refused> {
        let slot = match usize::from(number).checked_sub(1) {
            None => Some(&mut self.slot),
            Some(sam) => self.sams.get_mut(sam),
        };
        slot.ok_or_else(|| (Refusal::NotSupported, "there are the card slots 0 to 2 only".to_owned()))
    }

    /// The card in this slot is about to lose its power, or to be reset: no PIN that is being entered is for it any more.
    fn reset_card(&mut self, slot: u8) {
        if slot == 0 {
            self.events.extend(self.pad.lose_card());
        }
    }

    fn card_slots(&self) -> Vec<CardSlotInfo> {
        let info =
            |slot, kind, place: &CardSlot| CardSlotInfo { slot, kind, present: place.card().is_some() };
        let sams = (1..).zip(&self.sams).map(|(number, place)| info(number, CardSlotKind::Sam, place));
        [info(0, CardSlotKind::Contact, &self.slot)].into_iter().chain(sams).collect()
    }

    /// Whether a card has power.
    fn has_power(&self) -> bool {
        [&self.slot].into_iter().chain(&self.sams).any(CardSlot::has_power)
    }

    /// Takes the power of all cards away.
    fn power_off(&mut self) {
        self.slot.power_off();
        self.sams.iter_mut().for_each(CardSlot::power_off);
    }

    fn tls_key(&self) -> Result<TlsKey, Refused> {
        TlsKey::new(&*self.keys.own(b"TLS client")?)
    }

    /// The PAN that a PIN is for.
    fn pan_for(&self, entry: &PinEntry) -> Result<Pan, Refused> {
        if entry.pan.is_empty() {
            return self.head.card().map(|card| card.pan().clone());
        }
        Pan::new(&entry.pan).map_err(|_| (Refusal::Invalid, "the PAN is not one".to_owned()))
    }

    fn keyed_card(&self) -> Result<&KeyedCard, Refused> {
        self.pad.card.as_ref().ok_or_else(|| (Refusal::NoCard, "no card was keyed".to_owned()))
    }

    /// What has to do with loading keys.
    fn load_keys(&mut self, request: Request, now: Duration) -> Result<Response, Refused> {
        let data = |data: Vec<u8>| Response::Data(Zeroizing::new(data));
        match request {
            Request::KeySlots => return Ok(Response::KeySlots(self.keys.infos())),
            Request::LoadKeyBlock { key, block } => self.keys.load_block(&key, &block)?,
            Request::BeginKeyEntry(_) if self.pad.asks() => {
                return refused(Refusal::Busy, "a PIN or a card is being entered");
            }
            Request::BeginKeyEntry(entry) => self.key_entry.begin(&entry, &self.keys, now)?,
            Request::KeyEntry => return Ok(Response::KeyEntry(self.key_entry.state())),
            Request::CancelKeyEntry => self.key_entry.end("it was cancelled"),
            Request::KeyCredential => return self.keys.key_host(KeyHost::credential).map(data),
            Request::BindKeyHost { token } => self.keys.key_host(|host| host.bind(&token))?,
            Request::KeyNonce => return self.keys.key_host(KeyHost::nonce).map(data),
            Request::LoadKeyToken { key, token } => {
                let loaded = self.keys.key_host(|host| host.receive(&token))?;
                self.keys.take(&key, loaded)?;
            }
            Request::RebindKeyHost { token } => self.keys.key_host(|host| host.rebind(&token))?,
            Request::UnbindKeyHost { token } => self.keys.key_host(|host| host.unbind(&token))?,
            _ => return refused(Refusal::NotSupported, "this module does not know the operation"),
        }
        Ok(Response::Done)
    }

    /// A custodian enters a component at the pad; the error is for the tester.
    pub(crate) fn enter_component(&mut self, code: &str, text: &str) -> Result<Vec<u8>, String> {
        self.key_entry.enter(code, text, &mut self.keys, self.now)
    }

    /// The MAC of a request under the key in the slot `name`, in the way of that slot; of a longer one the first 8 bytes.
    fn mac(&self, name: &str, message: &[u8]) -> Result<[u8; 8], Refused> {
        let (key, scheme) = self.keys.mac(name, false)?;
        let code = mac::generate(&key, scheme, message).map_err(invalid)?;
        let first = code.as_bytes().first_chunk();
        first.copied().ok_or_else(|| (Refusal::NotSupported, "a MAC has 8 bytes".to_owned()))
    }
}

/// The public key and the signature.
fn seal_journal(
    secret: &[u8; 32],
    journal: &Identity,
    chain: &Chain,
    at: i64,
) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let unable = |error: keys::Error| (Refusal::NotSupported, error.to_string());
    let key = PrivateKey::new(secret).map_err(unable)?;
    let signature = key.sign(sm2::DEFAULT_ID, &seal::statement(journal, chain, at)).map_err(unable)?;
    Ok(Zeroizing::new([key.public_key(), signature].concat()))
}

fn random(length: u16) -> Result<Zeroizing<Vec<u8>>, Refused> {
    if !(1..=256).contains(&length) {
        return refused(Refusal::Invalid, "1 to 256 random bytes can be had");
    }
    let mut bytes = Zeroizing::new(vec![0; usize::from(length)]);
    fill(&mut bytes)?;
    Ok(bytes)
}

fn card_token(key: &Key, pan: &Pan) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let token = mac::generate(key, TOKEN_SCHEME, pan.digits().as_bytes()).map_err(invalid)?;
    Ok(Zeroizing::new(token.as_bytes().to_vec()))
}

fn seal_track2(key: &Key, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let mut confounder = [0; 16];
    fill(&mut confounder)?;
    track2::encrypt(key, &confounder, data).map(Zeroizing::new).map_err(invalid)
}

fn fill(bytes: &mut [u8]) -> Result<(), Refused> {
    getrandom::fill(bytes).map_err(|error| (Refusal::NotSupported, format!("no randomness: {error}")))
}
