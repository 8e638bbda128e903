//! Commands in the guest, by the agent on a virtio-serial port (`board/usr/lib/smartpos-board/agent`).

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::error::{Error, Result};

/// The longest output of a command or content of a file, in bytes.
const MAX_OUTPUT: u64 = 16 << 20;

/// How long a command may take; every instruction of the guest is emulated.
const LIMIT: Duration = Duration::from_secs(120);

/// The connection to the guest's agent.
#[derive(Debug)]
pub(crate) struct Agent {
    stream: BufReader<UnixStream>,
    number: u64,
}

/// What became of a command in the guest.
#[derive(Debug)]
pub(crate) struct Done {
    /// The shell's exit status.
    pub(crate) status: i32,
    /// What it said, stdout and stderr.
    pub(crate) output: String,
}

impl Agent {
    /// Connects to the port whose host end is `socket`. The guest may still be booting: it reads what waits for it.
    pub(crate) async fn connect(socket: &Path) -> Result<Agent> {
        let stream = UnixStream::connect(socket).await.map_err(Error::file(socket))?;
        Ok(Agent { stream: BufReader::new(stream), number: 0 })
    }

    /// Runs a shell command as root.
    ///
    /// # Errors
    /// When the agent does not answer within two minutes; not when the command fails.
    pub(crate) async fn run(&mut self, command: &str) -> Result<Done> {
        self.run_within(LIMIT, command).await
    }

    /// The output of a shell command that has to succeed.
    pub(crate) async fn output(&mut self, command: &str) -> Result<String> {
        let Done { status, output } = self.run(command).await?;
        if status == 0 {
            return Ok(output.trim_end().to_owned());
        }
        Err(Error::Guest { command: command.to_owned(), status, output })
    }

    /// [`run`](Agent::run) with a limit of its own.
    pub(crate) async fn run_within(&mut self, limit: Duration, command: &str) -> Result<Done> {
        let (status, output) = self.exchange_within(limit, command).await?;
        Ok(Done { status, output: String::from_utf8_lossy(&output).into_owned() })
    }

    /// What a file holds.
    pub(crate) async fn file(&mut self, path: &str) -> Result<Vec<u8>> {
        let command = format!("cat {path}");
        match self.exchange_within(LIMIT, &command).await? {
            (0, content) => Ok(content),
            (status, output) => {
                let output = String::from_utf8_lossy(&output).into_owned();
                Err(Error::Guest { command, status, output })
            }
        }
    }

    async fn exchange_within(&mut self, limit: Duration, command: &str) -> Result<(i32, Vec<u8>)> {
        timeout(limit, self.exchange(command))
            .await
            .map_err(|_| Error::Agent(format!("`{command}` was not answered within {} s", limit.as_secs())))?
    }

    async fn exchange(&mut self, command: &str) -> Result<(i32, Vec<u8>)> {
        let broken = |error: std::io::Error| match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => gone(),
            _ => Error::Agent(error.to_string()),
        };
        self.number += 1;
        let request = format!("{} {}\n{command}", self.number, command.len());
        self.stream.get_mut().write_all(request.as_bytes()).await.map_err(broken)?;
        let (status, length) = loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await.map_err(broken)? == 0 {
                return Err(gone());
            }
            // A command that took too long answers late.
            if let Some(header) = header(&line, self.number) {
                break header;
            }
        };
        if length > MAX_OUTPUT {
            return Err(Error::Agent(format!("`{command}` said {length} bytes, more than {MAX_OUTPUT}")));
        }
        let mut output = Vec::new();
        (&mut self.stream).take(length).read_to_end(&mut output).await.map_err(broken)?;
        Ok((status, output))
    }
}

fn gone() -> Error {
    Error::Agent("the machine has ended".to_owned())
}

/// Reads `NUMBER STATUS LENGTH`.
fn header(line: &str, number: u64) -> Option<(i32, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [first, status, length] = words.as_slice() else { return None };
    (first.parse() == Ok(number)).then_some(())?;
    Some((status.parse().ok()?, length.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_comes_late_is_not_taken_for_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let mut agent = Agent::connect(&socket).await.unwrap();
        let (mut guest, _) = listener.accept().await.unwrap();
        guest.write_all(b"0 0 4\nold\n1 7 4\nnew\n").await.unwrap();
        let done = agent.run("anything").await.unwrap();
        assert_eq!((done.status, done.output.as_str()), (7, "new\n"));
    }
}
