//! One case: a service, a fault, and what has to hold afterwards.
//!
//! The terminal is asked for a service; the fault strikes; the terminal is started again where it ended, and left to
//! settle. Then the same request with the same key must give one transaction with one outcome, the one that was told
//! before if any was, the terminal's journal and the host's ledger must agree, and the journal's chain must be whole.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use sim_terminal::Part;
use smartpos_tests::{Bench, Shop, check_chain};
use tokio::time::{interval, timeout};

use crate::clock::{self, Jump, Steps};
use crate::power::Disk;
use crate::service::Service;
use crate::supervisor::Supervisor;
use crate::tracer::{Injection, Point, Trace, Tracer};

/// Nothing of a case takes longer, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: this run shows where faults can strike.
    None,
    /// The daemon is killed; the kernel keeps what it wrote.
    Kill(Point),
    /// The power goes; the number varies what the disk keeps of what was not synced.
    Power(Point, u64),
    /// The disk is full from here on, until the terminal has been asked.
    Full(Point),
    /// The disk fails once.
    Broken(Point),
    /// The clock jumps.
    Clock(Jump),
    /// The host, or the line to it, misbehaves; each rule is for one message.
    Host(String),
    /// The QR gateway, the line to it, or its customer misbehaves.
    Gateway(String),
}

/// A service and a fault. Its text names it, for `--case`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) service: Service,
    pub(crate) fault: Fault,
}

/// What a case that holds came to.
#[derive(Debug)]
pub(crate) struct Report {
    /// The final outcome of the transaction.
    pub(crate) outcome: String,
    /// Whether the fault struck: a run may end before it gets to the point.
    pub(crate) struck: bool,
    /// What the daemon did, for the run that shows where faults can strike.
    pub(crate) points: Vec<Point>,
    /// How many steps the app was told of.
    pub(crate) steps: usize,
}

impl Fault {
    /// The group of the fault, for the table.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Fault::None => "none",
            Fault::Kill(_) => "kill",
            Fault::Power(..) => "power",
            Fault::Full(_) => "full",
            Fault::Broken(_) => "broken",
            Fault::Clock(_) => "clock",
            Fault::Host(_) => "host",
            Fault::Gateway(_) => "gateway",
        }
    }

    fn injection(&self) -> Option<(&Point, Injection)> {
        match self {
            Fault::None | Fault::Clock(_) | Fault::Host(_) | Fault::Gateway(_) => None,
            Fault::Kill(point) | Fault::Power(point, _) => Some((point, Injection::Kill)),
            Fault::Full(point) => Some((point, Injection::NoSpace)),
            Fault::Broken(point) => Some((point, Injection::Broken)),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, fault) = (self.service, self.fault.name());
        match &self.fault {
            Fault::None => write!(f, "{service}/{fault}"),
            Fault::Kill(point) | Fault::Full(point) | Fault::Broken(point) => {
                write!(f, "{service}/{fault}/{point}")
            }
            Fault::Power(point, seed) => write!(f, "{service}/{fault}/{point}/{seed}"),
            Fault::Clock(Jump { steps, offset }) => write!(f, "{service}/{fault}/step-{steps}/{offset}"),
            Fault::Host(rules) | Fault::Gateway(rules) => {
                write!(f, "{service}/{fault}/{}", rules.replace(' ', "-").replace(";-", "+"))
            }
        }
    }
}

/// Runs `case` on a terminal that is at rest.
pub(crate) async fn run(
    bench: &mut Bench,
    shop: &Shop,
    case: &Case,
    key: &str,
    seed: u64,
) -> Result<Report, String> {
    let service = case.service;
    let clock = bench.terminal.clock();
    clock.set("+0").map_err(|error| error.to_string())?;
    if service.is_without_host() {
        bench.terminal.kill(Part::Acquirer).await.map_err(|error| error.to_string())?;
    }
    service.prepare(shop, key).await?;
    make_ready(bench, service).await;
    let _supervisor = if service.is_supervised() { Some(Supervisor::of(bench).await?) } else { None };
    match &case.fault {
        Fault::Host(rules) => rule(bench, "host once", rules).await,
        Fault::Gateway(rules) => rule(bench, "qr", rules).await,
        _ => {}
    }
    let jump = if let Fault::Clock(jump) = case.fault { Some(jump) } else { None };
    // The QR gateway takes no message whose time is wrong.
    let needs_time = service.operation().is_some();
    let mut steps = Steps::of(shop, key, clock, jump, needs_time).await?;
    let (told, trace) = tokio::select! {
        struck = strike(bench, shop, case, key, seed) => struck?,
        lost = steps.follow() => return Err(lost),
    };
    let steps = steps.told()?;
    if service.is_without_host() {
        bench.terminal.restart(Part::Acquirer).await.map_err(|error| error.to_string())?;
    }
    bench.sim("host approve").await;
    bench.sim("qr truthful").await;
    revive(bench, shop).await?;
    let outcome = ask_until_answered(bench, shop, service, key).await?;
    if let Some(told) = told.filter(|told| *told != outcome) {
        return Err(format!("the app was told `{told}`, and afterwards it is `{outcome}`"));
    }
    settle(shop).await?;
    let disagreements = bench.terminal.disagreements().await.map_err(|error| error.to_string())?;
    if let Some(first) = disagreements.first() {
        return Err(format!("terminal and host disagree: {first}"));
    }
    let bus = bench.terminal.system_bus().await.map_err(|error| error.to_string())?;
    let operator = Shop::new(bus, "operator").await;
    check_chain(&operator.payment).await?;
    if let Some(jump) = jump {
        clock::check(&operator.payment, key, jump).await?;
    }
    if service.is_without_host() || matches!(&case.fault, Fault::Host(rules) if rules.contains("restart")) {
        // Working keys may be gone, which an answer has to say first: better to a question that moves no money than to
        // what the next case builds on.
        Service::Balance.ask(shop, &format!("{key}-keys")).await?;
    }
    let (struck, points) = match &trace {
        Some(trace) => (trace.was_struck(), trace.points()),
        None => (jump.is_none_or(|jump| jump.steps <= steps), Vec::new()),
    };
    Ok(Report { outcome, struck, points, steps })
}

/// Has a card keyed as soon as the pad asks for one, or the issuer send a script with its answer.
async fn make_ready(bench: &Bench, service: Service) {
    if service.has_script() {
        bench.sim("host issuer script right").await;
    }
    if service.is_keyed() {
        bench.sim("pin clear").await;
        bench.sim("key unionpay-credit").await;
    }
}

/// Tells the virtual hardware each of `rules`.
async fn rule(bench: &Bench, command: &str, rules: &str) {
    for rule in rules.split("; ") {
        bench.sim(&format!("{command} {rule}")).await;
    }
}

/// Asks for the service while the fault is armed. Returns the outcome, if the app was told one, and what the daemon did.
async fn strike(
    bench: &mut Bench,
    shop: &Shop,
    case: &Case,
    key: &str,
    seed: u64,
) -> Result<(Option<String>, Option<Trace>), String> {
    let injection = case.fault.injection();
    if injection.is_none() && case.fault != Fault::None {
        let told = within("the end of the transaction", case.service.ask(shop, key)).await?;
        return Ok((told.ok(), None));
    }
    let process = bench.terminal.pid(Part::Paymentd).ok_or("paymentd does not run")?;
    let mut tracer = Tracer::attach(process, &bench.folder().join("strace.log"), injection).await?;
    // After strace is there: what the daemon writes from now on, it sees.
    let disk = match case.fault {
        Fault::Power(..) => Some(Disk::remember(&bench.terminal.layout().state(Part::Paymentd))?),
        _ => None,
    };
    let told = tokio::select! {
        told = within("the end of the transaction", case.service.ask(shop, key)) => told?.ok(),
        // strace ends with the daemon.
        () = tracer.ended() => None,
    };
    let trace = tracer.detach().await?;
    if let (Some(disk), Fault::Power(_, variant), true) = (disk, &case.fault, trace.was_struck()) {
        bench.terminal.kill(Part::Paymentd).await.map_err(|error| error.to_string())?;
        disk.cut(&trace, seed.wrapping_add(*variant))?;
    }
    Ok((told, Some(trace)))
}

/// Starts paymentd again whenever it has ended, as its service manager would, until it is at rest.
async fn revive(bench: &mut Bench, shop: &Shop) -> Result<(), String> {
    within("the terminal to be there and to settle", async {
        let mut ticks = interval(Duration::from_millis(10));
        // A daemon that gives up still answers in its last moments.
        while !is_ready(shop).await {
            if !bench.terminal.pid(Part::Paymentd).is_some_and(runs) {
                // It has ended: this only takes note of it.
                let _ = bench.terminal.kill(Part::Paymentd).await;
                bench.terminal.restart(Part::Paymentd).await.map_err(|error| error.to_string())?;
            }
            ticks.tick().await;
        }
        Ok(())
    })
    .await?
}

/// Whether no transaction runs and the host has acknowledged all reversals, advices and results of scripts.
async fn is_ready(shop: &Shop) -> bool {
    shop.payment.state().await.is_ok_and(|state| state == "ready")
        && shop.payment.stored_sales().await == Ok(0)
        && shop.payment.untold_scripts().await == Ok(0)
}

/// Asks for the service, and again where the daemon ended over it: a fault may come to its notice late.
async fn ask_until_answered(
    bench: &mut Bench,
    shop: &Shop,
    service: Service,
    key: &str,
) -> Result<String, String> {
    let process = bench.terminal.pid(Part::Paymentd);
    make_ready(bench, service).await;
    let answered = tokio::select! {
        answered = within("the end of the transaction", service.ask(shop, key)) => answered?,
        () = ended(process) => Err("paymentd has ended".to_owned()),
    };
    match answered {
        Err(_) if gives_up(process).await => {
            revive(bench, shop).await?;
            make_ready(bench, service).await;
            within("the end of the transaction", service.ask(shop, key)).await?
        }
        answered => answered,
    }
}

/// Returns when a process has ended.
async fn ended(process: Option<u32>) {
    let mut ticks = interval(Duration::from_millis(10));
    while process.is_some_and(runs) {
        ticks.tick().await;
    }
}

/// Whether a process that failed to answer is about to end.
async fn gives_up(process: Option<u32>) -> bool {
    timeout(Duration::from_secs(5), ended(process)).await.is_ok()
}

/// Waits until the terminal is at rest.
async fn settle(shop: &Shop) -> Result<(), String> {
    within("the terminal to settle", async {
        let mut ticks = interval(Duration::from_millis(10));
        while !is_ready(shop).await {
            ticks.tick().await;
        }
    })
    .await
}

/// Whether a process is there and not only waiting to be buried.
fn runs(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().next())
        .is_some_and(|state| state != "Z")
}

pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> Result<T, String> {
    timeout(LIMIT, work).await.map_err(|_| format!("waited for {what} for {} s", LIMIT.as_secs()))
}
