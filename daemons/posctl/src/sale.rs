//! `posctl sale`.

use std::collections::HashMap;
use std::process::ExitCode;

use client::payment::{PaymentProxy, TransactionProxy};
use client::{Dictionary, get};
use futures_util::StreamExt;
use zbus::{Connection, Variant};

use crate::error::Error;
use crate::{Outcome, cli, dictionary, interrupted, money, new_key, output};

/// Sells, follows the transaction to its end, and prints how it ended.
pub(crate) async fn sell(bus: &Connection, sale: &cli::Sale, json: bool) -> Outcome {
    let amount = money::parse(&sale.amount, &sale.currency)?;
    let key = sale.key.clone().unwrap_or_else(new_key);
    let mut options = HashMap::new();
    if let Some(order) = &sale.order {
        options.insert("order", Variant::from(order.as_str()));
    }
    if sale.no_receipt {
        options.insert("print", Variant::from(false));
    }
    // Before anything happens, so that the sale can be found again whatever comes.
    output::progress(&format!(
        "sale of {} {}, key {key}",
        money::format(amount, &sale.currency),
        sale.currency
    ));
    let path = PaymentProxy::new(bus).await?.start_sale(amount, &sale.currency, &key, options).await?;
    let transaction = TransactionProxy::builder(bus).path(path).build().await?;
    follow(&transaction, &key).await?;
    let result = transaction.get_result().await?;
    output::line(&match json {
        true => dictionary::json(&result).to_string(),
        false => dictionary::lines(&result),
    })?;
    Ok(exit_code(&result))
}

/// Waits for the end of the transaction. The first Ctrl-C asks to cancel it, the second leaves it alone.
async fn follow(transaction: &TransactionProxy<'_>, key: &str) -> Result<(), Error> {
    let mut steps = transaction.receive_state_changed().await?;
    let mut ends = transaction.receive_completed().await?;
    // It may have ended before we listened.
    if transaction.state().await? == "final" {
        return Ok(());
    }
    let mut asked_to_cancel = false;
    loop {
        tokio::select! {
            biased;
            Some(step) = steps.next() => {
                let step = step.args()?;
                output::progress(&in_words(step.state(), step.progress()));
            }
            end = ends.next() => return match end {
                Some(_) => Ok(()),
                None => Err(gone(key)),
            },
            Ok(()) = interrupted() => {
                if asked_to_cancel {
                    return Err(Error::Refused(format!("left alone; `posctl show {key}` tells how it ends")));
                }
                asked_to_cancel = true;
                output::note("asking to cancel; the outcome follows (Ctrl-C again: don't wait for it)");
                if let Err(error) = transaction.cancel().await {
                    output::note(&Error::from(error).to_string());
                }
            }
        }
    }
}

fn in_words(state: &str, progress: &str) -> String {
    let words = match progress {
        "insert-card" => "insert the card",
        "reading" => "reading the card",
        "pin" | "pin-digits" => "the customer types the PIN",
        "host" => "asking the host",
        "remove-card" => "take the card out",
        "" => state,
        other => other,
    };
    format!("  {words}")
}

fn gone(key: &str) -> Error {
    Error::Refused(format!("the bus went away; the sale goes on or is reversed: `posctl show {key}` tells"))
}

/// Success only for money that moves.
fn exit_code(result: &Dictionary) -> ExitCode {
    match get::<&str>(result, "outcome") {
        Some("approved") => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
