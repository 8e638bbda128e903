//! `posctl parameters` and `posctl capks`: what the EMV kernel goes by, and fetching it from the host.

use std::collections::HashMap;
use std::process::ExitCode;

use client::card::CardParametersProxy;
use client::parameters::ParametersProxy;
use client::{Dictionary, get};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use zbus::Connection;

use crate::error::Error;
use crate::{Outcome, dictionary, interrupted, output};

const APPLICATION: [&str; 8] =
    ["aid", "name", "partial", "version", "floor_limit", "tac_denial", "tac_online", "tac_default"];

/// Fetches everything that the host has, and prints how that ended.
pub(crate) async fn download(bus: &Connection, as_json: bool) -> Outcome {
    let parameters = client::proxy::<ParametersProxy>(bus).await?;
    // Before it is asked for, so that nothing is missed.
    let mut steps = parameters.receive_state_changed().await?;
    let mut ends = parameters.receive_completed().await?;
    let mut services = parameters.inner().receive_owner_changed().await?;
    parameters.download(HashMap::new()).await?;
    loop {
        tokio::select! {
            Some(step) = steps.next() => {
                let step = step.args()?;
                let count = |key| get::<u32>(step.details(), key).unwrap_or_default();
                output::progress(&format!("{} {} of {}", step.progress(), count("done"), count("total")));
            }
            Some(_) = ends.next() => break,
            owner = services.next() => if !matches!(owner, Some(Some(_))) {
                return Err(zbus::Error::Failure("the payment service went away".to_owned()).into());
            },
            interrupt = interrupted() => {
                interrupt.map_err(|error| zbus::Error::Failure(error.to_string()))?;
                parameters.cancel().await?;
            }
        }
    }
    let result = parameters.get_result().await?;
    print(&result, as_json)?;
    let completed = get::<&str>(&result, "outcome") == Some("completed");
    Ok(if completed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what the host says of this terminal.
pub(crate) async fn terminal(bus: &Connection, as_json: bool) -> Outcome {
    let said = client::proxy::<ParametersProxy>(bus).await?.get_terminal().await?;
    if said.is_empty() && !as_json {
        output::line("the host says nothing of this terminal; `posctl parameters download` asks it")?;
    } else {
        print(&said, as_json)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(result: &Dictionary, as_json: bool) -> Result<(), Error> {
    output::line(&match as_json {
        true => dictionary::json(result).to_string(),
        false => dictionary::lines(result),
    })
}

/// Prints the set that is in force, a line for each record, in the order in which the kernel looks at them.
pub(crate) async fn show(bus: &Connection, set: &str, as_json: bool) -> Outcome {
    let (source, records) = client::proxy::<CardParametersProxy>(bus).await?.list(set).await?;
    let records: Vec<Value> = records.iter().map(dictionary::json).collect();
    if as_json {
        output::line(&json!({ "source": source, "records": records }).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("{} {set}, from: {source}", records.len()))?;
    output::line(&match set {
        "capks" => table(&records, ["rid", "index", "bits", "exponent", "expiry", "sha1"]),
        _ => table(&records, APPLICATION),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A line for each record below the names of its values.
fn table<const COLUMNS: usize>(records: &[Value], keys: [&str; COLUMNS]) -> String {
    let cell = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let row = |record: &Value| keys.map(|key| record.get(key).map(cell).unwrap_or_default());
    let head = keys.map(|key| key.replace('_', " "));
    output::table(std::iter::once(head).chain(records.iter().map(row)).collect())
}
