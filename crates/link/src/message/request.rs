//! What the host asks for.

use std::fmt;

use zeroize::Zeroizing;

use super::{MAK_X919, STORE, Secret, TMK_SM4, capability, key_name};
use crate::entry::{CardEntry, PinEntry};
use crate::error::{Error, Result};
use crate::key_loading::KeyEntryRequest;
use crate::offline_pin::OfflinePinEntry;
use crate::wire::{Reader, Writer};

/// What the host asks of the module.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the specification, and named as there")]
pub enum Request {
    /// What are you, and how are you?
    Status,
    /// Random bytes, 1 to 256.
    Random { length: u16 },
    /// Power up or reset the card; answers its ATR.
    CardPowerOn { slot: u8 },
    /// Take its power away.
    CardPowerOff { slot: u8 },
    /// Exchange an APDU.
    CardTransmit { slot: u8, command: Secret },
    /// Which card slots are there?
    CardSlots,
    /// Begin a PIN entry; its end is an event.
    EnterPin(PinEntry),
    /// Begin the entry of a PIN for the card; its end is an event.
    VerifyPin(OfflinePinEntry),
    /// End it.
    CancelPin,
    /// Seal track 2 anew, which is sealed under the key `from`.
    ResealTrack2 { from: String, key: String, sealed: Secret },
    /// Begin the entry of a card; its end is an event.
    EnterCard(CardEntry),
    /// The masked PAN of the card that was keyed.
    KeyedCard,
    /// Seal the card that was keyed.
    SealKeyedCard { key: String },
    /// The token of the card that was keyed.
    KeyedCardToken { key: String },
    /// Wipe what was keyed.
    ForgetKeyedCard,
    /// Read the next card that is swiped, which is an event.
    ArmStripe,
    /// What may be known of it.
    SwipedCard,
    /// Seal it.
    SealSwipedCard { key: String },
    /// Its token.
    SwipedCardToken { key: String },
    /// Wipe it, and read no other one.
    ForgetSwipedCard,
    /// Load a key enciphered under another.
    LoadKey { key: String, under: String, wrapped: [u8; 16], check: [u8; 4] },
    /// The check value of a key.
    KeyCheckValue { key: String },
    /// A MAC, in the way of the key's slot.
    Mac { key: String, message: Secret },
    /// Compare a MAC.
    VerifyMac { key: String, mac: [u8; 8], message: Secret },
    /// Seal track 2.
    SealTrack2 { key: String, track2: Secret },
    /// The token of a PAN.
    CardToken { key: String, pan: Zeroizing<String> },
    /// Begin with the keys of the next DUKPT transaction; answers its key serial number.
    NextDukptKey { key: String },
    /// A seal over a journal, up to an event.
    SealJournal { journal: [u8; 16], last: i64, head: [u8; 32], at: i64 },
    /// The public key of the TLS client key.
    TlsPublicKey,
    /// The client's signature in a handshake of TLS 1.3 whose transcript has this hash.
    SignTls { transcript: Secret },
    /// A request for a certificate of the TLS client key, with a subject in DER.
    TlsRequest { subject: Secret },
    /// Which slots are there, and what is in them?
    KeySlots,
    /// Load the key in a key block.
    LoadKeyBlock { key: String, block: Secret },
    /// Have custodians enter the components of a key at the pad.
    BeginKeyEntry(KeyEntryRequest),
    /// How far are they?
    KeyEntry,
    /// End it.
    CancelKeyEntry,
    /// The module's credential for key distribution hosts (TR-34).
    KeyCredential,
    /// Bind the host with this credential.
    BindKeyHost { token: Secret },
    /// A new random number for the host's next token.
    KeyNonce,
    /// Load the key in a token of the host.
    LoadKeyToken { key: String, token: Secret },
    /// Bind another host, as the host says.
    RebindKeyHost { token: Secret },
    /// Let go of the host, as it says.
    UnbindKeyHost { token: Secret },
    /// Test yourself.
    SelfTest,
    /// What time is it?
    Clock,
    /// Get ready for the firmware that this describes.
    BeginUpdate { manifest: Secret },
    /// Bytes of it, from `offset`.
    UpdateData { offset: u32, data: Secret },
    /// It is all there: check it, and start with it.
    FinishUpdate,
    /// Forget it.
    CancelUpdate,
}

impl Request {
    /// The operation's code.
    #[must_use]
    pub fn operation(&self) -> u8 {
        match self {
            Self::Status => 0x01,
            Self::Random { .. } => 0x02,
            Self::CardPowerOn { .. } => 0x10,
            Self::CardPowerOff { .. } => 0x11,
            Self::CardTransmit { .. } => 0x12,
            Self::CardSlots => 0x13,
            Self::VerifyPin(_) => 0x14,
            Self::EnterPin(_) => 0x20,
            Self::CancelPin => 0x21,
            Self::ResealTrack2 { .. } => 0x22,
            Self::EnterCard(_) => 0x23,
            Self::KeyedCard => 0x24,
            Self::SealKeyedCard { .. } => 0x25,
            Self::KeyedCardToken { .. } => 0x26,
            Self::ForgetKeyedCard => 0x27,
            Self::ArmStripe => 0x28,
            Self::SwipedCard => 0x29,
            Self::SealSwipedCard { .. } => 0x2A,
            Self::SwipedCardToken { .. } => 0x2B,
            Self::ForgetSwipedCard => 0x2C,
            Self::LoadKey { .. } => 0x30,
            Self::KeyCheckValue { .. } => 0x31,
            Self::Mac { .. } => 0x32,
            Self::VerifyMac { .. } => 0x33,
            Self::SealTrack2 { .. } => 0x34,
            Self::CardToken { .. } => 0x35,
            Self::NextDukptKey { .. } => 0x36,
            Self::SealJournal { .. } => 0x40,
            Self::TlsPublicKey => 0x41,
            Self::SignTls { .. } => 0x42,
            Self::TlsRequest { .. } => 0x43,
            Self::KeySlots => 0x44,
            Self::LoadKeyBlock { .. } => 0x45,
            Self::BeginKeyEntry(_) => 0x46,
            Self::KeyEntry => 0x47,
            Self::CancelKeyEntry => 0x48,
            Self::KeyCredential => 0x49,
            Self::BindKeyHost { .. } => 0x4A,
            Self::KeyNonce => 0x4B,
            Self::LoadKeyToken { .. } => 0x4C,
            Self::RebindKeyHost { .. } => 0x4D,
            Self::UnbindKeyHost { .. } => 0x4E,
            Self::SelfTest => 0x50,
            Self::Clock => 0x51,
            Self::BeginUpdate { .. } => 0x52,
            Self::UpdateData { .. } => 0x53,
            Self::FinishUpdate => 0x54,
            Self::CancelUpdate => 0x55,
        }
    }

    /// The capabilities without which the module doesn't know the operation.
    #[must_use]
    pub fn capabilities(&self) -> u32 {
        match self {
            Self::CardSlots => capability::SAM_SLOTS,
            Self::VerifyPin(OfflinePinEntry { accessible: true, .. }) => {
                capability::OFFLINE_PIN | capability::ACCESSIBLE_ENTRY
            }
            Self::VerifyPin(_) => capability::OFFLINE_PIN,
            Self::EnterPin(PinEntry { accessible: true, .. }) => capability::ACCESSIBLE_ENTRY,
            Self::CardPowerOn { slot: 1.. }
            | Self::CardPowerOff { slot: 1.. }
            | Self::CardTransmit { slot: 1.., .. } => capability::SAM_SLOTS,
            Self::CardToken { .. } => capability::CARD_TOKEN,
            Self::ResealTrack2 { .. } => capability::STORED_CARD,
            Self::SealTrack2 { key, .. } if key == STORE => capability::STORED_CARD,
            Self::NextDukptKey { .. } => capability::DUKPT,
            Self::EnterCard(_)
            | Self::KeyedCard
            | Self::SealKeyedCard { .. }
            | Self::KeyedCardToken { .. }
            | Self::ForgetKeyedCard => capability::KEYED_CARD,
            Self::ArmStripe
            | Self::SwipedCard
            | Self::SealSwipedCard { .. }
            | Self::SwipedCardToken { .. }
            | Self::ForgetSwipedCard => capability::STRIPE,
            Self::EnterPin(entry) if entry.pan.is_empty() => capability::STRIPE,
            Self::SealJournal { .. } => capability::JOURNAL_SEAL,
            Self::LoadKey { key, .. } if key == MAK_X919 => capability::X919,
            Self::TlsPublicKey | Self::SignTls { .. } | Self::TlsRequest { .. } => capability::TLS_KEY,
            Self::LoadKey { under, .. } if under == TMK_SM4 => capability::SM4,
            Self::SelfTest | Self::Clock => capability::SELF_TEST,
            Self::BeginUpdate { .. } | Self::UpdateData { .. } | Self::FinishUpdate | Self::CancelUpdate => {
                capability::UPDATE
            }
            _ if (0x44..=0x4E).contains(&self.operation()) => capability::KEY_LOADING,
            _ => 0,
        }
    }

    /// The request as bytes, of which one frame or several parts carry [`MAX_MESSAGE`](crate::MAX_MESSAGE) at most.
    ///
    /// # Errors
    /// [`Error::TooLong`] if it has more.
    pub fn encode(&self) -> Result<Secret> {
        let mut to = Writer::new();
        to.u8(self.operation());
        match self {
            Self::Status | Self::CancelPin | Self::KeyedCard | Self::ForgetKeyedCard | Self::TlsPublicKey => {
            }
            Self::KeySlots | Self::KeyEntry | Self::CancelKeyEntry | Self::KeyCredential | Self::KeyNonce => {
            }
            Self::CardSlots | Self::SelfTest | Self::Clock | Self::FinishUpdate | Self::CancelUpdate => {}
            Self::ArmStripe | Self::SwipedCard | Self::ForgetSwipedCard => {}
            Self::BeginUpdate { manifest } => to.data(manifest),
            Self::UpdateData { offset, data } => {
                to.u32(*offset);
                to.data(data);
            }
            Self::Random { length } => to.u16(*length),
            Self::CardPowerOn { slot } | Self::CardPowerOff { slot } => to.u8(*slot),
            Self::CardTransmit { slot, command } => {
                to.u8(*slot);
                to.data(command);
            }
            Self::EnterPin(entry) => entry.encode(&mut to),
            Self::EnterCard(entry) => entry.encode(&mut to),
            Self::VerifyPin(entry) => entry.encode(&mut to),
            Self::ResealTrack2 { from, key, sealed } => {
                to.text(from);
                to.text(key);
                to.data(sealed);
            }
            Self::LoadKey { key, under, wrapped, check } => {
                to.text(key);
                to.text(under);
                to.raw(wrapped);
                to.raw(check);
            }
            Self::KeyCheckValue { key }
            | Self::NextDukptKey { key }
            | Self::SealKeyedCard { key }
            | Self::KeyedCardToken { key }
            | Self::SealSwipedCard { key }
            | Self::SwipedCardToken { key } => to.text(key),
            Self::Mac { key, message } => {
                to.text(key);
                to.data(message);
            }
            Self::VerifyMac { key, mac, message } => {
                to.text(key);
                to.raw(mac);
                to.data(message);
            }
            Self::SealTrack2 { key, track2 } => {
                to.text(key);
                to.data(track2);
            }
            Self::CardToken { key, pan } => {
                to.text(key);
                to.text(pan);
            }
            Self::SealJournal { journal, last, head, at } => {
                to.raw(journal);
                to.raw(&last.to_be_bytes());
                to.raw(head);
                to.raw(&at.to_be_bytes());
            }
            Self::SignTls { transcript: data } | Self::TlsRequest { subject: data } => to.data(data),
            Self::BeginKeyEntry(entry) => entry.encode(&mut to),
            Self::LoadKeyBlock { key, block: data } | Self::LoadKeyToken { key, token: data } => {
                to.text(key);
                to.data(data);
            }
            Self::BindKeyHost { token } | Self::RebindKeyHost { token } | Self::UnbindKeyHost { token } => {
                to.data(token);
            }
        }
        to.finish()
    }

    /// The request in a payload.
    ///
    /// # Errors
    /// [`Error::Operation`] for an unknown operation; else what is wrong with its fields.
    pub fn decode(payload: &[u8]) -> Result<Self> {
        let mut from = Reader::new(payload);
        let request = match from.u8()? {
            0x01 => Self::Status,
            0x02 => Self::Random { length: from.u16()? },
            0x10 => Self::CardPowerOn { slot: from.u8()? },
            0x11 => Self::CardPowerOff { slot: from.u8()? },
            0x12 => Self::CardTransmit { slot: from.u8()?, command: from.data()? },
            0x13 => Self::CardSlots,
            0x14 => Self::VerifyPin(OfflinePinEntry::decode(&mut from)?),
            0x20 => Self::EnterPin(PinEntry::decode(&mut from)?),
            0x21 => Self::CancelPin,
            0x22 => Self::ResealTrack2 {
                from: key_name(&mut from)?,
                key: key_name(&mut from)?,
                sealed: from.data()?,
            },
            0x23 => Self::EnterCard(CardEntry::decode(&mut from)?),
            0x24 => Self::KeyedCard,
            0x25 => Self::SealKeyedCard { key: key_name(&mut from)? },
            0x26 => Self::KeyedCardToken { key: key_name(&mut from)? },
            0x27 => Self::ForgetKeyedCard,
            0x28 => Self::ArmStripe,
            0x29 => Self::SwipedCard,
            0x2A => Self::SealSwipedCard { key: key_name(&mut from)? },
            0x2B => Self::SwipedCardToken { key: key_name(&mut from)? },
            0x2C => Self::ForgetSwipedCard,
            0x30 => Self::LoadKey {
                key: key_name(&mut from)?,
                under: key_name(&mut from)?,
                wrapped: from.array()?,
                check: from.array()?,
            },
            0x31 => Self::KeyCheckValue { key: key_name(&mut from)? },
            0x32 => Self::Mac { key: key_name(&mut from)?, message: from.data()? },
            0x33 => Self::VerifyMac { key: key_name(&mut from)?, mac: from.array()?, message: from.data()? },
            0x34 => Self::SealTrack2 { key: key_name(&mut from)?, track2: from.data()? },
            0x35 => Self::CardToken { key: key_name(&mut from)?, pan: from.text("PAN")? },
            0x36 => Self::NextDukptKey { key: key_name(&mut from)? },
            0x40 => Self::SealJournal {
                journal: from.array()?,
                last: i64::from_be_bytes(from.array()?),
                head: from.array()?,
                at: i64::from_be_bytes(from.array()?),
            },
            0x41 => Self::TlsPublicKey,
            0x42 => Self::SignTls { transcript: from.data()? },
            0x43 => Self::TlsRequest { subject: from.data()? },
            0x44 => Self::KeySlots,
            0x45 => Self::LoadKeyBlock { key: key_name(&mut from)?, block: from.data()? },
            0x46 => Self::BeginKeyEntry(KeyEntryRequest::decode(&mut from)?),
            0x47 => Self::KeyEntry,
            0x48 => Self::CancelKeyEntry,
            0x49 => Self::KeyCredential,
            0x4A => Self::BindKeyHost { token: from.data()? },
            0x4B => Self::KeyNonce,
            0x4C => Self::LoadKeyToken { key: key_name(&mut from)?, token: from.data()? },
            0x4D => Self::RebindKeyHost { token: from.data()? },
            0x4E => Self::UnbindKeyHost { token: from.data()? },
            0x50 => Self::SelfTest,
            0x51 => Self::Clock,
            0x52 => Self::BeginUpdate { manifest: from.data()? },
            0x53 => Self::UpdateData { offset: from.u32()?, data: from.data()? },
            0x54 => Self::FinishUpdate,
            0x55 => Self::CancelUpdate,
            unknown => return Err(Error::Operation(unknown)),
        };
        from.end()?;
        Ok(request)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({:#04x})", self.operation())
    }
}
