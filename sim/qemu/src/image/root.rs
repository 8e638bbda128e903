//! What Debian's packages do when they are installed, and what the board adds: all that makes a bootable root.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use sim_module::pairing::{HOST_KEY, MODULE_PUBLIC};

use super::Image;
use crate::error::{Error, Result};
use crate::{table, tool};

const MASKED: &str = include_str!("../../image/masked.txt");

/// The board's own files, below the workspace.
const BOARD: &str = "sim/qemu/board";

/// Without one, each boot is a first boot, in which systemd applies its presets. Nobody tells these machines apart.
const MACHINE_ID: &str = "b08dfa6083e7567a1921a715000001fb\n";

/// The terminal's credentials: the names in the acquirer's folder, and those that the unit loads.
const HOST_CREDENTIALS: [(&str, &str); 3] = [
    ("root-ca.pem", "host-root-ca.pem"),
    ("terminal-cert.pem", "host-client-cert.pem"),
    ("terminal-key.pem", "host-client-key.pem"),
];

/// Likewise those in the QR gateway's folder.
const GATEWAY_CREDENTIALS: [(&str, &str); 3] = [
    ("server-cert.pem", "gateway-root-ca.pem"),
    ("terminal-key.pem", "gateway-terminal-key.pem"),
    ("gateway-public.pem", "gateway-public.pem"),
];

/// Likewise those of the pairing with the secure module.
const MODULE_CREDENTIALS: [(&str, &str); 2] =
    [(HOST_KEY, "module-line-key.pem"), (MODULE_PUBLIC, "module-line-peer.pem")];

/// Configures the unpacked packages and our installed files below `root`.
pub(crate) fn configure(root: &Path, workspace: &Path, image: &Image) -> Result {
    copy_tree(&workspace.join(BOARD), root)?;
    users(root)?;
    copy(&root.join("usr/share/libc-bin/nsswitch.conf"), &root.join("etc/nsswitch.conf"))?;
    write(&root.join("etc/machine-id"), MACHINE_ID, 0o444)?;
    credentials(root, image)?;
    units(root)?;
    mark_as_updated(root)
}

/// The users of base-passwd, and those that sysusers.d names.
fn users(root: &Path) -> Result {
    for name in ["passwd", "group"] {
        let master = root.join(format!("usr/share/base-passwd/{name}.master"));
        copy(&master, &root.join("etc").join(name))?;
    }
    let passwd = root.join("etc/passwd");
    let text = fs::read_to_string(&passwd).map_err(Error::file(&passwd))?;
    let names = text.lines().filter_map(|line| line.split(':').next());
    // Nobody has a password: root comes in by the console alone.
    let shadow: String = names.map(|name| format!("{name}:*:19000:0:99999:7:::\n")).collect();
    write(&root.join("etc/shadow"), &shadow, 0o640)?;
    tool::run(Command::new("systemd-sysusers").arg("--root").arg(root))
}

/// What a terminal is given when it is put into service; here from the virtual acquirer, QR gateway and cards.
fn credentials(root: &Path, image: &Image) -> Result {
    let folder = root.join("etc/smartpos/credentials");
    make_folder(&folder)?;
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(Error::file(&folder))?;
    let of_host = HOST_CREDENTIALS.map(|(from, to)| (image.pki().join(from), to));
    let of_gateway = GATEWAY_CREDENTIALS.map(|(from, to)| (image.gateway_pki().join(from), to));
    let of_module = MODULE_CREDENTIALS.map(|(from, to)| (image.pairing().join(from), to));
    for (from, to) in of_host.into_iter().chain(of_gateway).chain(of_module) {
        let to = folder.join(to);
        copy(&from, &to)?;
        fs::set_permissions(&to, Permissions::from_mode(0o600)).map_err(Error::file(&to))?;
    }
    write(&root.join("etc/smartpos/emv/capks-test.toml"), &sim_cards::capks_toml(), 0o644)
}

/// Enables what our presets and the board's enable, and masks what the table names.
fn units(root: &Path) -> Result {
    let mut enabled = Vec::new();
    for preset in ["40-board.preset", "50-smartpos.preset"] {
        let file = root.join("usr/lib/systemd/system-preset").join(preset);
        let text = fs::read_to_string(&file).map_err(Error::file(&file))?;
        enabled
            .extend(table::lines(&text).filter_map(|line| line.strip_prefix("enable ")).map(str::to_owned));
    }
    let systemctl = || {
        let mut command = Command::new("systemctl");
        command.arg("--root").arg(root).arg("--quiet");
        command
    };
    tool::run(systemctl().arg("preset").args(enabled))?;
    tool::run(systemctl().args(["set-default", "multi-user.target"]))?;
    for unit in table::lines(MASKED) {
        let link = root.join("etc/systemd/system").join(unit);
        symlink("/dev/null", &link).map_err(Error::file(&link))?;
    }
    Ok(())
}

/// Without these stamps, systemd updates its databases when it first boots, which takes long here.
fn mark_as_updated(root: &Path) -> Result {
    let built = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let stamp = format!("TIMESTAMP_NSEC={}\n", built.as_nanos());
    write(&root.join("etc/.updated"), &stamp, 0o644)?;
    write(&root.join("var/.updated"), &stamp, 0o644)?;
    let usr = root.join("usr");
    let before = SystemTime::UNIX_EPOCH + built.saturating_sub(Duration::from_secs(1));
    let set = |folder: &Path| File::open(folder)?.set_times(FileTimes::new().set_modified(before));
    set(&usr).map_err(Error::file(&usr))
}

fn copy_tree(from: &Path, to: &Path) -> Result {
    make_folder(to)?;
    for entry in fs::read_dir(from).map_err(Error::file(from))? {
        let entry = entry.map_err(Error::file(from))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy_tree(&from, &to)? } else { copy(&from, &to)? }
    }
    Ok(())
}

/// Writes `file`, and gives it `mode`.
fn write(file: &Path, content: &str, mode: u32) -> Result {
    if let Some(folder) = file.parent() {
        make_folder(folder)?;
    }
    fs::write(file, content).map_err(Error::file(file))?;
    fs::set_permissions(file, Permissions::from_mode(mode)).map_err(Error::file(file))
}

/// Copies with the mode.
fn copy(from: &Path, to: &Path) -> Result {
    fs::copy(from, to).map(drop).map_err(Error::file(from))
}

fn make_folder(folder: &Path) -> Result {
    fs::create_dir_all(folder).map_err(Error::file(folder))
}
