//! The line: one stream to a host.

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::time::Duration;

use link::{Incoming, Module, Pairing, Protection};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use crate::device::Device;

/// Serves `device` over `stream` until the stream ends. `changed` tells that the device was handled by hand. With a `pairing` the
/// line is protected.
///
/// # Errors
/// What the stream said.
pub async fn serve<S>(
    mut stream: S,
    device: &RefCell<Device>,
    changed: &Notify,
    pairing: Option<&Pairing>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let started = Instant::now();
    let mut boot = device.borrow().boot();
    let mut line = end(boot, pairing)?;
    device.borrow_mut().opened();
    let mut buffer = Zeroizing::new([0_u8; 1024]);
    loop {
        if device.borrow().boot() != boot {
            boot = device.borrow().boot();
            line = end(boot, pairing)?;
        }
        let now = started.elapsed();
        for event in device.borrow_mut().poll(now) {
            line.report(event, now);
        }
        line.tick(now);
        while let Some(bytes) = line.output() {
            stream.write_all(&bytes).await?;
        }
        device.borrow_mut().restart();
        if device.borrow().boot() != boot {
            continue;
        }
        let deadline = earliest(line.deadline(), device.borrow().deadline());
        tokio::select! {
            count = stream.read(&mut *buffer) => match count? {
                0 => return Ok(()),
                count => take(&mut line, device, buffer.get(..count).unwrap_or_default(), started.elapsed()),
            },
            () = changed.notified() => {}
            () = until(deadline.map(|deadline| started + deadline)) => {}
        }
    }
}

/// Our end of the line after the start `boot`.
fn end(boot: u32, pairing: Option<&Pairing>) -> io::Result<Module> {
    let Some(pairing) = pairing else { return Ok(Module::new(boot)) };
    let mut entropy = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *entropy).map_err(io::Error::other)?;
    Ok(Module::protected(boot, Protection::new(pairing.clone(), entropy)))
}

fn take(line: &mut Module, device: &RefCell<Device>, bytes: &[u8], now: Duration) {
    for incoming in line.receive(bytes, now) {
        match incoming {
            Incoming::Opened => device.borrow_mut().opened(),
            Incoming::Request(request) => {
                let response = device.borrow_mut().handle(request, now);
                line.respond(&response);
            }
        }
    }
}

fn earliest(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
