//! `posctl approve` and `posctl deny`: what is over a limit waits for a supervisor.

use std::process::ExitCode;

use client::payment::{PaymentProxy, TransactionProxy};
use zbus::Connection;

use crate::Outcome;

/// Approves the transaction that was started with `key`.
pub(crate) async fn approve(bus: &Connection, key: &str) -> Outcome {
    find(bus, key).await?.approve().await?;
    Ok(ExitCode::SUCCESS)
}

/// Denies it, for `reason`.
pub(crate) async fn deny(bus: &Connection, key: &str, reason: &str) -> Outcome {
    find(bus, key).await?.deny(reason).await?;
    Ok(ExitCode::SUCCESS)
}

async fn find(bus: &Connection, key: &str) -> zbus::Result<TransactionProxy<'static>> {
    let path = client::proxy::<PaymentProxy>(bus).await?.get_transaction(key).await?;
    client::proxy_at(bus, path).await
}
