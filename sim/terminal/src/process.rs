//! One process of the virtual terminal: started, waited for until it is ready, ended.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixDatagram;
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock;
use crate::error::{Error, Result};
use crate::part::Part;

/// A part that needs longer than this to get ready is broken.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// A daemon gives itself 20 s to end its work.
const STOP_LIMIT: Duration = Duration::from_secs(25);
/// How much of a log an error shows.
const LAST_LINES: usize = 20;

/// How to start a part, as often as needed.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) part: Part,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) readiness: Readiness,
    pub(crate) log: PathBuf,
}

/// How a program says that it is ready.
#[derive(Debug, Clone)]
pub(crate) enum Readiness {
    /// By its first line on stdout.
    FirstLine,
    /// By `READY=1` on the socket of its service manager, which is us, at this path.
    Notify(PathBuf),
}

/// A part that runs. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    program: Program,
    child: Child,
    /// Also when it has ended.
    number: Option<u32>,
    notices: Option<JoinHandle<()>>,
}

impl Program {
    /// Starts the program and waits until it is ready.
    pub(crate) async fn start(self) -> Result<Process> {
        if self.path.is_absolute() && !self.path.is_file() {
            return Err(Error::NoProgram(self.path));
        }
        let socket = match &self.readiness {
            Readiness::FirstLine => None,
            Readiness::Notify(path) => Some(bind_anew(path)?),
        };
        let log =
            File::options().create(true).append(true).open(&self.log).map_err(Error::file(&self.log))?;
        let mut child =
            self.command(log).spawn().map_err(|source| Error::NotStarted { part: self.part, source })?;
        let number = child.id();
        let ready = timeout(READY_LIMIT, async {
            match (&socket, child.stdout.take()) {
                (Some(socket), _) => tokio::select! {
                    said = read_until_ready(socket) => said,
                    _ = child.wait() => false,
                },
                (None, Some(stdout)) => reads_a_line(stdout).await,
                (None, None) => false,
            }
        });
        match ready.await {
            Ok(true) => {}
            Ok(false) => {
                let _ = child.start_kill();
                let status =
                    child.wait().await.map_err(|source| Error::NotStarted { part: self.part, source })?;
                return Err(Error::Ended { part: self.part, status, log: self.last_words() });
            }
            Err(_) => {
                let seconds = READY_LIMIT.as_secs();
                return Err(Error::NotReady { part: self.part, seconds, log: self.last_words() });
            }
        }
        let notices = socket.map(|socket| tokio::spawn(drain(socket)));
        Ok(Process { program: self, number, child, notices })
    }

    /// The program below `setpriv`, so that the kernel ends it when the thread that started it ends, however it does.
    fn command(&self, log: File) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.path).args(&self.arguments);
        command.env_clear();
        for name in ["PATH", "TZ", "SMARTPOS_LOG", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.environment.iter().cloned());
        let stdout = match &self.readiness {
            Readiness::FirstLine => Stdio::piped(),
            Readiness::Notify(path) => {
                command.env("NOTIFY_SOCKET", path);
                Stdio::null()
            }
        };
        command.stdin(Stdio::null()).stdout(stdout).stderr(log).kill_on_drop(true);
        // Ctrl-C is for us: we decide the order in which things end.
        command.process_group(0);
        command
    }

    fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n")
    }
}

impl Process {
    /// The number of the process.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Changes what the program is given when it is started again.
    pub(crate) fn set_arguments(&mut self, arguments: Vec<OsString>) {
        self.program.arguments = arguments;
    }

    /// Returns when the process has ended by itself.
    pub(crate) async fn ended(&mut self) -> Option<ExitStatus> {
        self.child.wait().await.ok()
    }

    /// SIGKILL; returns when the process is gone, with what starts it again.
    pub(crate) async fn kill(mut self) -> Program {
        // It fails only for a process that has ended already.
        let _ = self.child.kill().await;
        self.program.clone()
    }

    /// SIGTERM; returns when the process is gone, with what starts it again.
    ///
    /// # Errors
    /// When a daemon does not end in time, or not with success. It is gone all the same.
    pub(crate) async fn stop(mut self) -> Result<Program> {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let how = match timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(Ok(status)) if status.success() || !self.program.part.is_daemon() => {
                return Ok(self.program.clone());
            }
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("still there after {} s", STOP_LIMIT.as_secs()),
        };
        let _ = self.child.kill().await;
        Err(Error::NotStopped { part: self.program.part, how, log: self.program.last_words() })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(notices) = &self.notices {
            notices.abort();
        }
        self.number.into_iter().for_each(clock::tidy);
    }
}

fn bind_anew(path: &Path) -> Result<UnixDatagram> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::file(path)(error)),
        _ => {}
    }
    UnixDatagram::bind(path).map_err(Error::file(path))
}

async fn read_until_ready(socket: &UnixDatagram) -> bool {
    let mut notice = [0; 4096];
    loop {
        let Ok(length) = socket.recv(&mut notice).await else { return false };
        let notice = notice.get(..length).unwrap_or_default();
        if notice.split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
            return true;
        }
    }
}

/// A service manager that does not read its notices would block who sends them.
async fn drain(socket: UnixDatagram) {
    let mut notice = [0; 4096];
    while socket.recv(&mut notice).await.is_ok() {}
}

async fn reads_a_line(stdout: ChildStdout) -> bool {
    let mut line = String::new();
    matches!(BufReader::new(stdout).read_line(&mut line).await, Ok(length) if length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(folder: &Path, part: Part, script: &str) -> Program {
        let readiness = match part {
            Part::Cardd => Readiness::Notify(folder.join("notify")),
            _ => Readiness::FirstLine,
        };
        Program {
            part,
            path: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            readiness,
            log: folder.join("log"),
        }
    }

    #[tokio::test]
    async fn a_part_that_ends_early_is_reported_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        for part in [Part::Cardd, Part::Module] {
            let error = shell(folder.path(), part, "echo no such key >&2; exit 3").start().await.unwrap_err();
            let text = error.to_string();
            assert!(text.contains("no such key") && text.contains("exit status: 3"), "{text}");
        }
    }

    /// A daemon that says that it is ready, and ends with `status` when it is asked to.
    fn daemon(folder: &Path, status: u8) -> Program {
        let script = format!(
            r#"
import os, signal, socket
signal.signal(signal.SIGTERM, lambda *_: os._exit({status}))
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.sendto(b"STATUS=soon\nREADY=1", os.environ["NOTIFY_SOCKET"])
while True:
    signal.pause()
"#
        );
        let path = "/usr/bin/python3".into();
        Program { path, arguments: vec!["-c".into(), script.into()], ..shell(folder, Part::Cardd, "") }
    }

    #[tokio::test]
    async fn a_daemon_is_ready_when_it_says_so_to_its_service_manager() {
        let folder = tempfile::tempdir().unwrap();
        let again = daemon(folder.path(), 0).start().await.unwrap().stop().await.unwrap();
        again.start().await.unwrap().kill().await;
    }

    #[tokio::test]
    async fn a_daemon_that_does_not_stop_cleanly_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let process = daemon(folder.path(), 4).start().await.unwrap();
        assert!(process.stop().await.unwrap_err().to_string().contains("exit status: 4"));
    }

    #[tokio::test]
    async fn a_program_that_was_not_built_is_named_with_what_builds_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = shell(folder.path(), Part::Cardd, "");
        program.path = folder.path().join("smartpos-cardd");
        assert!(program.start().await.unwrap_err().to_string().contains("cargo build"));
    }
}
