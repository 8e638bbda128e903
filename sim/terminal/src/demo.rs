//! `demo`: one sale by card and PIN through everything, and proof that terminal and host agree on it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use client::payment::{PaymentProxy, TransactionProxy};
use client::{Dictionary, get};
use futures_util::StreamExt;
use sim_terminal::Terminal;
use tokio::time::{sleep, timeout};

use crate::{Outcome, lock};

const CARD: &str = "unionpay-debit-pin";
const PIN: &str = "123456";
/// In minor units: ¥12.34.
const AMOUNT: u64 = 1234;
/// The host has to answer, and the printer to print, within this.
const LIMIT: Duration = Duration::from_secs(60);

/// Sells once on a new terminal below `folder`; succeeds only if the sale is approved and both ledgers agree.
pub(crate) async fn demo(folder: &Path) -> Outcome {
    let clock = Clock::start();
    let _lock = lock::take(&folder.join("demo.lock"))?
        .map_err(|pid| format!("a demo is running here already (process {pid})"))?;
    let root = folder.join("demo");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    let terminal = Terminal::builder(&root).start().await?;
    clock.say("two buses, the virtual hardware and the daemons run");

    terminal.simctl(&["card", "insert", CARD]).await?;
    clock.say(&format!("the card {CARD} is in the slot"));
    terminal.simctl(&["pin", PIN]).await?;
    clock.say("the customer will type the PIN when the PIN pad asks");

    let (outcome, result) =
        timeout(LIMIT, sell(&terminal, &clock)).await.map_err(|_| "the sale did not end")??;
    let receipt =
        timeout(LIMIT, receipt(&terminal)).await.map_err(|_| "no receipt came out of the printer")??;
    clock.say("the receipt is printed");
    println!("\n{}", fs::read_to_string(receipt.with_extension("txt"))?.trim_end());
    println!("\nThe same paper as an image: {}\n", receipt.display());

    let disagreements = terminal.disagreements().await?;
    println!("The terminal's journal: {}", in_words(&outcome, &result));
    println!("The host's ledger:\n{}", terminal.simctl(&["ledger"]).await?.text.trim_end());
    for disagreement in &disagreements {
        println!("They disagree: {disagreement}");
    }
    terminal.stop().await?;
    if outcome != "approved" || !disagreements.is_empty() {
        return Err(format!("the demo failed; logs and records are in {}", root.display()).into());
    }
    clock.say("terminal and host agree; everything has ended cleanly");
    Ok(ExitCode::SUCCESS)
}

/// Sells as an app would, and tells each step; returns the outcome and all that is known of the transaction.
async fn sell(
    terminal: &Terminal,
    clock: &Clock,
) -> Result<(String, Dictionary), Box<dyn std::error::Error>> {
    let bus = terminal.app_bus().await?;
    let payment = client::proxy::<PaymentProxy>(&bus).await?;
    let path = payment.start_sale(AMOUNT, "CNY", "demo-1", HashMap::new()).await?;
    clock.say(&format!("the app has started a sale of ¥12.34: {}", path.as_str()));
    let transaction = client::proxy_at::<TransactionProxy>(&bus, path).await?;
    let mut steps = transaction.receive_state_changed().await?;
    let mut ends = transaction.receive_completed().await?;
    // It may have ended before we listened.
    if transaction.state().await? != "final" {
        loop {
            tokio::select! {
                biased;
                Some(step) = steps.next() => {
                    let step = step.args()?;
                    clock.say(&format!("{}: {}", step.state(), step.progress()));
                }
                Some(_) = ends.next() => break,
                else => return Err("the bus went away".into()),
            }
        }
    }
    let result = transaction.get_result().await?;
    let outcome = get::<&str>(&result, "outcome").unwrap_or_default().to_owned();
    clock.say(&format!("the sale has ended: {outcome}"));
    Ok((outcome, result))
}

fn in_words(outcome: &str, result: &Dictionary) -> String {
    let known = ["stan", "masked_pan", "approval", "reference", "response_code", "reason"];
    let known = known.iter().filter_map(|key| Some(format!("{key} {}", get::<&str>(result, key)?)));
    std::iter::once(outcome.to_owned()).chain(known).collect::<Vec<_>>().join(", ")
}

/// The image of the first receipt, as soon as it is cut off.
async fn receipt(terminal: &Terminal) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let image = terminal.layout().paper().join("receipt-0001.png");
    let text = image.with_extension("txt");
    while !(image.exists() && text.exists()) {
        sleep(Duration::from_millis(20)).await;
    }
    Ok(image)
}

/// Says what happens, with the time since the start.
struct Clock(Instant);

impl Clock {
    fn start() -> Clock {
        Clock(Instant::now())
    }

    fn say(&self, what: &str) {
        println!("{:7.3} s  {what}", self.0.elapsed().as_secs_f64());
    }
}
