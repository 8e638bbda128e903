//! `smartpos-printerd`: receipts on paper, each once, whatever dies in between.

mod config;
mod device;
mod elements;
mod job;
mod printer;
mod spool;
mod works;

use std::process::ExitCode;

use escpos::Profile;
use service::daemon::{Context, Daemon};
use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::printer::{Printer, State};
use crate::works::{Surroundings, Works};

const DAEMON: Daemon = Daemon {
    program: "smartpos-printerd",
    bus_name: "org.smartpos.Printer",
    config: "printerd",
    about: "owns the receipt printer",
    version: env!("CARGO_PKG_VERSION"),
    holds_secrets: false,
};

fn main() -> ExitCode {
    service::daemon::run(&DAEMON, start)
}

async fn start(context: Context, config: Config) -> Result<impl Future<Output = Result<(), String>>, String> {
    let profile = profile(&context, &config.profile)?;
    let (asks, asked) = mpsc::channel(64);
    let (work, sent) = mpsc::channel(4);
    let (news, heard) = mpsc::channel(64);
    let (state, watching) = watch::channel(State::default());
    for (connection, guard) in context.guards.each() {
        let printer = Printer {
            guard: guard.clone(),
            asks: asks.clone(),
            state: watching.clone(),
            columns: profile.columns().into(),
            dots: profile.dots.into(),
        };
        connection.object_server().at(printer::PATH, printer).await.map_err(|error| error.to_string())?;
    }
    let surroundings = Surroundings { buses: context.buses, guards: context.guards, work, asks };
    let works = Works::open(&context.state.join("spool"), profile, surroundings, state).await?;
    Ok(async move {
        tokio::select! {
            () = works.run(asked, heard, context.stop) => Ok(()),
            () = device::run(config.device, sent, news) => Err("the device was given up".to_string()),
        }
    })
}

fn profile(context: &Context, name: &str) -> Result<Profile, String> {
    let file = format!("printers/{name}.toml");
    let (path, text) =
        service::config::find_file(&file, &context.config_folders).map_err(|error| error.to_string())?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}
