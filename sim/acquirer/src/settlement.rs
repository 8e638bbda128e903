//! Closing a batch: 0500/0510 compares the terminal's totals with the ledger's, 0320/0330 its transactions, one by one.
//!
//! A batch whose totals are equal is closed by its 0500; another one by the upload, when all of the ledger was in it. Both
//! messages may come again, and are answered the same each time.

use iso8583::Message;

use crate::CURRENCY;
use crate::history::Side;
use crate::host::{Acquirer, Answer};
use crate::ledger::{Entry, Key};
use crate::request::{self, APPROVED, FORMAT, INVALID, NO_ORIGINAL, Refusal, UNRECONCILED, WRONG_AMOUNT};
use crate::rules::Rule;

/// DE 60.1.
const MESSAGE_TYPE: &str = "00";
/// The network management code of a settlement, and of an upload that goes on.
const GOES_ON: &str = "201";

/// The digits of one transaction in an upload: side 2, STAN 6, amount 12.
const UPLOADED: usize = 20;
/// The most transactions in one message.
const MOST_UPLOADED: usize = 8;

/// Compares totals.
pub(crate) fn settle(host: &mut Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    let (terminal, batch) = read(host, message, host.dialect.settlement(), GOES_ON)?;
    let sums = host.dialect.sums(message)?;
    if let Rule::Decline(code) = rule {
        return Err(Refusal::new(code, "declined by rule"));
    }
    let ours = host.ledger.totals(&terminal, &batch);
    let balanced = *rule != Rule::Unbalanced && sums.totals == Some(ours);
    if balanced {
        close(host, &terminal, &batch)?;
    }
    let verdict = if balanced { "balanced" } else { "not balanced" };
    let mut answer = Answer::new(APPROVED, format!("batch {batch}: {verdict}, the ledger has {ours:?}"));
    answer.settlement = host.dialect.verdict(sums, balanced);
    Ok(answer)
}

/// Compares transactions.
pub(crate) fn upload(host: &mut Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    let dialect = host.dialect;
    let last = dialect.has_code(message, dialect.last_upload());
    let code = if last { dialect.last_upload() } else { GOES_ON };
    let (terminal, batch) = read(host, message, dialect.upload(), code)?;
    let content = request::text(message, 48)?;
    let uploaded = entries(host, &content, &terminal, &batch)?;
    if let Rule::Decline(code) = rule {
        return Err(Refusal::new(code, "declined by rule"));
    }
    let count = uploaded.len();
    let new = uploaded.into_iter().filter(|entry| !entry.uploaded);
    let new = new.map(|entry| Entry { uploaded: true, ..entry }).collect();
    host.book_all(new)?;
    if last && !host.ledger.is_closed(&terminal, &batch) {
        if let Some((_, missing)) = host.ledger.counted(&terminal, &batch).find(|(_, entry)| !entry.uploaded)
        {
            let reason = format!("{} was approved, and is not in the upload", missing.key());
            return Err(Refusal::new(UNRECONCILED, reason));
        }
        close(host, &terminal, &batch)?;
    }
    let end = if last { "; the batch is closed" } else { "" };
    Ok(Answer::new(APPROVED, format!("batch {batch}: {count} uploaded{end}")))
}

/// Checks what both have alike, and returns terminal and batch.
fn read(
    host: &Acquirer,
    message: &Message<'_>,
    mut elements: Vec<u8>,
    network_code: &str,
) -> Result<(String, String), Refusal> {
    elements.push(message.mac_number());
    request::check_elements(message, &elements, &[])?;
    request::check_terminal(message)?;
    request::check_mac(message, host.keys(message))?;
    request::check_is(message, 49, CURRENCY, INVALID)?;
    let batch = host.dialect.batch(message, MESSAGE_TYPE, network_code)?;
    Ok((request::text(message, 41)?, batch))
}

fn close(host: &mut Acquirer, terminal: &str, batch: &str) -> Result<(), Refusal> {
    let open = host.ledger.batch(terminal, batch).filter(|entry| !entry.settled);
    let closed = open.map(|entry| Entry { settled: true, ..entry.clone() }).collect();
    host.book_all(closed)
}

/// The ledger's entries that an upload speaks of: their number in two digits, then each.
fn entries(host: &Acquirer, content: &str, terminal: &str, batch: &str) -> Result<Vec<Entry>, Refusal> {
    let wrong = || {
        Refusal::new(
            FORMAT,
            "DE 48: expected how many in 2 digits, at most 8, then of each side 2, STAN 6, amount 12",
        )
    };
    let (count, rest) = content.split_at_checked(2).ok_or_else(wrong)?;
    let count: usize = count.parse().map_err(|_| wrong())?;
    if count > MOST_UPLOADED || rest.len() != count * UPLOADED {
        return Err(wrong());
    }
    let places = (0..count).map(|index| index * UPLOADED);
    places
        .map(|at| {
            let part = |from: usize, to: usize| rest.get(at + from..at + to).ok_or_else(wrong);
            let side = match part(0, 2)? {
                "00" => Side::Debit,
                "01" => Side::Credit,
                _ => return Err(wrong()),
            };
            let amount = part(8, UPLOADED)?.parse().map_err(|_| wrong())?;
            let key =
                Key { terminal: terminal.to_owned(), batch: batch.to_owned(), stan: part(2, 8)?.to_owned() };
            find(host, &key, side, amount)
        })
        .collect()
}

/// The entry that is `key`, if all else is as the terminal says.
fn find(host: &Acquirer, key: &Key, side: Side, amount: u64) -> Result<Entry, Refusal> {
    let refusal = |code, what: &str| Err(Refusal::new(code, format!("DE 48: {key} {what}")));
    let Some(entry) = host.ledger.find(key).filter(|entry| host.ledger.stands(entry)) else {
        return refusal(NO_ORIGINAL, "does not stand in the ledger");
    };
    if entry.side() != Some(side) {
        return refusal(INVALID, "is not on this side");
    }
    if entry.amount != amount {
        return refusal(WRONG_AMOUNT, &format!("has the amount {}", entry.amount));
    }
    Ok(entry.clone())
}
