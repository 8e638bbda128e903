//! Closing a batch: 0500/0510 compares the terminal's totals with the ledger's, 0320/0330 its transactions, one by one.
//!
//! A batch whose totals are equal is closed by its 0500; another one by the upload, when all of the ledger was in it. Both
//! messages may come again, and are answered the same each time.

use iso8583::Message;

use crate::CURRENCY;
use crate::history::{Side, Sum, Totals};
use crate::host::{Acquirer, Answer};
use crate::ledger::{Entry, Key};
use crate::request::{self, APPROVED, FORMAT, INVALID, NO_ORIGINAL, Refusal, UNRECONCILED, WRONG_AMOUNT};
use crate::rules::Rule;

const MANDATORY: [u8; 8] = [11, 41, 42, 48, 49, 60, 63, 64];
const UPLOAD: [u8; 7] = [11, 41, 42, 48, 49, 60, 64];
/// DE 60.1.
const MESSAGE_TYPE: &str = "00";
/// DE 60.3 of a settlement, and of an upload that goes on.
const GOES_ON: &str = "201";
/// DE 60.3 of the end of an upload.
const LAST: &str = "207";

/// The digits of one half of DE 48: two sums, and the verdict on them.
const HALF: usize = 31;
/// Verdicts.
const NOT_YET: &str = "0";
const BALANCED: &str = "1";
const NOT_BALANCED: &str = "2";

/// The digits of one transaction in an upload: side 2, STAN 6, amount 12.
const UPLOADED: usize = 20;
/// The most transactions in one message.
const MOST_UPLOADED: usize = 8;

/// Compares totals.
pub(crate) fn settle(host: &mut Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    let (terminal, batch) = read(host, message, &MANDATORY, GOES_ON)?;
    let content = request::text(message, 48)?;
    let wrong =
        || Refusal::new(FORMAT, "DE 48: expected twice 30 digits of sums and a 0, the second ones zeros");
    let (domestic, foreign) =
        content.split_at_checked(HALF).filter(|(_, foreign)| foreign.len() == HALF).ok_or_else(wrong)?;
    let sums = domestic.strip_suffix(NOT_YET).ok_or_else(wrong)?;
    if foreign.bytes().any(|digit| digit != b'0') {
        return Err(wrong());
    }
    if let Rule::Decline(code) = rule {
        return Err(Refusal::new(code, "declined by rule"));
    }
    let ours = host.ledger.totals(&terminal, &batch);
    let balanced = *rule != Rule::Unbalanced && parse(sums) == Some(ours);
    if balanced {
        close(host, &terminal, &batch)?;
    }
    let verdict = if balanced { BALANCED } else { NOT_BALANCED };
    let mut answer =
        Answer::new(APPROVED, format!("batch {batch}: verdict {verdict}, the ledger has {ours:?}"));
    let foreign = foreign.strip_suffix(NOT_YET).unwrap_or_default();
    answer.settlement = Some(format!("{sums}{verdict}{foreign}{BALANCED}"));
    Ok(answer)
}

/// Compares transactions.
pub(crate) fn upload(host: &mut Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    let last = message.get(60).is_some_and(|value| value.text().ends_with(LAST));
    let (terminal, batch) = read(host, message, &UPLOAD, if last { LAST } else { GOES_ON })?;
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
    elements: &[u8],
    network_code: &str,
) -> Result<(String, String), Refusal> {
    request::check_elements(message, elements, &[])?;
    request::check_terminal(message)?;
    request::check_mac(message, host.keys(message))?;
    request::check_is(message, 49, CURRENCY, INVALID)?;
    let batch = request::batch(message, MESSAGE_TYPE, network_code)?;
    Ok((request::text(message, 41)?, batch))
}

fn close(host: &mut Acquirer, terminal: &str, batch: &str) -> Result<(), Refusal> {
    let open = host.ledger.batch(terminal, batch).filter(|entry| !entry.settled);
    let closed = open.map(|entry| Entry { settled: true, ..entry.clone() }).collect();
    host.book_all(closed)
}

/// The 30 digits: debit amount 12, count 3, credit amount 12, count 3.
fn parse(sums: &str) -> Option<Totals> {
    let sum = |at: usize| {
        let amount = sums.get(at..at + 12)?.parse().ok()?;
        let count = sums.get(at + 12..at + 15)?.parse().ok()?;
        Some(Sum { amount, count })
    };
    Some(Totals { debit: sum(0)?, credit: sum(15)? })
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
