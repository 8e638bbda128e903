//! `test`: what only a whole system can show, read from the guest's kernel and service manager, not from unit files.

mod faults;
mod idle;
mod keypad;
mod kit;
mod module_usb;
mod network;
mod power;
mod reader;
mod sandbox;

use std::fs;
use std::path::Path;
use std::time::Duration;

use client::Dictionary;
use serde_json::Value;
use sim_terminal::Part;
use tokio::time::{sleep, timeout};
use zbus::{OwnedVariant, Variant};

use crate::error::{Error, Result};
use crate::image::Image;
use crate::lock;
use crate::machine::{Disk, Machine, Processors};
use crate::report;

/// A daemon, its user's id, and whether it may reach a network.
const DAEMONS: [(&str, u32, bool); 3] =
    [("smartpos-cardd", 801, false), ("smartpos-paymentd", 802, true), ("smartpos-printerd", 803, false)];

/// What has to be active. The bus of the apps is started by its first client.
const UNITS: &str = "smartpos.target smartpos-appbus.socket smartpos-appbus.service \
    smartpos-cardd.service smartpos-paymentd.service smartpos-printerd.service";

/// What the idle daemons may hold in memory together, in KiB (their proportional share).
const MEMORY_LIMIT: u64 = 32 * 1024;

/// The receipt is printed after the sale has ended.
const RECEIPT_LIMIT: Duration = Duration::from_secs(60);

/// How a program is run as an app: the user of `board/usr/lib/sysusers.d/board.conf`.
const AS_APP: &str = "setpriv --reuid=app-shop --regid=smartpos-app --clear-groups --";

/// The card of the sales, and its PIN.
const CARD: &str = "unionpay-debit-pin";
const PIN: &str = "123456";

/// Boots a machine below `folder` and checks it, then another one whose power is cut.
///
/// # Errors
/// When it does not boot, when it can't be asked, or when a check failed; those are printed.
pub(crate) async fn all(image: &Image, folder: &Path) -> Result {
    let _lock = lock::take(&folder.join("machine.lock"))?.map_err(Error::Running)?;
    verdict(
        share(image, folder).await? + system(image, folder).await? + power::ten_cuts(image, folder).await?,
    )
}

/// The power cuts alone, or that of one seed.
///
/// # Errors
/// As [`all`].
pub(crate) async fn power(image: &Image, folder: &Path, seed: Option<u64>) -> Result {
    let _lock = lock::take(&folder.join("machine.lock"))?.map_err(Error::Running)?;
    verdict(match seed {
        None => power::ten_cuts(image, folder).await?,
        Some(seed) => power::one_cut(image, folder, seed).await?,
    })
}

fn verdict(failed: usize) -> Result {
    if failed == 0 { Ok(()) } else { Err(Error::Checks(failed)) }
}

/// Our share of the boot, of a machine of its own that counts instructions; returns 1 if it is too large.
async fn share(image: &Image, folder: &Path) -> Result<usize> {
    if let Some(warning) = image.warning(Path::new(""))? {
        println!("{warning}");
    }
    let mut machine = Machine::start(image, folder, Disk::Forgetful, Processors::Counted).await?;
    let share = report::share(&mut machine).await?;
    machine.stop().await?;
    println!("{share}");
    Ok(usize::from(!share.is_small()))
}

/// The checks of a machine with power; returns how many failed.
async fn system(image: &Image, folder: &Path) -> Result<usize> {
    let mut machine = Machine::start(image, folder, Disk::Forgetful, Processors::Two).await?;
    println!("{}\n", report::boot(&mut machine).await?);
    let mut checks = Checks { machine, failed: 0 };
    checks.units().await?;
    for (daemon, user, network) in DAEMONS {
        checks.confinement(daemon, user, network).await?;
    }
    checks.memory().await?;
    let idle = checks.idle().await?;
    checks.sandboxes().await?;
    checks.slept(&idle).await?;
    checks.apps().await?;
    checks.sale().await?;
    checks.keypad().await?;
    checks.errors().await?;
    checks.reader().await?;
    checks.kit().await?;
    checks.module_usb().await?;
    checks.killed().await?;
    checks.hung().await?;
    checks.network_cut().await?;
    checks.disk_full().await?;
    let Checks { machine, failed } = checks;
    machine.stop().await?;
    Ok(failed)
}

struct Checks {
    machine: Machine,
    failed: usize,
}

impl Checks {
    /// Tells and counts one check; `found` is shown when it fails.
    fn check(&mut self, what: &str, holds: bool, found: &str) {
        if holds {
            println!("  ok    {what}");
            return;
        }
        self.failed += 1;
        println!("  FAIL  {what}; found:\n{}", indented(found));
    }

    /// Checks that a command in the guest succeeds.
    async fn succeeds(&mut self, what: &str, command: &str) -> Result {
        let done = self.machine.agent.run(command).await?;
        self.check(what, done.status == 0, &done.output);
        Ok(())
    }

    /// Checks that a command in the guest is refused, and says so in these words.
    async fn is_refused(&mut self, what: &str, command: &str, words: &str) -> Result {
        let done = self.machine.agent.run(command).await?;
        self.check(what, done.status != 0 && done.output.contains(words), &done.output);
        Ok(())
    }

    async fn units(&mut self) -> Result {
        self.succeeds("every unit is active", &format!("systemctl is-active {UNITS}")).await?;
        let failed = self.machine.agent.output("systemctl --failed --no-legend --plain").await?;
        self.check("no unit of the system has failed", failed.is_empty(), &failed);
        Ok(())
    }

    /// Whoever broke into a daemon has its user's rights, no capability, and the calls that its filter leaves.
    async fn confinement(&mut self, daemon: &str, user: u32, network: bool) -> Result {
        let agent = &mut self.machine.agent;
        let pid = agent.output(&format!("systemctl show -P MainPID {daemon}")).await?;
        let status = agent.output(&format!("cat /proc/{pid}/status")).await?;
        let user = user.to_string();
        self.check(&format!("{daemon} runs as user {user}"), all_equal(&status, "Uid", &user), &status);
        self.check(&format!("{daemon} is of group {user} alone"), groups(&status, &user), &status);
        let none = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
            .iter()
            .all(|set| all_equal(&status, set, "0000000000000000"));
        self.check(&format!("{daemon} has no capability and can gain none"), none, &status);
        let confined = all_equal(&status, "NoNewPrivs", "1") && all_equal(&status, "Seccomp", "2");
        self.check(&format!("{daemon} gains no rights and has a filter of system calls"), confined, &status);
        let networks =
            self.machine.agent.output(&format!("readlink /proc/1/ns/net /proc/{pid}/ns/net")).await?;
        let mut namespaces = networks.lines();
        let shared = namespaces.next() == namespaces.next();
        let may = if network { "has the system's network" } else { "has no network" };
        self.check(&format!("{daemon} {may}"), shared == network, &networks);
        Ok(())
    }

    /// What an app can't do, and that what it may do works: else the refusals would show nothing.
    async fn apps(&mut self) -> Result {
        let call = |bus: &str, service: &str| {
            format!(
                "{AS_APP} busctl {bus} call org.smartpos.{service} /org/smartpos/{service} \
                 org.freedesktop.DBus.Peer Ping"
            )
        };
        let app_bus = "--address=unix:path=/run/smartpos/appbus.sock";
        for service in ["Card", "Payment", "Printer"] {
            self.succeeds(&format!("an app reaches {service} on its own bus"), &call(app_bus, service))
                .await?;
            let what = format!("an app does not reach {service} on the system bus");
            self.is_refused(&what, &call("--system", service), "denied").await?;
        }
        for (owner, path) in [
            ("paymentd", "/var/lib/smartpos/paymentd"),
            ("printerd", "/var/lib/smartpos/printerd"),
            ("the terminal", "/etc/smartpos/credentials"),
        ] {
            self.succeeds(&format!("{path} is there"), &format!("ls {path}")).await?;
            for who in [AS_APP, "setpriv --reuid=smartpos-card --regid=smartpos-card --clear-groups --"] {
                let user = if who == AS_APP { "an app" } else { "cardd's user" };
                let what = format!("{user} does not read the files of {owner}");
                self.is_refused(&what, &format!("{who} ls {path}"), "Permission denied").await?;
            }
        }
        for (device, other) in [("module", "smartpos-printer"), ("printer", "smartpos-card")] {
            let path = format!("/dev/smartpos/{device}");
            self.succeeds(&format!("{path} is there"), &format!("test -c {path}")).await?;
            let as_other = format!("setpriv --reuid={other} --regid={other} --clear-groups --");
            for (user, who) in [("app-shop", AS_APP), (other, as_other.as_str())] {
                let open = format!("{who} head --bytes=1 {path}");
                self.is_refused(&format!("{user} does not open the {device}"), &open, "Permission denied")
                    .await?;
            }
        }
        Ok(())
    }

    async fn memory(&mut self) -> Result {
        let mut sum = 0;
        let mut each = String::new();
        for (daemon, ..) in DAEMONS {
            let command = format!("cat /proc/$(systemctl show -P MainPID {daemon})/smaps_rollup");
            let rollup = self.machine.agent.output(&command).await?;
            let size = field(&rollup, "Pss").next().and_then(|size| size.parse::<u64>().ok());
            let size = size.ok_or_else(|| Error::Agent(format!("no Pss of {daemon}: {rollup}")))?;
            each.push_str(&format!(" {daemon} {size} KiB"));
            sum += size;
        }
        self.check(&format!("the daemons hold {sum} KiB (PSS):{each}"), sum <= MEMORY_LIMIT, &each);
        Ok(())
    }

    /// A sale by chip and PIN, with the receipt on the virtual printer and the same story on both sides.
    async fn sale(&mut self) -> Result {
        self.machine.hardware.simctl(&["card", "insert", CARD]).await?;
        self.type_pin().await?;
        self.succeeds("posctl sale 12.34 is approved", "posctl sale 12.34").await?;
        let file = self.machine.hardware.layout().paper().join("receipt-0001.txt");
        let receipt = async {
            while !file.exists() {
                sleep(Duration::from_millis(50)).await;
            }
            fs::read_to_string(&file)
        };
        let receipt = match timeout(RECEIPT_LIMIT, receipt).await {
            Ok(text) => text.map_err(Error::file(&file))?,
            Err(_) => "nothing was printed".to_owned(),
        };
        self.check("the receipt is on the virtual printer", receipt.contains("12.34"), &receipt);
        let code = self.machine.hardware.simctl(&["qr", "code", "alipay"]).await?.text;
        let by_code = format!("posctl sale 1.50 --key by-code --code {code}");
        self.succeeds("a customer's code is charged through the QR gateway", &by_code).await?;
        self.succeeds("and its money given back", "posctl refund 0.50 --original by-code").await?;
        let found = self.disagreements().await?;
        self.check("terminal and host agree", found.is_empty(), &found);
        Ok(())
    }

    /// All on which the journal and the ledger differ.
    async fn disagreements(&mut self) -> Result<String> {
        let list = self.machine.agent.output("posctl --json list --limit 1000").await?;
        let list: Value = serde_json::from_str(&list)
            .map_err(|error| Error::Agent(format!("posctl's list is no JSON ({error}): {list}")))?;
        let journal: Vec<Dictionary> = list.as_array().into_iter().flatten().map(dictionary).collect();
        if journal.is_empty() {
            return Ok("the journal is empty".to_owned());
        }
        let found = self.machine.hardware.compare(journal).await?;
        Ok(found.iter().map(|problem| format!("{problem}\n")).collect())
    }

    /// Before anything is harmed: what the daemons' deaths are logged as is no fault of theirs.
    async fn errors(&mut self) -> Result {
        let errors = self.machine.agent.output("journalctl --boot --priority=err --quiet --no-pager").await?;
        self.check("the journal holds no error", errors.is_empty(), &errors);
        let log = self.machine.hardware.layout().log(Part::Module);
        let said = fs::read_to_string(&log).map_err(Error::file(&log))?;
        self.check("the secure module had nothing to refuse", said.is_empty(), &said);
        Ok(())
    }
}

/// What `posctl` prints as JSON, as it came off the bus: texts and amounts are all that is compared.
fn dictionary(transaction: &Value) -> Dictionary {
    let pairs = transaction.as_object().into_iter().flatten();
    pairs
        .filter_map(|(key, value)| {
            let value = match value {
                Value::String(text) => Variant::from(text.as_str()).try_into_owned().ok()?,
                value => OwnedVariant::from(value.as_u64()?),
            };
            Some((key.clone(), value))
        })
        .collect()
}

/// The words after `name:` in a file of `/proc`.
fn field<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().split_whitespace()
}

/// Whether the field `name` is there, and all its words are `value`.
fn all_equal(text: &str, name: &str, value: &str) -> bool {
    let mut words = field(text, name).peekable();
    words.peek().is_some() && words.all(|word| word == value)
}

/// Whether a process is of the group `id` and of no other.
fn groups(status: &str, id: &str) -> bool {
    all_equal(status, "Gid", id) && field(status, "Groups").all(|group| group == id)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("        {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tcardd\nUid:\t801\t801\t801\t801\nGid:\t801\t801\t801\t801\nGroups:\t\n\
        CapEff:\t0000000000000000\nSeccomp:\t2\nSeccomp_filters:\t9\n";

    #[test]
    fn a_process_is_confined_only_if_every_id_is_its_own() {
        assert!(all_equal(STATUS, "Uid", "801"));
        assert!(!all_equal(&STATUS.replace("801\nGid", "0\nGid"), "Uid", "801"));
        assert!(groups(STATUS, "801"));
        assert!(!groups(&STATUS.replace("Groups:\t", "Groups:\t810"), "801"));
    }

    #[test]
    fn a_field_that_is_missing_holds_nothing() {
        assert!(!all_equal(STATUS, "CapBnd", "0000000000000000"));
        assert!(all_equal(STATUS, "Seccomp", "2"));
    }

    #[test]
    fn a_transaction_in_json_compares_as_the_one_of_the_bus() {
        let json = serde_json::json!({
            "state": "final", "outcome": "approved", "amount": 1234, "currency": "CNY", "batch": "000001",
            "stan": "000003", "masked_pan": "621700******0007", "approval": "A00001", "reference": "1",
        });
        let entry = sim_terminal::compare::from_journal(&dictionary(&json)).unwrap();
        assert_eq!((entry.booking.amount, entry.booking.approval.as_str()), (1234, "A00001"));
    }
}
