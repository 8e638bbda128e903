//! `smartpos-cardd` owns the secure card module: cards, PIN pad, keys.

mod api;
mod claims;
mod config;
mod durable;
mod interruption;
mod keyed;
mod keys_api;
mod module;
mod module_api;
mod owner;
mod parameters;
mod parameters_api;
mod reader;
mod report;
mod supervisor;
mod terms;
mod transaction;

use std::process::ExitCode;

use service::daemon::{Context, Daemon, run};

use crate::api::{CardPaymentService, CardService, PATH};
use crate::claims::{Claims, Places, warn_of_grants};
use crate::config::{Config, load_emv};
use crate::keys_api::CardKeysService;
use crate::module::Source;
use crate::module_api::CardModuleService;
use crate::parameters::Parameters;
use crate::parameters_api::CardParametersService;
use crate::reader::{Reader, Tools};

const DAEMON: Daemon = Daemon {
    program: "smartpos-cardd",
    bus_name: "org.smartpos.Card",
    config: "cardd",
    about: "owns the secure card module: cards, PIN pad, keys",
    version: env!("CARGO_PKG_VERSION"),
    holds_secrets: true,
};

fn main() -> ExitCode {
    run(&DAEMON, start)
}

async fn start(context: Context, config: Config) -> Result<impl Future<Output = Result<(), String>>, String> {
    let Context { buses, guards, config_folders, state, credentials, mut stop } = context;
    tokio::fs::create_dir_all(&state).await.map_err(|error| format!("{}: {error}", state.display()))?;
    let emv = Parameters::open(load_emv(&config_folders)?, &state);
    let device = Source::new(&config, &credentials, &state)?;
    let (module, supervisor) = supervisor::new();
    warn_of_grants(&guards.app, &emv.in_force().applications);
    let places = Places::default();
    let claims = Claims::new(claims::Tools {
        buses: buses.clone(),
        module: module.clone(),
        emv: emv.clone(),
        places: places.clone(),
    });
    for (connection, guard) in guards.each() {
        let (guard, module, claims) = (guard.clone(), module.clone(), claims.clone());
        let service = CardService { guard, module, claims };
        connection.object_server().at(PATH, service).await.map_err(|error| error.to_string())?;
    }
    let system = buses.system.clone();
    let guard = guards.system.clone();
    let parameters = CardParametersService { guard: guard.clone(), parameters: emv.clone() };
    system.object_server().at(PATH, parameters).await.map_err(|error| error.to_string())?;
    let reader =
        Reader::new(Tools { buses, guard, module: module.clone(), emv, config, places: places.clone() });
    let keys =
        CardKeysService { guard: guards.system.clone(), module: module.clone(), places: places.clone() };
    system.object_server().at(PATH, keys).await.map_err(|error| error.to_string())?;
    let device_service =
        CardModuleService { guard: guards.system.clone(), module: module.clone(), places: places.clone() };
    system.object_server().at(PATH, device_service).await.map_err(|error| error.to_string())?;
    let service = CardPaymentService { guard: guards.system, module, reader: reader.clone(), places };
    system.object_server().at(PATH, service).await.map_err(|error| error.to_string())?;

    Ok(async move {
        let work = async {
            match &device {
                Some(device) => supervisor.run(device).await,
                None => {
                    log::warn!("cardd.toml names no `device`: there is no secure card module");
                    std::future::pending().await
                }
            }
        };
        let end = async {
            // A daemon that ends drops its sender: that is to stop, too.
            let _ = stop.wait_for(|stop| *stop).await;
            reader.stop().await;
        };
        // The supervisor works on while the last transaction ends.
        tokio::select! {
            () = work => {}
            () = end => {}
        }
        Ok(())
    })
}
