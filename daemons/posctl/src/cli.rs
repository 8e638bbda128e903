//! The command line, from which help, completions and manual pages are made.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Operate a smartpos terminal: sell, refund, settle, look transactions up, print, see how it is.
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
    /// Sell by card, or by code with --code or --show-code, and wait for the outcome; Ctrl-C asks to cancel
    Sale(Sale),
    /// Void a sale or completion of the open batch, whole; the same card has to be presented, a wallet is asked for nothing
    Void {
        /// The key of the sale or completion
        original: String,
        #[command(flatten)]
        common: Common,
    },
    /// Give money back to a card or a wallet
    Refund {
        #[command(flatten)]
        amount: Amount,
        /// The key of the sale or completion that is refunded, in part or whole; left out: any card
        #[arg(long, value_name = "KEY")]
        original: Option<String>,
        /// Without an original: the card is not there, and its number is keyed at the PIN pad
        #[arg(long, conflicts_with = "original")]
        moto: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Add a tip to a sale of the open batch, without the card
    Tip {
        /// The key of the sale
        original: String,
        #[command(flatten)]
        amount: Amount,
        #[command(flatten)]
        common: Common,
    },
    /// Reserve an amount on a card
    Preauth {
        #[command(flatten)]
        amount: Amount,
        #[command(flatten)]
        common: Common,
    },
    /// Reserve more for a pre-authorisation
    Increment(Following),
    /// Take what a pre-authorisation reserved, once
    Complete(Following),
    /// Give up a pre-authorisation
    Cancel {
        /// The key of the pre-authorisation
        original: String,
        #[command(flatten)]
        common: Common,
    },
    /// Ask what a card has
    Balance {
        #[command(flatten)]
        common: Common,
    },
    /// Record a sale that was paid in cash
    Cash {
        #[command(flatten)]
        amount: Amount,
        #[command(flatten)]
        common: Common,
    },
    /// Close the batch: compare its sums with the host's, and begin the next one
    Settle {
        #[command(flatten)]
        common: Common,
    },
    /// Approve, as a supervisor, a transaction that is over a limit; `posctl list --state approval` shows those that wait
    Approve {
        /// The key of the transaction
        key: String,
    },
    /// Deny, as a supervisor, a transaction that is over a limit
    Deny {
        /// The key of the transaction
        key: String,
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Show what the open batch comes to
    Totals,
    /// Print the receipt of a transaction once more, marked as a duplicate
    Reprint {
        /// The idempotency key of the transaction
        key: String,
    },
    /// Show the transaction that was started with KEY
    Show {
        /// The idempotency key of the transaction
        key: String,
    },
    /// List the operator's transactions, newest first
    List(List),
    /// Write all transactions to stdout for another program, newest first
    Export(Export),
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
    /// Copy the journal, and find out whether a copy was tampered with
    #[command(subcommand)]
    Audit(Audit),
    /// The keys of the secure card module
    #[command(subcommand)]
    Keys(Keys),
    /// The secure card module as a device
    #[command(subcommand)]
    Module(Module),
    /// The parameters of the EMV kernel
    #[command(subcommand)]
    Parameters(Parameters),
    /// Show the certification authority public keys that cards are authenticated with
    Capks,
    /// Show data objects of a card or a host (BER-TLV) as a tree; what is sensitive is not shown. Needs no terminal
    Tlv {
        /// The bytes in hex, spaces don't matter; - is stdin
        #[arg(required = true, value_name = "HEX")]
        hex: Vec<String>,
        /// Whose card it is, for tags that the payment systems use differently; left out: as the AID in it says
        #[arg(long, value_enum)]
        card: Option<PaymentSystem>,
    },
    /// Show what a card's answer to reset says (ISO 7816-3). Needs no terminal
    Atr {
        /// The bytes in hex, spaces don't matter; - is stdin
        #[arg(required = true, value_name = "HEX")]
        hex: Vec<String>,
    },
    /// The EMV kernel, without a card
    #[command(subcommand)]
    Emv(Emv),
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
pub(crate) struct Amount {
    /// The amount, such as 12.34
    pub(crate) amount: String,
    /// ISO 4217, three letters
    #[arg(long, default_value = "CNY")]
    pub(crate) currency: String,
}

/// What every service has.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Idempotency key: the same key is the same transaction, also after a crash
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// The merchant's own number, for the receipt
    #[arg(long)]
    pub(crate) order: Option<String>,
    /// Who stands at the till: up to 3 letters or digits
    #[arg(long)]
    pub(crate) operator: Option<String>,
    /// Print no receipt
    #[arg(long)]
    pub(crate) no_receipt: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sale {
    #[command(flatten)]
    pub(crate) amount: Amount,
    /// The part of the amount that is a tip, such as 2.00
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) tip: Option<String>,
    /// In how many instalments the customer pays
    #[arg(long, value_name = "NUMBER")]
    pub(crate) instalments: Option<u32>,
    /// A mail or telephone order: the card's number is keyed at the PIN pad
    #[arg(long, conflicts_with_all = ["instalments", "code", "show_code"])]
    pub(crate) moto: bool,
    /// Charge the wallet whose code the customer shows: the text that a scanner read
    #[arg(long, conflicts_with_all = ["tip", "show_code"])]
    pub(crate) code: Option<String>,
    /// Show a code for the customer to scan with a wallet
    #[arg(long, conflicts_with = "tip")]
    pub(crate) show_code: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What builds on a pre-authorisation.
#[derive(Debug, Args)]
pub(crate) struct Following {
    /// The key of the pre-authorisation
    pub(crate) original: String,
    #[command(flatten)]
    pub(crate) amount: Amount,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this type: sale, void, refund, preauthorisation, completion, settlement, …
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) service: Option<String>,
    /// Only those in this state: created, approval, authorizing, answered, final
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

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// csv has one record for each transaction (RFC 4180), amounts with decimals, times in UTC; json has all that is known
    #[arg(long, value_enum)]
    pub(crate) format: Format,
    /// Only those of this type: sale, void, refund, preauthorisation, completion, settlement, …
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) service: Option<String>,
    /// Only those from this local time on, such as 2026-11-22 or 2026-11-22T08:00
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only those before this local time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Csv,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Write a copy of the journal, each event with its link, as JSON Lines; prints the head to keep
    Export {
        /// The file to write; one that is there is never overwritten
        file: PathBuf,
    },
    /// Check that no event of a copy was removed, changed, reordered or inserted; needs no terminal
    Verify {
        /// A file that `export` wrote
        file: PathBuf,
        /// A head that an earlier export printed: the copy has to go on from there
        #[arg(long, value_name = "HEX")]
        head: Option<audit::Link>,
        /// The public key of the terminal's secure module, which an earlier export printed: the seals have to be by it. Give
        /// each one that the terminal has had
        #[arg(long = "key", value_name = "HEX")]
        keys: Vec<audit::PublicKey>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Print a request for a certificate of the module's TLS client key, for the acquirer to sign (PKCS #10, PEM)
    Csr {
        /// Whom the certificate is for, such as CN=12345678,O=Example: what the acquirer wants there
        subject: String,
    },
    /// List the key slots: what each is for, and the algorithm and check value of the key in it
    List,
    /// Load a key from a key block (X9.143), or from a token of the key distribution host (TR-34)
    Load {
        /// The slot, such as kbpk or pik
        slot: String,
        #[command(flatten)]
        from: KeySource,
    },
    /// Have custodians enter a key at the secure card module's pad, each one component
    Enter {
        /// The slot: tmk or kbpk
        slot: String,
        /// tdes or aes
        #[arg(long, default_value = "aes")]
        algorithm: String,
        /// The length of the key
        #[arg(long, default_value_t = 256)]
        bits: u32,
        /// How many components it has: 2 or 3
        #[arg(long, default_value_t = 2)]
        components: u32,
    },
    /// Write the module's credential for key distribution hosts (TR-34, CT-KRD)
    Credential {
        /// The file to write
        file: PathBuf,
    },
    /// Bind the key distribution host with this credential (CT-KDH)
    Bind {
        /// The host's credential
        file: PathBuf,
    },
    /// Write a random number token (RT-KRD), which the host's next token answers
    Nonce {
        /// The file to write
        file: PathBuf,
    },
    /// Bind another key distribution host, as the bound one says (RBT-KDH)
    Rebind {
        /// The host's token
        file: PathBuf,
    },
    /// Let go of the key distribution host, as it says (UBT-KDH)
    Unbind {
        /// The host's token
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Module {
    /// Show the module's state, and whether its clock is right
    Status,
    /// Have the module test itself: while a test fails, it uses no key
    SelfTest,
    /// Update the module's firmware with what its vendor has signed
    Update {
        /// The file with the update
        file: PathBuf,
    },
}

/// Where a key comes from.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct KeySource {
    /// A file with a key block, which the key in kbpk protects
    #[arg(long, value_name = "FILE")]
    pub(crate) block: Option<PathBuf>,
    /// A file with a key token (KT-KDH)
    #[arg(long, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Emv {
    /// Run a recorded transaction through the kernel, and show each decision with its clause, the results and the outcome.
    /// Needs no terminal. The exit code is 0 for an approval, else 1
    Replay {
        /// A trace, such as `simctl card trace` writes
        file: PathBuf,
        /// Where the kernel's parameters are that the trace names and that are not beside it; may be given several times
        #[arg(long, value_name = "FOLDER", default_value = "/usr/lib/smartpos/emv")]
        parameters: Vec<PathBuf>,
    },
}

/// Whose card it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PaymentSystem {
    Unionpay,
    Visa,
    Mastercard,
}

impl From<PaymentSystem> for tlv::Definer {
    fn from(system: PaymentSystem) -> Self {
        match system {
            PaymentSystem::Unionpay => Self::UnionPay,
            PaymentSystem::Visa => Self::Visa,
            PaymentSystem::Mastercard => Self::Mastercard,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Parameters {
    /// Fetch CA keys, applications and what it says of this terminal from the acquirer's host, and wait until they are there; Ctrl-C
    /// calls it off
    Download,
    /// Show what the host says of this terminal: how long it wants to be waited for, tips, the merchant's name
    Terminal,
    /// Show the applications that the terminal accepts, with their limits and action codes
    Show,
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
