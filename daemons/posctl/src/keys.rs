//! `posctl keys`: what can be done with the keys of the secure card module.

use std::process::ExitCode;

use client::card::CardKeysProxy;
use serde_json::json;
use zbus::Connection;

use crate::{Outcome, output};

/// Prints a request for a certificate of the module's TLS client key.
pub(crate) async fn csr(bus: &Connection, subject: &str, as_json: bool) -> Outcome {
    let keys = client::proxy::<CardKeysProxy>(bus).await?;
    let request = keys.tls_certificate_request(subject).await?;
    match as_json {
        true => output::line(&json!({ "subject": subject, "request": request }).to_string())?,
        false => output::bytes(request.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}
