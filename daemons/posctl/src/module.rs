//! `posctl module`: the secure card module as a device.

use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use client::card::{CardModuleProxy, CardProxy};
use serde_json::json;
use zbus::Connection;

use crate::cli::Module;
use crate::error::Error;
use crate::{Outcome, output};

/// How an update begins: see docs/secure-module-link.md.
const MAGIC: &[u8] = b"smartpos update 1";
/// How much of an image is handed over at once.
const CHUNK: usize = 32_768;
/// A module's clock that differs by more is warned of.
const MOST_DIFFERENCE_MS: u64 = 300_000;

/// Carries out one command.
pub(crate) async fn run(bus: &Connection, command: &Module, as_json: bool) -> Outcome {
    let module = client::proxy::<CardModuleProxy>(bus).await?;
    match command {
        Module::Status => status(bus, &module, as_json).await,
        Module::SelfTest => self_test(&module, as_json).await,
        Module::Update { file } => update(bus, &module, file, as_json).await,
    }
}

async fn status(bus: &Connection, module: &CardModuleProxy<'_>, as_json: bool) -> Outcome {
    let card = client::proxy::<CardProxy>(bus).await?;
    let (state, name, clock) = (card.module_state().await?, card.module().await?, module.clock().await?);
    let difference = difference(clock);
    output::line(&match as_json {
        true => json!({ "state": state, "module": name, "clock_ms": clock, "difference_ms": difference })
            .to_string(),
        false => format!("{name}: {state}; its clock differs by {} s", difference / 1000),
    })?;
    if let Some(warning) = warning(difference) {
        output::note(&format!("posctl: {warning}"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// By how many milliseconds the module's clock differs from the terminal's.
pub(crate) fn difference(clock: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX).abs_diff(clock)
}

/// What is to be said of a module whose clock differs by so many milliseconds.
pub(crate) fn warning(difference: u64) -> Option<String> {
    (difference > MOST_DIFFERENCE_MS).then(|| {
        format!(
            "the module's clock differs by {} s, and by it certificates are judged: set the terminal's, or have the module serviced",
            difference / 1000
        )
    })
}

async fn self_test(module: &CardModuleProxy<'_>, as_json: bool) -> Outcome {
    let results = module.self_test().await?;
    let well = results.iter().all(|(_, passed)| *passed);
    if as_json {
        let results: Vec<_> =
            results.iter().map(|(name, passed)| json!({ "test": name, "passed": passed })).collect();
        output::line(&json!(results).to_string())?;
    } else {
        let row =
            |(name, passed): (String, bool)| [name, if passed { "passed" } else { "FAILED" }.to_owned()];
        output::line(&output::table(results.into_iter().map(row).collect()))?;
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn update(bus: &Connection, module: &CardModuleProxy<'_>, file: &Path, as_json: bool) -> Outcome {
    let content = std::fs::read(file).map_err(|error| Error::file(file, error))?;
    let (manifest, image) = parts(&content)
        .ok_or_else(|| Error::Usage(format!("{} is no update of a secure module", file.display())))?;
    module.begin_update(manifest).await?;
    let mut offset = 0_u32;
    for chunk in image.chunks(CHUNK) {
        if let Err(error) = module.update_data(offset, chunk).await {
            // It says why; that the update is forgotten too is a courtesy.
            let _ = module.cancel_update().await;
            return Err(error.into());
        }
        let sent = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(chunk.len());
        offset = u32::try_from(sent).map_err(|_| Error::Usage(format!("{} is too long", file.display())))?;
        output::progress(&format!("{sent} of {} bytes", image.len()));
    }
    module.finish_update().await?;
    let name = client::proxy::<CardProxy>(bus).await?.module().await.unwrap_or_default();
    output::line(&match as_json {
        true => json!({ "bytes": image.len() }).to_string(),
        false => format!("the module starts with its new firmware; it was: {name}"),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The manifest and the image of an update.
fn parts(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = content.strip_prefix(MAGIC)?.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_differs_by_more_than_five_minutes_is_warned_of() {
        assert_eq!(warning(0), None);
        assert_eq!(warning(300_000), None);
        assert!(warning(400_000).is_some_and(|warning| warning.contains("400 s")));
        assert!(difference(0) > 1_700_000_000_000);
    }
}
