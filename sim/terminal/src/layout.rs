//! Where the files and the sockets of a virtual terminal are.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::part::Part;

/// `sun_path` holds 108 bytes with the final zero.
const LONGEST_SOCKET_PATH: usize = 107;

/// Where the files and the sockets of a virtual terminal are.
#[derive(Debug)]
pub struct Layout {
    root: PathBuf,
    sockets: TempDir,
}

impl Layout {
    /// Makes the folders below `root`, and a new short one for sockets.
    pub(crate) fn create(root: &Path) -> Result<Layout> {
        fs::create_dir_all(root).map_err(Error::file(root))?;
        let root = root.canonicalize().map_err(Error::file(root))?;
        let sockets = tempfile::Builder::new()
            .prefix("smartpos-")
            .tempdir()
            .map_err(Error::file(&std::env::temp_dir()))?;
        let layout = Layout { root, sockets };
        let mut folders = vec![layout.paper(), layout.pki(), layout.config(), layout.control()];
        folders.push(layout.root.join("log"));
        folders.push(layout.sockets.path().join("notify"));
        for daemon in Part::DAEMONS {
            folders.extend([layout.state(daemon), layout.credentials(daemon), layout.runtime(daemon)]);
        }
        for folder in folders {
            fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        }
        for daemon in Part::DAEMONS {
            fits(layout.notify_socket(daemon))?;
        }
        Ok(layout)
    }

    /// The folder of everything that the run leaves behind.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The configuration that this run lays over the shipped one.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("config")
    }

    /// What a part wrote on its stderr.
    #[must_use]
    pub fn log(&self, part: Part) -> PathBuf {
        self.root.join("log").join(format!("{part}.log"))
    }

    /// `STATE_DIRECTORY` of a daemon: the journal of paymentd, the spool of printerd.
    #[must_use]
    pub fn state(&self, daemon: Part) -> PathBuf {
        self.root.join("state").join(daemon.name())
    }

    /// `CREDENTIALS_DIRECTORY` of a daemon.
    #[must_use]
    pub fn credentials(&self, daemon: Part) -> PathBuf {
        self.root.join("credentials").join(daemon.name())
    }

    /// `RUNTIME_DIRECTORY` of a daemon.
    #[must_use]
    pub fn runtime(&self, daemon: Part) -> PathBuf {
        self.sockets.path().join("run").join(daemon.name())
    }

    /// The receipts: `receipt-0001.png` and `.txt`, and so on.
    #[must_use]
    pub fn paper(&self) -> PathBuf {
        self.root.join("paper")
    }

    /// The certificates of the host and of the terminal.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// The certificate and the signing keys of the QR gateway and of its terminal.
    #[must_use]
    pub fn gateway_pki(&self) -> PathBuf {
        self.root.join("gateway-pki")
    }

    /// What the QR gateway has booked.
    #[must_use]
    pub fn gateway_ledger(&self) -> PathBuf {
        self.root.join("gateway-ledger.jsonl")
    }

    /// What the host has booked.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger.jsonl")
    }

    /// How far paymentd's clock is off, where that can be moved.
    pub(crate) fn clock(&self) -> PathBuf {
        self.root.join("clock")
    }

    /// The keys of the line between the module and cardd.
    #[must_use]
    pub fn pairing(&self) -> PathBuf {
        self.root.join("pairing")
    }

    /// The key that the module and the host share.
    #[must_use]
    pub fn tmk(&self) -> PathBuf {
        self.root.join("tmk.hex")
    }

    /// The key of SM4 that the module and the host share.
    #[must_use]
    pub fn tmk_sm4(&self) -> PathBuf {
        self.root.join("tmk-sm4.hex")
    }

    /// The base derivation key of DUKPT that the module's initial key comes from, and the host's keys.
    #[must_use]
    pub fn bdk(&self) -> PathBuf {
        self.root.join("bdk.hex")
    }

    /// The certificates of the module and of its key distribution host, once `smartpos-sim-keyhost` has made them.
    #[must_use]
    pub fn key_host(&self) -> PathBuf {
        self.root.join("key-host")
    }

    /// What the module keeps, sealed: its keys, and whether it was tampered with.
    #[must_use]
    pub fn module_store(&self) -> PathBuf {
        self.root.join("module.store")
    }

    /// The folder of the control sockets (`SMARTPOS_SIM_DIR`).
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.sockets.path().join("control")
    }

    /// The socket of a bus or of a device.
    #[must_use]
    pub fn socket(&self, part: Part) -> PathBuf {
        self.sockets.path().join(format!("{part}.sock"))
    }

    /// The pseudo-terminal of the secure module, where it has one.
    pub(crate) fn module_pty(&self) -> PathBuf {
        self.sockets.path().join("module.pty")
    }

    /// The socket of the secure module's USB plug, where it has one.
    #[must_use]
    pub fn module_usb(&self) -> PathBuf {
        self.sockets.path().join("module-usb.sock")
    }

    /// The D-Bus address of a bus.
    pub(crate) fn bus_address(&self, bus: Part) -> String {
        format!("unix:path={}", self.socket(bus).display())
    }

    /// `NOTIFY_SOCKET` of a daemon.
    pub(crate) fn notify_socket(&self, daemon: Part) -> PathBuf {
        self.sockets.path().join("notify").join(daemon.name())
    }
}

/// The longest paths are those of the notify sockets, so that they stand for all.
fn fits(path: PathBuf) -> Result {
    if path.as_os_str().len() > LONGEST_SOCKET_PATH { Err(Error::LongPath(path)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_stay_short_below_a_deep_folder() {
        let deep = tempfile::tempdir().unwrap();
        let root = deep.path().join("x".repeat(120));
        let layout = Layout::create(&root).unwrap();
        for socket in [layout.socket(Part::SystemBus), layout.control().join("acquirer.ctl")] {
            assert!(socket.as_os_str().len() <= LONGEST_SOCKET_PATH, "{}", socket.display());
        }
        assert!(layout.state(Part::Paymentd).is_dir());
    }

    #[test]
    fn the_sockets_go_with_the_layout_and_the_records_stay() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::create(root.path()).unwrap();
        let control = layout.control();
        drop(layout);
        assert!(!control.exists());
        assert!(root.path().join("state/paymentd").is_dir());
    }
}
