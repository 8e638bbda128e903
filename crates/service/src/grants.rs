//! Who may do what: permissions by name, and the grants of each app.
//!
//! Grants are configuration (`smartpos.toml`) until the app daemon is the authority on them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// Everything that an app can be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Permission {
    /// Start payments and cancel one's own.
    #[serde(rename = "payment.start")]
    PaymentStart,
    /// Read one's own transactions.
    #[serde(rename = "payment.read")]
    PaymentRead,
    /// Print, and preview what would be printed.
    #[serde(rename = "printer.print")]
    PrinterPrint,
    /// Read the state of devices: printer, card module, host.
    #[serde(rename = "device.status")]
    DeviceStatus,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Permission::PaymentStart => "payment.start",
            Permission::PaymentRead => "payment.read",
            Permission::PrinterPrint => "printer.print",
            Permission::DeviceStatus => "device.status",
        })
    }
}

/// One app: the uid that its processes run under, and what it was granted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// The static uid of the app.
    pub uid: u32,
    /// What it may do.
    #[serde(default)]
    pub permissions: Vec<Permission>,
}

/// Development and tests run everything under one uid; this says whom that uid stands for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Development {
    /// The uid that develops.
    pub uid: u32,
    /// On the app bus it is this app, which must be listed; on the system bus it is the operator.
    pub app: String,
}

/// The configuration that all daemons share, `smartpos.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shared {
    /// Where the buses are.
    pub bus: crate::bus::Addresses,
    /// The group whose members operate the terminal over the system bus.
    pub operator_group: String,
    /// Each app by its id.
    pub apps: BTreeMap<String, App>,
    /// Present on a developer's machine alone.
    pub development: Option<Development>,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared {
            bus: crate::bus::Addresses::default(),
            operator_group: "smartpos-operator".to_string(),
            apps: BTreeMap::new(),
            development: None,
        }
    }
}
