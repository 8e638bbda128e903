//! The issuer behind the acquirer: it knows the virtual cards, their keys and PINs.

use jiff::ToSpan as _;
use jiff::civil::Date;
use keys::emv::CryptogramInput;
use keys::{TdesKey, Track2, emv};
use sim_cards::Profile;

use crate::chip::ChipData;
use crate::request::{DO_NOT_HONOUR, EXPIRED, FORMAT, INVALID, Refusal, UNKNOWN_CARD, WRONG_PIN};
use crate::working_keys::WorkingKeys;

/// Tag 9F27: the card asks for an online decision.
const ARQC: u8 = 0x80;
/// Tag 9F27: the card has approved.
const TC: u8 = 0x40;
/// How many days an offline sale may be on its way.
const MOST_DAYS: i64 = 7;
/// CVM (9F34 byte 1, without the bit that says what to do on failure): online PIN.
const ONLINE_PIN: u8 = 0x02;
/// CVM result (9F34 byte 3): failed.
const CVM_FAILED: u8 = 0x01;

/// All cards.
#[derive(Debug)]
pub struct Issuer {
    cards: Vec<Profile>,
}

/// What message and chip have to say alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// DE 4, nothing in a balance inquiry.
    pub(crate) amount: u64,
    /// DE 49.
    pub(crate) currency: &'a str,
    /// The first two digits of DE 3.
    pub(crate) kind: &'a str,
    /// The host's day.
    pub(crate) today: Date,
    /// Whether card and terminal have approved already.
    pub(crate) offline: bool,
}

/// A cryptogram that was right.
pub(crate) struct Verified {
    session: TdesKey,
    pub(crate) arqc: [u8; 8],
    pub(crate) atc: u16,
}

impl Issuer {
    /// The issuer of `cards`.
    #[must_use]
    pub fn new(cards: Vec<Profile>) -> Issuer {
        Issuer { cards }
    }

    /// The card of this track, and of this sequence number where that is known; if a day is given, one that is valid on it.
    pub(crate) fn card(
        &self,
        track: &Track2,
        psn: Option<&str>,
        valid_on: Option<Date>,
    ) -> Result<&Profile, Refusal> {
        if !track.pan().luhn_valid() {
            return Err(Refusal::new(UNKNOWN_CARD, "the check digit of the PAN is wrong"));
        }
        let known = |card: &&Profile| {
            card.pan == *track.pan() && psn.is_none_or(|psn| format!("0{:02x}", card.psn) == psn)
        };
        let card = self.cards.iter().find(known);
        let card =
            card.ok_or_else(|| Refusal::new(UNKNOWN_CARD, "no card with this PAN and sequence number"))?;
        let [year, month, _] = card.expiry;
        if track.expiry() != format!("{year:02x}{month:02x}") {
            return Err(Refusal::new(UNKNOWN_CARD, "the expiry date of the track is not the card's"));
        }
        // Valid through the last day of its month. The virtual cards live in this century.
        let month = |day: Date| format!("{:02}{:02}", day.year().rem_euclid(100), day.month());
        if valid_on.is_some_and(|day| track.expiry() < month(day).as_str()) {
            return Err(Refusal::new(EXPIRED, format!("the card expired in {}", track.expiry())));
        }
        Ok(card)
    }

    /// The card with this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Profile> {
        self.cards.iter().find(|card| card.name == name)
    }

    /// What the owner of the card with this name has, in minor units.
    pub(crate) fn available(&self, name: &str) -> u64 {
        self.named(name).map_or(0, |card| card.available)
    }

    /// Checks that the chip speaks of the transaction of the message.
    pub(crate) fn check_terms(chip: &ChipData<'_>, terms: &Terms<'_>) -> Result<(), Refusal> {
        let Terms { amount, currency, kind, today, offline } = *terms;
        let digits = |bytes: &[u8]| hex::encode(bytes);
        let expected = [
            (0x9F02, digits(&chip.get::<6>(0x9F02)?), format!("{amount:012}")),
            (0x5F2A, digits(&chip.get::<2>(0x5F2A)?), format!("0{currency}")),
            (0x9C, digits(&chip.get::<1>(0x9C)?), kind.to_owned()),
        ];
        if let Some((tag, got, expected)) = expected.iter().find(|(_, got, expected)| got != expected) {
            let reason = format!("DE 55: tag {tag:X}: expected {expected} as in the message, got {got}");
            return Err(Refusal::new(INVALID, reason));
        }
        // The terminal may stand in the next time zone, or sell around midnight.
        let before = if offline { MOST_DAYS } else { 1 };
        let near = (-before..=1).filter_map(|days| today.checked_add(days.days()).ok());
        let date = digits(&chip.get::<3>(0x9A)?);
        if !near.into_iter().any(|day| day.strftime("%y%m%d").to_string() == date) {
            let reason = format!("DE 55: tag 9A: {date} is not within {before} days before today");
            return Err(Refusal::new(INVALID, reason));
        }
        let [information] = chip.get(0x9F27)?;
        let expected = if offline { TC } else { ARQC };
        if information != expected {
            let reason = format!("DE 55: tag 9F27: expected {expected:02X}, got {information:02X}");
            return Err(Refusal::new(INVALID, reason));
        }
        Ok(())
    }

    /// Verifies the application cryptogram `arqc` (Book 2 §8) over `input`.
    pub(crate) fn verify(
        card: &Profile,
        input: &CryptogramInput,
        arqc: [u8; 8],
    ) -> Result<Verified, Refusal> {
        let session = emv::session_key(&emv::card_key(card.imk(), &card.pan, card.psn), input.atc);
        if !keys::mac::equal(&emv::cryptogram(&session, input), &arqc) {
            return Err(Refusal::new(DO_NOT_HONOUR, "DE 55: tag 9F26: the cryptogram is wrong"));
        }
        Ok(Verified { session, arqc, atc: u16::from_be_bytes(input.atc) })
    }

    /// The PIN block, which has to be there exactly if the cardholder was to be verified by it.
    pub(crate) fn pin_block(chip: &ChipData<'_>, block: Option<&[u8]>) -> Result<Option<Vec<u8>>, Refusal> {
        let [method, _, result] = chip.get(0x9F34)?;
        let used = method & 0x3F == ONLINE_PIN && result != CVM_FAILED;
        match (used, block) {
            (false, None) => Ok(None),
            (true, Some(block)) => Ok(Some(block.to_vec())),
            (true, None) => Err(Refusal::new(FORMAT, "DE 52: missing, but tag 9F34 says online PIN")),
            (false, Some(_)) => Err(Refusal::new(FORMAT, "DE 52: present, but tag 9F34 says no online PIN")),
        }
    }

    /// Checks the PIN in `block`.
    pub(crate) fn check_pin(card: &Profile, keys: &WorkingKeys, block: &[u8]) -> Result<(), Refusal> {
        let wrong = |reason: &str| Refusal::new(WRONG_PIN, format!("DE 52: {reason}"));
        let pin = keys
            .pin(block, &card.pan)
            .map_err(|_| wrong("the PIN block is none of this card under the PIK"))?;
        if card.pin.as_ref() == Some(&pin) { Ok(()) } else { Err(wrong("the PIN is wrong")) }
    }
}

impl Verified {
    /// Issuer authentication data (tag 91), method 1 (Book 2 §8.2.1): ARPC and the answer code.
    pub(crate) fn issuer_data(&self, code: &str) -> Option<Vec<u8>> {
        let arc: [u8; 2] = code.as_bytes().try_into().ok()?;
        let arpc = emv::arpc(&self.session, self.arqc, arc);
        let mut data = vec![0x91, 10];
        data.extend(arpc);
        data.extend(arc);
        Some(data)
    }
}
