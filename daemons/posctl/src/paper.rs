//! `posctl print`, `preview` and `reprint`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use client::payment::PaymentProxy;
use client::printer::{PrintJobProxy, PrinterProxy};
use futures_util::StreamExt;
use zbus::Connection;

use crate::error::Error;
use crate::{Outcome, dictionary, document, interrupted, new_key, output};

/// Prints a document and waits until the printer has it on paper. Ctrl-C asks to cancel.
pub(crate) async fn print(bus: &Connection, file: &Path, key: Option<String>, json: bool) -> Outcome {
    let document = document::read(file)?;
    let key = key.unwrap_or_else(new_key);
    let path = client::proxy::<PrinterProxy>(bus)
        .await?
        .print(&document::borrowed(&document), &key, HashMap::new())
        .await?;
    let job = client::proxy_at::<PrintJobProxy>(bus, path).await?;
    let mut ends = job.receive_completed().await?;
    // It may have ended before we listened.
    while job.state().await? != "final" {
        output::progress(&format!("  {} {}", job.state().await?, job.progress().await?));
        tokio::select! {
            biased;
            end = ends.next() => match end {
                Some(_) => break,
                None => return Err(Error::Refused(format!("the bus went away; ask again with --key {key}"))),
            },
            Ok(()) = interrupted() => job.cancel().await?,
        }
    }
    let result = job.get_result().await?;
    output::line(&match json {
        true => dictionary::json(&result).to_string(),
        false => dictionary::lines(&result),
    })?;
    Ok(match dictionary::text(&result, "outcome") {
        "printed" | "printed-duplicate" => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Writes the dots that a document would put on paper as a PNG file.
pub(crate) async fn preview(bus: &Connection, file: &Path, to: &Path) -> Outcome {
    let document = document::read(file)?;
    let image = client::proxy::<PrinterProxy>(bus)
        .await?
        .preview(&document::borrowed(&document), HashMap::new())
        .await?;
    fs::write(to, image).map_err(|error| Error::file(to, error))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the receipt of a transaction once more.
pub(crate) async fn reprint(bus: &Connection, key: &str) -> Outcome {
    client::proxy::<PaymentProxy>(bus).await?.reprint(key).await?;
    Ok(ExitCode::SUCCESS)
}
