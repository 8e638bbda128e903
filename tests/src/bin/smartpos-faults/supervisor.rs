//! The supervisor, who is asked about what is over a limit. The amount says what the answer is.

use std::time::Duration;

use client::get;
use client::payment::TransactionProxy;
use smartpos_tests::{Bench, Shop, option, text};
use tokio::task::JoinHandle;
use tokio::time::interval;

/// An amount, in minor units, that is over the limit and that they approve.
pub(crate) const APPROVED: u64 = 5000;
/// One that they deny.
pub(crate) const DENIED: u64 = 5001;
/// One that nobody answers for.
pub(crate) const UNANSWERED: u64 = 5002;

/// A supervisor at work; dropped, they go home.
pub(crate) struct Supervisor(JoinHandle<()>);

impl Supervisor {
    /// One who looks after the terminal.
    pub(crate) async fn of(bench: &Bench) -> Result<Supervisor, String> {
        let bus = bench.terminal.system_bus().await.map_err(|error| error.to_string())?;
        let operator = Shop::new(bus, "operator").await;
        Ok(Supervisor(tokio::spawn(async move {
            let mut ticks = interval(Duration::from_millis(10));
            loop {
                ticks.tick().await;
                // A daemon that is away has nobody waiting.
                let _ = decide(&operator).await;
            }
        })))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn decide(operator: &Shop) -> zbus::Result<()> {
    let (waiting, _) = operator.payment.list_transactions(option("state", "approval"), "", 1).await?;
    let Some(sale) = waiting.first() else { return Ok(()) };
    let path = operator.payment.get_transaction(text(sale, "key")).await?;
    let proxy = client::proxy_at::<TransactionProxy>(&operator.bus, path).await?;
    match get::<u64>(sale, "amount") {
        Some(APPROVED) => proxy.approve().await,
        Some(DENIED) => proxy.deny("").await,
        _ => Ok(()),
    }
}
