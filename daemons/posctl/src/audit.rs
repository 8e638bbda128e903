//! `posctl audit`: a copy of the journal, and its check.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use ::audit::chain::Chain;
use ::audit::copy::{Check, Line, MAX_LINE, VERSION};
use ::audit::{Link, NotOctets};
use client::payment::PaymentProxy;
use serde_json::json;
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
    // It names cards, masked: for whoever exports it alone.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = BufWriter::new(file.map_err(|error| Error::file(path, error))?);
    let mut write = |line: Line<'_>| put(&mut file, &line).map_err(|error| Error::file(path, error));
    write(Line::Journal { version: VERSION, identity: octets(journal.parse())? })?;
    let mut written = 0;
    while written < last {
        let page = payment.read_journal(written, PAGE).await?;
        let before = written;
        for (id, transaction, at, body, link) in page.into_iter().filter(|event| event.0 <= last) {
            let link = link.parse().map_err(|error| {
                Error::Refused(format!("the journal's event {id} was changed: its link is none: {error}"))
            })?;
            write(Line::Record { id, transaction, at, body: Cow::Owned(body), link })?;
            written = id;
        }
        // Events that the journal lost; the check of the copy names them.
        if written == before {
            break;
        }
    }
    write(Line::End { last, head })?;
    let durable = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
    durable.map_err(|error| Error::file(path, error))?;
    output::line(&match json {
        true => json!({ "events": last, "head": head }).to_string(),
        false => told(last, &head),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Checks a copy.
pub(crate) fn verify(path: &Path, known: Option<Link>, json: bool) -> Outcome {
    let file = File::open(path).map_err(|error| Error::file(path, error))?;
    let mut file = BufReader::new(file);
    let mut check = Check::new(known);
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
        Ok(Chain { last, head }) => {
            let result = json!({ "whole": true, "events": last, "head": head });
            (ExitCode::SUCCESS, result, format!("whole: {}", told(last, &head)))
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
fn told(last: i64, head: &Link) -> String {
    format!("{last} events, head {head}")
}

fn octets<T>(read: Result<T, NotOctets>) -> Result<T, Error> {
    read.map_err(|error| Error::Refused(format!("the journal's chain is damaged: {error}")))
}
