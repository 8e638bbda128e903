//! The process `smartpos-sim-gateway`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use sim_gateway::host::Gateway;
use sim_gateway::ledger::Ledger;
use sim_gateway::server::Server;
use sim_gateway::{WALLETS, pki};
use tokio::net::TcpListener;

/// The virtual QR gateway.
#[derive(Parser)]
struct Args {
    /// Folder of control sockets; gateway.addr is written there
    #[arg(long, value_name = "DIR")]
    control: PathBuf,
    /// Where terminals connect; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: String,
    /// Keys and certificate; made if the folder has none
    #[arg(long, value_name = "DIR")]
    pki: PathBuf,
    /// What is booked, one JSON object a line; read again at start
    #[arg(long, value_name = "FILE")]
    ledger: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(&args))) {
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
    let wallets = toml::from_str(WALLETS).map_err(io::Error::other)?;
    let gateway = Gateway::new(wallets, Ledger::open(&args.ledger)?);
    let server = Arc::new(Server::new(gateway, &args.pki, note)?);

    let listener = TcpListener::bind(&args.listen).await?;
    publish(&args.control, &listener.local_addr()?.to_string())?;
    let terminals = Arc::clone(&server).serve(listener, tls);
    let testers = server.control(&args.control);
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

/// Writes the address to a file that appears whole.
fn publish(dir: &Path, address: &str) -> io::Result<()> {
    let (path, new) = (dir.join("gateway.addr"), dir.join("gateway.addr.new"));
    fs::write(&new, address)?;
    fs::rename(new, path)
}

/// Notes go to stderr: stdout says `ready` and nothing else.
fn note(text: &str) {
    // Nothing can be done about a stderr that is closed.
    let _ = writeln!(io::stderr(), "{text}");
}
