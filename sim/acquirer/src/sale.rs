//! Sale, 0200/0210.
//!
//! A message that is wrong is refused, and its STAN can be used again. A message that is right is booked,
//! approved or declined, under its terminal, batch and STAN, and never a second time.

use iso8583::Message;
use jiff::Zoned;
use keys::Track2;
use keys::emv::CryptogramInput;

use crate::CURRENCY;
use crate::chip::ChipData;
use crate::host::{Acquirer, Answer, approved, new_entry};
use crate::issuer::{Issuer, Verified};
use crate::ledger::{Entry, Key, State};
use crate::request::{self, DO_NOT_HONOUR, DUPLICATE, FORMAT, INSUFFICIENT, INVALID, Refusal, WorkingKeys};
use crate::rules::Rule;

/// DE 60.1 of a sale and of its reversal.
pub(crate) const MESSAGE_TYPE: &str = "22";
/// DE 60.3 of everything but network management.
pub(crate) const NO_NETWORK_CODE: &str = "000";

const MANDATORY: [u8; 14] = [3, 4, 11, 22, 23, 25, 35, 41, 42, 49, 53, 55, 60, 64];
/// PIN capture code and PIN block: both or none.
const PIN: [u8; 2] = [26, 52];

/// What a sale brought, read and checked for form.
struct Request<'a> {
    message: &'a Message<'a>,
    keys: WorkingKeys,
    track: Track2,
    input: CryptogramInput,
    arqc: [u8; 8],
    pin_block: Option<[u8; 8]>,
}

/// A sale that is being decided.
struct Booking {
    entry: Entry,
    verified: Option<Verified>,
}

/// Checks a sale, lets the issuer decide, and books it.
pub(crate) fn sale(
    host: &mut Acquirer,
    message: &Message<'_>,
    rule: &Rule,
    now: &Zoned,
) -> Result<Answer, Refusal> {
    request::check_elements(message, &MANDATORY, &PIN)?;
    request::check_terminal(message)?;
    let keys = request::check_mac(message, host.keys(message))?.clone();
    check_form(message)?;
    let key = Key {
        terminal: request::text(message, 41)?,
        batch: request::batch(message, MESSAGE_TYPE, NO_NETWORK_CODE)?,
        stan: request::text(message, 11)?,
    };
    if let Some(known) = host.ledger.find(&key) {
        let state = format!("{:?}", known.state).to_lowercase();
        return Err(Refusal::new(DUPLICATE, format!("{key} is booked already, as {state}")));
    }
    let request = Request::read(message, keys, now)?;
    let mut entry = new_entry(message, key, State::Approved, &approved());
    entry.masked_pan = request.track.pan().masked();
    let mut booking = Booking { entry, verified: None };
    let decision = decide(host, &request, rule, now, &mut booking);
    book(host, booking, decision, now)
}

impl<'a> Request<'a> {
    fn read(message: &'a Message<'a>, keys: WorkingKeys, now: &Zoned) -> Result<Request<'a>, Refusal> {
        let sealed = message.require(35).map_err(request::format_error)?;
        let track = keys::track2::open(&keys.tdk, sealed.bytes())
            .map_err(|error| Refusal::new(FORMAT, format!("DE 35: {error}")))?;
        let chip = ChipData::parse(message.require(55).map_err(request::format_error)?.bytes())?;
        Issuer::check_terms(&chip, request::amount(message)?, CURRENCY, now.date())?;
        let pin_block = Issuer::pin_block(&chip, message.get(52).map(|value| value.bytes()))?;
        let (input, arqc) = (chip.cryptogram_input()?, chip.get(0x9F26)?);
        Ok(Request { message, keys, track, input, arqc, pin_block })
    }
}

/// What the issuer says. It notes in `booking` the card that it recognised, also if it declines.
fn decide(
    host: &Acquirer,
    request: &Request<'_>,
    rule: &Rule,
    now: &Zoned,
    booking: &mut Booking,
) -> Result<(), Refusal> {
    let psn = request::text(request.message, 23)?;
    let card = host.issuer.card(&request.track, &psn, now.date())?;
    let verified = Issuer::verify(card, &request.input, request.arqc)?;
    let atc = verified.atc;
    if host.ledger.has_seen(&card.name, atc) {
        let reason = format!("DE 55: tag 9F36: this card has used its transaction counter {atc} already");
        return Err(Refusal::new(DO_NOT_HONOUR, reason));
    }
    booking.entry.card = Some(card.name.clone());
    booking.entry.atc = Some(atc);
    booking.verified = Some(verified);
    if let Some(block) = request.pin_block {
        Issuer::check_pin(card, &request.keys.pik, block)?;
    }
    let left = card.available.saturating_sub(host.ledger.spent(&card.name));
    if booking.entry.amount > left {
        return Err(Refusal::new(INSUFFICIENT, format!("the amount exceeds the {left} that are available")));
    }
    match rule {
        Rule::Decline(code) => Err(Refusal::new(code, "declined by rule")),
        _ => Ok(()),
    }
}

/// Books the decision, then words the answer.
fn book(
    host: &mut Acquirer,
    booking: Booking,
    decision: Result<(), Refusal>,
    now: &Zoned,
) -> Result<Answer, Refusal> {
    let Booking { mut entry, verified } = booking;
    let (approval, rrn) = host.references(now);
    entry.rrn = Some(rrn.clone());
    match decision {
        Ok(()) => entry.approval = Some(approval),
        Err(refusal) => {
            entry.state = State::Declined;
            entry.code = refusal.code;
            entry.reason = refusal.reason;
        }
    }
    let mut answer = Answer::new(&entry.code, entry.reason.clone());
    answer.approval = entry.approval.clone();
    answer.rrn = Some(rrn);
    answer.chip = verified.and_then(|verified| verified.issuer_data(&entry.code));
    host.book(entry)?;
    Ok(answer)
}

/// Checks the elements that say how the card was read and the message protected.
fn check_form(message: &Message<'_>) -> Result<(), Refusal> {
    request::check_is(message, 3, "000000", INVALID)?;
    request::check_is(message, 25, "00", INVALID)?;
    request::check_is(message, 49, CURRENCY, INVALID)?;
    if request::amount(message)? == 0 {
        return Err(Refusal::new(INVALID, "DE 4: the amount is zero"));
    }
    let [capture, block] = PIN.map(|number| message.get(number).is_some());
    if capture != block {
        return Err(Refusal::new(FORMAT, "DE 26 and DE 52: both or none"));
    }
    // 05: chip, 07: contactless chip. 1: with PIN, 2: without.
    let entry = request::text(message, 22)?;
    let expected = if block { ["051", "071"] } else { ["052", "072"] };
    if !expected.contains(&entry.as_str()) {
        let [a, b] = expected;
        return Err(Refusal::new(FORMAT, format!("DE 22: expected {a} or {b}, got {entry}")));
    }
    // PIN block with PAN (2) or none (0); double-length keys (6); track encrypted (1).
    let security = if block { "2610000000000000" } else { "0610000000000000" };
    request::check_is(message, 53, security, FORMAT)
}
