//! `posctl status`.

use std::process::ExitCode;

use client::card::{CardModuleProxy, CardProxy};
use client::payment::PaymentProxy;
use client::printer::PrinterProxy;
use serde_json::{Map, Value, json};
use zbus::Connection;

use crate::error::Error;
use crate::{Outcome, module, output};

/// Prints how each service is; fails when one does not answer.
pub(crate) async fn status(bus: &Connection, as_json: bool) -> Outcome {
    let services =
        [("payment", payment(bus).await), ("card", card(bus).await), ("printer", printer(bus).await)];
    let all_answer = services.iter().all(|(_, state)| state.is_ok());
    let services: Map<String, Value> = services
        .into_iter()
        .map(|(name, state)| {
            (name.to_owned(), state.unwrap_or_else(|error| json!({ "error": error.to_string() })))
        })
        .collect();
    output::line(&match as_json {
        true => Value::Object(services).to_string(),
        false => {
            services.iter().map(|(name, state)| for_a_person(name, state)).collect::<Vec<_>>().join("\n")
        }
    })?;
    Ok(if all_answer { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn payment(bus: &Connection) -> Result<Value, Error> {
    let payment = client::proxy::<PaymentProxy>(bus).await?;
    Ok(json!({
        "state": payment.state().await?,
        "terminal": payment.terminal().await?,
        "merchant": payment.merchant().await?,
        "pending_reversals": payment.pending_reversals().await?,
        "stored_sales": payment.stored_sales().await?,
        "untold_scripts": payment.untold_scripts().await?,
        "warnings": payment.warnings().await?,
    }))
}

async fn card(bus: &Connection) -> Result<Value, Error> {
    let card = client::proxy::<CardProxy>(bus).await?;
    let claims = card.list_claims().await?;
    let claims: Vec<String> = claims.iter().map(|(slot, app)| format!("{slot} by {app}")).collect();
    // A module may be away, or have no clock.
    let clock = client::proxy::<CardModuleProxy>(bus).await?.clock().await.ok();
    let warning = clock.and_then(|clock| module::warning(module::difference(clock)));
    Ok(json!({
        "state": card.module_state().await?,
        "module": card.module().await?,
        "certified": card.certified().await?,
        "card_present": card.card_present().await?,
        "claims": claims,
        "warnings": warning.into_iter().collect::<Vec<_>>(),
    }))
}

async fn printer(bus: &Connection) -> Result<Value, Error> {
    let printer = client::proxy::<PrinterProxy>(bus).await?;
    Ok(json!({ "state": printer.state().await?, "paper": printer.paper().await? }))
}

fn for_a_person(name: &str, state: &Value) -> String {
    let facts = state.as_object().into_iter().flatten().map(|(key, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{} {value}", key.replace('_', " "))
    });
    format!("{name:<8} {}", facts.collect::<Vec<_>>().join(", "))
}
