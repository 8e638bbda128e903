//! The driver of a secure module that speaks our line protocol (`docs/secure-module-link.md`) over any byte
//! stream: a UART, a socket, a pipe of bulk transfers.

mod actor;
mod key_loading;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use keys::Pan;
use link::{
    CardEntry, CardResult, CardSlotKind, Host, OfflinePinEntry, Pace, Pairing, PinEntry, Protection, Request,
    Response,
};
use secure_module::{
    CardEntryOutcome, CardEntryRequest, CardSlot, Error, Event, JournalSeal, KeyEntryRequest, KeyEntryState,
    KeySlot, KeySlotInfo, OfflinePinOutcome, OfflinePinRequest, PinOutcome, PinRequest, Result, SamSlot,
    Secret, SecureModule, SelfTestResult, Status, SwipedCard,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, mpsc, oneshot};
use zeroize::Zeroizing;

use actor::{Actor, Command};

/// What the module does by itself, without a card. No limit counts what the bytes take on the line.
const QUICK: Duration = Duration::from_secs(5);
/// A card's answer to reset (ISO/IEC 7816-3 allows it seconds).
const POWER_ON: Duration = Duration::from_secs(10);
/// A card may ask for more time as often as it likes.
const TRANSMIT: Duration = Duration::from_secs(30);
/// What the module does with all of its memory: tests, and new firmware.
const TEST: Duration = Duration::from_secs(30);
/// How long a token may be.
const TOKEN_BYTES: RangeInclusive<usize> = 8..=32;
/// How many digits of a PAN may be shown (PCI DSS 3.4.1), and how many it may have.
const SHOWN_DIGITS: usize = 10;
const PAN_DIGITS: usize = 19;
/// How many calls wait for the line before callers wait to be let in.
const CALLS: usize = 16;

/// A secure module at the other end of a byte stream. It is a handle: an actor owns the stream.
#[derive(Debug)]
pub(crate) struct LinkModule {
    calls: mpsc::Sender<Command>,
    /// Only [`SecureModule::next_event`] locks it, and has one caller at a time.
    events: Mutex<mpsc::Receiver<Event>>,
    entries: AtomicU16,
}

impl LinkModule {
    /// Opens a session over `stream`, which carries bytes at `pace`, and starts the actor on the current runtime. With a `pairing` the
    /// line is protected, or there is no session.
    ///
    /// # Errors
    /// [`Error::Timeout`] if no module answers within 5 s, [`Error::Gone`] if the stream ends, and
    /// [`Error::Protocol`] if the module speaks no version that we do, or only one end protects the line.
    pub(crate) async fn open<S>(stream: S, pairing: Option<&Pairing>, pace: Pace) -> Result<LinkModule>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let host = host(pairing, pace).map_err(|error| Error::Protocol(format!("no randomness: {error}")))?;
        let (calls, commands) = mpsc::channel(CALLS);
        let (reports, events) = mpsc::channel(actor::MAX_EVENTS);
        let mut actor = Actor::new(stream, host, commands, reports);
        tokio::time::timeout(QUICK, actor.open()).await.map_err(|_| Error::Timeout)??;
        tokio::spawn(actor.run());
        Ok(LinkModule { calls, events: Mutex::new(events), entries: AtomicU16::new(0) })
    }

    async fn call(&self, request: Request, limit: Duration) -> Result<Response> {
        let (reply, answer) = oneshot::channel();
        self.calls.send(Command::Call { request, limit, reply }).await.map_err(|_| Error::Gone)?;
        answer.await.map_err(|_| Error::Gone)?
    }

    async fn data(&self, request: Request, limit: Duration) -> Result<Secret> {
        match self.call(request, limit).await? {
            Response::Data(data) => Ok(data),
            other => Err(unexpected(&other)),
        }
    }

    async fn done(&self, request: Request, limit: Duration) -> Result<()> {
        match self.call(request, limit).await? {
            Response::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}

#[async_trait]
impl SecureModule for LinkModule {
    async fn status(&self) -> Result<Status> {
        match self.call(Request::Status, QUICK).await? {
            Response::Status(status) => Ok(Status {
                certified: status.certified,
                kind: status.kind,
                firmware: status.firmware,
                serial: status.serial,
                tampered: status.tampered,
                card_present: status.card_present,
            }),
            other => Err(unexpected(&other)),
        }
    }

    async fn next_event(&self) -> Result<Event> {
        self.events.lock().await.recv().await.ok_or(Error::Gone)
    }

    async fn random(&self, length: u16) -> Result<Secret> {
        let random = self.data(Request::Random { length }, QUICK).await?;
        if random.len() == usize::from(length) {
            Ok(random)
        } else {
            Err(Error::Protocol(format!("{} random bytes came instead of {length}", random.len())))
        }
    }

    async fn card_power_on(&self, slot: CardSlot) -> Result<Vec<u8>> {
        self.card_power_on_within(slot, POWER_ON).await
    }

    async fn card_power_on_within(&self, slot: CardSlot, limit: Duration) -> Result<Vec<u8>> {
        let atr = self.data(Request::CardPowerOn { slot: slot_number(slot)? }, limit).await?;
        Ok(atr.to_vec())
    }

    async fn card_power_off(&self, slot: CardSlot) -> Result<()> {
        self.done(Request::CardPowerOff { slot: slot_number(slot)? }, QUICK).await
    }

    async fn card_transmit(&self, slot: CardSlot, command: &[u8]) -> Result<Secret> {
        self.card_transmit_within(slot, command, TRANSMIT).await
    }

    async fn card_transmit_within(&self, slot: CardSlot, command: &[u8], limit: Duration) -> Result<Secret> {
        let command = Zeroizing::new(command.to_vec());
        self.data(Request::CardTransmit { slot: slot_number(slot)?, command }, limit).await
    }

    async fn sam_slots(&self) -> Result<Vec<SamSlot>> {
        match self.call(Request::CardSlots, QUICK).await? {
            Response::CardSlots(slots) => {
                let sams = slots.into_iter().filter(|slot| slot.kind == CardSlotKind::Sam);
                Ok(sams.map(|slot| SamSlot { number: slot.slot, present: slot.present }).collect())
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn enter_pin(&self, request: PinRequest) -> Result<PinOutcome> {
        let entry = PinEntry {
            entry: self.entries.fetch_add(1, Ordering::Relaxed),
            key: request.key.name().to_owned(),
            pan: Zeroizing::new(request.pan.as_ref().map_or("", Pan::digits).to_owned()),
            shortest: *request.digits.start(),
            longest: *request.digits.end(),
            first_key: milliseconds(request.first_key),
            next_key: milliseconds(request.next_key),
            bypass: request.bypass,
            accessible: request.accessible,
            amount: request.amount.map(|amount| (amount.minor_units, amount.currency, amount.exponent)),
        };
        let (reply, outcome) = oneshot::channel();
        self.calls.send(Command::EnterPin { entry, reply }).await.map_err(|_| Error::Gone)?;
        outcome.await.map_err(|_| Error::Gone)?
    }

    async fn verify_offline_pin(&self, request: OfflinePinRequest) -> Result<OfflinePinOutcome> {
        let entry = OfflinePinEntry {
            entry: self.entries.fetch_add(1, Ordering::Relaxed),
            slot: slot_number(request.slot)?,
            tries_left: request.tries_left,
            shortest: *request.digits.start(),
            longest: *request.digits.end(),
            first_key: milliseconds(request.first_key),
            next_key: milliseconds(request.next_key),
            bypass: request.bypass,
            accessible: request.accessible,
            amount: request.amount.map(|amount| (amount.minor_units, amount.currency, amount.exponent)),
            encipherment: request.encipherment.map(|with| link::PinEncipherment {
                modulus: with.modulus,
                exponent: with.exponent,
                challenge: with.challenge,
            }),
        };
        let (reply, outcome) = oneshot::channel();
        self.calls.send(Command::VerifyPin { entry, reply }).await.map_err(|_| Error::Gone)?;
        outcome.await.map_err(|_| Error::Gone)?
    }

    async fn enter_card(&self, request: CardEntryRequest) -> Result<CardEntryOutcome> {
        let entry = CardEntry {
            entry: self.entries.fetch_add(1, Ordering::Relaxed),
            security_code: request.security_code,
            first_key: milliseconds(request.first_key),
            next_key: milliseconds(request.next_key),
            amount: request.amount.map(|amount| (amount.minor_units, amount.currency, amount.exponent)),
        };
        let (reply, outcome) = oneshot::channel();
        self.calls.send(Command::EnterCard { entry, reply }).await.map_err(|_| Error::Gone)?;
        match outcome.await.map_err(|_| Error::Gone)?? {
            CardResult::Entered => {
                let masked = self.data(Request::KeyedCard, QUICK).await?;
                Ok(CardEntryOutcome::Entered { masked_pan: masked_pan(&masked)? })
            }
            CardResult::Cancelled => Ok(CardEntryOutcome::Cancelled),
            CardResult::TimedOut => Ok(CardEntryOutcome::TimedOut),
        }
    }

    async fn seal_keyed_card(&self, slot: &KeySlot) -> Result<Vec<u8>> {
        let sealed = self.data(Request::SealKeyedCard { key: slot.name().to_owned() }, QUICK).await?;
        Ok(sealed.to_vec())
    }

    async fn keyed_card_token(&self, slot: &KeySlot) -> Result<Vec<u8>> {
        token(&self.data(Request::KeyedCardToken { key: slot.name().to_owned() }, QUICK).await?)
    }

    async fn forget_keyed_card(&self) -> Result<()> {
        self.done(Request::ForgetKeyedCard, QUICK).await
    }

    async fn arm_stripe(&self) -> Result<()> {
        self.done(Request::ArmStripe, QUICK).await
    }

    async fn swiped_card(&self) -> Result<SwipedCard> {
        match self.call(Request::SwipedCard, QUICK).await? {
            Response::SwipedCard(link::SwipedCard { masked_pan: masked, service_code }) => {
                Ok(SwipedCard { masked_pan: masked_pan(masked.as_bytes())?, service_code })
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn seal_swiped_card(&self, slot: &KeySlot) -> Result<Vec<u8>> {
        let sealed = self.data(Request::SealSwipedCard { key: slot.name().to_owned() }, QUICK).await?;
        Ok(sealed.to_vec())
    }

    async fn swiped_card_token(&self, slot: &KeySlot) -> Result<Vec<u8>> {
        token(&self.data(Request::SwipedCardToken { key: slot.name().to_owned() }, QUICK).await?)
    }

    async fn forget_swiped_card(&self) -> Result<()> {
        self.done(Request::ForgetSwipedCard, QUICK).await
    }

    async fn cancel_pin(&self) -> Result<()> {
        self.done(Request::CancelPin, QUICK).await
    }

    async fn load_key(
        &self,
        slot: &KeySlot,
        under: &KeySlot,
        wrapped: [u8; 16],
        check: [u8; 4],
    ) -> Result<()> {
        let (key, under) = (slot.name().to_owned(), under.name().to_owned());
        self.done(Request::LoadKey { key, under, wrapped, check }, QUICK).await
    }

    async fn key_check_value(&self, slot: &KeySlot) -> Result<[u8; 4]> {
        match self.call(Request::KeyCheckValue { key: slot.name().to_owned() }, QUICK).await? {
            Response::CheckValue(value) => Ok(value),
            other => Err(unexpected(&other)),
        }
    }

    async fn mac(&self, slot: &KeySlot, message: &[u8]) -> Result<[u8; 8]> {
        let (key, message) = (slot.name().to_owned(), Zeroizing::new(message.to_vec()));
        match self.call(Request::Mac { key, message }, QUICK).await? {
            Response::Mac(mac) => Ok(mac),
            other => Err(unexpected(&other)),
        }
    }

    async fn verify_mac(&self, slot: &KeySlot, message: &[u8], mac: [u8; 8]) -> Result<bool> {
        let (key, message) = (slot.name().to_owned(), Zeroizing::new(message.to_vec()));
        match self.call(Request::VerifyMac { key, mac, message }, QUICK).await? {
            Response::Verified(equal) => Ok(equal),
            other => Err(unexpected(&other)),
        }
    }

    async fn seal_track2(&self, slot: &KeySlot, track2: &[u8]) -> Result<Vec<u8>> {
        let (key, track2) = (slot.name().to_owned(), Zeroizing::new(track2.to_vec()));
        let sealed = self.data(Request::SealTrack2 { key, track2 }, QUICK).await?;
        Ok(sealed.to_vec())
    }

    async fn reseal_track2(&self, from: &KeySlot, slot: &KeySlot, sealed: &[u8]) -> Result<Vec<u8>> {
        let (from, key) = (from.name().to_owned(), slot.name().to_owned());
        let sealed = Zeroizing::new(sealed.to_vec());
        let sealed = self.data(Request::ResealTrack2 { from, key, sealed }, QUICK).await?;
        Ok(sealed.to_vec())
    }

    async fn card_token(&self, slot: &KeySlot, pan: &Pan) -> Result<Vec<u8>> {
        let (key, pan) = (slot.name().to_owned(), Zeroizing::new(pan.digits().to_owned()));
        token(&self.data(Request::CardToken { key, pan }, QUICK).await?)
    }

    async fn next_dukpt_key(&self, slot: &KeySlot) -> Result<[u8; 12]> {
        let serial = self.data(Request::NextDukptKey { key: slot.name().to_owned() }, QUICK).await?;
        let length = serial.len();
        serial
            .as_slice()
            .try_into()
            .map_err(|_| Error::Protocol(format!("a key serial number of {length} bytes came")))
    }

    async fn seal_journal(
        &self,
        journal: [u8; 16],
        last: i64,
        head: [u8; 32],
        at: i64,
    ) -> Result<JournalSeal> {
        let seal = self.data(Request::SealJournal { journal, last, head, at }, QUICK).await?;
        let parts = seal.split_first_chunk().and_then(|(key, rest)| Some((*key, rest.try_into().ok()?)));
        match parts {
            Some((public_key, signature)) => Ok(JournalSeal { public_key, signature }),
            None => Err(Error::Protocol(format!("a seal of {} bytes came", seal.len()))),
        }
    }

    async fn tls_public_key(&self) -> Result<Vec<u8>> {
        let key = self.data(Request::TlsPublicKey, QUICK).await?;
        Ok(key.to_vec())
    }

    async fn sign_tls(&self, transcript: &[u8]) -> Result<Vec<u8>> {
        let transcript = Zeroizing::new(transcript.to_vec());
        let signature = self.data(Request::SignTls { transcript }, QUICK).await?;
        Ok(signature.to_vec())
    }

    async fn tls_certificate_request(&self, subject: &[u8]) -> Result<Vec<u8>> {
        let subject = Zeroizing::new(subject.to_vec());
        let request = self.data(Request::TlsRequest { subject }, QUICK).await?;
        Ok(request.to_vec())
    }

    async fn key_slots(&self) -> Result<Vec<KeySlotInfo>> {
        match self.call(Request::KeySlots, QUICK).await? {
            Response::KeySlots(slots) => slots.into_iter().map(key_loading::slot).collect(),
            other => Err(unexpected(&other)),
        }
    }

    async fn load_key_block(&self, slot: &KeySlot, block: &[u8]) -> Result<()> {
        let (key, block) = (slot.name().to_owned(), Zeroizing::new(block.to_vec()));
        self.done(Request::LoadKeyBlock { key, block }, QUICK).await
    }

    async fn begin_key_entry(&self, request: KeyEntryRequest) -> Result<()> {
        self.done(Request::BeginKeyEntry(key_loading::entry(&request)?), QUICK).await
    }

    async fn key_entry(&self) -> Result<KeyEntryState> {
        match self.call(Request::KeyEntry, QUICK).await? {
            Response::KeyEntry(state) => Ok(key_loading::state(state)),
            other => Err(unexpected(&other)),
        }
    }

    async fn cancel_key_entry(&self) -> Result<()> {
        self.done(Request::CancelKeyEntry, QUICK).await
    }

    async fn key_credential(&self) -> Result<Vec<u8>> {
        Ok(self.data(Request::KeyCredential, QUICK).await?.to_vec())
    }

    async fn bind_key_host(&self, credential: &[u8]) -> Result<()> {
        self.done(Request::BindKeyHost { token: Zeroizing::new(credential.to_vec()) }, QUICK).await
    }

    async fn key_nonce(&self) -> Result<Vec<u8>> {
        Ok(self.data(Request::KeyNonce, QUICK).await?.to_vec())
    }

    async fn load_key_token(&self, slot: &KeySlot, token: &[u8]) -> Result<()> {
        let (key, token) = (slot.name().to_owned(), Zeroizing::new(token.to_vec()));
        self.done(Request::LoadKeyToken { key, token }, QUICK).await
    }

    async fn rebind_key_host(&self, token: &[u8]) -> Result<()> {
        self.done(Request::RebindKeyHost { token: Zeroizing::new(token.to_vec()) }, QUICK).await
    }

    async fn unbind_key_host(&self, token: &[u8]) -> Result<()> {
        self.done(Request::UnbindKeyHost { token: Zeroizing::new(token.to_vec()) }, QUICK).await
    }

    async fn self_test(&self) -> Result<Vec<SelfTestResult>> {
        match self.call(Request::SelfTest, TEST).await? {
            Response::SelfTest(results) => {
                let result = |link::SelfTestResult { name, passed }| SelfTestResult { name, passed };
                Ok(results.into_iter().map(result).collect())
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn clock(&self) -> Result<u64> {
        match self.call(Request::Clock, QUICK).await? {
            Response::Clock(time) => Ok(time),
            other => Err(unexpected(&other)),
        }
    }

    async fn begin_update(&self, manifest: &[u8]) -> Result<()> {
        self.done(Request::BeginUpdate { manifest: Zeroizing::new(manifest.to_vec()) }, TEST).await
    }

    async fn update_data(&self, offset: u32, data: &[u8]) -> Result<()> {
        self.done(Request::UpdateData { offset, data: Zeroizing::new(data.to_vec()) }, QUICK).await
    }

    async fn finish_update(&self) -> Result<()> {
        self.done(Request::FinishUpdate, TEST).await
    }

    async fn cancel_update(&self) -> Result<()> {
        self.done(Request::CancelUpdate, QUICK).await
    }
}

/// Our end of the line.
fn host(pairing: Option<&Pairing>, pace: Pace) -> std::result::Result<Host, getrandom::Error> {
    let session = getrandom::u32()?;
    let Some(pairing) = pairing else { return Ok(Host::new(session, pace, Duration::ZERO)) };
    let mut entropy = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *entropy)?;
    let protection = Protection::new(pairing.clone(), entropy);
    Ok(Host::protected(session, protection, pace, Duration::ZERO))
}

fn token(token: &Secret) -> Result<Vec<u8>> {
    if TOKEN_BYTES.contains(&token.len()) {
        Ok(token.to_vec())
    } else {
        Err(Error::Protocol(format!("a token of {} bytes came", token.len())))
    }
}

/// What may be shown of a PAN. A module that shows more of it is not listened to.
fn masked_pan(bytes: &[u8]) -> Result<String> {
    let shown = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let masked = bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b'*');
    match std::str::from_utf8(bytes) {
        Ok(text) if masked && shown <= SHOWN_DIGITS && bytes.len() <= PAN_DIGITS => Ok(text.to_owned()),
        _ => Err(Error::Protocol("what it says of a card is no masked PAN".to_owned())),
    }
}

/// The number that a card slot has on the line.
fn slot_number(slot: CardSlot) -> Result<u8> {
    match slot {
        CardSlot::Contact => Ok(0),
        CardSlot::Sam(number @ 1..=4) => Ok(number),
        _ => Err(Error::NotSupported),
    }
}

/// The line counts at most 49 days.
fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

fn unexpected(response: &Response) -> Error {
    Error::Protocol(format!("it answered {response:?}"))
}
