//! The command line, from which help, completions and manual pages are made.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Operate a smartpos terminal: sell, look transactions up, print, see how it is.
///
/// It calls the services on the system bus, or on the bus of SMARTPOS_OPERATOR_BUS_ADDRESS. The caller
/// must be root or in the group smartpos-operator.
#[derive(Debug, Parser)]
#[command(name = "posctl", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sell by card and wait for the outcome; Ctrl-C asks to cancel
    Sale(Sale),
    /// Show the transaction that was started with KEY
    Show {
        /// The idempotency key of the transaction
        key: String,
    },
    /// List the operator's transactions, newest first
    List(List),
    /// Print a document and wait until it is on paper
    Print {
        /// A JSON array of elements, or plain text; - is stdin
        file: PathBuf,
        /// Idempotency key: the same key never prints twice
        #[arg(long)]
        key: Option<String>,
    },
    /// Draw the dots that a document would put on paper
    Preview {
        /// A JSON array of elements, or plain text; - is stdin
        file: PathBuf,
        /// The PNG file to write
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Show how the payment service, the card module and the printer are
    Status,
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual pages
    Man {
        /// The folder to write them into
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Sale {
    /// The amount, such as 12.34
    pub(crate) amount: String,
    /// ISO 4217, three letters
    #[arg(long, default_value = "CNY")]
    pub(crate) currency: String,
    /// Idempotency key: the same key is the same sale, also after a crash
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// The merchant's own number, for the receipt
    #[arg(long)]
    pub(crate) order: Option<String>,
    /// Print no receipt
    #[arg(long)]
    pub(crate) no_receipt: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those in this state: created, authorizing, answered, final
    #[arg(long)]
    pub(crate) state: Option<String>,
    /// Only those with this outcome: approved, declined, cancelled, failed, reversed
    #[arg(long)]
    pub(crate) outcome: Option<String>,
    /// Only those from this local time on, such as 2026-11-22 or 2026-11-22T08:00
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only those before this local time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
