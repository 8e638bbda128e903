//! How the parts of the virtual terminal are driven while they run.
//!
//! Each part listens on a Unix socket of its own in the control folder (`SMARTPOS_SIM_DIR`). A request is
//! one line of JSON, an array of words as typed on a command line; the reply is one line, a [`Reply`].
//! The parts know their own commands: `simctl` only carries the words to the part that owns the first one.

pub mod lines;
pub mod rules;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// The longest request or reply, in bytes.
const MAX_LINE: u64 = 4 << 20;

/// The parts of the virtual terminal, each with the first words of the commands that it answers.
pub const PARTS: &[(&str, &[&str])] = &[
    ("module", &["card", "pin", "key", "component", "module"]),
    ("reader", &["reader"]),
    ("printer", &["paper", "printer"]),
    ("acquirer", &["host", "ledger"]),
    ("gateway", &["qr"]),
    ("disk", &["disk"]),
];

/// What a part answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Whether the command was carried out.
    pub ok: bool,
    /// For a person: what happened, or why it did not.
    pub text: String,
    /// For a program: the same as data; null where there is none.
    #[serde(default)]
    pub data: serde_json::Value,
}

impl Reply {
    /// A command that was carried out.
    pub fn ok(text: impl Into<String>) -> Reply {
        Reply { ok: true, text: text.into(), data: serde_json::Value::Null }
    }

    /// A command that was not: say what to do instead.
    pub fn refused(text: impl Into<String>) -> Reply {
        Reply { ok: false, text: text.into(), data: serde_json::Value::Null }
    }

    /// The same reply with data for a program.
    #[must_use]
    pub fn with_data(mut self, data: serde_json::Value) -> Reply {
        self.data = data;
        self
    }
}

/// The control socket of a part below `dir`.
#[must_use]
pub fn socket(dir: &Path, part: &str) -> PathBuf {
    dir.join(format!("{part}.ctl"))
}

/// The part that answers a command that begins with `word`.
#[must_use]
pub fn part_for(word: &str) -> Option<&'static str> {
    PARTS.iter().find(|(_, words)| words.contains(&word)).map(|(part, _)| *part)
}

/// Serves the control socket of `part` below `dir` for ever, calling `handler` with the words of each request.
///
/// # Errors
/// When the socket cannot be made. A client that misbehaves costs only its own connection.
pub async fn serve<F>(dir: &Path, part: &str, handler: F) -> io::Result<()>
where
    F: AsyncFn(Vec<String>) -> Reply,
{
    let path = socket(dir, part);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    loop {
        let (stream, _) = listener.accept().await?;
        // One request at a time: commands take effect in the order in which they are given.
        let _ = answer(stream, &handler).await;
    }
}

async fn answer<F>(stream: UnixStream, handler: &F) -> io::Result<()>
where
    F: AsyncFn(Vec<String>) -> Reply,
{
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    (&mut stream).take(MAX_LINE).read_line(&mut line).await?;
    let reply = match serde_json::from_str::<Vec<String>>(&line) {
        Ok(words) if !words.is_empty() => handler(words).await,
        Ok(_) => Reply::refused("an empty command; try `simctl help`"),
        Err(error) => Reply::refused(format!("a request is a JSON array of words: {error}")),
    };
    let mut bytes = serde_json::to_vec(&reply)?;
    bytes.push(b'\n');
    stream.get_mut().write_all(&bytes).await
}

/// Sends one command, `words`, to the part below `dir` that answers it.
///
/// # Errors
/// `InvalidInput` for a command that no part answers; otherwise what the socket said.
pub async fn send(dir: &Path, words: &[&str]) -> io::Result<Reply> {
    let first = words.first().copied().unwrap_or_default();
    let part = part_for(first).ok_or_else(|| {
        let known: Vec<&str> = PARTS.iter().flat_map(|(_, words)| words.iter().copied()).collect();
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("no command `{first}`; commands begin with {}", known.join(", ")),
        )
    })?;
    let path = socket(dir, part);
    let stream = UnixStream::connect(&path).await.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("the virtual {part} does not answer at {}: {error}", path.display()),
        )
    })?;
    let mut stream = BufReader::new(stream);
    let mut bytes = serde_json::to_vec(words)?;
    bytes.push(b'\n');
    stream.get_mut().write_all(&bytes).await?;
    let mut line = String::new();
    stream.take(MAX_LINE).read_line(&mut line).await?;
    Ok(serde_json::from_str(&line)?)
}
