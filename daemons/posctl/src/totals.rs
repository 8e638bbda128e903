//! `posctl totals`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use client::payment::PaymentProxy;
use client::{Dictionary, get};
use zbus::{Connection, OwnedVariant};

use crate::{Outcome, dictionary, money, output};

/// Prints what the open batch comes to.
pub(crate) async fn totals(bus: &Connection, json: bool) -> Outcome {
    let totals = client::proxy::<PaymentProxy>(bus).await?.get_totals().await?;
    output::line(&match json {
        true => dictionary::json(&totals).to_string(),
        false => table(&totals),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Each service, then the two sums that the host is told when the batch is closed, and those of the QR gateway.
fn table(totals: &Dictionary) -> String {
    let currency = dictionary::text(totals, "currency");
    let row = |name: &str, count: u32, amount: u64| {
        [name.to_owned(), count.to_string(), format!("{} {currency}", money::format(amount, currency))]
    };
    let side = |name: &str| {
        let count = get(totals, &format!("{name}_count")).unwrap_or_default();
        row(&name.replace('_', " "), count, get(totals, &format!("{name}_amount")).unwrap_or_default())
    };
    let title = format!("BATCH {}", dictionary::text(totals, "batch"));
    let mut rows = vec![[title, "COUNT".to_owned(), "AMOUNT".to_owned()]];
    rows.extend(services(totals).iter().map(|(name, (count, amount))| row(name, *count, *amount)));
    rows.extend(["debit", "credit", "code_debit", "code_credit"].map(side));
    output::table(rows)
}

fn services(totals: &Dictionary) -> BTreeMap<String, (u32, u64)> {
    let value = totals.get("services").and_then(|value| OwnedVariant::try_clone(value).ok());
    value.and_then(|value| BTreeMap::try_from(value).ok()).unwrap_or_default()
}
