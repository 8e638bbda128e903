//! `up` and `down`: a terminal that stays when the shell goes on.
//!
//! `up` starts this program again as `serve`, in a session of its own, and waits until it says that it is ready.
//! `serve` does what systemd does on a real terminal: a daemon that dies is started again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sim_terminal::{ClientKey, Part, Terminal};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::Outcome;
use crate::lock::{self, Lock};

/// The command by which `up` starts itself again.
pub(crate) const SERVE: &str = "serve";

/// What `serve` prints when all parts run.
const READY: &str = "ready\n";
/// Daemons may take 20 s each to end their work.
const DOWN_LIMIT: Duration = Duration::from_secs(90);
/// The pause before a daemon is started again, as in its unit.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// Where the TLS key is to be, by the options of `up`; none if they are not understood.
pub(crate) fn client_key(options: &[&str]) -> Option<ClientKey> {
    match options {
        [] => Some(ClientKey::File),
        ["--module-key"] => Some(ClientKey::SecureModule),
        _ => None,
    }
}

/// Starts a terminal below `folder` and leaves it running.
pub(crate) async fn up(folder: &Path, options: &[&str]) -> Outcome {
    fs::create_dir_all(folder)?;
    let log = folder.join("terminal.log");
    let mut child = Command::new(std::env::current_exe()?)
        .args([SERVE.as_ref(), folder.as_os_str()])
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::options().create(true).append(true).open(&log)?)
        .spawn()?;
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut said).await?;
    }
    if said != READY {
        return Err(format!("{}\n{} may say more", said.trim_end(), log.display()).into());
    }
    println!("{}", how_to_go_on(folder));
    Ok(ExitCode::SUCCESS)
}

fn how_to_go_on(folder: &Path) -> String {
    format!(
        "A virtual terminal is running. To use it from this shell:\n\n\
         \x20 . {folder}/terminal.env\n\
         \x20 simctl card insert unionpay-debit-pin\n\
         \x20 simctl pin 123456\n\
         \x20 posctl sale 12.34\n\
         \x20 simctl paper text\n\
         \x20 simctl ledger\n\
         \x20 busctl --address=\"$SMARTPOS_APP_BUS_ADDRESS\" introspect org.smartpos.Payment /org/smartpos/Payment\n\n\
         `simctl help` lists what the virtual hardware can do. Logs and records are in {folder}/terminal.\n\
         `cargo xtask down` ends it.",
        folder = folder.display()
    )
}

/// Runs a terminal below `folder` until SIGTERM. Until it is ready, what goes wrong is told on stdout, to `up`.
pub(crate) async fn serve(folder: &Path, options: &[&str]) -> Outcome {
    // A process that was just forked leads no group, so this works; Ctrl-C in the shell is not for us any more.
    rustix::process::setsid()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let env_file = folder.join("terminal.env");
    let (mut terminal, _lock) = match start(folder, &env_file, client_key(options).unwrap_or_default()).await
    {
        Ok(started) => started,
        Err(error) => {
            println!("{error}");
            return Ok(ExitCode::FAILURE);
        }
    };
    print!("{READY}");
    io::stdout().flush()?;
    // `up` reads until our stdout is closed.
    rustix::stdio::dup2_stdout(File::open("/dev/null")?)?;
    let outcome = tokio::select! {
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
        error = keep_alive(&mut terminal) => Err(error),
    };
    fs::remove_file(&env_file)?;
    terminal.stop().await?;
    outcome
}

async fn start(
    folder: &Path,
    env_file: &Path,
    client_key: ClientKey,
) -> Result<(Terminal, Lock), Box<dyn std::error::Error>> {
    let lock = lock::take(&folder.join("terminal.lock"))?
        .map_err(|pid| format!("a terminal is running here already (process {pid}); end it with `down`"))?;
    let terminal = Terminal::builder(folder.join("terminal")).client_key(client_key).start().await?;
    fs::write(env_file, variables(&terminal)?)?;
    Ok((terminal, lock))
}

/// Starts daemons and virtual hardware again when they end; returns when that can't be done.
async fn keep_alive(terminal: &mut Terminal) -> Box<dyn std::error::Error> {
    loop {
        let part = terminal.next_end().await;
        if matches!(part, Part::SystemBus | Part::AppBus) {
            return format!("the {part} ended, and nothing works without it").into();
        }
        eprintln!("{part} ended; it is started again");
        sleep(RESTART_PAUSE).await;
        if let Err(error) = terminal.restart(part).await {
            return error.into();
        }
    }
}

/// Lines for a shell to read with `.`.
fn variables(terminal: &Terminal) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    for (name, value) in terminal.environment() {
        text.push_str(&format!("export {name}={value}\n"));
    }
    let programs =
        std::env::current_exe()?.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
    text.push_str(&format!("export PATH='{programs}':\"$PATH\"\n"));
    Ok(text)
}

/// Ends the terminal below `folder`.
pub(crate) async fn down(folder: &Path) -> Outcome {
    let path = folder.join("terminal.lock");
    let Err(holder) = lock::take(&path)? else {
        println!("No terminal is running here.");
        return Ok(ExitCode::SUCCESS);
    };
    let pid = holder.trim().parse().ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| format!("{} holds no process id but `{holder}`", path.display()))?;
    kill_process(pid, Signal::TERM)?;
    let gone = async {
        while lock::take(&path)?.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        io::Result::Ok(())
    };
    timeout(DOWN_LIMIT, gone)
        .await
        .map_err(|_| format!("process {pid} does not end", pid = pid.as_raw_nonzero()))??;
    println!("The terminal has ended; its records are in {}/terminal.", folder.display());
    Ok(ExitCode::SUCCESS)
}
