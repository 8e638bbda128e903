//! Reversal, 0400/0410: undoes the transaction with the same terminal, batch and STAN.
//!
//! It can be repeated as often as needed: the answer is the same each time. One that the host does not know is
//! answered 25 and forbidden, so that it can't be booked if it arrives later; terminals take 25 for done.

use iso8583::Message;

use crate::CURRENCY;
use crate::host::{Acquirer, Answer, new_entry};
use crate::instalments;
use crate::ledger::{Entry, Key, State};
use crate::moto;
use crate::request::{self, APPROVED, FORMAT, INVALID, NO_ORIGINAL, Refusal, WRONG_AMOUNT};
use crate::rules::Rule;
use crate::service::Form;
use crate::stripe::Swipe;

/// Besides what every request of a transaction has.
const MANDATORY: [u8; 2] = [4, 39];
/// How the card was read, where one was.
const CARD: [u8; 2] = [22, 23];
/// How one was keyed or swiped.
const WITHOUT_CHIP: [u8; 1] = [22];
/// Approval code and chip data, as far as the terminal has them.
const OPTIONAL: [u8; 2] = [38, 55];
/// The same without a chip.
const APPROVAL: [u8; 1] = [38];

/// Checks a reversal and undoes what it names.
pub(crate) fn reversal(host: &mut Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    let dialect = host.dialect;
    let form = Form::of_reversal(dialect, message)?;
    let mut mandatory = [&MANDATORY[..], &dialect.transaction()].concat();
    mandatory.extend([dialect.names_original(), message.mac_number()]);
    let moto = moto::is_meant(message, form);
    let without_chip = moto || Swipe::of_request(message, form).is_some();
    let card = if without_chip { &WITHOUT_CHIP[..] } else { &CARD };
    mandatory.extend(card.iter().filter(|_| form.service.has_card()));
    mandatory.extend(instalments::has_number(message, form).then_some(instalments::NUMBER));
    request::check_elements(message, &mandatory, if without_chip { &APPROVAL[..] } else { &OPTIONAL })?;
    request::check_terminal(message)?;
    request::check_mac(message, host.keys(message))?;
    if moto {
        moto::check_entry(message)?;
    }
    let batch = form.check(dialect, message)?;
    let reason = check_form(host, message)?;
    let key = original(host, form, message, batch)?;
    if let Rule::Decline(code) = rule {
        return Err(Refusal::new(code, "declined by rule"));
    }
    let unknown = Refusal::new(
        NO_ORIGINAL,
        format!("no such transaction, forbidden from now on; reversal reason {reason}"),
    );
    let Some(known) = host.ledger.find(&key).cloned() else {
        let mut entry = new_entry(message, key, State::Reversed, &unknown);
        entry.service = form.service;
        entry.instalments = instalments::number(message)?;
        entry.moto = moto;
        host.book(entry)?;
        return Ok(Answer::new(NO_ORIGINAL, unknown.reason));
    };
    check_same(message, form, &known)?;
    match known.state {
        State::Approved => {
            check_undoable(host, &known)?;
            let reason = format!("reversed by the terminal, reason {reason}");
            let answer = Answer::new(APPROVED, reason.clone());
            host.book(Entry { state: State::Reversed, reason, ..known })?;
            Ok(answer)
        }
        // The code that the first reversal got: 25 if the request never arrived.
        State::Reversed => Ok(Answer::new(&known.code, "reversed already")),
        State::Declined | State::Refused => Ok(Answer::new(NO_ORIGINAL, "it was not approved")),
    }
}

/// A terminal reverses before it does anything else: what is settled, or was built on, is not in doubt.
fn check_undoable(host: &Acquirer, known: &Entry) -> Result<(), Refusal> {
    if known.settled {
        return Err(Refusal::new(INVALID, "the batch of the transaction is closed"));
    }
    match host.ledger.successors(&known.key()).find(|one| one.state == State::Approved) {
        Some(one) => Err(Refusal::new(INVALID, format!("a {} was approved for it", one.service))),
        None => Ok(()),
    }
}

/// Checks the form and returns the reason for the reversal.
fn check_form(host: &Acquirer, message: &Message<'_>) -> Result<String, Refusal> {
    request::check_is(message, 49, CURRENCY, INVALID)?;
    if let Some(chip) = message.get(55) {
        let fault = tlv::Reader::new(&chip.content()).find_map(Result::err);
        if let Some(error) = fault {
            return Err(Refusal::new(FORMAT, format!("DE 55: {error}")));
        }
    }
    let reason = request::text(message, 39)?;
    let known = &host.profile.reversal;
    if [&known.no_answer, &known.bad_mac, &known.error].contains(&&reason) {
        return Ok(reason);
    }
    Err(Refusal::new(FORMAT, format!("DE 39: {reason} is no reason for a reversal")))
}

/// What the reversal names: batch and STAN of the request; the STAN is also that of the reversal.
fn original(host: &Acquirer, form: &Form, message: &Message<'_>, batch: String) -> Result<Key, Refusal> {
    let stan = host.dialect.reversed(message, &form.mti.to_string(), &batch)?;
    request::check_is(message, 11, &stan, FORMAT)?;
    Ok(Key { terminal: request::text(message, 41)?, batch, stan })
}

/// Checks that the reversal speaks of that very request.
fn check_same(message: &Message<'_>, form: &Form, known: &Entry) -> Result<(), Refusal> {
    if !form.is_that_of(known.service) {
        let reason = format!("DE 60: a {} is booked there, not a {}", known.service, form.service);
        return Err(Refusal::new(INVALID, reason));
    }
    if message.get(7).is_some_and(|sent| !sent.is(&known.sent)) {
        return Err(Refusal::new(INVALID, "DE 7: not that of the request"));
    }
    let amount = request::amount(message)?;
    if amount != known.amount {
        let reason = format!("DE 4: expected {} as in the request, got {amount}", known.amount);
        return Err(Refusal::new(WRONG_AMOUNT, reason));
    }
    if moto::is_meant(message, form) != known.moto {
        return Err(Refusal::new(INVALID, "DE 25: not that of the request"));
    }
    if instalments::number(message)? != known.instalments {
        return Err(Refusal::new(INVALID, "DE 62: not the instalments of the request"));
    }
    match (message.get(38), &known.approval) {
        (Some(got), Some(approval)) if !got.is(approval) => {
            Err(Refusal::new(INVALID, "DE 38: not the approval code of the request"))
        }
        _ => Ok(()),
    }
}
