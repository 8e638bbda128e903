//! Advices of sales that were approved offline, 0220 with DE 60.1 = 36: one that comes again is answered as before, and booked
//! once.

use jiff::Zoned;

use crate::card_request::CardRequest;
use crate::host::{ADVICE, Acquirer, Answer};
use crate::ledger::{Entry, State};
use crate::request::{DUPLICATE, Refusal};

/// Answers an advice whose terminal, batch and STAN are `known`.
///
/// # Errors
/// Code 94 where another transaction is booked there.
pub(crate) fn repeated(
    host: &mut Acquirer,
    request: &CardRequest<'_>,
    known: Entry,
    now: &Zoned,
) -> Result<Answer, Refusal> {
    let card = request.card_data(now.date())?;
    let atc = card.cryptogram.map(|(input, _)| u16::from_be_bytes(input.atc));
    let same = known.mti == ADVICE.to_string()
        && known.service == request.service
        && known.state != State::Reversed
        && known.amount == request.amount
        && known.atc == atc
        && known.masked_pan == card.track.pan().masked();
    if !same {
        let reason = format!("{} is booked already, as another transaction", request.key);
        return Err(Refusal::new(DUPLICATE, reason));
    }
    let mut answer = Answer::new(&known.code, "a repeated advice");
    answer.approval.clone_from(&known.approval);
    answer.rrn.clone_from(&known.rrn);
    let today = Some(now.strftime("%m%d").to_string());
    if known.date != today {
        // What names the sale later is DE 13 of the answer that the terminal got.
        host.book(Entry { date: today, ..known })?;
    }
    Ok(answer)
}
