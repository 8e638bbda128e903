//! The secure card module as a trait, and the types it speaks in.
//!
//! A secure module owns what must never reach the terminal's processor: the PIN pad, the keys, and the tamper
//! switches; and it drives the card. A driver implements [`SecureModule`]; what its hardware can't do stays at
//! the default, [`Error::NotSupported`]. A driver is a handle to an actor: all methods take `&self`, may be
//! called at the same time, and [`SecureModule::cancel_pin`] overtakes a PIN entry that waits.

mod card_entry;
mod error;
mod key_loading;
mod offline_pin;
mod pin;
mod self_test;
mod slot;
mod stripe;

use std::time::Duration;

use async_trait::async_trait;
use keys::Pan;
use zeroize::Zeroizing;

pub use card_entry::{CardEntryOutcome, CardEntryRequest, CardPart};
pub use error::{Error, Result};
pub use key_loading::{KeyEntryRequest, KeyEntryState, KeySlotInfo};
pub use offline_pin::{OfflinePinOutcome, OfflinePinRequest, PinEncipherment};
pub use pin::{Amount, PinOutcome, PinRequest};
pub use self_test::SelfTestResult;
pub use slot::{CardSlot, KeySlot, SamSlot};
pub use stripe::{SwipeResult, SwipedCard};

/// Card data that are wiped when dropped.
pub type Secret = Zeroizing<Vec<u8>>;

/// What a secure module says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether the module is a certified device (PCI PTS). Software keys and virtual hardware say `false`.
    pub certified: bool,
    /// What kind of module it is, for a person.
    pub kind: String,
    /// The version of its firmware.
    pub firmware: String,
    /// Its serial number.
    pub serial: String,
    /// Whether it has been tampered with. Its keys are gone then, until it is serviced.
    pub tampered: bool,
    /// Whether a card is in the contact slot.
    pub card_present: bool,
}

/// What a secure module reports on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A card was put into a slot.
    CardInserted(CardSlot),
    /// The card was taken out of a slot.
    CardRemoved(CardSlot),
    /// The pad asks for what is to be entered there: what is pressed from now on goes to nobody else.
    PadAsks,
    /// So many digits of the PIN are typed now: what the screen shows as asterisks.
    PinDigits(u8),
    /// So many digits of this part of a card are typed now: what the screen shows as asterisks.
    CardDigits(CardPart, u8),
    /// A card was swiped while the head was [armed](SecureModule::arm_stripe), which it is no more.
    CardSwiped(SwipeResult),
    /// The module has been tampered with.
    Tampered,
    /// The module, or the line to it, started anew: a PIN entry has ended, the card has lost power, working
    /// keys may be gone. Ask for its [status](SecureModule::status).
    Reset,
}

/// A seal over a journal: a signature of SM2 with SM3 (GM/T 0003.2-2012), which anyone checks with the public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalSeal {
    /// The module's audit key: the point `x ‖ y`.
    pub public_key: [u8; 64],
    /// `r ‖ s`.
    pub signature: [u8; 64],
}

/// A secure module. Every operation fails with [`Error::Gone`] for ever once the module has gone away.
#[async_trait]
pub trait SecureModule: Send + Sync {
    /// What the module is, and the state it is in.
    async fn status(&self) -> Result<Status> {
        Err(Error::NotSupported)
    }

    /// The next thing that the module reports, in order. It waits until there is one. One caller at a time.
    async fn next_event(&self) -> Result<Event> {
        Err(Error::NotSupported)
    }

    /// `length` random bytes, 1 to 256, from the module's generator.
    async fn random(&self, length: u16) -> Result<Secret> {
        let _ = length;
        Err(Error::NotSupported)
    }

    /// Powers the card up or resets it (ISO/IEC 7816-3, cold or warm), and returns its answer to reset.
    async fn card_power_on(&self, slot: CardSlot) -> Result<Vec<u8>> {
        let _ = slot;
        Err(Error::NotSupported)
    }

    /// As [`card_power_on`](Self::card_power_on), for `limit` at most, as of [`card_transmit_within`](Self::card_transmit_within).
    async fn card_power_on_within(&self, slot: CardSlot, limit: Duration) -> Result<Vec<u8>> {
        let _ = limit;
        self.card_power_on(slot).await
    }

    /// Takes the card's power away. It is no error if it had none.
    async fn card_power_off(&self, slot: CardSlot) -> Result<()> {
        let _ = slot;
        Err(Error::NotSupported)
    }

    /// Sends a command APDU (ISO/IEC 7816-4, short: 4 to 261 bytes) and returns the response with its status
    /// word. `61xx` and `6Cxx` come back as they are, unless the driver has followed them up itself.
    async fn card_transmit(&self, slot: CardSlot, command: &[u8]) -> Result<Secret> {
        let _ = (slot, command);
        Err(Error::NotSupported)
    }

    /// As [`card_transmit`](Self::card_transmit), for `limit` at most, where the driver can hold to one. It fails with
    /// [`Error::Timeout`] then, and the module may begin anew ([`Event::Reset`]).
    async fn card_transmit_within(&self, slot: CardSlot, command: &[u8], limit: Duration) -> Result<Secret> {
        let _ = limit;
        self.card_transmit(slot, command).await
    }

    /// The slots for PSAMs.
    async fn sam_slots(&self) -> Result<Vec<SamSlot>> {
        Err(Error::NotSupported)
    }

    /// Has a PIN typed, and returns it enciphered: as an ISO 9564 format 0 block under a TDES key, format 4 under an
    /// AES key, UnionPay's block of 16 bytes under an SM4 key. The clear PIN stays inside.
    /// One entry at a time; dropping the future leaves the entry running, so cancel it.
    async fn enter_pin(&self, request: PinRequest) -> Result<PinOutcome> {
        let _ = request;
        Err(Error::NotSupported)
    }

    /// Has a PIN typed, and hands it to the card in a slot, which has power: VERIFY (EMV Book 3, 6.5.12) is built and sent inside
    /// of the module, once for each PIN that was typed, since each costs the card a try. One entry at a time; while it goes on the
    /// card hears nothing else. Dropping the future leaves the entry running, so cancel it.
    ///
    /// [`Error::CardMute`] if the card has no power, does not answer or leaves; [`Error::Busy`] where too many PINs were entered.
    async fn verify_offline_pin(&self, request: OfflinePinRequest) -> Result<OfflinePinOutcome> {
        let _ = request;
        Err(Error::NotSupported)
    }

    /// Has the number of a card that is not there keyed at the pad, with its expiry date, and holds it in the module until
    /// [`forget_keyed_card`](Self::forget_keyed_card), or until another one is keyed. The pad takes no number whose check digit
    /// (ISO/IEC 7812-1, Annex B) is wrong. One entry at a time, a PIN's or a card's; dropping the future leaves it running.
    async fn enter_card(&self, request: CardEntryRequest) -> Result<CardEntryOutcome> {
        let _ = request;
        Err(Error::NotSupported)
    }

    /// Seals the card that was keyed under a data key, as [`seal_track2`](Self::seal_track2) would: equivalent track 2 data of its
    /// number and expiry date, the service code 000, and its security code where one was keyed.
    ///
    /// [`Error::NoCard`] if none was.
    async fn seal_keyed_card(&self, slot: &KeySlot) -> Result<Vec<u8>> {
        let _ = slot;
        Err(Error::NotSupported)
    }

    /// The token of the card that was keyed: the one that it has when it is [read](Self::card_token).
    async fn keyed_card_token(&self, slot: &KeySlot) -> Result<Vec<u8>> {
        let _ = slot;
        Err(Error::NotSupported)
    }

    /// Wipes what was keyed. It is no error if there is nothing.
    async fn forget_keyed_card(&self) -> Result<()> {
        Err(Error::NotSupported)
    }

    /// Has the head of the stripe read the next card that is swiped: [`Event::CardSwiped`]. Before and after that it reads none. What
    /// it read before is forgotten.
    async fn arm_stripe(&self) -> Result<()> {
        Err(Error::NotSupported)
    }

    /// The card that was swiped. The module holds it until [`forget_swiped_card`](Self::forget_swiped_card), or until the head is
    /// armed again.
    ///
    /// [`Error::NoCard`] if none was.
    async fn swiped_card(&self) -> Result<SwipedCard> {
        Err(Error::NotSupported)
    }

    /// Seals track 2 of the card that was swiped under a data key, as [`seal_track2`](Self::seal_track2) would.
    async fn seal_swiped_card(&self, slot: &KeySlot) -> Result<Vec<u8>> {
        let _ = slot;
        Err(Error::NotSupported)
    }

    /// The token of the card that was swiped: the one that its chip has.
    async fn swiped_card_token(&self, slot: &KeySlot) -> Result<Vec<u8>> {
        let _ = slot;
        Err(Error::NotSupported)
    }

    /// Wipes what was swiped, and disarms the head. It is no error if there is nothing.
    async fn forget_swiped_card(&self) -> Result<()> {
        Err(Error::NotSupported)
    }

    /// Ends the PIN entry that is going on with [`PinOutcome::Cancelled`], or that of a card with
    /// [`CardEntryOutcome::Cancelled`]. It is no error if there is none: the entry may just have ended.
    async fn cancel_pin(&self) -> Result<()> {
        Err(Error::NotSupported)
    }

    /// Loads a key that is enciphered (ECB) under the key in slot `under`, and of its algorithm: double-length TDES or SM4.
    ///
    /// [`Error::BadCheckValue`] if the check value differs: the slot keeps what it held.
    async fn load_key(
        &self,
        slot: &KeySlot,
        under: &KeySlot,
        wrapped: [u8; 16],
        check: [u8; 4],
    ) -> Result<()> {
        let _ = (slot, under, wrapped, check);
        Err(Error::NotSupported)
    }

    /// The check value of the key in a slot: the first 4 bytes of enciphering zeros.
    async fn key_check_value(&self, slot: &KeySlot) -> Result<[u8; 4]> {
        let _ = slot;
        Err(Error::NotSupported)
    }

    /// The MAC of `message` under a MAC key, in the way of its slot: UnionPay's under `mak`, which are 8 ASCII characters, and
    /// that of ANSI X9.19 (ISO/IEC 9797-1 algorithm 3 with padding method 1) under `mak-x919`, the first 8 bytes of a CMAC under
    /// `dukpt`.
    async fn mac(&self, slot: &KeySlot, message: &[u8]) -> Result<[u8; 8]> {
        let _ = (slot, message);
        Err(Error::NotSupported)
    }

    /// Whether `mac` is the MAC of `message`; compared in constant time, in the module.
    async fn verify_mac(&self, slot: &KeySlot, message: &[u8], mac: [u8; 8]) -> Result<bool> {
        let _ = (slot, message, mac);
        Err(Error::NotSupported)
    }

    /// Seals track 2 (the value of tag 57) under a data key: the content of DE 35, at most 48 bytes. What is sealed under
    /// [`KeySlot::STORE`] is for the terminal's own storage.
    async fn seal_track2(&self, slot: &KeySlot, track2: &[u8]) -> Result<Vec<u8>> {
        let _ = (slot, track2);
        Err(Error::NotSupported)
    }

    /// Opens what [`seal_track2`](Self::seal_track2) made under the key `from`, and seals it under the data key `slot`: nothing
    /// of it leaves the module in the clear. `from` is [`KeySlot::STORE`], the one key that opens what it sealed.
    async fn reseal_track2(&self, from: &KeySlot, slot: &KeySlot, sealed: &[u8]) -> Result<Vec<u8>> {
        let _ = (from, slot, sealed);
        Err(Error::NotSupported)
    }

    /// The token of a card, 8 to 32 bytes: a code of `pan` under a token key. The same PAN has the same token for
    /// the life of the module and another one in each other module, and nobody without the key can tell one from
    /// the other.
    async fn card_token(&self, slot: &KeySlot, pan: &Pan) -> Result<Vec<u8>> {
        let _ = (slot, pan);
        Err(Error::NotSupported)
    }

    /// Begins with the keys of the next transaction of AES DUKPT (ANSI X9.24-3), and returns its key serial number, which never
    /// comes a second time. Those of the transaction before it are gone. Until the next call, the slot has these.
    ///
    /// [`Error::NoKey`] if there is no initial key, or all that comes of it is used up.
    async fn next_dukpt_key(&self, slot: &KeySlot) -> Result<[u8; 12]> {
        let _ = slot;
        Err(Error::NotSupported)
    }

    /// Signs where the journal with the identity `journal` was at the time `at` (milliseconds since 1970): its event `last` had
    /// the link `head`. The key is one that the module made itself and uses for nothing else.
    async fn seal_journal(
        &self,
        journal: [u8; 16],
        last: i64,
        head: [u8; 32],
        at: i64,
    ) -> Result<JournalSeal> {
        let _ = (journal, last, head, at);
        Err(Error::NotSupported)
    }

    /// The public key of the module's TLS client key: a SubjectPublicKeyInfo (RFC 5480) on P-256, in DER. The module drew the
    /// key itself, and no operation gives it away.
    async fn tls_public_key(&self) -> Result<Vec<u8>> {
        Err(Error::NotSupported)
    }

    /// Signs as the client of a TLS 1.3 handshake (RFC 8446, 4.4.3) whose transcript hash is `transcript`, of 32 or 48 bytes:
    /// `ecdsa_secp256r1_sha256`, in DER. The module puts the context in front of the hash itself.
    async fn sign_tls(&self, transcript: &[u8]) -> Result<Vec<u8>> {
        let _ = transcript;
        Err(Error::NotSupported)
    }

    /// A request for a certificate of the TLS client key (PKCS #10, RFC 2986), in DER. `subject` is a Name (RFC 5280, 4.1.2.4),
    /// in DER.
    async fn tls_certificate_request(&self, subject: &[u8]) -> Result<Vec<u8>> {
        let _ = subject;
        Err(Error::NotSupported)
    }

    /// Each key slot, and what is in it: usage, algorithm and check value, never more.
    async fn key_slots(&self) -> Result<Vec<KeySlotInfo>> {
        Err(Error::NotSupported)
    }

    /// Loads the key in a key block (X9.143) that the key in [`KeySlot::KBPK`] protects. The key does what its block allows, and
    /// goes into a slot that needs just that.
    ///
    /// [`Error::WrongUsage`] if the slot takes no such key: it keeps what it held.
    async fn load_key_block(&self, slot: &KeySlot, block: &[u8]) -> Result<()> {
        let _ = (slot, block);
        Err(Error::NotSupported)
    }

    /// Has custodians enter a key at the module's own pad, each one component (dual control). [`key_entry`](Self::key_entry)
    /// tells how far they are.
    async fn begin_key_entry(&self, request: KeyEntryRequest) -> Result<()> {
        let _ = request;
        Err(Error::NotSupported)
    }

    /// How far the custodians are.
    async fn key_entry(&self) -> Result<KeyEntryState> {
        Err(Error::NotSupported)
    }

    /// Ends what [`begin_key_entry`](Self::begin_key_entry) began. It is no error if nothing goes on.
    async fn cancel_key_entry(&self) -> Result<()> {
        Err(Error::NotSupported)
    }

    /// The module's credential for key distribution hosts (X9 TR-34, CT-KRD), in DER.
    async fn key_credential(&self) -> Result<Vec<u8>> {
        Err(Error::NotSupported)
    }

    /// Binds the key distribution host whose credential (CT-KDH) this is.
    async fn bind_key_host(&self, credential: &[u8]) -> Result<()> {
        let _ = credential;
        Err(Error::NotSupported)
    }

    /// A new random number token (RT-KRD), which the next token of the host is to answer. The one before it is gone.
    async fn key_nonce(&self) -> Result<Vec<u8>> {
        Err(Error::NotSupported)
    }

    /// Loads the key in a key token (KT-KDH) of the bound host. The key does what its header says, and goes into a slot that
    /// needs just that.
    async fn load_key_token(&self, slot: &KeySlot, token: &[u8]) -> Result<()> {
        let _ = (slot, token);
        Err(Error::NotSupported)
    }

    /// Binds another host in the place of the one that is bound, by its word (RBT-KDH).
    async fn rebind_key_host(&self, token: &[u8]) -> Result<()> {
        let _ = token;
        Err(Error::NotSupported)
    }

    /// Lets go of the bound host, by its word (UBT-KDH).
    async fn unbind_key_host(&self, token: &[u8]) -> Result<()> {
        let _ = token;
        Err(Error::NotSupported)
    }

    /// Has the module test itself. One that fails uses no key until all tests pass: [`Error::Failed`].
    async fn self_test(&self) -> Result<Vec<SelfTestResult>> {
        Err(Error::NotSupported)
    }

    /// The module's own time, in milliseconds since 1970.
    async fn clock(&self) -> Result<u64> {
        Err(Error::NotSupported)
    }

    /// Begins an update of the module's firmware, of which its vendor has signed the manifest.
    ///
    /// [`Error::Invalid`] if the vendor has not, or the version is not newer; [`Error::Busy`] while a card has power or something is
    /// being entered.
    async fn begin_update(&self, manifest: &[u8]) -> Result<()> {
        let _ = manifest;
        Err(Error::NotSupported)
    }

    /// The image, from its beginning, each `offset` where the data before it ended: at most 32,768 bytes at once.
    async fn update_data(&self, offset: u32, data: &[u8]) -> Result<()> {
        let _ = (offset, data);
        Err(Error::NotSupported)
    }

    /// Has the module check the image and start with it, which is an [`Event::Reset`]. Keys stay.
    async fn finish_update(&self) -> Result<()> {
        Err(Error::NotSupported)
    }

    /// Forgets an update that was begun. It is no error if there is none.
    async fn cancel_update(&self) -> Result<()> {
        Err(Error::NotSupported)
    }
}
