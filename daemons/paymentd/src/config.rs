//! `paymentd.toml`.

use std::path::Path;

use serde::Deserialize;
use service::config::find_file;
use service::currency::{self, Currency};

use crate::approval::Approval;
use crate::limits::{Limits, LimitsByService};
use crate::teller::Offline;
use crate::terminal_parameters::TerminalParameters;

/// The configuration of this daemon.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) merchant: Merchant,
    pub(crate) host: Host,
    pub(crate) limits: LimitsByService,
    /// Without it no payments by code are taken.
    pub(crate) gateway: Option<Gateway>,
    pub(crate) approval: Approval,
    pub(crate) offline: Offline,
    pub(crate) moto: Moto,
    pub(crate) tips: Tips,
    pub(crate) refunds: Refunds,
    pub(crate) journal: Journal,
}

/// Mail and telephone orders: cards that are not there, and whose numbers are keyed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Moto {
    /// Whether they are taken; the acquirer has to take them, too.
    pub(crate) enabled: bool,
    /// What such sales may do at most, besides what all sales may.
    pub(crate) limits: Limits,
}

/// Tips that are added to a sale afterwards.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tips {
    /// The most that all tips of a sale may be, in percent of the sale without them; the acquirer's limit holds, too.
    pub(crate) percent: u16,
}

impl Default for Tips {
    fn default() -> Tips {
        Tips { percent: 20 }
    }
}

/// Refunds of what was paid by card or by code.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Refunds {
    /// How many days of the local calendar back the original may be; 0 is any.
    pub(crate) days: u16,
}

/// What becomes of the journal.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Journal {
    /// Events after which the secure module seals the journal; 0 is never.
    pub(crate) seal_events: u32,
    /// Days that the journal goes back at least; what is older, settled and sealed is dropped. 0 is for ever.
    pub(crate) keep_days: u32,
}

impl Default for Journal {
    fn default() -> Journal {
        Journal { seal_events: 100, keep_days: 0 }
    }
}

/// Who sells.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Merchant {
    /// On receipts.
    pub(crate) name: String,
    /// The terminal's number at the acquirer, DE 41, 8 characters.
    pub(crate) terminal: String,
    /// The merchant's number at the acquirer, DE 42, 15 characters.
    pub(crate) merchant: String,
    /// The one currency that this terminal takes: ISO 4217, three letters.
    pub(crate) currency: String,
}

impl Default for Merchant {
    fn default() -> Merchant {
        Merchant {
            name: String::new(),
            terminal: "00000000".to_string(),
            merchant: "000000000000000".to_string(),
            currency: "CNY".to_string(),
        }
    }
}

/// The acquirer's host.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Host {
    /// `address:port`.
    pub(crate) address: String,
    /// Further ones, in the order in which they are called where those before don't answer.
    pub(crate) further_addresses: Vec<String>,
    /// The name that its certificate must hold.
    pub(crate) server_name: String,
    /// Where the key of our certificate is.
    pub(crate) client_key: ClientKey,
    /// The dialect: a file `hosts/PROFILE.toml` in a configuration folder.
    pub(crate) profile: String,
    /// Replaces the profile's answer timeout, in milliseconds.
    pub(crate) answer_timeout_ms: Option<u64>,
}

/// Where the key of the terminal's TLS certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientKey {
    /// In the credential `host-client-key.pem`.
    File,
    /// In the secure module.
    SecureModule,
}

impl Default for Host {
    fn default() -> Host {
        Host {
            address: String::new(),
            further_addresses: Vec::new(),
            server_name: String::new(),
            client_key: ClientKey::File,
            profile: "unionpay-direct".to_string(),
            answer_timeout_ms: None,
        }
    }
}

/// The QR gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Gateway {
    /// Which one it is: what was begun there is ended there.
    pub(crate) name: String,
    /// `address:port`.
    pub(crate) address: String,
    /// The name that its certificate must hold.
    pub(crate) server_name: String,
    /// The name of the terminal's key there.
    pub(crate) key: String,
    /// For how long an answer is waited for, in milliseconds.
    pub(crate) answer_timeout_ms: u64,
    /// For how long a customer is waited for, in milliseconds.
    pub(crate) customer_limit_ms: u64,
    /// The pause before it is asked again how an order stands, in milliseconds.
    pub(crate) query_interval_ms: u64,
    /// The pauses before what is owed is tried again, in seconds; the last one from there on.
    pub(crate) retry_s: Vec<u64>,
}

impl Default for Gateway {
    fn default() -> Gateway {
        Gateway {
            name: "gateway".to_string(),
            address: String::new(),
            server_name: String::new(),
            key: String::new(),
            answer_timeout_ms: 10_000,
            customer_limit_ms: 120_000,
            query_interval_ms: 2_000,
            retry_s: vec![0, 5, 15, 30, 60, 300],
        }
    }
}

impl Host {
    /// All addresses, in the order in which they are called.
    pub(crate) fn addresses(&self) -> Vec<String> {
        std::iter::once(&self.address).chain(&self.further_addresses).cloned().collect()
    }
}

impl Merchant {
    /// Which terminal of which host this is.
    pub(crate) fn at_host(&self, profile: &str, server: &str) -> String {
        format!("{profile} {server} {} {}", self.merchant, self.terminal)
    }

    /// The same, by the host's name for it where the owner gives none.
    pub(crate) fn named_by(&self, said: &TerminalParameters) -> Merchant {
        Merchant { name: said.merchant_name(&self.name).to_string(), ..self.clone() }
    }

    /// The terminal's currency.
    pub(crate) fn currency(&self) -> Result<Currency, String> {
        currency::by_letters(&self.currency)
            .ok_or_else(|| format!("merchant.currency: `{}` is not a currency that we know", self.currency))
    }
}

/// Reads the host's dialect.
pub(crate) fn host_profile(host: &Host, folders: &[std::path::PathBuf]) -> Result<iso8583::Host, String> {
    let file = Path::new("hosts").join(format!("{}.toml", host.profile));
    let (path, text) = find_file(&file.to_string_lossy(), folders).map_err(|error| error.to_string())?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}
