//! What an end may be able to do beyond its version, a bit each. It holds where both ends say it.

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
/// Slots for PSAMs: [`Request::CardSlots`](super::Request::CardSlots), and the slots 1 to 4.
pub const SAM_SLOTS: u32 = 1 << 11;
/// PINs for the card: [`Request::VerifyPin`](super::Request::VerifyPin).
pub const OFFLINE_PIN: u32 = 1 << 12;
/// Self-tests and the module's clock: [`Request::SelfTest`](super::Request::SelfTest) and the one after it.
pub const SELF_TEST: u32 = 1 << 13;
/// Firmware updates: [`Request::BeginUpdate`](super::Request::BeginUpdate) and those after it.
pub const UPDATE: u32 = 1 << 14;
/// Entries of PINs that help who does not see the pad: [`PinEntry::accessible`](crate::PinEntry::accessible).
pub const ACCESSIBLE_ENTRY: u32 = 1 << 15;
/// The magnetic stripe: [`Request::ArmStripe`](super::Request::ArmStripe) and those after it, and the PIN of a card that was swiped.
pub const STRIPE: u32 = 1 << 16;
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
    | KEY_LOADING
    | SAM_SLOTS
    | OFFLINE_PIN
    | SELF_TEST
    | UPDATE
    | ACCESSIBLE_ENTRY
    | STRIPE;
