//! What the daemons are told about the virtual terminal, laid over the configuration that is shipped.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::part::Part;
use crate::terminal::{ClientKey, ModuleLine};

/// The app that the developer's uid stands for on the app bus.
pub const APP: &str = "dev.example.shop";
/// The application on cards that it may select: the membership of the virtual ones.
pub const MEMBERSHIP: &str = "F0534D4152544D454D";
/// The terminal's number at the host (DE 41).
pub const TERMINAL_ID: &str = "12345678";
/// The merchant's number at the host (DE 42).
pub const MERCHANT_ID: &str = "898100012345678";

/// What the terminal sells in: ISO 4217, letters and number.
pub(crate) const CURRENCY: (&str, &str) = ("CNY", "156");

/// The host's certificate is for this name.
const HOST_NAME: &str = "acquirer.sim.smartpos.example";
/// The QR gateway's certificate is for this name.
const GATEWAY_NAME: &str = "gateway.sim.smartpos.example";
/// The terminal's key at the QR gateway.
const GATEWAY_KEY: &str = "terminal-12345678";

/// The folders of configuration for the daemons, lowest layer first.
pub(crate) fn path(layout: &Layout) -> OsString {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let mut folders = OsString::from(shipped.canonicalize().unwrap_or(shipped));
    folders.push(":");
    folders.push(layout.config());
    folders
}

/// Writes the configuration of all daemons and hands paymentd and cardd their credentials.
pub(crate) fn write(
    layout: &Layout,
    module_line: ModuleLine,
    protected_line: bool,
    host: SocketAddr,
    profile: &str,
    client_key: ClientKey,
    gateway: SocketAddr,
) -> Result {
    let uid = rustix::process::getuid().as_raw();
    let shared = json!({
        "bus": { "system": layout.bus_address(Part::SystemBus), "app": layout.bus_address(Part::AppBus) },
        "development": { "uid": uid, "app": APP },
        "apps": { APP: {
            "uid": 61001,
            "permissions": [
                "payment.start", "payment.void", "payment.refund", "payment.tip", "payment.moto", "payment.preauthorise",
                "payment.settle", "payment.read", "card.nonpayment", "card.sam", "printer.print",
                "device.status",
            ],
            "card_applications": [MEMBERSHIP],
            "sam_slots": [1, 2, 3],
        } },
    });
    let device = |part| format!("unix:{}", layout.socket(part).display());
    let module = match module_line {
        ModuleLine::Socket => device(Part::Module),
        ModuleLine::Pty => format!("tty:{}", layout.module_pty().display()),
    };
    let client_key = match client_key {
        ClientKey::File => "file",
        ClientKey::SecureModule => "secure-module",
    };
    let paymentd = json!({
        "host": {
            "address": host.to_string(), "server_name": HOST_NAME, "profile": profile, "client_key": client_key,
        },
        "merchant": { "terminal": TERMINAL_ID, "merchant": MERCHANT_ID, "name": "示例便利店", "currency": CURRENCY.0 },
        "gateway": {
            "name": "sim", "address": gateway.to_string(), "server_name": GATEWAY_NAME, "key": GATEWAY_KEY,
        },
    });
    write_toml(layout, "smartpos", &shared)?;
    let cardd = json!({ "device": module, "protected_line": protected_line, "card_may_stay": true });
    write_toml(layout, "cardd", &cardd)?;
    write_toml(
        layout,
        "printerd",
        &json!({ "device": device(Part::Printer), "profile": "generic-58mm-gb18030" }),
    )?;
    write_toml(layout, "paymentd", &paymentd)?;
    write_file(&layout.config().join("emv/capks-test.toml"), sim_cards::capks_toml().as_bytes())?;
    let (host, gateway) = (layout.pki(), layout.gateway_pki());
    let credentials = [
        (&host, "root-ca.pem", "host-root-ca.pem"),
        (&host, "terminal-cert.pem", "host-client-cert.pem"),
        (&host, "terminal-key.pem", "host-client-key.pem"),
        (&gateway, "server-cert.pem", "gateway-root-ca.pem"),
        (&gateway, "terminal-key.pem", "gateway-terminal-key.pem"),
        (&gateway, "gateway-public.pem", "gateway-public.pem"),
    ];
    hand_over(layout, Part::Paymentd, &credentials)?;
    if protected_line {
        let line = layout.pairing();
        let credentials = [
            (&line, "host-key.pem", "module-line-key.pem"),
            (&line, "module-public.pem", "module-line-peer.pem"),
        ];
        hand_over(layout, Part::Cardd, &credentials)?;
    }
    Ok(())
}

/// Hands credentials to a daemon: each from a folder, with the name there and the one that the daemon knows.
fn hand_over(layout: &Layout, daemon: Part, credentials: &[(&PathBuf, &str, &str)]) -> Result {
    for (folder, from, to) in credentials {
        let from = folder.join(from);
        let text = fs::read(&from).map_err(Error::file(&from))?;
        write_file(&layout.credentials(daemon).join(to), &text)?;
    }
    Ok(())
}

/// Makes the keys that module and host share, unless an earlier run did.
pub(crate) fn make_master_keys(layout: &Layout) -> Result {
    make_master_key(&layout.tmk())?;
    make_master_key(&layout.tmk_sm4())?;
    make_base_key(&layout.bdk())
}

/// The number of the base derivation key (ANSI X9.24-3, 6.1), and 128 bits of AES.
fn make_base_key(file: &Path) -> Result {
    if file.exists() {
        return Ok(());
    }
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| Error::file(file)(error.into()))?;
    write_file(file, format!("53500001 {}", hex::encode_upper(key)).as_bytes())
}

/// One for TDES is as good for SM4.
fn make_master_key(file: &Path) -> Result {
    if file.exists() {
        return Ok(());
    }
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| Error::file(file)(error.into()))?;
    write_file(file, hex::encode_upper(key.map(with_odd_parity)).as_bytes())
}

/// DES keys carry odd parity in the lowest bit of each byte.
fn with_odd_parity(byte: u8) -> u8 {
    if byte.count_ones().is_multiple_of(2) { byte ^ 1 } else { byte }
}

fn write_toml(layout: &Layout, name: &str, values: &Value) -> Result {
    let file: PathBuf = layout.config().join(format!("{name}.toml"));
    let text =
        toml::to_string(values).map_err(|error| Error::Records(format!("{}: {error}", file.display())))?;
    write_file(&file, text.as_bytes())
}

pub(crate) fn write_file(file: &Path, content: &[u8]) -> Result {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    fs::write(file, content).map_err(Error::file(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_key_gets_odd_parity() {
        assert!((0..=u8::MAX).all(|byte| with_odd_parity(byte).count_ones() % 2 == 1));
        assert!((0..=u8::MAX).all(|byte| with_odd_parity(byte) >> 1 == byte >> 1));
    }

    #[test]
    fn a_later_run_keeps_the_key_of_the_first() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::create(root.path()).unwrap();
        make_master_keys(&layout).unwrap();
        let first = fs::read_to_string(layout.tmk()).unwrap();
        make_master_keys(&layout).unwrap();
        assert_eq!(fs::read_to_string(layout.tmk()).unwrap(), first);
        assert_eq!(first.len(), 32);
    }
}
