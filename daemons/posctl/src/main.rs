//! `posctl`: the operator's shell command. It calls the D-Bus API on the system bus, as anyone of the group
//! `smartpos-operator` may.
//!
//! Exit codes: 0 done, 1 the transaction was not approved (or the job not printed), 2 a wrong command line, 3 an error.

mod approval;
mod audit;
mod chooser;
mod cli;
mod decode;
mod dictionary;
mod document;
mod error;
mod export;
mod journal;
mod keys;
mod module;
mod money;
mod output;
mod paper;
mod parameters;
mod replay;
mod service;
mod shown;
mod status;
mod totals;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use zbus::{Connection, connection};

use cli::{Arguments, Audit, Command, Emv, Parameters};
use error::Error;

/// What a command comes to; an error is told on stderr.
type Outcome = Result<ExitCode, Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed stdout is no reason to fail.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match run(arguments).await {
        Ok(code) => code,
        Err(error) => {
            output::note(&format!("posctl: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(arguments: Arguments) -> Outcome {
    let json = arguments.json;
    match arguments.command {
        Command::Totals => totals::totals(&bus().await?, json).await,
        Command::Approve { key } => approval::approve(&bus().await?, &key).await,
        Command::Deny { key, reason } => approval::deny(&bus().await?, &key, &reason).await,
        Command::Reprint { key } => paper::reprint(&bus().await?, &key).await,
        Command::Show { key } => journal::show(&bus().await?, &key, json).await,
        Command::List(list) => journal::list(&bus().await?, &list, json).await,
        Command::Export(export) => export::export(&bus().await?, &export).await,
        Command::Print { file, key } => paper::print(&bus().await?, &file, key, json).await,
        Command::Preview { file, output } => paper::preview(&bus().await?, &file, &output).await,
        Command::Audit(Audit::Export { file }) => audit::export(&bus().await?, &file, json).await,
        Command::Audit(Audit::Verify { file, head, keys }) => audit::verify(&file, head, keys, json),
        Command::Keys(command) => keys::run(&bus().await?, &command, json).await,
        Command::Module(command) => module::run(&bus().await?, &command, json).await,
        Command::Parameters(Parameters::Download) => parameters::download(&bus().await?, json).await,
        Command::Parameters(Parameters::Terminal) => parameters::terminal(&bus().await?, json).await,
        Command::Parameters(Parameters::Show) => parameters::show(&bus().await?, "applications", json).await,
        Command::Capks => parameters::show(&bus().await?, "capks", json).await,
        Command::Tlv { hex, card } => decode::data_objects(&hex, card.map(Into::into), json),
        Command::Atr { hex } => decode::answer_to_reset(&hex, json),
        Command::Emv(Emv::Replay { file, parameters }) => replay::run(&file, &parameters, json),
        Command::Status => status::status(&bus().await?, json).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "posctl", &mut script);
            output::bytes(&script)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { folder } => {
            let made = std::fs::create_dir_all(&folder)
                .and_then(|()| clap_mangen::generate_to(Arguments::command(), &folder));
            made.map_err(|error| Error::file(&folder, error))?;
            Ok(ExitCode::SUCCESS)
        }
        service => service::run(&bus().await?, &service, json).await,
    }
}

/// The bus of the daemons: `SMARTPOS_OPERATOR_BUS_ADDRESS`, or the system's own.
async fn bus() -> Result<Connection, Error> {
    const SYSTEM: &str = "unix:path=/run/dbus/system_bus_socket";
    let address = std::env::var("SMARTPOS_OPERATOR_BUS_ADDRESS").unwrap_or_else(|_| SYSTEM.to_owned());
    connection::Builder::address(address.as_str())
        .build()
        .await
        .map_err(|error| Error::NoBus { address, reason: error.to_string() })
}

/// A key that no other call of `posctl` on this terminal makes: the time and the process.
fn new_key() -> String {
    format!("posctl-{}-{}", jiff::Timestamp::now().as_millisecond(), std::process::id())
}

/// Ctrl-C, as often as it comes.
async fn interrupted() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
