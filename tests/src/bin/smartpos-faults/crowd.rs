//! `cargo xtask faults crowd`: eight apps at one terminal, all at the same time, while its daemons die.
//!
//! Each has a connection of its own, and as root a user of its own, so that the terminal knows eight apps; without root they
//! are eight processes of one. They ask for sales, ask again, tap twice, change their minds and vanish; what is asked when comes
//! from the seed. Afterwards nothing may be there twice, nothing that was promised may be missing, and both sides agree.

mod app;
mod check;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::getuid;
use sim_terminal::{APP, Part};
use smartpos_tests::Bench;

use crate::dice::Dice;
use crate::work::impatient_terminal;
use app::App;

const APPS: u32 = 8;
/// The user of the first app; each further one has the next. dbus-daemon lets in only who is in the system's list of
/// users, and Debian's has these: `daemon`, `bin` … `mail`.
const FIRST_UID: u32 = 1;
/// What the host, or the line to it, does to one sale now and then.
const RULES: [&str; 5] = ["silent", "drop before", "drop after", "late 900ms", "decline 51"];

/// How often each thing happened.
pub(crate) type Counts = BTreeMap<&'static str, u32>;

/// Lets the apps make `requests` requests in all, and checks what is left; what happened, in words.
pub(crate) fn run(seed: u64, requests: u32) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut bench = impatient_terminal(&[("smartpos", &grants())]).await?;
        let result = crowd(&mut bench, seed, requests).await;
        result.map_err(|problem| format!("{problem}\n{}", bench.logs()))
    })
}

async fn crowd(bench: &mut Bench, seed: u64, requests: u32) -> Result<String, String> {
    bench.sim("card insert unionpay-credit").await;
    let socket = bench.terminal.layout().socket(Part::AppBus);
    if let (true, Some(folder)) = (getuid().is_root(), socket.parent()) {
        // Others than root come to the socket.
        let passable = Permissions::from_mode(0o711);
        set_permissions(folder, passable).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut apps = Vec::new();
    for number in 0..APPS {
        let (owner, uid) = identity(number);
        apps.push(App::new(number, owner, uid, &socket, seed).await?);
    }
    let over = Cell::new(false);
    let busy = async {
        let done = join_all(apps.iter_mut().map(|app| app.ask(requests / APPS))).await;
        over.set(true);
        done.into_iter().collect::<Result<Vec<()>, String>>()
    };
    let (done, strikes) = tokio::join!(busy, mischief(bench, &over, seed));
    done?;
    // A rule that no sale came for is not for the check.
    bench.sim("host approve").await;
    let mut counts = check::all(bench, &mut apps).await?;
    counts.insert("daemons killed", strikes?);
    for app in &apps {
        for (what, count) in &app.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    check::happened(&counts, requests)?;
    let kinds = if identity(0).1.is_some() { "apps" } else { "processes of one app (not run as root)" };
    let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    Ok(format!("{APPS} {kinds}: {}", counts.join(", ")))
}

/// Kills daemons, each started again at once, and has the host misbehave, until the apps are done.
async fn mischief(bench: &mut Bench, over: &Cell<bool>, seed: u64) -> Result<u32, String> {
    let mut dice = Dice(seed);
    let mut killed = 0;
    while !over.get() {
        tokio::time::sleep(Duration::from_millis(200 + dice.below(1000))).await;
        if dice.below(3) == 0 {
            if let Some(rule) = dice.pick(&RULES) {
                bench.sim(&format!("host once {rule}")).await;
            }
            continue;
        }
        // Most is at stake in the first one.
        let parts = [Part::Paymentd, Part::Paymentd, Part::Cardd, Part::Printerd];
        let Some(&part) = dice.pick(&parts) else { continue };
        bench.terminal.kill(part).await.map_err(|error| error.to_string())?;
        bench.terminal.restart(part).await.map_err(|error| error.to_string())?;
        killed += 1;
    }
    Ok(killed)
}

/// Who the app `number` is, and as which user. Only root can be others.
fn identity(number: u32) -> (String, Option<u32>) {
    match getuid().is_root() {
        true => (format!("dev.example.crowd{number}"), Some(FIRST_UID + number)),
        false => (APP.to_owned(), None),
    }
}

/// What the terminal is told of the apps.
fn grants() -> String {
    let granted = (0..APPS).filter_map(|number| {
        let (owner, uid) = identity(number);
        let uid = uid?;
        Some(format!(
            "[apps.\"{owner}\"]\nuid = {uid}\npermissions = [\"payment.start\", \"payment.read\"]\n"
        ))
    });
    granted.collect()
}
