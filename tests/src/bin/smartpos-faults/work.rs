//! Runs cases on several terminals side by side.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use sim_terminal::{Builder, Part};
use smartpos_tests::{Bench, Shop, allow_offline};

use crate::case::{self, Case, Report};

/// Cases that one terminal runs before a new one takes its place: comparing whole ledgers takes longer with each.
const CASES_OF_A_TERMINAL: usize = 40;

/// Hosts answer at once, or the sale is in doubt: this is how long a case waits to know.
const CONFIG: &str = "[host]\nanswer_timeout_ms = 600\n\n[gateway]\nanswer_timeout_ms = 600\n\
                      customer_limit_ms = 1000\nquery_interval_ms = 50\nretry_s = [0]\n\n\
                      [limits.sale]\ntransaction = 4999\nover_limit = \"supervisor\"\n\n[approval]\ntimeout_s = 2\n\n[moto]\nenabled = true\n\n\
                      [offline]\ncount = 99\nsum = 1000000\n";

/// The shipped dialect, which lets an unacknowledged reversal rest for seconds and minutes.
const PROFILE: &str = include_str!("../../../../config/hosts/unionpay-direct.toml");

/// A case that was run.
pub(crate) struct Done {
    pub(crate) case: Case,
    pub(crate) result: Result<Report, String>,
}

/// Runs all `cases` with `jobs` terminals.
pub(crate) fn run(cases: Vec<Case>, seed: u64, jobs: usize) -> Vec<Done> {
    let total = cases.len();
    let queue = Mutex::new(cases.into_iter().collect::<VecDeque<Case>>());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(total) {
            scope.spawn(|| worker(&queue, &done, seed, total));
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A thread of its own, which outlives the terminals that it starts.
fn worker(queue: &Mutex<VecDeque<Case>>, done: &Mutex<Vec<Done>>, seed: u64, total: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        loop {
            let bench = match impatient_terminal(&[]).await {
                Ok(bench) => bench,
                Err(error) => return eprintln!("no terminal: {error}"),
            };
            if !serve(bench, queue, done, seed, total).await {
                return;
            }
        }
    });
}

/// A terminal that repeats a reversal soon and sells little things offline, with further drop-ins.
pub(crate) async fn impatient_terminal(drop_ins: &[(&str, &str)]) -> Result<Bench, String> {
    let mut bench =
        Bench::start_as(&[&[("paymentd", CONFIG)], drop_ins].concat(), Builder::movable_clock).await;
    let hosts = bench.folder().join("config/hosts");
    let retries = "reversal_retry_s = [0, 5, 15, 30, 60, 300]";
    if !PROFILE.contains(retries) {
        return Err(format!("the profile no longer says `{retries}`"));
    }
    let profile = PROFILE.replace(retries, "reversal_retry_s = [0]");
    std::fs::create_dir_all(&hosts).map_err(|error| error.to_string())?;
    std::fs::write(hosts.join("unionpay-direct.toml"), profile).map_err(|error| error.to_string())?;
    bench.terminal.restart(Part::Paymentd).await.map_err(|error| error.to_string())?;
    // What the card approves by itself is less than any other amount here.
    allow_offline(&mut bench, &[("floor_limit = 0", "floor_limit = 301")]).await;
    Ok(bench)
}

/// Runs cases on one terminal, until it is worn out or a case failed; whether there are more.
async fn serve(
    mut bench: Bench,
    queue: &Mutex<VecDeque<Case>>,
    done: &Mutex<Vec<Done>>,
    seed: u64,
    total: usize,
) -> bool {
    bench.sim("card insert approves-offline").await;
    let shop: Shop = bench.shop().await;
    for number in 0..CASES_OF_A_TERMINAL {
        let Some(case) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else {
            return false;
        };
        let mut result = case::run(&mut bench, &shop, &case, &format!("case-{number}"), seed).await;
        if let Err(problem) = &mut result {
            problem.push_str(&format!("\n{}", bench.logs()));
        }
        let failed = result.is_err();
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done.push(Done { case, result });
        if done.len().is_multiple_of(100) {
            println!("{} of {total}", done.len());
        }
        drop(done);
        if failed {
            // What went wrong must not be blamed on the next case.
            break;
        }
    }
    true
}
