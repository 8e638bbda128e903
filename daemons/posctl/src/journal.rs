//! `posctl show` and `posctl list`.

use std::collections::HashMap;
use std::process::ExitCode;

use client::Dictionary;
use client::payment::{PaymentProxy, TransactionProxy};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use zbus::{Connection, Variant};

use crate::error::Error;
use crate::{Outcome, cli, dictionary, output};

/// The most that the service gives at once.
const PAGE: usize = 100;

/// Prints all that is known of one transaction.
pub(crate) async fn show(bus: &Connection, key: &str, json: bool) -> Outcome {
    let path = client::proxy::<PaymentProxy>(bus).await?.get_transaction(key).await?;
    let result = client::proxy_at::<TransactionProxy>(bus, path).await?.get_result().await?;
    output::line(&match json {
        true => dictionary::json(&result).to_string(),
        false => dictionary::lines(&result),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Prints one line for each transaction.
pub(crate) async fn list(bus: &Connection, list: &cli::List, json: bool) -> Outcome {
    let payment = client::proxy::<PaymentProxy>(bus).await?;
    let filter = filter(list)?;
    let mut found: Vec<Dictionary> = Vec::new();
    let mut cursor = String::new();
    while found.len() < list.limit {
        let wanted = list.limit.saturating_sub(found.len()).min(PAGE);
        let limit = u32::try_from(wanted).unwrap_or(u32::MAX);
        let (page, next) = payment.list_transactions(filter.clone(), &cursor, limit).await?;
        found.extend(page);
        if next.is_empty() {
            break;
        }
        cursor = next;
    }
    output::line(&match json {
        true => found.iter().map(dictionary::json).collect::<Value>().to_string(),
        false => table(&found),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn filter(list: &cli::List) -> Result<HashMap<&str, Variant<'_>>, Error> {
    let mut filter = HashMap::new();
    for (key, value) in [("type", &list.service), ("state", &list.state), ("outcome", &list.outcome)] {
        if let Some(value) = value {
            filter.insert(key, Variant::from(value.as_str()));
        }
    }
    period(&mut filter, list.since.as_deref(), list.until.as_deref())?;
    Ok(filter)
}

/// Adds to `filter` from when and until when.
pub(crate) fn period(
    filter: &mut HashMap<&str, Variant<'_>>,
    since: Option<&str>,
    until: Option<&str>,
) -> Result<(), Error> {
    for (key, value) in [("since", since), ("until", until)] {
        if let Some(value) = value {
            filter.insert(key, Variant::from(milliseconds(value, &TimeZone::system())?));
        }
    }
    Ok(())
}

/// A local time such as 2026-11-22 or 2026-11-22T08:00, in milliseconds since 1970.
fn milliseconds(text: &str, zone: &TimeZone) -> Result<i64, Error> {
    let time = text.parse::<DateTime>().and_then(|time| zone.to_timestamp(time));
    time.map(|time| time.as_millisecond())
        .map_err(|_| Error::Usage(format!("`{text}` is no time; use 2026-11-22 or 2026-11-22T08:00")))
}

fn table(transactions: &[Dictionary]) -> String {
    let header = ["TIME", "TYPE", "KEY", "AMOUNT", "OUTCOME", "CARD", "STAN"].map(str::to_owned);
    let rows = transactions.iter().map(|transaction| {
        let text = |key| dictionary::text(transaction, key).to_owned();
        let outcome = match text("outcome") {
            outcome if outcome.is_empty() => text("state"),
            outcome => outcome,
        };
        let time = dictionary::time(transaction, "created");
        let amount = dictionary::amount(transaction);
        [time, text("type"), text("key"), amount, outcome, text("masked_pan"), text("stan")]
    });
    output::table(std::iter::once(header).chain(rows).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_first_second_in_local_time() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        assert_eq!(milliseconds("1970-01-02", &zone).unwrap(), 16 * 3_600_000);
        assert_eq!(milliseconds("1970-01-01T08:00:30", &zone).unwrap(), 30_000);
        assert!(milliseconds("yesterday", &zone).is_err());
    }

    #[test]
    fn a_transaction_that_is_still_open_shows_its_state() {
        let values: [(&str, Variant<'_>); 5] = [
            ("type", "sale".into()),
            ("key", "order-1".into()),
            ("amount", 1234_u64.into()),
            ("currency", "CNY".into()),
            ("state", "authorizing".into()),
        ];
        let open = values
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap()))
            .collect();
        let table = table(&[open]);
        let row = table.lines().nth(1).unwrap();
        assert_eq!(
            row.split_whitespace().collect::<Vec<_>>(),
            ["sale", "order-1", "12.34", "CNY", "authorizing"]
        );
    }
}
