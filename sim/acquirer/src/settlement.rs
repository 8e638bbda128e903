//! Closing a batch: 0500/0510 compares the terminal's totals with the ledger's, 0320/0330 its transactions, one by one.
//!
//! A batch whose totals are equal is closed by its 0500; another one by the end of the upload, when all of the ledger was in it.
//! Before either end the cards' certificates are handed over (`certificate.rs`). All messages may come again, and are answered
//! the same each time.

use iso8583::Message;

use crate::CURRENCY;
use crate::certificate;
use crate::history::Side;
use crate::host::{Acquirer, Answer};
use crate::ledger::{Entry, Key};
use crate::request::{self, APPROVED, FORMAT, INVALID, NO_ORIGINAL, Refusal, UNRECONCILED, WRONG_AMOUNT};
use crate::rules::Rule;

/// DE 60.1.
const MESSAGE_TYPE: &str = "00";
/// The network management code of a settlement, and of a group of transactions.
const GOES_ON: &str = "201";
/// The network management codes of the end of an upload: of a batch whose totals differ, and of one where they are equal.
const ENDS: &str = "202";
const ENDS_BALANCED: &str = "207";

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

/// Takes a part of an upload.
pub(crate) fn upload(host: &mut Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    let dialect = host.dialect;
    match [ENDS, ENDS_BALANCED].into_iter().find(|code| dialect.has_code(message, code)) {
        Some(code) if code == ENDS || dialect.has_certificates() => end(host, message, code, rule),
        _ if certificate::is_one(dialect, message) => certificate::take(host, message, rule),
        _ => group(host, message, rule),
    }
}

/// Compares transactions.
fn group(host: &mut Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    let (terminal, batch) = read(host, message, host.dialect.upload(), GOES_ON)?;
    let content = request::text(message, 48)?;
    let uploaded = entries(host, &content, &terminal, &batch)?;
    if let Rule::Decline(code) = rule {
        return Err(Refusal::new(code, "declined by rule"));
    }
    let count = uploaded.len();
    let new = uploaded.into_iter().filter(|entry| !entry.uploaded);
    let new = new.map(|entry| Entry { uploaded: true, ..entry }).collect();
    host.book_all(new)?;
    Ok(Answer::new(APPROVED, format!("batch {batch}: {count} uploaded")))
}

/// Closes the batch, if nothing of it is missing: DE 48 says how many transactions and certificates came, in four digits.
fn end(host: &mut Acquirer, message: &Message<'_>, code: &str, rule: &Rule) -> Result<Answer, Refusal> {
    let (terminal, batch) = read(host, message, host.dialect.upload(), code)?;
    let said = request::text(message, 48)?;
    if let Rule::Decline(code) = rule {
        return Err(Refusal::new(code, "declined by rule"));
    }
    let closed = host.ledger.is_closed(&terminal, &batch);
    let counted = host.ledger.counted(&terminal, &batch).map(|(_, entry)| entry);
    let is_there = |entry: &Entry| entry.uploaded || certificate::came(entry);
    let not_uploaded = counted.filter(|_| code == ENDS && !closed).find(|entry| !is_there(entry));
    let not_certified = host.ledger.batch(&terminal, &batch).find(|entry| certificate::is_missing(entry));
    if let Some(missing) = not_uploaded.or(not_certified) {
        let reason = format!("{} was approved, and is not in the upload", missing.key());
        return Err(Refusal::new(UNRECONCILED, reason));
    }
    if code == ENDS_BALANCED && !closed && host.ledger.batch(&terminal, &batch).next().is_some() {
        return Err(Refusal::new(UNRECONCILED, format!("the totals of batch {batch} were not equal")));
    }
    // Of a batch that was closed by its totals only certificates come.
    let came = |one: &&Entry| certificate::came(one) || (code == ENDS && one.uploaded);
    let came = host.ledger.batch(&terminal, &batch).filter(came).count();
    if said != format!("{came:04}") {
        return Err(Refusal::new(FORMAT, format!("DE 48: expected {came:04}, what came; got {said}")));
    }
    if !closed {
        close(host, &terminal, &batch)?;
    }
    Ok(Answer::new(APPROVED, format!("batch {batch}: {came} uploaded; the batch is closed")))
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
    if certificate::came(entry) {
        return refusal(INVALID, "came by its certificate");
    }
    if entry.amount != amount {
        return refusal(WRONG_AMOUNT, &format!("has the amount {}", entry.amount));
    }
    Ok(entry.clone())
}
