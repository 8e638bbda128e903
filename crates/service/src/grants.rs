//! Who may do what: permissions by name, and the grants of each app. Those of operators are in `operators.rs`.
//!
//! Grants are configuration (`smartpos.toml`) until the app daemon is the authority on them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::card_application::CardApplication;
use crate::operators::Operator;

/// Everything that an app or a role can be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Permission {
    /// Sell, by card or in cash, ask for a card's balance, and cancel what one started.
    #[serde(rename = "payment.start")]
    PaymentStart,
    /// Void one's own sales and completions.
    #[serde(rename = "payment.void")]
    PaymentVoid,
    /// Give money back.
    #[serde(rename = "payment.refund")]
    PaymentRefund,
    /// Add a tip to one's own sales afterwards, without the card.
    #[serde(rename = "payment.tip")]
    PaymentTip,
    /// Take mail and telephone orders: the card is not there, and its number is keyed at the PIN pad.
    #[serde(rename = "payment.moto")]
    PaymentMoto,
    /// Pre-authorise, increment, complete and cancel.
    #[serde(rename = "payment.preauthorise")]
    PaymentPreauthorise,
    /// See the terminal's totals and close the batch.
    #[serde(rename = "payment.settle")]
    PaymentSettle,
    /// Read one's own transactions.
    #[serde(rename = "payment.read")]
    PaymentRead,
    /// Approve, as a supervisor, what is over a limit. It is for operators: no app can be granted it.
    #[serde(rename = "payment.approve")]
    PaymentApprove,
    /// Fetch the terminal's parameters from the host. It is for operators: no app can be granted it.
    #[serde(rename = "payment.parameters")]
    PaymentParameters,
    /// Load keys into the secure card module, and bind the hosts that hand them out. It is for operators: no app can be granted it.
    #[serde(rename = "keys.load")]
    KeysLoad,
    /// Claim a card slot and talk to applications in it that pay nothing: those that the app's `card_applications` name.
    #[serde(rename = "card.nonpayment")]
    CardNonpayment,
    /// Claim the slot of a PSAM, one of those that the app's `sam_slots` name, and talk to applications in it in the same way.
    #[serde(rename = "card.sam")]
    CardSam,
    /// Update the firmware of the secure card module. It is for operators: no app can be granted it.
    #[serde(rename = "module.update")]
    ModuleUpdate,
    /// Print, and preview what would be printed.
    #[serde(rename = "printer.print")]
    PrinterPrint,
    /// Read the state of devices: printer, card module, host.
    #[serde(rename = "device.status")]
    DeviceStatus,
}

impl Permission {
    /// Whether no app can be granted it.
    fn is_for_operators(self) -> bool {
        matches!(
            self,
            Permission::PaymentApprove
                | Permission::PaymentParameters
                | Permission::KeysLoad
                | Permission::ModuleUpdate
        )
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Permission::PaymentStart => "payment.start",
            Permission::PaymentVoid => "payment.void",
            Permission::PaymentRefund => "payment.refund",
            Permission::PaymentTip => "payment.tip",
            Permission::PaymentMoto => "payment.moto",
            Permission::PaymentPreauthorise => "payment.preauthorise",
            Permission::PaymentSettle => "payment.settle",
            Permission::PaymentRead => "payment.read",
            Permission::PaymentApprove => "payment.approve",
            Permission::PaymentParameters => "payment.parameters",
            Permission::KeysLoad => "keys.load",
            Permission::CardNonpayment => "card.nonpayment",
            Permission::CardSam => "card.sam",
            Permission::ModuleUpdate => "module.update",
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
    /// The applications on cards that it may select, with [`Permission::CardNonpayment`] or [`Permission::CardSam`].
    #[serde(default)]
    pub card_applications: Vec<CardApplication>,
    /// The slots of PSAMs that it may claim, by their numbers, with [`Permission::CardSam`].
    #[serde(default)]
    pub sam_slots: Vec<u8>,
}

/// The numbers that the slots of PSAMs have.
const SAM_SLOTS: std::ops::RangeInclusive<u8> = 1..=4;

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
    /// What a role may do, by its name.
    pub roles: BTreeMap<String, Vec<Permission>>,
    /// Each operator by name; with none, the group's members may do everything.
    pub operators: BTreeMap<String, Operator>,
    /// Present on a developer's machine alone.
    pub development: Option<Development>,
}

impl Shared {
    /// Checks what the types can't say: ids and uids tell apps apart, and from everybody else.
    ///
    /// # Errors
    /// The first entry that is wrong, by its key.
    pub fn check(&self) -> Result<(), String> {
        let mut uids = BTreeMap::new();
        for (id, app) in &self.apps {
            let letters = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            // The dot also keeps an app from being called like the operator or a service.
            if !letters || !id.contains('.') || id.len() > 128 {
                return Err(format!("smartpos.toml: apps.{id:?}: an id is like com.example.shop"));
            }
            if app.uid == 0 {
                return Err(format!("smartpos.toml: apps.{id:?}.uid: an app is never root"));
            }
            if let Some(permission) = app.permissions.iter().find(|permission| permission.is_for_operators())
            {
                return Err(format!(
                    "smartpos.toml: apps.{id:?}.permissions: {permission} is for operators: grant it to a role"
                ));
            }
            if let Some(slot) = app.sam_slots.iter().find(|slot| !SAM_SLOTS.contains(slot)) {
                return Err(format!(
                    "smartpos.toml: apps.{id:?}.sam_slots: {slot} is no slot of a PSAM: give 1 to 4"
                ));
            }
            if let Some(other) = uids.insert(app.uid, id) {
                return Err(format!(
                    "smartpos.toml: apps.{id:?}.uid: {} is the uid of {other} already",
                    app.uid
                ));
            }
        }
        self.check_operators()?;
        match &self.development {
            Some(development) if !self.apps.contains_key(&development.app) => {
                Err(format!("smartpos.toml: development.app: no app {} is listed", development.app))
            }
            _ => Ok(()),
        }
    }
}

impl Default for Shared {
    fn default() -> Shared {
        Shared {
            bus: crate::bus::Addresses::default(),
            operator_group: "smartpos-operator".to_string(),
            apps: BTreeMap::new(),
            roles: BTreeMap::new(),
            operators: BTreeMap::new(),
            development: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_that_could_be_taken_for_somebody_else_is_refused() {
        let shared = |text: &str| toml::from_str::<Shared>(text).unwrap().check();
        assert_eq!(shared("[apps.'com.example.shop']\nuid = 61001"), Ok(()));
        for wrong in [
            "[apps.operator]\nuid = 61001",
            "[apps.'']\nuid = 61001",
            "[apps.'com.example/x']\nuid = 61001",
            "[apps.'com.example.shop']\nuid = 0",
            "[apps.'a.b']\nuid = 61001\n[apps.'a.c']\nuid = 61001",
            "[apps.'a.b']\nuid = 61001\npermissions = ['payment.approve']",
            "[apps.'a.b']\nuid = 61001\npermissions = ['payment.parameters']",
            "[apps.'a.b']\nuid = 61001\npermissions = ['keys.load']",
            "[apps.'a.b']\nuid = 61001\npermissions = ['module.update']",
            "[apps.'a.b']\nuid = 61001\nsam_slots = [0]",
            "[apps.'a.b']\nuid = 61001\nsam_slots = [1, 5]",
            "[development]\nuid = 1000\napp = 'a.b'",
        ] {
            assert!(shared(wrong).is_err(), "{wrong}");
        }
    }
}
