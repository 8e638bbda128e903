//! The process `smartpos-sim-acquirer`.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use sim_acquirer::args::{Args, USAGE};
use sim_acquirer::base_key::BaseKey;
use sim_acquirer::host::Acquirer;
use sim_acquirer::issuer::Issuer;
use sim_acquirer::ledger::Ledger;
use sim_acquirer::{HOST_PROFILE, pki, profile, server, working_keys};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [command, pki, request] = words.as_slice()
        && command == "certify"
    {
        return certify(Path::new(pki), Path::new(request));
    }
    let args = match Args::parse(words) {
        Ok(args) => args,
        Err(problem) => {
            note(&format!("{problem}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(&args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Prints a certificate, and no word else.
fn certify(pki: &Path, request: &Path) -> ExitCode {
    let certificate = fs::read_to_string(request)
        .map_err(|error| io::Error::other(format!("{}: {error}", request.display())))
        .and_then(|request| pki::certify(pki, &request));
    match certificate.and_then(|pem| io::stdout().write_all(pem.as_bytes())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> io::Result<()> {
    pki::ensure(&args.pki)?;
    let tls = Arc::new(pki::server_config(&args.pki)?);
    let profile = match &args.profile {
        Some(name) => profile(name).ok_or_else(|| io::Error::other(format!("there is no profile {name}")))?,
        None => HOST_PROFILE,
    };
    let profile: iso8583::Host = toml::from_str(profile).map_err(io::Error::other)?;
    let tmk = working_keys::master_key(&profile, &read_key(&args.tmk)?).map_err(io::Error::other)?;
    let issuer = Issuer::new(sim_cards::profiles().collect());
    let ledger = Ledger::open(&args.ledger)?;
    let mut acquirer = Acquirer::new(profile, tmk, issuer, ledger);
    if let Some(file) = &args.bdk {
        let wrong = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
        let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
        acquirer.base_key = Some(BaseKey::read(&text).map_err(|error| wrong(&error))?);
    }
    let acquirer = Arc::new(Mutex::new(acquirer));

    let listener = TcpListener::bind(&args.listen).await?;
    publish(&args.control, &listener.local_addr()?.to_string())?;
    let terminals = server::serve(listener, tls, Arc::clone(&acquirer), note);
    let testers = server::control(&args.control, acquirer);
    let ready = async {
        // After both sockets exist: `select!` below polls in order.
        let mut out = io::stdout();
        writeln!(out, "ready").and_then(|()| out.flush())?;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        ended = testers => ended,
        ended = terminals => ended,
        ended = ready => ended,
    }
}

fn read_key(path: &Path) -> io::Result<[u8; 16]> {
    let wrong = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let mut key = [0; 16];
    hex::decode_to_slice(text.trim(), &mut key).map_err(|error| wrong(&error))?;
    Ok(key)
}

/// Writes the address to a file that appears whole.
fn publish(dir: &Path, address: &str) -> io::Result<()> {
    let (path, new) = (dir.join("acquirer.addr"), dir.join("acquirer.addr.new"));
    fs::write(&new, address)?;
    fs::rename(new, path)
}

/// Notes go to stderr: stdout says `ready` and nothing else.
fn note(text: &str) {
    // Nothing can be done about a stderr that is closed.
    let _ = writeln!(io::stderr(), "{text}");
}
