//! The life of a daemon, the same for all: `main` calls [`run`] and says only what is its own.

use std::env;
use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use sd_notify::NotifyState;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::bus::Buses;
use crate::config;
use crate::grants::Shared;
use crate::guard::{Guard, Guards};
use crate::logging;
use crate::memory;

/// What a daemon that was asked to stop may take to end its work: a host's answer is worth waiting for. systemd kills it later
/// than this (`TimeoutStopSec`).
const STOP_LIMIT: Duration = Duration::from_secs(80);

/// Which daemon this is.
#[derive(Debug, Clone, Copy)]
pub struct Daemon {
    /// The program's name, `smartpos-paymentd`.
    pub program: &'static str,
    /// Its name on both buses, `org.smartpos.Payment`.
    pub bus_name: &'static str,
    /// The name of its configuration, `paymentd` for `paymentd.toml`.
    pub config: &'static str,
    /// One line that says what it does.
    pub about: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Whether card data or keys pass through its memory in the clear: then nobody but root may look at it.
    pub holds_secrets: bool,
}

/// What a daemon finds when it starts.
#[derive(Debug)]
pub struct Context {
    /// Connections to both buses.
    pub buses: Buses,
    /// The guards in front of what it serves.
    pub guards: Guards,
    /// The folders of configuration, lowest layer first.
    pub config_folders: Vec<PathBuf>,
    /// The daemon's own folder for what must outlive it (`STATE_DIRECTORY`).
    pub state: PathBuf,
    /// The folder of credentials that the service manager hands in (`CREDENTIALS_DIRECTORY`).
    pub credentials: PathBuf,
    /// Turns true when the daemon is asked to stop.
    pub stop: watch::Receiver<bool>,
}

/// Runs a daemon until it is asked to stop (SIGTERM, SIGINT), its work ends, or a bus goes away.
///
/// `start` gets everything ready and serves it on the buses; the future that it returns is the daemon's work. The names are
/// taken, and readiness is told, after `start` has returned.
pub fn run<C, F, W>(daemon: &Daemon, start: F) -> ExitCode
where
    C: DeserializeOwned,
    F: AsyncFnOnce(Context, C) -> Result<W, String>,
    W: Future<Output = Result<(), String>>,
{
    match arguments(daemon) {
        Arguments::Run => {}
        Arguments::Print(text) => return print(&text),
        Arguments::Check => {
            return match check::<C>(daemon) {
                Ok(text) => print(&text),
                Err(problem) => complain(&problem, ExitCode::FAILURE),
            };
        }
        Arguments::Wrong(text) => return complain(&text, ExitCode::from(2)),
    }
    logging::init();
    if let Err(error) = memory::close(daemon.holds_secrets) {
        return failed(daemon, &format!("its memory can't be kept out of core dumps: {error}"));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(daemon, &format!("no runtime: {error}")),
    };
    match runtime.block_on(live(daemon, start)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => failed(daemon, &problem),
    }
}

async fn live<C, F, W>(daemon: &Daemon, start: F) -> Result<(), String>
where
    C: DeserializeOwned,
    F: AsyncFnOnce(Context, C) -> Result<W, String>,
    W: Future<Output = Result<(), String>>,
{
    let (stop, stopped) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| format!("no signals: {error}"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| format!("no signals: {error}"))?;
    let config_folders = config::folders();
    let shared: Shared = config::load("smartpos", &config_folders).map_err(|error| error.to_string())?;
    shared.check()?;
    let own: C = config::load(daemon.config, &config_folders).map_err(|error| error.to_string())?;
    if let Some(development) = &shared.development {
        log::warn!(
            "development: uid {} stands for the operator and for {}",
            development.uid,
            development.app
        );
    }
    let buses = Buses::connect(&shared.bus).await?;
    let guards = Guard::pair(&buses, shared);
    let state = folder("STATE_DIRECTORY", &format!("/var/lib/smartpos/{}", daemon.config));
    let credentials = folder("CREDENTIALS_DIRECTORY", "/etc/smartpos/credentials");
    let context = Context { buses: buses.clone(), guards, config_folders, state, credentials, stop: stopped };
    let work = start(context, own).await?;
    buses.request_name(daemon.bus_name).await?;
    notify(&[NotifyState::Ready]);
    log::info!("{} {} is ready", daemon.program, daemon.version);

    let mut work = std::pin::pin!(work);
    tokio::select! {
        result = &mut work => return result.and(Err("its work ended by itself".to_string())),
        () = buses.system.closed() => return Err("the system bus went away".to_string()),
        () = buses.app.closed() => return Err("the app bus went away".to_string()),
        () = watchdog() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    notify(&[NotifyState::Stopping]);
    log::info!("{} stops", daemon.program);
    let _ = stop.send(true);
    match tokio::time::timeout(STOP_LIMIT, work).await {
        Ok(result) => result,
        Err(_) => Err(format!("did not end its work within {} s", STOP_LIMIT.as_secs())),
    }
}

/// Tells the service manager that this runtime still turns, at half of the interval that it asked for.
async fn watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut ticks = tokio::time::interval(limit / 2);
    loop {
        ticks.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("the service manager can't be told {states:?}: {error}");
    }
}

fn folder(variable: &str, default: &str) -> PathBuf {
    env::var_os(variable).map_or_else(|| PathBuf::from(default), PathBuf::from)
}

fn failed(daemon: &Daemon, problem: &str) -> ExitCode {
    log::error!("{} ends: {problem}", daemon.program);
    ExitCode::FAILURE
}

enum Arguments {
    Run,
    Check,
    Print(String),
    Wrong(String),
}

fn arguments(daemon: &Daemon) -> Arguments {
    let mut words = env::args().skip(1);
    match (words.next().as_deref(), words.next()) {
        (None, _) => Arguments::Run,
        (Some("--check-config"), None) => Arguments::Check,
        (Some("--version" | "-V"), None) => {
            Arguments::Print(format!("{} {}", daemon.program, daemon.version))
        }
        (Some("--help" | "-h"), None) => Arguments::Print(help(daemon)),
        (Some(word), _) => {
            Arguments::Wrong(format!("`{word}` is not understood; try {} --help", daemon.program))
        }
    }
}

fn help(daemon: &Daemon) -> String {
    format!(
        "{program}: {about}\n\n\
         The service manager starts it; it is {bus_name} on the system bus and on the app bus.\n\
         Configuration: {config}.toml and smartpos.toml in /usr/lib/smartpos, /etc/smartpos and /run/smartpos,\n\
         each with drop-ins in NAME.toml.d/; SMARTPOS_CONFIG_PATH replaces the folders.\n\n\
         \x20 --check-config  read the configuration, say what is wrong with it, and end\n\
         \x20 --version       print the version\n\
         \x20 --help          print this",
        program = daemon.program,
        about = daemon.about,
        bus_name = daemon.bus_name,
        config = daemon.config
    )
}

fn check<C: DeserializeOwned>(daemon: &Daemon) -> Result<String, String> {
    let folders = config::folders();
    config::load::<Shared>("smartpos", &folders).map_err(|error| error.to_string())?.check()?;
    config::load::<C>(daemon.config, &folders).map_err(|error| error.to_string())?;
    Ok("the configuration is in order".to_string())
}

fn print(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: &str, code: ExitCode) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{text}");
    code
}
