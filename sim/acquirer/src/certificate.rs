//! Transaction certificates of sales and pre-authorisations that were approved online: 0320 with 203 or 205. The issuer checks each,
//! which proves that the card approved what the host did.

use iso8583::Message;

use crate::CURRENCY;
use crate::chip::ChipData;
use crate::dialect::Dialect;
use crate::host::{ADVICE, Acquirer, Answer};
use crate::issuer::Issuer;
use crate::ledger::{Entry, Key, State};
use crate::request::{self, APPROVED, FORMAT, INVALID, NO_ORIGINAL, Refusal, WRONG_AMOUNT};
use crate::rules::Rule;
use crate::service::Service;

/// The network management codes: of a batch whose totals are equal, and of one where they differ.
const BALANCED: &str = "203";
const UNBALANCED: &str = "205";
const ELEMENTS: [u8; 10] = [4, 11, 22, 23, 41, 42, 55, 60, 62, 64];
/// Tag 9F27: the card has approved.
const TC: u8 = 0x40;

/// What became of a certificate, in the ledger.
const DUE: &str = "due";
const TAKEN: &str = "taken";
const DECLINED: &str = "declined";

/// Whether `message` brings one.
pub(crate) fn is_one(dialect: Dialect, message: &Message<'_>) -> bool {
    dialect.has_certificates() && [BALANCED, UNBALANCED].iter().any(|code| dialect.has_code(message, code))
}

/// Notes that a certificate is to come of `entry`, which is just being booked.
pub(crate) fn note_due(dialect: Dialect, entry: &mut Entry) {
    if dialect.has_certificates() && has_one(entry) {
        DUE.clone_into(&mut entry.certificate);
    }
}

/// Whether that of `entry` has still to come.
pub(crate) fn is_missing(entry: &Entry) -> bool {
    entry.state == State::Approved && entry.certificate == DUE
}

/// Whether that of `entry` came.
pub(crate) fn came(entry: &Entry) -> bool {
    entry.certificate == TAKEN
}

/// Whether a card has one of `entry`: it was asked to decide, and the host did. What a card approved alone brought its own.
fn has_one(entry: &Entry) -> bool {
    let service = matches!(entry.service, Service::Sale | Service::Preauthorisation);
    service && entry.state == State::Approved && entry.atc.is_some() && entry.mti != ADVICE.to_string()
}

/// Takes one, once; one that comes again is answered again.
pub(crate) fn take(host: &mut Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    request::check_elements(message, &ELEMENTS, &[])?;
    request::check_terminal(message)?;
    request::check_mac(message, host.keys(message))?;
    let terminal = request::text(message, 41)?;
    let said = host.dialect.said_batch(message);
    let code = if host.ledger.is_closed(&terminal, &said) { BALANCED } else { UNBALANCED };
    let batch = host.dialect.batch(message, "00", code)?;
    let key = Key { terminal, batch, stan: request::text(message, 11)? };
    let known = host.ledger.find(&key).filter(|entry| has_one(entry)).cloned();
    let known = known.ok_or_else(|| {
        Refusal::new(NO_ORIGINAL, format!("{key} is no approved transaction with a certificate"))
    })?;
    let checked = match rule {
        Rule::Decline(code) => Err(Refusal::new(code, "declined by rule")),
        _ => check(host, message, &known),
    };
    // One that is taken is a transaction that is uploaded.
    let certificate = if checked.is_ok() { TAKEN } else { DECLINED };
    if known.certificate != certificate && !came(&known) {
        host.book(Entry { certificate: certificate.to_owned(), ..known })?;
    }
    checked.map(|()| Answer::new(APPROVED, "a transaction certificate"))
}

/// Checks that it is that of `known`, and the card's.
fn check(host: &Acquirer, message: &Message<'_>, known: &Entry) -> Result<(), Refusal> {
    if request::amount(message)? != known.amount {
        return Err(Refusal::new(WRONG_AMOUNT, format!("DE 4: {} was approved", known.amount)));
    }
    let entry_mode = request::text(message, 22)?;
    if !["051", "052", "071", "072"].contains(&entry_mode.as_str()) {
        return Err(Refusal::new(FORMAT, format!("DE 22: {entry_mode} is no chip")));
    }
    let about = message.require(62).map_err(request::format_error)?.content().into_owned();
    let expected = format!("610000{:012}{CURRENCY}", known.amount);
    if about != expected.as_bytes() {
        return Err(Refusal::new(FORMAT, format!("DE 62: expected {expected}")));
    }
    let content = message.require(55).map_err(request::format_error)?.content();
    let chip = ChipData::parse(&content)?;
    let wrong = |tag: &str, what: &str| Err(Refusal::new(INVALID, format!("DE 55: tag {tag}: {what}")));
    if chip.get(0x9F27)? != [TC] {
        return wrong("9F27", "expected 40, a transaction certificate");
    }
    if known.atc.map(u16::to_be_bytes) != Some(chip.get(0x9F36)?) {
        return wrong("9F36", "not that of the transaction");
    }
    if hex::encode(chip.get::<6>(0x9F02)?) != format!("{:012}", known.amount) {
        return wrong("9F02", "not the amount that was approved");
    }
    let card = known.card.as_deref().and_then(|name| host.issuer.named(name));
    let card = card.ok_or_else(|| Refusal::new(INVALID, "the card is no card of ours"))?;
    Issuer::verify(card, &chip.cryptogram_input()?, chip.get(0x9F26)?).map(drop)
}
