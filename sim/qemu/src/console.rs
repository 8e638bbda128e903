//! `console`: the shell on the machine's serial console.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};

use crate::error::{Error, Result};
use crate::machine::console_socket;

/// Ctrl-], as telnet has it.
const ESCAPE: u8 = 0x1D;

/// Joins our terminal to the console whose socket is below `control`, until Ctrl-] or the machine's end.
pub(crate) fn join(control: &Path) -> Result {
    let socket = console_socket(control);
    let failed = |error: io::Error| Error::file(&socket)(error);
    let mut to = UnixStream::connect(&socket).map_err(|_| Error::NotRunning)?;
    let mut from = to.try_clone().map_err(failed)?;
    println!("Ctrl-] leaves; Enter shows the prompt.");
    let _raw = Raw::begin();
    thread::spawn(move || {
        // A console that is gone ends the copy below.
        let _ = send_keys(&mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let mut screen = io::stdout();
    let mut bytes = [0; 4096];
    loop {
        match from.read(&mut bytes).map_err(failed)? {
            0 => return Ok(()),
            length => {
                let shown = screen.write_all(bytes.get(..length).unwrap_or_default());
                shown.and_then(|()| screen.flush()).map_err(failed)?;
            }
        }
    }
}

fn send_keys(to: &mut UnixStream) -> io::Result<()> {
    let mut key = [0];
    while io::stdin().read(&mut key)? > 0 && key != [ESCAPE] {
        to.write_all(&key)?;
    }
    Ok(())
}

/// Keys go to the guest as they are typed; the old setting comes back when this is dropped.
struct Raw(Option<Termios>);

impl Raw {
    fn begin() -> Raw {
        let keyboard = io::stdin();
        let Some(before) = isatty(&keyboard).then(|| tcgetattr(&keyboard).ok()).flatten() else {
            return Raw(None);
        };
        let mut raw = before.clone();
        raw.make_raw();
        let _ = tcsetattr(&keyboard, OptionalActions::Now, &raw);
        Raw(Some(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
