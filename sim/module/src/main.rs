//! `smartpos-sim-module`: runs the virtual secure module.

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;

use keys::Algorithm;
use link::Pairing;
use sim_cards::Drawer;
use sim_module::{Device, Dukpt, KeyHost, MasterKeys, Store, command, pairing, plug, pty, serve};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use zeroize::Zeroizing;

const USAGE: &str =
    "usage: smartpos-sim-module --control DIR (--listen unix:PATH | --pty LINK) --tmk FILE [--tmk-sm4 FILE]
       [--bdk FILE] [--store FILE] [--pins N] [--key-host DIR] [--pairing DIR] [--usb unix:PATH]
  --tmk, --tmk-sm4, --bdk   the keys that a factory puts into a new module
  --store FILE    keep keys and state there, sealed; left out, each start is that of a new module
  --pins N        so many PINs may be entered at once, and then one in 30 s; left out, 120
  --key-host DIR  take keys by TR-34, with the credential in DIR
  --pairing DIR   protect the line with the keys in DIR, which are made if it has none; left out, the line is open
  --usb unix:PATH be a USB device for QEMU's `usb-redir`, too; while it is plugged in there, the other line rests";

/// Where the line is.
enum Line {
    Socket(PathBuf),
    Pty(PathBuf),
}

struct Arguments {
    control: PathBuf,
    line: Line,
    tmk: PathBuf,
    tmk_sm4: Option<PathBuf>,
    /// The base derivation key.
    bdk: Option<PathBuf>,
    store: Option<PathBuf>,
    pins: Option<u32>,
    key_host: Option<PathBuf>,
    pairing: Option<PathBuf>,
    usb: Option<PathBuf>,
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
    let drawer = Drawer::new(getrandom::u32()?);
    let store = Store::new(arguments.store.clone());
    let device = Device::new(store, master_keys(arguments)?, getrandom::u32()?, drawer)?;
    let device = match arguments.pins {
        Some(pins) => device.with_pins(pins),
        None => device,
    };
    let device = Rc::new(RefCell::new(device));
    let (changed, changed_on_usb) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
    let control = sim_control::serve(&arguments.control, "module", async |words| {
        let reply = command(&device, &words, || master_keys(arguments));
        changed.notify_one();
        changed_on_usb.notify_one();
        reply
    });
    let pairing = match &arguments.pairing {
        Some(folder) => {
            pairing::ensure(folder)?;
            Some(pairing::module_end(folder)?)
        }
        None => None,
    };
    let usb = arguments.usb.as_deref().map(listen).transpose()?;
    let line = async {
        let mut line = pin!(lines(&arguments.line, &device, &changed, pairing.as_ref()));
        loop {
            let qemu = tokio::select! {
                end = &mut line => return end,
                qemu = accept(usb.as_ref()) => qemu?,
            };
            if let Err(error) = serve_usb(qemu, &device, &changed_on_usb, pairing.as_ref()).await {
                note(&format!("the USB broke: {error}"));
            }
        }
    };
    tokio::select! {
        // The control socket is there before the line says that it is ready.
        biased;
        end = control => end?,
        end = line => end?,
    }
    Ok(())
}

/// Serves the line, one stream after the other.
async fn lines(
    line: &Line,
    device: &RefCell<Device>,
    changed: &Notify,
    pairing: Option<&Pairing>,
) -> std::io::Result<()> {
    match line {
        Line::Pty(link) => {
            let pty = pty::open_at(link)?;
            say_ready()?;
            serve(pty.stream, device, changed, pairing).await
        }
        Line::Socket(path) => {
            let listener = listen(path)?;
            say_ready()?;
            loop {
                let (stream, _) = listener.accept().await?;
                if let Err(error) = serve(stream, device, changed, pairing).await {
                    note(&format!("the line broke: {error}"));
                }
            }
        }
    }
}

fn listen(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(path),
    }
}

/// A machine in whose USB the module is plugged.
async fn accept(listener: Option<&UnixListener>) -> std::io::Result<UnixStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// Serves the line over USB until the module is unplugged.
async fn serve_usb(
    qemu: UnixStream,
    device: &RefCell<Device>,
    changed: &Notify,
    pairing: Option<&Pairing>,
) -> std::io::Result<()> {
    let (near, far) = UnixStream::pair()?;
    tokio::select! {
        end = serve(near, device, changed, pairing) => end,
        end = plug(qemu, far) => end,
    }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut control, mut line, mut tmk, mut tmk_sm4, mut pairing) = (None, None, None, None, None);
    let mut pins = None;
    let (mut bdk, mut store, mut key_host, mut usb) = (None, None, None, None);
    while let Some(flag) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--control" => control = Some(value()?.into()),
            "--listen" => {
                let value = value()?;
                let path = value.strip_prefix("unix:").ok_or("--listen takes unix:PATH")?;
                line = Some(Line::Socket(path.into()));
            }
            "--usb" => {
                let value = value()?;
                usb = Some(value.strip_prefix("unix:").ok_or("--usb takes unix:PATH")?.into());
            }
            "--pty" => line = Some(Line::Pty(value()?.into())),
            "--tmk" => tmk = Some(value()?.into()),
            "--bdk" => bdk = Some(value()?.into()),
            "--pins" => pins = Some(value()?.parse().map_err(|_| "--pins takes a number")?),
            "--store" => store = Some(value()?.into()),
            "--tmk-sm4" => tmk_sm4 = Some(value()?.into()),
            "--key-host" => key_host = Some(value()?.into()),
            "--pairing" => pairing = Some(value()?.into()),
            other => return Err(format!("{other} is not a flag")),
        }
    }
    Ok(Arguments {
        control: control.ok_or("--control is missing")?,
        line: line.ok_or("--listen or --pty is missing")?,
        tmk: tmk.ok_or("--tmk is missing")?,
        tmk_sm4,
        bdk,
        store,
        pins,
        key_host,
        pairing,
        usb,
    })
}

fn master_keys(arguments: &Arguments) -> Result<MasterKeys, String> {
    let tmk_sm4 = arguments.tmk_sm4.as_deref().map(|file| master_key(file, Algorithm::Sm4)).transpose()?;
    let dukpt = arguments.bdk.as_deref().map(Dukpt::inject).transpose()?;
    let key_host = arguments.key_host.clone().map(KeyHost::new);
    Ok(MasterKeys { tmk: master_key(&arguments.tmk, Algorithm::Tdes)?, tmk_sm4, dukpt, key_host })
}

fn master_key(file: &Path, algorithm: Algorithm) -> Result<keys::Key, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("the master key {}: {error}", file.display());
    let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|error| wrong(&error))?;
    let mut bytes = Zeroizing::new([0; 16]);
    hex::decode_to_slice(text.trim(), &mut *bytes).map_err(|error| wrong(&error))?;
    MasterKeys::key(algorithm, &bytes).map_err(|error| wrong(&error))
}

fn say_ready() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "ready")?;
    out.flush()
}

fn note(text: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "smartpos-sim-module: {text}");
}
