//! `up` and `down`: a machine that stays when the shell goes on.
//!
//! `up` starts this program again as `serve`, in a session of its own, and passes on what that says until it closes
//! its stdout. The last line is [`READY`] when the terminal takes payments.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::error::{Error, Result};
use crate::image::Image;
use crate::lock;
use crate::machine::{Disk, Machine, Processors};
use crate::report;

/// The command by which `up` starts itself again.
pub(crate) const SERVE: &str = "serve";

const READY: &str = "ready";

/// The guest ends its daemons, then the virtual hardware ends.
const DOWN_LIMIT: Duration = Duration::from_secs(90);

/// Starts a machine below `folder` and leaves it running; false when it does not come up.
pub(crate) async fn up(folder: &Path) -> Result<bool> {
    fs::create_dir_all(folder).map_err(Error::file(folder))?;
    let ourselves = std::env::current_exe().map_err(Error::file(Path::new("our own executable")))?;
    let log = folder.join("machine.log");
    println!("A terminal boots; where every instruction is emulated, that takes half a minute.");
    let mut child = Command::new(&ourselves)
        .arg(SERVE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log).map_err(Error::file(&log))?)
        .spawn()
        .map_err(Error::file(&ourselves))?;
    let mut ready = false;
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            ready = line == READY;
            if !ready {
                println!("{line}");
            }
        }
    }
    if ready {
        println!("{}", how_to_go_on(folder));
    }
    Ok(ready)
}

fn how_to_go_on(folder: &Path) -> String {
    format!(
        "The terminal runs. From this shell, the virtual hardware:\n\n\
         \x20 . {folder}/machine.env\n\
         \x20 simctl card insert unionpay-debit-pin\n\
         \x20 simctl pin 123456\n\
         \x20 cargo xtask qemu console        # root's shell in the terminal\n\n\
         and there:\n\n\
         \x20 posctl sale 12.34\n\
         \x20 systemctl status smartpos.target 'smartpos-*'\n\n\
         Records are in {folder}. `cargo xtask qemu down` ends it; its disk is then forgotten.",
        folder = folder.display()
    )
}

/// Runs a machine below `folder` until SIGTERM. Until it is ready, what goes wrong is told on stdout, to `up`.
pub(crate) async fn serve(image: &Image, folder: &Path) -> Result {
    let terminate = signal(SignalKind::terminate()).and_then(|signal| {
        // A process that was just forked leads no group, so this works; Ctrl-C in the shell is not for us any more.
        rustix::process::setsid()?;
        Ok(signal)
    });
    let mut terminate = terminate.map_err(Error::file(Path::new("signals")))?;
    let _lock = lock::take(&lock_file(folder))?.map_err(Error::Running)?;
    if let Some(warning) = image.warning(Path::new(""))? {
        println!("{warning}");
    }
    let mut machine = tokio::select! {
        machine = Machine::start(image, folder, Disk::Forgetful, Processors::Two) => machine?,
        _ = terminate.recv() => return Ok(()),
    };
    println!("{}", report::boot(&mut machine).await?);
    let file = folder.join("machine.env");
    fs::write(&file, variables(&machine)).map_err(Error::file(&file))?;
    println!("{READY}");
    // `up` reads until our stdout is closed.
    let nowhere = Path::new("/dev/null");
    File::open(nowhere)
        .and_then(|null| Ok(rustix::stdio::dup2_stdout(null)?))
        .map_err(Error::file(nowhere))?;
    tokio::select! {
        _ = terminate.recv() => machine.stop().await,
        // Somebody typed `poweroff`.
        _ = machine.ended() => Ok(()),
    }
}

/// Lines for a shell to read with `.`.
fn variables(machine: &Machine) -> String {
    let programs = sim_terminal::programs().unwrap_or_default();
    format!(
        "export SMARTPOS_SIM_DIR='{}'\nexport PATH='{}':\"$PATH\"\n",
        machine.hardware.layout().control().display(),
        programs.display()
    )
}

/// Ends the machine below `folder`.
pub(crate) async fn down(folder: &Path) -> Result {
    let path = lock_file(folder);
    let Err(holder) = lock::take(&path)? else { return Err(Error::NotRunning) };
    let pid = holder.trim().parse().ok().and_then(Pid::from_raw).ok_or(Error::NotRunning)?;
    kill_process(pid, Signal::TERM).map_err(|error| Error::file(&path)(error.into()))?;
    let gone = async {
        while lock::take(&path)?.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
        Ok::<(), Error>(())
    };
    timeout(DOWN_LIMIT, gone).await.map_err(|_| Error::Running(holder))??;
    println!("The machine has ended.");
    Ok(())
}

fn lock_file(folder: &Path) -> PathBuf {
    folder.join("machine.lock")
}
