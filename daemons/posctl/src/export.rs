//! `posctl export`: all transactions, for another program. Its columns are never renamed or moved.

use std::collections::HashMap;
use std::process::ExitCode;

use client::payment::PaymentProxy;
use client::{Dictionary, get};
use jiff::Timestamp;
use zbus::Connection;

use crate::{Outcome, cli, dictionary, journal, money, output};

/// The most that the service gives at once.
const PAGE: u32 = 100;

/// The columns of the CSV. New ones are appended.
const COLUMNS: [&str; 26] = [
    "created",
    "finished",
    "owner",
    "key",
    "type",
    "state",
    "outcome",
    "amount",
    "currency",
    "tip",
    "order",
    "operator",
    "original",
    "batch",
    "stan",
    "original_batch",
    "original_stan",
    "masked_pan",
    "entry_mode",
    "label",
    "approval",
    "reference",
    "response_code",
    "host",
    "reversal",
    "reason",
];

/// Writes every transaction that is asked for to stdout, newest first, page by page.
pub(crate) async fn export(bus: &Connection, export: &cli::Export) -> Outcome {
    let payment = PaymentProxy::new(bus).await?;
    let mut filter = HashMap::new();
    journal::period(&mut filter, export.since.as_deref(), export.until.as_deref())?;
    if let Some(service) = &export.service {
        filter.insert("type", service.as_str().into());
    }
    let (mut cursor, mut first) = (String::new(), true);
    output::bytes(begin(export.format).as_bytes())?;
    loop {
        let (page, next) = payment.list_transactions(filter.clone(), &cursor, PAGE).await?;
        let mut text = String::new();
        for transaction in &page {
            match export.format {
                cli::Format::Csv => text.push_str(&record(COLUMNS.map(|name| cell(transaction, name)))),
                cli::Format::Json => {
                    text.push_str(if first { "\n" } else { ",\n" });
                    text.push_str(&dictionary::json(transaction).to_string());
                }
            }
            first = false;
        }
        output::bytes(text.as_bytes())?;
        if next.is_empty() {
            break;
        }
        cursor = next;
    }
    if export.format == cli::Format::Json {
        output::line("\n]")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn begin(format: cli::Format) -> String {
    match format {
        cli::Format::Csv => record(COLUMNS.map(str::to_owned)),
        cli::Format::Json => "[".to_owned(),
    }
}

/// Times in UTC (RFC 3339), amounts with the decimals of their currency, the rest as the API has it.
fn cell(transaction: &Dictionary, name: &str) -> String {
    match name {
        "created" | "finished" => get::<i64>(transaction, name)
            .and_then(|time| Timestamp::from_millisecond(time).ok())
            .map(|time| format!("{time:.3}"))
            .unwrap_or_default(),
        "amount" | "tip" => get::<u64>(transaction, name)
            .map(|amount| money::format(amount, dictionary::text(transaction, "currency")))
            .unwrap_or_default(),
        _ => dictionary::text(transaction, name).to_owned(),
    }
}

/// A record of RFC 4180, its line end included.
fn record<const N: usize>(cells: [String; N]) -> String {
    let cells = cells.map(|cell| match cell.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    });
    cells.join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_cell_is_quoted_as_rfc_4180_2_says() {
        let cells = ["plain", "two, words", "\"quoted\"", "two\r\nlines", ""].map(str::to_owned);
        assert_eq!(record(cells), "plain,\"two, words\",\"\"\"quoted\"\"\",\"two\r\nlines\",\r\n");
    }

    #[test]
    fn an_amount_has_its_decimals_and_a_time_is_in_utc() {
        let values: [(&str, zbus::Variant<'_>); 3] = [
            ("amount", 1234_u64.into()),
            ("currency", "CNY".into()),
            ("created", 1_763_900_000_007_i64.into()),
        ];
        let transaction: Dictionary = values
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap()))
            .collect();
        assert_eq!(cell(&transaction, "amount"), "12.34");
        assert_eq!(cell(&transaction, "created"), "2025-11-23T12:13:20.007Z");
        assert_eq!(cell(&transaction, "tip"), "");
    }
}
