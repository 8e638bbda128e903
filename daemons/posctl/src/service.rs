//! Each service of the terminal: `posctl sale`, `void`, `refund` …

use std::collections::HashMap;
use std::process::ExitCode;

use client::payment::{PaymentProxy, TransactionProxy};
use client::{Dictionary, get};
use futures_util::StreamExt;
use zbus::{Connection, OwnedObjectPath, Variant};

use crate::chooser::{self, Chooser};
use crate::cli::{Amount, Command, Common, Following, Sale};
use crate::error::Error;
use crate::{Outcome, dictionary, interrupted, money, new_key, output, shown};

type Options<'a> = HashMap<&'a str, Variant<'a>>;

/// Starts the transaction that `command` is, follows it to its end, and prints how it ended.
pub(crate) async fn run(bus: &Connection, command: &Command, json: bool) -> Outcome {
    let Some(common) = common(command) else { return Ok(ExitCode::SUCCESS) };
    let key = common.key.clone().unwrap_or_else(new_key);
    // Before anything happens, so that the transaction can be found again whatever comes.
    output::progress(&format!("key {key}"));
    let path =
        start(&client::proxy::<PaymentProxy>(bus).await?, command, &key, options(command, common)).await?;
    let transaction = client::proxy_at::<TransactionProxy>(bus, path).await?;
    follow(&transaction, &key).await?;
    let result = transaction.get_result().await?;
    output::line(&match json {
        true => dictionary::json(&result).to_string(),
        false => dictionary::lines(&result),
    })?;
    Ok(exit_code(&result))
}

/// `None` for a command that starts no transaction.
fn common(command: &Command) -> Option<&Common> {
    match command {
        Command::Sale(Sale { common, .. })
        | Command::Increment(Following { common, .. })
        | Command::Complete(Following { common, .. })
        | Command::Void { common, .. }
        | Command::Refund { common, .. }
        | Command::Tip { common, .. }
        | Command::Preauth { common, .. }
        | Command::Cancel { common, .. }
        | Command::Balance { common }
        | Command::Cash { common, .. }
        | Command::Settle { common } => Some(common),
        _ => None,
    }
}

/// Where a person is at the keys, that person chooses among the card's applications.
fn options<'a>(command: &Command, common: &'a Common) -> Options<'a> {
    let mut options = Options::new();
    for (name, value) in [("order", &common.order), ("operator", &common.operator)] {
        if let Some(value) = value {
            options.insert(name, Variant::from(value.as_str()));
        }
    }
    if common.no_receipt {
        options.insert("print", Variant::from(false));
    }
    if reads_card(command) && chooser::is_there() {
        options.insert("choose_application", true.into());
    }
    options
}

/// Whether the card itself is read, and not keyed.
fn reads_card(command: &Command) -> bool {
    match command {
        Command::Sale(sale) => sale.code.is_none() && !sale.show_code && !sale.moto,
        Command::Refund { moto, .. } => !moto,
        Command::Void { .. }
        | Command::Preauth { .. }
        | Command::Increment(_)
        | Command::Complete(_)
        | Command::Cancel { .. }
        | Command::Balance { .. } => true,
        _ => false,
    }
}

async fn start(
    payment: &PaymentProxy<'_>,
    command: &Command,
    key: &str,
    mut options: Options<'_>,
) -> Result<OwnedObjectPath, Error> {
    let minor = |amount: &Amount| money::parse(&amount.amount, &amount.currency);
    Ok(match command {
        Command::Sale(Sale { amount, code: Some(code), .. }) => {
            payment.start_code_payment(minor(amount)?, &amount.currency, code, key, options).await?
        }
        Command::Sale(Sale { amount, show_code: true, .. }) => {
            payment.start_merchant_code(minor(amount)?, &amount.currency, key, options).await?
        }
        Command::Sale(Sale { amount, tip, instalments, moto, .. }) => {
            if *moto {
                options.insert("moto", true.into());
            }
            if let Some(number) = instalments {
                options.insert("instalments", (*number).into());
            }
            if let Some(tip) = tip {
                options.insert("tip", money::parse(tip, &amount.currency)?.into());
            }
            payment.start_sale(minor(amount)?, &amount.currency, key, options).await?
        }
        Command::Void { original, .. } => payment.start_void(original, key, options).await?,
        Command::Refund { amount, original, moto, .. } => {
            if *moto {
                options.insert("moto", true.into());
            }
            let original = original.as_deref().unwrap_or_default();
            payment.start_refund(minor(amount)?, &amount.currency, original, key, options).await?
        }
        Command::Tip { original, amount, .. } => {
            payment.start_tip_adjustment(original, minor(amount)?, key, options).await?
        }
        Command::Preauth { amount, .. } => {
            payment.start_preauthorisation(minor(amount)?, &amount.currency, key, options).await?
        }
        Command::Increment(Following { original, amount, .. }) => {
            payment.start_increment(minor(amount)?, original, key, options).await?
        }
        Command::Complete(Following { original, amount, .. }) => {
            payment.start_completion(minor(amount)?, original, key, options).await?
        }
        Command::Cancel { original, .. } => payment.start_cancellation(original, key, options).await?,
        Command::Balance { .. } => payment.start_balance_inquiry(key, options).await?,
        Command::Cash { amount, .. } => {
            payment.record_cash(minor(amount)?, &amount.currency, key, options).await?
        }
        _ => payment.start_settlement(key, options).await?,
    })
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
    let mut chooser = Chooser::default();
    chooser.ask(&transaction.applications().await?);
    let mut shown = shown::show(&transaction.shown_code().await?, "");
    loop {
        tokio::select! {
            biased;
            Some(step) = steps.next() => {
                let step = step.args()?;
                let tries = get::<u32>(step.details(), "tries_left");
                output::progress(&in_words(step.state(), step.progress(), tries));
                let code = get::<&str>(step.details(), "code").unwrap_or_default();
                shown = shown::show(code, &shown);
                if *step.progress() == "choose-application" {
                    chooser.ask(&transaction.applications().await?);
                }
            }
            end = ends.next() => return match end {
                Some(_) => Ok(()),
                None => Err(gone(key)),
            },
            index = chooser.chosen() => {
                if let Err(error) = transaction.choose_application(index).await {
                    output::note(&Error::from(error).to_string());
                }
            }
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

/// `tries` is how often the card still takes a PIN, where it told.
fn in_words(state: &str, progress: &str, tries: Option<u32>) -> String {
    let words = match progress {
        "pin" if tries == Some(1) => "the customer types the PIN: this is the last try",
        "approval" => "over a limit: a supervisor has to approve it",
        "insert-card" => "insert the card, or swipe one that has no chip",
        "use-chip" => "this card has a chip: insert it",
        "swipe-card" => "the chip does not work: swipe the card",
        "swipe-again" => "the stripe could not be read: swipe the card again",
        "choose-application" => "the customer chooses an application of the card",
        "key-card" => "key the card's number, expiry date (MMYY) and security code at the PIN pad",
        "reading" => "reading the card",
        "pin" | "pin-digits" => "the customer types the PIN",
        "host" => "asking the host",
        "gateway" => "asking the QR gateway",
        "customer" => "the customer confirms the payment",
        "show-code" => "the customer scans the code",
        "upload" => "uploading the batch",
        "remove-card" => "take the card out",
        "" => state,
        other => other,
    };
    format!("  {words}")
}

fn gone(key: &str) -> Error {
    Error::Refused(format!(
        "the bus went away; the transaction goes on or is reversed: `posctl show {key}` tells"
    ))
}

/// Success only for what was approved.
fn exit_code(result: &Dictionary) -> ExitCode {
    match get::<&str>(result, "outcome") {
        Some("approved") => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
