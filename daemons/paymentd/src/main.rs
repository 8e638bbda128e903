//! `smartpos-paymentd` owns the journal and the links to acquirers.

mod api;
mod approval;
mod card;
mod card_absent;
mod card_payment;
mod code_payment;
mod code_return;
mod config;
mod counter;
mod desk;
mod downloads;
mod host;
mod inhibitor;
mod journal;
mod limits;
mod originals;
mod qr_gateway;
mod receipt;
mod sealer;
mod services;
mod settlement;
mod teller;
mod terminal_parameters;
mod transaction;

use std::process::ExitCode;
use std::time::Duration;

use client::card::CardPaymentProxy;
use client::printer::PrinterProxy;
use qr::wallet::Wallets;
use service::config::load;
use service::daemon::{Context, Daemon, run};
use tokio::sync::{mpsc, watch};

use crate::api::{PARAMETERS_PATH, PATH, ParametersService, PaymentService};
use crate::config::{Config, host_profile};
use crate::counter::{Counter, Means, Rules};
use crate::desk::Desk;
use crate::downloads::Downloads;
use crate::host::{Host, Parts};
use crate::journal::{Journal, Waiting};
use crate::limits::OwnerLimits;
use crate::qr_gateway::QrGateway;
use crate::sealer::Sealer;
use crate::services::Offers;
use crate::teller::{Teller, Tools};
use crate::terminal_parameters::TerminalParameters;

const DAEMON: Daemon = Daemon {
    program: "smartpos-paymentd",
    bus_name: "org.smartpos.Payment",
    config: "paymentd",
    about: "takes payments; owns the journal and the links to acquirers",
    version: env!("CARGO_PKG_VERSION"),
    holds_secrets: false,
};

/// Now, in milliseconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn main() -> ExitCode {
    run(&DAEMON, start)
}

async fn start(context: Context, config: Config) -> Result<impl Future<Output = Result<(), String>>, String> {
    let Context { buses, guards, config_folders, state, credentials, stop } = context;
    tokio::fs::create_dir_all(&state).await.map_err(|error| format!("{}: {error}", state.display()))?;
    let journal = Journal::open(&state.join("journal.sqlite")).await.map_err(|error| error.to_string())?;
    let card = client::proxy::<CardPaymentProxy>(&buses.system).await.map_err(|error| error.to_string())?;
    let printer = client::proxy::<PrinterProxy>(&buses.system).await.map_err(|error| error.to_string())?;
    let profile = host_profile(&config.host, &config_folders)?;
    let (gateway, wallets) = match &config.gateway {
        Some(gateway) => {
            let wallets: Wallets = load("wallets", &config_folders).map_err(|error| error.to_string())?;
            (Some(QrGateway::new(gateway, &credentials)?), Some(wallets))
        }
        None => (None, None),
    };
    let mut offers = Offers::of(&profile, gateway.is_some(), config.moto.enabled);
    offers.tip_percent = offers.tip_percent.min(config.tips.percent);
    let terminal = profile.downloads.as_ref().and_then(|downloads| downloads.terminal.as_ref());
    let said = match terminal {
        Some(_) => {
            let source = config.merchant.at_host(&profile.name, &config.host.server_name);
            journal.terminal_parameters(&source).await.map_err(|error| error.to_string())?
        }
        None => TerminalParameters::default(),
    };
    let said = watch::Sender::new(said);
    let parts = Parts {
        profile,
        credentials: &credentials,
        journal: journal.clone(),
        card: card.clone(),
        said: said.subscribe(),
    };
    let host = Host::new(&config.host, &config.merchant, parts)?;

    let merchant = config.merchant;
    let limits = OwnerLimits { by_service: config.limits, moto: config.moto.limits };
    let (pending_count, pending) = watch::channel(0);
    let (waiting, stored) = watch::channel(Waiting::default());
    let (teller, tickets) = mpsc::channel(1);
    let desk = Desk::default();
    let counter = Counter::new(Means {
        buses: buses.clone(),
        guards: guards.clone(),
        journal: journal.clone(),
        desk: desk.clone(),
        printer: printer.clone(),
        merchant: merchant.clone(),
        rules: Rules { offers, limits: limits.clone(), refund_days: config.refunds.days, wallets },
        said: said.subscribe(),
        teller,
    });
    let sealer = Sealer::new(journal.clone(), card.clone(), &config.journal);
    let host_clock = host.clock();
    let downloads = Downloads::new(buses.clone(), host.offered_downloads());
    let (guard, told) = (guards.system.clone(), said.subscribe());
    let parameters = ParametersService { guard, downloads: downloads.clone(), said: told };
    let served = buses.system.object_server().at(PARAMETERS_PATH, parameters).await;
    served.map_err(|error| error.to_string())?;
    let tools = Tools {
        buses,
        journal,
        host,
        gateway,
        card,
        printer,
        merchant: merchant.clone(),
        limits,
        offline: config.offline,
        waiting,
        downloads,
        said,
        approval_limit: Duration::from_secs(config.approval.timeout_s.into()),
        desk,
        stop,
    };
    let teller = Teller::new(tools, pending_count).await?;
    for (connection, guard) in guards.each() {
        let service = PaymentService {
            guard: guard.clone(),
            counter: counter.clone(),
            merchant: merchant.clone(),
            pending: pending.clone(),
            stored: stored.clone(),
            host_clock: host_clock.clone(),
        };
        connection.object_server().at(PATH, service).await.map_err(|error| error.to_string())?;
    }
    Ok(teller.work(tickets, sealer))
}
