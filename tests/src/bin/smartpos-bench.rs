//! `cargo xtask bench`: what the running daemons cost, each beside its baseline in the same run.
//!
//! Prints a table with the measured value, the baseline and the target, and fails if a target is missed.

#![allow(clippy::expect_used, clippy::panic, reason = "a measurement ends at the first surprise")]

use std::collections::HashMap;
use std::fs;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use sim_terminal::Part;
use smartpos_tests::{Bench, Shop, until};
use zbus::{Connection, OwnedVariant, connection, interface};

const CALLS: usize = 4000;
const SALES: u32 = 50;
/// What the kernel counts processor time in (`getconf CLK_TCK`, the same on every Linux).
const TICK: Duration = Duration::from_millis(10);
const ECHO: &str = "org.smartpos.bench.Echo";

struct Echo;

/// The baseline: a service that does nothing, on the same bus, with the same library.
#[interface(name = "org.smartpos.bench.Echo1")]
impl Echo {
    #[zbus(property(emits_changed_signal = "const"))]
    async fn state(&self) -> &str {
        "ready"
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if let Some(address) = std::env::args().skip_while(|word| word != "--echo").nth(1) {
        return serve_echo(&address).await;
    }
    pin_to_one_cpu();
    let mut bench = Bench::start().await;
    let mut table = Table::default();
    idle(&bench, &mut table).await;
    bus(&bench, &mut table).await;
    sales(&bench, &mut table).await;
    after_sales(&bench, &table);
    start(&mut bench, &mut table).await;
    table.end()
}

/// Everything that is measured runs on one CPU: where the scheduler puts a process would else decide more than its code.
fn pin_to_one_cpu() {
    let mut cpus = rustix::thread::CpuSet::new();
    cpus.set(0);
    rustix::thread::sched_setaffinity(None, &cpus).expect("this process may choose its CPU");
}

async fn serve_echo(address: &str) -> ExitCode {
    let built = connection::Builder::address(address).name(ECHO).serve_at("/echo", Echo).build().await;
    let _connection = built.expect("the echo is served");
    std::future::pending().await
}

/// One row for each thing that was measured.
#[derive(Default)]
struct Table {
    missed: u32,
}

impl Table {
    fn row(&mut self, what: &str, value: f64, unit: &str, baseline: &str, target: f64) {
        let verdict = if value <= target { "ok" } else { "MISSED" };
        self.missed += u32::from(value > target);
        println!("{what:<52} {value:>9.2} {unit:<4} {baseline:<24} at most {target:>5} {unit:<4} {verdict}");
    }

    fn note(&self, what: &str, value: &str) {
        println!("{what:<52} {value}");
    }

    fn end(self) -> ExitCode {
        println!("bench: {} of the targets missed", self.missed);
        if self.missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// A process that ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Property reads of ours over those of the echo, calls taking turns.
async fn bus(bench: &Bench, table: &mut Table) {
    let address = bench.terminal.app_bus_address();
    let program = std::env::current_exe().expect("this program's path");
    let child = Command::new(program).arg("--echo").arg(&address).stdin(Stdio::null()).spawn();
    let _echo = Running(child.expect("the echo starts"));
    let shop = bench.shop().await;
    bench.sim("card insert unionpay-credit").await;
    shop.sell(1, "bus").await;
    let transaction = shop.path("bus");
    until("the echo", async || read(&shop.bus, ECHO, "/echo", "org.smartpos.bench.Echo1", "State").await)
        .await;
    for (what, service, path, interface, property) in [
        ("Payment1.State", "org.smartpos.Payment", "/org/smartpos/Payment", "org.smartpos.Payment1", "State"),
        (
            "Transaction1.State",
            "org.smartpos.Payment",
            transaction.as_str(),
            "org.smartpos.Transaction1",
            "State",
        ),
        ("Card1.ModuleState", "org.smartpos.Card", "/org/smartpos/Card", "org.smartpos.Card1", "ModuleState"),
        ("Printer1.State", "org.smartpos.Printer", "/org/smartpos/Printer", "org.smartpos.Printer1", "State"),
    ] {
        let (mut ours, mut echo) = (Vec::new(), Vec::new());
        for _ in 0..CALLS {
            ours.push(timed(read(&shop.bus, service, path, interface, property)).await);
            echo.push(timed(read(&shop.bus, ECHO, "/echo", "org.smartpos.bench.Echo1", "State")).await);
        }
        let (ours, echo) = (median(ours), median(echo));
        let baseline = format!("{ours:.1} against echo {echo:.1}");
        table.row(&format!("D-Bus read of {what}, p50 over an echo"), ours - echo, "µs", &baseline, 20.0);
    }
}

async fn read(bus: &Connection, service: &str, path: &str, interface: &str, property: &str) -> bool {
    let body = (interface, property);
    let reply =
        bus.call_method(Some(service), path, Some("org.freedesktop.DBus.Properties"), "Get", &body).await;
    reply.is_ok_and(|reply| reply.body().deserialize::<OwnedVariant>().is_ok())
}

async fn timed(work: impl Future<Output = bool>) -> f64 {
    let began = Instant::now();
    assert!(work.await, "a property could not be read");
    began.elapsed().as_secs_f64() * 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Whole sales against hardware and a host that answer at once.
async fn sales(bench: &Bench, table: &mut Table) {
    let shop = bench.shop().await;
    bench.sim("card remove").await;
    bench.sim("card insert unionpay-debit-pin").await;
    let before: Vec<Duration> = Part::DAEMONS.map(|part| cpu_time(bench, part)).to_vec();
    let began = Instant::now();
    for number in 0..SALES {
        sell(bench, &shop, number).await;
    }
    let wall = began.elapsed() / SALES;
    let mut sum = Duration::ZERO;
    for (part, before) in Part::DAEMONS.into_iter().zip(before) {
        let used = (cpu_time(bench, part) - before) / SALES;
        table.note(&format!("  {part}, user + system for a sale"), &format!("{:.2} ms", milliseconds(used)));
        sum += used;
    }
    let wall_text = format!("wall {:.1} ms", milliseconds(wall));
    table.row("a sale: computing of all our daemons", milliseconds(sum), "ms", &wall_text, 15.0);
    table.note("  fsyncs of paymentd for a sale", &fsyncs(bench, &shop).await);
    let fsync = one_fsync(bench);
    table.note("  one fsync on this disk, for comparison", &format!("{:.2} ms", milliseconds(fsync)));
}

async fn sell(bench: &Bench, shop: &Shop, number: u32) {
    bench.sim("pin 123456").await;
    let (outcome, result) = shop.sell(1, &format!("bench-{number}")).await;
    assert_eq!(outcome, "approved", "{result:?}");
}

/// Counts with strace, where it is installed and may attach.
async fn fsyncs(bench: &Bench, shop: &Shop) -> String {
    let pid = bench.terminal.pid(Part::Paymentd).expect("paymentd runs").to_string();
    let file = bench.folder().join("strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-o"]).arg(&file).args(["-p", &pid]);
    let Ok(child) = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn() else {
        return "not counted: strace is not installed".to_string();
    };
    let running = Running(child);
    let traced = format!("/proc/{pid}/status");
    let attached = until("strace to attach", async || {
        fs::read_to_string(&traced).is_ok_and(|status| !status.contains("TracerPid:\t0"))
    });
    if tokio::time::timeout(Duration::from_secs(5), attached).await.is_err() {
        return "not counted: strace may not attach".to_string();
    }
    sell(bench, shop, 9999).await;
    // A receipt that was handed over is the last commit; it stands before the sale's end is told.
    drop(running);
    let calls = fs::read_to_string(&file).unwrap_or_default();
    calls.lines().filter(|line| line.contains("sync(") && !line.contains("unfinished")).count().to_string()
}

fn one_fsync(bench: &Bench) -> Duration {
    let path = bench.folder().join("fsync");
    let began = Instant::now();
    for _ in 0..20 {
        fs::write(&path, [0; 4096]).expect("a file");
        fs::File::open(&path).and_then(|file| file.sync_data()).expect("a sync");
    }
    began.elapsed() / 20
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// User and system time of a process, ended threads included.
fn cpu_time(bench: &Bench, part: Part) -> Duration {
    let pid = bench.terminal.pid(part).expect("it runs");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("its stat");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok());
    TICK * ticks.sum()
}

/// Memory and wake-ups of daemons that nobody asks anything.
async fn idle(bench: &Bench, table: &mut Table) {
    // Threads that only wait for more work end by themselves after ten seconds.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let before: HashMap<&str, u64> =
        Part::DAEMONS.iter().map(|part| (part.name(), switches(bench, *part))).collect();
    tokio::time::sleep(Duration::from_secs(60)).await;
    for part in Part::DAEMONS {
        let woken = switches(bench, part) - before.get(part.name()).copied().unwrap_or_default();
        table.row(
            &format!("{part}, idle: wake-ups in a minute"),
            f64::from(u32::try_from(woken).unwrap_or(u32::MAX)),
            "",
            "",
            0.0,
        );
        let what = format!("{part}, idle: private resident memory");
        let Some((private, dirty, resident)) = memory(bench, part) else {
            table.note(&what, "not measured: only root may look into a daemon that holds secrets");
            continue;
        };
        let others = format!("dirty {dirty:.1}, RSS {resident:.1}");
        table.row(&what, private, "MB", &others, 4.0);
    }
}

fn threads(bench: &Bench, part: Part) -> Vec<std::path::PathBuf> {
    let pid = bench.terminal.pid(part).expect("it runs");
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    tasks.filter_map(|task| task.ok().map(|task| task.path())).collect()
}

fn switches(bench: &Bench, part: Part) -> u64 {
    let of = |task: &std::path::PathBuf| {
        let status = fs::read_to_string(task.join("status")).unwrap_or_default();
        let line =
            status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).map(str::to_string);
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or_default()
    };
    threads(bench, part).iter().map(of).sum()
}

/// What a daemon keeps that has worked.
fn after_sales(bench: &Bench, table: &Table) {
    for part in Part::DAEMONS {
        if let Some((private, dirty, resident)) = memory(bench, part) {
            let text = format!("{private:.2} MB, dirty {dirty:.1}, RSS {resident:.1}");
            table.note(&format!("  {part} after all that: private memory"), &text);
        }
    }
}

/// Private, private dirty and resident memory in MB; private counts the pages of its program that no other process has mapped.
fn memory(bench: &Bench, part: Part) -> Option<(f64, f64, f64)> {
    let pid = bench.terminal.pid(part).expect("it runs");
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let field = |name: &str| {
        let line = rollup.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|number| number.parse::<f64>().ok()).unwrap_or_default()
            / 1024.0
    };
    let dirty = field("Private_Dirty:");
    Some((field("Private_Clean:") + dirty, dirty, field("Rss:")))
}

/// From exec to readiness, with a journal and a spool that exist.
async fn start(bench: &mut Bench, table: &mut Table) {
    for part in Part::DAEMONS {
        let mut times = Vec::new();
        for _ in 0..5 {
            bench.terminal.kill(part).await.expect("it runs");
            let began = Instant::now();
            bench.terminal.restart(part).await.expect("it starts");
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        table.row(&format!("{part}: from exec to ready"), median(times), "ms", "", 15.0);
    }
}
