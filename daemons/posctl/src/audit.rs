//! `posctl audit`: a copy of the journal, and its check.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use ::audit::chain::Chain;
use ::audit::copy::{Check, Line, MAX_LINE, VERSION, Whole};
use ::audit::seal::Seal;
use ::audit::{Link, NotOctets, PublicKey};
use client::payment::PaymentProxy;
use serde_json::{Map, Value, json};
use zbus::Connection;

use crate::error::Error;
use crate::{Outcome, output};

/// The most events that the service gives at once.
const PAGE: u32 = 100;

/// Writes a copy of the journal, up to where it is now.
pub(crate) async fn export(bus: &Connection, path: &Path, json: bool) -> Outcome {
    let payment = client::proxy::<PaymentProxy>(bus).await?;
    let (journal, last, head) = payment.get_journal_head().await?;
    let head = octets(head.parse())?;
    let seals = seals(&payment, last).await?;
    // What the journal has dropped is covered by the seal before its first event.
    let first = payment.read_journal(0, 1).await?.first().map_or(last.saturating_add(1), |event| event.0);
    let dropped = first.saturating_sub(1);
    // It names cards, masked: for whoever exports it alone.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = BufWriter::new(file.map_err(|error| Error::file(path, error))?);
    let mut write = |line: Line<'_>| put(&mut file, &line).map_err(|error| Error::file(path, error));
    write(Line::Journal { version: VERSION, identity: octets(journal.parse())? })?;
    let mut unwritten = seals.iter().peekable();
    if let Some(anchor) = unwritten.next_if(|seal| seal.last == dropped) {
        write(Line::Anchor(*anchor))?;
    }
    let mut written = dropped;
    while written < last {
        let page = payment.read_journal(written, PAGE).await?;
        let before = written;
        for (id, transaction, at, body, link) in page.into_iter().filter(|event| event.0 <= last) {
            let link = link.parse().map_err(|error| {
                Error::Refused(format!("the journal's event {id} was changed: its link is none: {error}"))
            })?;
            write(Line::Record { id, transaction, at, body: Cow::Owned(body), link })?;
            written = id;
            while let Some(seal) = unwritten.next_if(|seal| seal.last <= id) {
                write(Line::Seal(*seal))?;
            }
        }
        // Events that the journal lost; the check of the copy names them.
        if written == before {
            break;
        }
    }
    write(Line::End { last, head })?;
    let durable = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
    durable.map_err(|error| Error::file(path, error))?;
    let seal = seals.last().copied();
    let copied = Whole { chain: Chain { last, head }, dropped, seal };
    output::line(&if json { Value::Object(in_json(&copied)).to_string() } else { text(&copied) })?;
    Ok(ExitCode::SUCCESS)
}

/// All seals that cover no more than the event `last`, oldest first.
async fn seals(payment: &PaymentProxy<'_>, last: i64) -> Result<Vec<Seal>, Error> {
    let mut seals: Vec<Seal> = Vec::new();
    loop {
        let after = seals.last().map_or(0, |seal| seal.last);
        let page = payment.read_seals(after, PAGE).await?;
        if page.is_empty() {
            seals.retain(|seal| seal.last <= last);
            return Ok(seals);
        }
        for (last, at, head, key, signature) in page {
            let (key, signature) = (octets(key.parse())?, octets(signature.parse())?);
            seals.push(Seal { last, head: octets(head.parse())?, at, key, signature });
        }
    }
}

/// Checks a copy; `keys` are those whose seals are trusted.
pub(crate) fn verify(path: &Path, known: Option<Link>, keys: Vec<PublicKey>, json: bool) -> Outcome {
    let file = File::open(path).map_err(|error| Error::file(path, error))?;
    let mut file = BufReader::new(file);
    let mut check = Check::new(known, keys);
    let mut line = Vec::new();
    let checked = loop {
        line.clear();
        let most = u64::try_from(MAX_LINE).unwrap_or(u64::MAX).saturating_add(1);
        let read = file.by_ref().take(most).read_until(b'\n', &mut line);
        if read.map_err(|error| Error::file(path, error))? == 0 {
            break check.finish();
        }
        if let Err(error) = check.line(&line) {
            break Err(error);
        }
    };
    let (code, result, text) = match checked {
        Ok(whole) => {
            let mut result = in_json(&whole);
            result.insert("whole".to_owned(), true.into());
            (ExitCode::SUCCESS, Value::Object(result), format!("whole: {}", text(&whole)))
        }
        Err(error) => {
            let result = json!({ "whole": false, "problem": error.to_string() });
            (ExitCode::FAILURE, result, format!("not whole: {error}"))
        }
    };
    output::line(&if json { result.to_string() } else { text })?;
    Ok(code)
}

fn put(file: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    file.write_all(line.to_text()?.as_bytes())
}

/// What to keep of a copy.
fn text(whole: &Whole) -> String {
    let Chain { last, head } = whole.chain;
    let sealed = match whole.seal {
        Some(Seal { last, key, .. }) => format!("sealed up to event {last} by the key {key}"),
        None => "not sealed".to_owned(),
    };
    format!("{last} events, head {head}, {sealed}")
}

/// The same, for programs.
fn in_json(whole: &Whole) -> Map<String, Value> {
    let mut told = Map::new();
    told.insert("events".to_owned(), whole.chain.last.into());
    told.insert("head".to_owned(), whole.chain.head.to_string().into());
    if whole.dropped > 0 {
        told.insert("dropped".to_owned(), whole.dropped.into());
    }
    if let Some(Seal { last, at, key, .. }) = whole.seal {
        told.insert("seal".to_owned(), json!({ "last": last, "at": at, "key": key }));
    }
    told
}

fn octets<T>(read: Result<T, NotOctets>) -> Result<T, Error> {
    read.map_err(|error| Error::Refused(format!("the journal's chain is damaged: {error}")))
}
