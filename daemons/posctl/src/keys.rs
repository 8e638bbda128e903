//! `posctl keys`: what can be done with the keys of the secure card module.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use client::card::CardKeysProxy;
use serde_json::json;
use zbus::Connection;

use crate::cli::{KeySource, Keys};
use crate::error::Error;
use crate::{Outcome, interrupted, output};

/// How often the module is asked how far the custodians are.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Carries out one command.
pub(crate) async fn run(bus: &Connection, command: &Keys, as_json: bool) -> Outcome {
    let keys = client::proxy::<CardKeysProxy>(bus).await?;
    match command {
        Keys::Csr { subject } => return csr(&keys, subject, as_json).await,
        Keys::List => return list(&keys, as_json).await,
        Keys::Load { slot, from } => load(&keys, slot, from).await?,
        Keys::Enter { slot, algorithm, bits, components } => {
            keys.begin_key_entry(slot, algorithm, *bits, *components).await?;
            return follow(&keys, *components, as_json).await;
        }
        Keys::Credential { file } => write(file, &keys.key_credential().await?)?,
        Keys::Bind { file } => keys.bind_key_host(&read(file)?).await?,
        Keys::Nonce { file } => write(file, &keys.key_nonce().await?)?,
        Keys::Rebind { file } => keys.rebind_key_host(&read(file)?).await?,
        Keys::Unbind { file } => keys.unbind_key_host(&read(file)?).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a request for a certificate of the module's TLS client key.
async fn csr(keys: &CardKeysProxy<'_>, subject: &str, as_json: bool) -> Outcome {
    let request = keys.tls_certificate_request(subject).await?;
    match as_json {
        true => output::line(&json!({ "subject": subject, "request": request }).to_string())?,
        false => output::bytes(request.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the key slots.
async fn list(keys: &CardKeysProxy<'_>, as_json: bool) -> Outcome {
    let slots = keys.list_keys().await?;
    if as_json {
        let slots: Vec<_> = slots
            .iter()
            .map(|(slot, usage, algorithm, check)| {
                json!({ "slot": slot, "usage": usage, "algorithm": algorithm, "check_value": hex(check) })
            })
            .collect();
        output::line(&json!(slots).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |(slot, usage, algorithm, check): (String, String, String, Vec<u8>)| {
        let algorithm = match algorithm.as_str() {
            "" => "-".to_owned(),
            "A" => "AES".to_owned(),
            "T" => "TDES".to_owned(),
            _ => algorithm.to_uppercase(),
        };
        [slot, usage, algorithm, hex(&check)]
    };
    let header = ["SLOT", "USAGE", "ALGORITHM", "CHECK VALUE"].map(str::to_owned);
    output::line(&output::table([header].into_iter().chain(slots.into_iter().map(row)).collect()))?;
    Ok(ExitCode::SUCCESS)
}

async fn load(keys: &CardKeysProxy<'_>, slot: &str, from: &KeySource) -> Result<(), Error> {
    if let Some(file) = &from.token {
        keys.load_key_token(slot, &read(file)?).await?;
    } else if let Some(file) = &from.block {
        let block = std::fs::read_to_string(file).map_err(|error| Error::file(file, error))?;
        keys.load_key_block(slot, block.trim()).await?;
    }
    Ok(())
}

/// Follows the custodians until the key is there, or Ctrl-C.
async fn follow(keys: &CardKeysProxy<'_>, components: u32, as_json: bool) -> Outcome {
    let mut told = 0;
    loop {
        let (state, component, check, reason) = keys.key_entry().await?;
        match state.as_str() {
            "waits" if told != component => {
                told = component;
                if component > 1 {
                    output::note(&format!("the check value of that component is {}", hex(&check)));
                }
                output::note(&format!(
                    "component {component} of {components}: its custodian enters it at the module"
                ));
            }
            "waits" => {}
            "loaded" => {
                let check = hex(&check);
                let text = if as_json { json!({ "check_value": check }).to_string() } else { check };
                output::line(&text)?;
                return Ok(ExitCode::SUCCESS);
            }
            _ => return Err(Error::Refused(format!("no key was loaded: {reason}"))),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            _ = interrupted() => keys.cancel_key_entry().await?,
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(|error| Error::file(file, error))
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    std::fs::write(file, bytes).map_err(|error| Error::file(file, error))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
