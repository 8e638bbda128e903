//! Messages: what the payload of a frame says. Nothing in them prints card data.

use std::fmt;

use zeroize::Zeroizing;

use crate::entry::{CardEntry, PinEntry};
use crate::error::{Error, Result};
use crate::key_loading::{KeyEntryRequest, KeyEntryState, KeySlotInfo};
use crate::wire::{Reader, Writer};

/// What an end may be able to do beyond its version, a bit each. It holds where both ends say it.
pub mod capability {
    /// Messages longer than a frame, in parts.
    pub const PARTS: u32 = 1;
    /// The line is protected: both ends know each other, and what is said in a session is enciphered.
    pub const PROTECTION: u32 = 1 << 1;
    /// Card tokens: [`Request::CardToken`](super::Request::CardToken).
    pub const CARD_TOKEN: u32 = 1 << 2;
    /// Keys of SM4: the master key slot [`TMK_SM4`](super::TMK_SM4), and what is loaded under it.
    pub const SM4: u32 = 1 << 3;
    /// MACs by ANSI X9.19: the key slot [`MAK_X919`](super::MAK_X919).
    pub const X919: u32 = 1 << 4;
    /// Stored cards: track 2 sealed under [`STORE`](super::STORE), and [`Request::ResealTrack2`](super::Request::ResealTrack2).
    pub const STORED_CARD: u32 = 1 << 5;
    /// AES DUKPT: [`Request::NextDukptKey`](super::Request::NextDukptKey), and the key slot [`DUKPT`](super::DUKPT).
    pub const DUKPT: u32 = 1 << 6;
    /// Cards whose number is keyed at the pad: [`Request::EnterCard`](super::Request::EnterCard) and those after it.
    pub const KEYED_CARD: u32 = 1 << 7;
    /// Seals over a journal: [`Request::SealJournal`](super::Request::SealJournal).
    pub const JOURNAL_SEAL: u32 = 1 << 8;
    /// A key for TLS: [`Request::TlsPublicKey`](super::Request::TlsPublicKey) and those after it.
    pub const TLS_KEY: u32 = 1 << 9;
    /// Loading keys: [`Request::KeySlots`](super::Request::KeySlots) and those after it.
    pub const KEY_LOADING: u32 = 1 << 10;
    /// All that this crate knows, on a line that is protected or not.
    pub(crate) const ALL: u32 = PARTS
        | CARD_TOKEN
        | SM4
        | X919
        | STORED_CARD
        | DUKPT
        | KEYED_CARD
        | JOURNAL_SEAL
        | TLS_KEY
        | KEY_LOADING;
}

/// The slot of the master key of SM4.
pub const TMK_SM4: &str = "tmk-sm4";
/// The slot of the key of MACs by ANSI X9.19.
pub const MAK_X919: &str = "mak-x919";
/// The slot of the key under which card data wait for the host. The module made it itself.
pub const STORE: &str = "store";
/// The slot of the key that protects key blocks.
pub const KBPK: &str = "kbpk";
/// The slot of the keys of the DUKPT transaction that is going on.
pub const DUKPT: &str = "dukpt";

/// Bytes that are wiped on drop.
pub type Secret = Zeroizing<Vec<u8>>;

/// The host opens a session. Bytes that later versions append are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The lowest version that the host speaks.
    pub lowest: u8,
    /// The highest version that the host speaks.
    pub highest: u8,
    /// What the host can do beyond the version: the bits of [`capability`].
    pub capabilities: u32,
}

impl Hello {
    /// The length of the fields.
    pub(crate) const LENGTH: usize = 6;

    pub(crate) fn encode(self) -> Result<Secret> {
        let mut to = Writer::new();
        to.u8(self.lowest);
        to.u8(self.highest);
        to.u32(self.capabilities);
        to.finish()
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self> {
        let mut from = Reader::new(payload);
        Ok(Self { lowest: from.u8()?, highest: from.u8()?, capabilities: from.u32()? })
    }
}

/// The module has opened a session. Bytes that later versions append are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// The version that both speak from now on.
    pub version: u8,
    /// The capabilities that both have.
    pub capabilities: u32,
    /// A number that the module draws when it starts: another one means that it has restarted.
    pub boot: u32,
}

impl Welcome {
    /// The length of the fields.
    pub(crate) const LENGTH: usize = 9;

    pub(crate) fn encode(self) -> Result<Secret> {
        let mut to = Writer::new();
        to.u8(self.version);
        to.u32(self.capabilities);
        to.u32(self.boot);
        to.finish()
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self> {
        let mut from = Reader::new(payload);
        Ok(Self { version: from.u8()?, capabilities: from.u32()?, boot: from.u32()? })
    }
}

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
    /// Begin a PIN entry; its end is an event.
    EnterPin(PinEntry),
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
            Self::EnterPin(_) => 0x20,
            Self::CancelPin => 0x21,
            Self::ResealTrack2 { .. } => 0x22,
            Self::EnterCard(_) => 0x23,
            Self::KeyedCard => 0x24,
            Self::SealKeyedCard { .. } => 0x25,
            Self::KeyedCardToken { .. } => 0x26,
            Self::ForgetKeyedCard => 0x27,
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
        }
    }

    /// The capabilities without which the module doesn't know the operation.
    #[must_use]
    pub fn capabilities(&self) -> u32 {
        match self {
            Self::CardToken { .. } => capability::CARD_TOKEN,
            Self::ResealTrack2 { .. } => capability::STORED_CARD,
            Self::SealTrack2 { key, .. } if key == STORE => capability::STORED_CARD,
            Self::NextDukptKey { .. } => capability::DUKPT,
            Self::EnterCard(_)
            | Self::KeyedCard
            | Self::SealKeyedCard { .. }
            | Self::KeyedCardToken { .. }
            | Self::ForgetKeyedCard => capability::KEYED_CARD,
            Self::SealJournal { .. } => capability::JOURNAL_SEAL,
            Self::LoadKey { key, .. } if key == MAK_X919 => capability::X919,
            Self::TlsPublicKey | Self::SignTls { .. } | Self::TlsRequest { .. } => capability::TLS_KEY,
            Self::LoadKey { under, .. } if under == TMK_SM4 => capability::SM4,
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
            Self::Random { length } => to.u16(*length),
            Self::CardPowerOn { slot } | Self::CardPowerOff { slot } => to.u8(*slot),
            Self::CardTransmit { slot, command } => {
                to.u8(*slot);
                to.data(command);
            }
            Self::EnterPin(entry) => entry.encode(&mut to),
            Self::EnterCard(entry) => entry.encode(&mut to),
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
            | Self::KeyedCardToken { key } => to.text(key),
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

pub(crate) fn key_name(from: &mut Reader<'_>) -> Result<String> {
    from.text("key slot").map(|mut name| std::mem::take(&mut *name))
}

/// What the module says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether it is a certified device.
    pub certified: bool,
    /// Whether it has been tampered with.
    pub tampered: bool,
    /// Whether a card is in slot 0.
    pub card_present: bool,
    /// Its kind, for a person.
    pub kind: String,
    /// Its firmware's version.
    pub firmware: String,
    /// Its serial number.
    pub serial: String,
}

/// Why the module refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It doesn't know the operation, or can't do it.
    NotSupported,
    /// A field has a wrong form or value.
    Invalid,
    /// A PIN entry is going on.
    Busy,
    /// It has been tampered with.
    Tampered,
    /// No card is in the slot.
    NoCard,
    /// The card doesn't answer, or has no power.
    CardMute,
    /// The key slot is empty.
    NoKey,
    /// The key isn't for this use.
    WrongUsage,
    /// The loaded key has another check value.
    BadCheckValue,
}

impl Refusal {
    /// All refusals, in the order of their codes, which begin with 1.
    const ALL: [Refusal; 9] = [
        Refusal::NotSupported,
        Refusal::Invalid,
        Refusal::Busy,
        Refusal::Tampered,
        Refusal::NoCard,
        Refusal::CardMute,
        Refusal::NoKey,
        Refusal::WrongUsage,
        Refusal::BadCheckValue,
    ];

    fn code(self) -> u8 {
        (1..).zip(Self::ALL).find(|(_, refusal)| *refusal == self).map_or(0, |(code, _)| code)
    }

    fn from_code(code: u8) -> Result<Self> {
        let found = (1..).zip(Self::ALL).find(|(known, _)| *known == code);
        found.map(|(_, refusal)| refusal).ok_or(Error::Value("result"))
    }
}

/// What came of a request.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the specification, and named as there")]
pub enum Response {
    /// It is done, and there is nothing to tell.
    Done,
    /// To [`Request::Status`].
    Status(Status),
    /// Random bytes, an ATR, a response APDU, sealed data, a masked PAN, a token, a key serial number, a public key, a signature, a request for a
    /// certificate.
    Data(Secret),
    /// To [`Request::KeyCheckValue`].
    CheckValue([u8; 4]),
    /// To [`Request::Mac`].
    Mac([u8; 8]),
    /// To [`Request::VerifyMac`].
    Verified(bool),
    /// To [`Request::KeySlots`].
    KeySlots(Vec<KeySlotInfo>),
    /// To [`Request::KeyEntry`].
    KeyEntry(KeyEntryState),
    /// It was refused. The reason is for a person, and holds no card data.
    Refused { refusal: Refusal, reason: String },
}

impl Response {
    /// The response to `operation` as bytes, of which one frame or several parts carry [`MAX_MESSAGE`](crate::MAX_MESSAGE) at most.
    ///
    /// # Errors
    /// [`Error::TooLong`] if it has more.
    pub fn encode(&self, operation: u8) -> Result<Secret> {
        let mut to = Writer::new();
        to.u8(operation);
        to.u8(if let Self::Refused { refusal, .. } = self { refusal.code() } else { 0 });
        match self {
            Self::Done => {}
            Self::Status(status) => {
                to.u8(status.certified.into());
                to.u8(status.tampered.into());
                to.u8(status.card_present.into());
                to.text(&status.kind);
                to.text(&status.firmware);
                to.text(&status.serial);
            }
            Self::Data(data) => to.data(data),
            Self::CheckValue(value) => to.raw(value),
            Self::Mac(mac) => to.raw(mac),
            Self::Verified(equal) => to.u8((*equal).into()),
            Self::KeySlots(slots) => KeySlotInfo::encode_all(slots, &mut to)?,
            Self::KeyEntry(state) => state.encode(&mut to),
            Self::Refused { reason, .. } => to.text(reason),
        }
        to.finish()
    }

    /// The response to `operation` in a payload.
    ///
    /// # Errors
    /// [`Error::WrongAnswer`] if it answers another operation; else what is wrong with its fields.
    pub fn decode(operation: u8, payload: &[u8]) -> Result<Self> {
        let mut from = Reader::new(payload);
        if from.u8()? != operation {
            return Err(Error::WrongAnswer);
        }
        let result = from.u8()?;
        let response = match operation {
            _ if result != 0 => Self::Refused {
                refusal: Refusal::from_code(result)?,
                reason: from.text("reason").map(|mut reason| std::mem::take(&mut *reason))?,
            },
            0x01 => Self::Status(Status {
                certified: from.flag("certified")?,
                tampered: from.flag("tampered")?,
                card_present: from.flag("card present")?,
                kind: from.text("kind")?.to_string(),
                firmware: from.text("firmware")?.to_string(),
                serial: from.text("serial number")?.to_string(),
            }),
            0x02 | 0x10 | 0x12 | 0x22 | 0x24..=0x26 | 0x34..=0x36 | 0x40..=0x43 | 0x49 | 0x4B => {
                Self::Data(from.data()?)
            }
            0x03 | 0x11 | 0x20 | 0x21 | 0x23 | 0x27 | 0x30 | 0x45 | 0x46 | 0x48 | 0x4A | 0x4C..=0x4E => {
                Self::Done
            }
            0x44 => Self::KeySlots(KeySlotInfo::decode_all(&mut from)?),
            0x47 => Self::KeyEntry(KeyEntryState::decode(&mut from)?),
            0x31 => Self::CheckValue(from.array()?),
            0x32 => Self::Mac(from.array()?),
            0x33 => Self::Verified(from.flag("equal")?),
            unknown => return Err(Error::Operation(unknown)),
        };
        from.end()?;
        Ok(response)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("Done"),
            Self::Status(status) => status.fmt(f),
            Self::Data(data) => write!(f, "Data({} bytes)", data.len()),
            Self::CheckValue(_) => f.write_str("CheckValue"),
            Self::Mac(_) => f.write_str("Mac"),
            Self::Verified(equal) => write!(f, "Verified({equal})"),
            Self::KeySlots(slots) => write!(f, "KeySlots({})", slots.len()),
            Self::KeyEntry(_) => f.write_str("KeyEntry"),
            Self::Refused { refusal, reason } => write!(f, "Refused({refusal:?}: {reason})"),
        }
    }
}
