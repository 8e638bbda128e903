//! Transactions with a card: 0100/0110, 0200/0210, 0220/0230.
//!
//! A message that is wrong is refused, and its STAN can be used again. A message that is right is booked,
//! approved or declined, under its terminal, batch and STAN, and never a second time.

use iso8583::Message;
use jiff::Zoned;

use crate::card_request::{CardData, CardRequest};
use crate::history::signed;
use crate::host::{Acquirer, Answer, approved, new_entry};
use crate::issuer::{Issuer, Verified};
use crate::ledger::{Entry, State};
use crate::originals::{self, Successor};
use crate::request::{DO_NOT_HONOUR, DUPLICATE, INSUFFICIENT, INVALID, Refusal};
use crate::rules::Rule;
use crate::service::Service;
use crate::{CURRENCY, advice, certificate, moto, scripts, stripe};

/// A transaction that is being decided.
struct Booking {
    entry: Entry,
    verified: Option<Verified>,
    /// What the card's owner has left to spend, for a balance inquiry.
    balance: Option<i64>,
}

/// Checks a request, lets the issuer decide, and books it.
pub(crate) fn transaction(
    host: &mut Acquirer,
    message: &Message<'_>,
    rule: &Rule,
    now: &Zoned,
) -> Result<Answer, Refusal> {
    let request = CardRequest::read(&host.profile, message, host.keys(message))?;
    let key = &request.key;
    if let Some(known) = host.ledger.find(key).cloned() {
        if request.offline {
            return advice::repeated(host, &request, known, now);
        }
        let state = format!("{:?}", known.state).to_lowercase();
        return Err(Refusal::new(DUPLICATE, format!("{key} is booked already, as {state}")));
    }
    if host.ledger.is_closed(&key.terminal, &key.batch) {
        return Err(Refusal::new(INVALID, "DE 60: the batch is closed"));
    }
    let mut entry = new_entry(message, key.clone(), State::Approved, &approved());
    entry.service = request.service;
    entry.instalments = request.instalments;
    entry.moto = request.moto;
    let mut booking = Booking { entry, verified: None, balance: None };
    let decision = if request.service.has_card() {
        let card = request.card_data(now.date())?;
        booking.entry.masked_pan = card.track.pan().masked();
        decide(host, &request, &card, rule, now, &mut booking)
    } else {
        decide_without_card(host, &request, rule, &mut booking)
    };
    let offline = request.offline;
    let script =
        if offline { Vec::new() } else { scripts::take(host, &mut booking.entry, booking.verified.as_ref()) };
    let mut answer = book(host, booking, decision, now)?;
    if offline {
        // The card has gone.
        answer.chip = None;
    }
    if let Some(chip) = &mut answer.chip {
        chip.extend(script);
    }
    Ok(answer)
}

/// What the issuer says where the original stands for the card.
fn decide_without_card(
    host: &Acquirer,
    request: &CardRequest<'_>,
    rule: &Rule,
    booking: &mut Booking,
) -> Result<(), Refusal> {
    let original = originals::find(host.dialect, &host.ledger, request.message)?;
    booking.entry.original = Some(originals::name(original));
    booking.entry.masked_pan.clone_from(&original.masked_pan);
    booking.entry.card.clone_from(&original.card);
    let card = original.card.as_deref().unwrap_or_default();
    Successor { request, card }.check(&host.ledger, original)?;
    let left = signed(host.issuer.available(card)).saturating_sub(host.ledger.owed(card));
    check_funds(request, 0, left)?;
    match rule {
        Rule::Decline(code) => Err(Refusal::new(code, "declined by rule")),
        _ => Ok(()),
    }
}

/// What the issuer says. It notes in `booking` the card that it recognised, also if it declines.
fn decide(
    host: &Acquirer,
    request: &CardRequest<'_>,
    data: &CardData,
    rule: &Rule,
    now: &Zoned,
    booking: &mut Booking,
) -> Result<(), Refusal> {
    // An expired card can still have its money back.
    let valid_on = request.service.has_chip_data().then(|| now.date());
    let card = host.issuer.card(&data.track, data.psn.as_deref(), valid_on)?;
    if request.moto {
        moto::check_code(card, &data.track)?;
    }
    if request.swipe.is_some() {
        stripe::check(request, card, &data.track, data.pin_block.is_some())?;
    }
    if let Some((input, arqc)) = &data.cryptogram {
        let verified = Issuer::verify(card, input, *arqc)?;
        let atc = verified.atc;
        if host.ledger.has_seen(&card.name, atc) {
            let reason = format!("DE 55: tag 9F36: this card has used its transaction counter {atc} already");
            return Err(Refusal::new(DO_NOT_HONOUR, reason));
        }
        booking.entry.atc = Some(atc);
        booking.verified = Some(verified);
    }
    booking.entry.card = Some(card.name.clone());
    if let Some(block) = &data.pin_block {
        Issuer::check_pin(card, &request.keys, block)?;
    }
    let mut reserved = 0;
    if request.follows {
        let original = originals::find(host.dialect, &host.ledger, request.message)?;
        booking.entry.original = Some(originals::name(original));
        Successor { request, card: &card.name }.check(&host.ledger, original)?;
        reserved = host.ledger.held(original);
    }
    let left = signed(card.available).saturating_sub(host.ledger.owed(&card.name));
    // What the card has approved the issuer pays.
    if !request.offline {
        check_funds(request, reserved, left)?;
    }
    if request.service == Service::Balance {
        booking.balance = Some(left);
    }
    match rule {
        Rule::Decline(code) => Err(Refusal::new(code, "declined by rule")),
        _ => Ok(()),
    }
}

/// Checks that what the cardholder has to pay or to leave untouched beyond what is `reserved` for it is `left`.
fn check_funds(request: &CardRequest<'_>, reserved: u64, left: i64) -> Result<(), Refusal> {
    let needed = match request.service {
        Service::Sale | Service::TipAdjustment | Service::Preauthorisation | Service::Increment => {
            request.amount
        }
        Service::Completion => request.amount.saturating_sub(reserved),
        _ => return Ok(()),
    };
    if signed(needed) <= left.max(0) {
        return Ok(());
    }
    Err(Refusal::new(INSUFFICIENT, format!("the amount exceeds the {left} that are available")))
}

/// Books the decision, then words the answer.
fn book(
    host: &mut Acquirer,
    booking: Booking,
    decision: Result<(), Refusal>,
    now: &Zoned,
) -> Result<Answer, Refusal> {
    let Booking { mut entry, verified, balance } = booking;
    let (approval, rrn) = host.references(now);
    entry.rrn = Some(rrn.clone());
    entry.date = Some(now.strftime("%m%d").to_string());
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
    answer.balance = balance.filter(|_| entry.state == State::Approved).map(additional_amount);
    certificate::note_due(host.dialect, &mut entry);
    host.book(entry)?;
    Ok(answer)
}

/// DE 54: account type 10 (savings), amount type 02 (available), currency, sign, twelve digits.
fn additional_amount(available: i64) -> String {
    let sign = if available < 0 { 'D' } else { 'C' };
    format!("1002{CURRENCY}{sign}{:012}", available.unsigned_abs())
}
