//! Faults at a system call of a daemon, by `strace`: it stops the daemon there, and does what it is told.
//!
//! strace sees the production binary from outside: there is nothing of the tests in it.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// What of the daemon's calls can change the journal, or tell the host something.
const TRACED: &str = "pwrite64,fsync,fdatasync,ftruncate,writev,sendto";

/// strace needs a moment to stop each thread.
const ATTACH_LIMIT: Duration = Duration::from_secs(20);

/// How long strace is given to end by itself.
const DETACH_LIMIT: Duration = Duration::from_secs(1);

/// A system call of a run: the `number`th of its name in its thread.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Point {
    pub(crate) call: String,
    pub(crate) number: u32,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.call, self.number)
    }
}

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Injection {
    /// The process is killed before the call is carried out.
    Kill,
    /// The call fails, and so does each one after it, as on a disk that is full.
    NoSpace,
    /// The call fails this once, as on a disk that is dying.
    Broken,
}

/// strace, at work on a daemon. It lets go of it when this is dropped.
pub(crate) struct Tracer {
    strace: Child,
    log: PathBuf,
}

impl Tracer {
    /// Attaches to `process` and writes what it does to `log`; `fault` is what happens at which call.
    pub(crate) async fn attach(
        process: u32,
        log: &Path,
        fault: Option<(&Point, Injection)>,
    ) -> Result<Tracer, String> {
        let failed = |what: String| format!("strace: {what}");
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-xx", "-s", "70000", "-e", &format!("trace={TRACED}")]);
        if let Some((Point { call, number }, injection)) = fault {
            let what = match injection {
                Injection::Kill => format!("signal=KILL:when={number}"),
                Injection::NoSpace => format!("error=ENOSPC:when={number}+"),
                Injection::Broken => format!("error=EIO:when={number}"),
            };
            command.args(["-e", &format!("inject={call}:{what}")]);
        }
        command.arg("-o").arg(log).arg("-p").arg(process.to_string());
        File::create(log).map_err(|error| failed(format!("{}: {error}", log.display())))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut strace = command.spawn().map_err(|error| failed(error.to_string()))?;
        let said = strace.stderr.take().ok_or("strace has no stderr")?;
        let mut lines = BufReader::new(said).lines();
        let first = timeout(ATTACH_LIMIT, lines.next_line()).await;
        match first {
            Ok(Ok(Some(line))) if line.contains("attached") => {}
            other => return Err(failed(format!("it did not attach to {process}: {other:?}"))),
        }
        // Whatever else it says is read, so that it never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Tracer { strace, log: log.to_owned() })
    }

    /// Returns when the daemon has ended, and strace with it.
    pub(crate) async fn ended(&mut self) {
        // An error means that it has ended before.
        let _ = self.strace.wait().await;
    }

    /// Lets go of the daemon and returns what it did.
    pub(crate) async fn detach(mut self) -> Result<Trace, String> {
        if let Some(pid) = self.strace.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            // It fails only for a strace that has ended with its daemon.
            let _ = kill_process(pid, Signal::INT);
        }
        if timeout(DETACH_LIMIT, self.strace.wait()).await.is_err() {
            // It sometimes misses the end of a daemon that it killed; the kernel lets go of the rest.
            self.strace.kill().await.map_err(|error| format!("strace: {error}"))?;
        }
        let text =
            fs::read_to_string(&self.log).map_err(|error| format!("{}: {error}", self.log.display()))?;
        Ok(Trace { text })
    }
}

/// What a daemon did while it was looked at.
pub(crate) struct Trace {
    text: String,
}

/// One call that matters to a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Bytes at an offset.
    Write { file: PathBuf, offset: usize, bytes: Vec<u8> },
    /// All earlier writes of this file are on the disk.
    Sync { file: PathBuf },
}

impl Trace {
    /// Whether the fault came to pass.
    pub(crate) fn was_struck(&self) -> bool {
        self.text.contains("(INJECTED)") || self.text.contains("killed by SIGKILL")
    }

    /// Every point of the run, in order.
    pub(crate) fn points(&self) -> Vec<Point> {
        let mut counts = std::collections::HashMap::new();
        let calls = self.text.lines().filter_map(started);
        calls
            .map(|(thread, call, _)| {
                let number = counts.entry((thread, call)).or_insert(0);
                *number += 1;
                Point { call: call.to_owned(), number: *number }
            })
            .collect()
    }

    /// What was written and made durable below `folder`, in order.
    pub(crate) fn calls(&self, folder: &Path) -> Vec<Call> {
        let calls = self.text.lines().filter_map(started);
        let in_folder = calls.filter_map(|(_, call, rest)| {
            let (file, after) = rest.split_once('<')?.1.split_once('>')?;
            let file = PathBuf::from(unescape(file).and_then(|bytes| String::from_utf8(bytes).ok())?);
            file.starts_with(folder).then_some(())?;
            match call {
                "fsync" | "fdatasync" => Some(Call::Sync { file }),
                "pwrite64" => {
                    let (bytes, after) = after.split_once('"')?.1.split_once('"')?;
                    let offset = after.trim_start_matches(", ").split([',', ')', ' ']).nth(2)?;
                    Some(Call::Write { file, offset: offset.parse().ok()?, bytes: unescape(bytes)? })
                }
                _ => None,
            }
        });
        in_folder.collect()
    }
}

/// Thread, name and what follows, of a line that begins a call.
fn started(line: &str) -> Option<(&str, &str, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (call, rest) = rest.trim_start().split_once('(')?;
    TRACED.split(',').any(|traced| traced == call).then_some((thread, call, rest))
}

/// Reads strace's `\x2f\x74…`.
fn unescape(text: &str) -> Option<Vec<u8>> {
    text.split("\\x").skip(1).map(|digits| u8::from_str_radix(digits, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"6190  pwrite64(14<\x2f\x73\x2f\x6a>, "\x61\x62", 2, 24 <unfinished ...>
6188  writev(20<\x73\x6f\x63>, [{iov_base="\x17", iov_len=1}], 1) = 1
6190  <... pwrite64 resumed>) = 2
6190  fsync(14<\x2f\x73\x2f\x6a>) = ?
6190  +++ killed by SIGKILL +++
"#;

    #[test]
    fn a_run_is_read_call_by_call() {
        let trace = Trace { text: LOG.to_owned() };
        let points: Vec<String> = trace.points().iter().map(Point::to_string).collect();
        assert_eq!(points, ["pwrite64-1", "writev-1", "fsync-1"]);
        let file = PathBuf::from("/s/j");
        let write = Call::Write { file: file.clone(), offset: 24, bytes: b"ab".to_vec() };
        assert_eq!(trace.calls(Path::new("/s")), [write, Call::Sync { file }]);
    }
}
