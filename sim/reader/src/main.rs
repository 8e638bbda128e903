//! `smartpos-sim-reader`: runs the virtual card behind QEMU's USB reader.

use std::cell::RefCell;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use sim_cards::Drawer;
use sim_reader::{Reader, command, serve};
use tokio::net::UnixListener;
use tokio::sync::Notify;

const USAGE: &str = "usage: smartpos-sim-reader --control DIR --listen unix:PATH";

struct Arguments {
    control: PathBuf,
    /// Where QEMU connects.
    socket: PathBuf,
}

fn main() -> ExitCode {
    let arguments = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            note(&format!("{error}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    let run =
        || tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(&arguments));
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let reader = RefCell::new(Reader::new(Drawer::new(getrandom::u32()?)));
    let changed = Notify::new();
    let control = sim_control::serve(&arguments.control, "reader", async |words| {
        let reply = command(&mut reader.borrow_mut(), &words);
        changed.notify_one();
        reply
    });
    let lines = lines(&arguments.socket, &reader, &changed);
    tokio::select! {
        // The control socket is there before the line says that it is ready.
        biased;
        end = control => end?,
        end = lines => end?,
    }
    Ok(())
}

/// Serves one machine after the other.
async fn lines(socket: &PathBuf, reader: &RefCell<Reader>, changed: &Notify) -> std::io::Result<()> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    let mut out = std::io::stdout();
    writeln!(out, "ready")?;
    out.flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        if let Err(error) = serve(stream, reader, changed, note).await {
            note(&format!("the line broke: {error}"));
        }
    }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut control, mut socket) = (None, None);
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--control" => control = Some(value.into()),
            "--listen" => {
                let path = value.strip_prefix("unix:").ok_or("--listen takes unix:PATH")?;
                socket = Some(path.into());
            }
            other => return Err(format!("{other} is not a flag")),
        }
    }
    Ok(Arguments {
        control: control.ok_or("--control is missing")?,
        socket: socket.ok_or("--listen is missing")?,
    })
}

fn note(text: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "smartpos-sim-reader: {text}");
}
