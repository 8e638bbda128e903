//! The process: the disk between its NBD socket and its control socket.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::path::Path;

use sim_control::Reply;
use tokio::net::UnixListener;

use crate::control;
use crate::disk::Disk;
use crate::options::Options;
use crate::session;

/// Serves until a socket fails. Prints `ready` once both are open.
///
/// # Errors
/// What failed.
pub async fn run(options: &Options) -> io::Result<()> {
    let disk = RefCell::new(Disk::open(&options.image)?);
    let listener = listen(&options.socket)?;
    let control = sim_control::serve(&options.control, "disk", async |words: Vec<String>| -> Reply {
        control::command(&mut disk.borrow_mut(), &words)
    });
    let ready = async {
        // The control socket is bound when its future is first polled, which `join` does before this one.
        writeln!(io::stdout(), "ready")?;
        io::stdout().flush()
    };
    tokio::try_join!(control, ready, machines(&listener, &disk)).map(drop)
}

/// One machine after the other: the next one that connects has power again.
async fn machines(listener: &UnixListener, disk: &RefCell<Disk>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        disk.borrow_mut().power_on();
        match session::serve(stream, disk).await {
            // It was switched off, or killed.
            Err(error) if error.kind() != io::ErrorKind::InvalidData => {}
            Err(error) => writeln!(io::stderr(), "smartpos-sim-disk: {error}")?,
            Ok(()) => {}
        }
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(path),
    }
}
