//! Starting, driving and ending a whole terminal.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use futures_util::future::select_all;
use sim_control::Reply;
use zbus::{Connection, connection};

use crate::clock::{self, Clock};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::part::Part;
use crate::process::{Process, Program, Readiness};
use crate::{buses, config, enrol};

/// A virtual terminal that runs. Dropping it kills its processes; [`Terminal::stop`] ends them properly.
#[derive(Debug)]
pub struct Terminal {
    layout: Layout,
    module_line: ModuleLine,
    module_usb: bool,
    protected_line: bool,
    disk: Option<PathBuf>,
    movable_clock: bool,
    profile: String,
    client_key: ClientKey,
    running: BTreeMap<Part, Process>,
    stopped: BTreeMap<Part, Program>,
}

/// What a virtual terminal is to be.
#[derive(Debug)]
pub struct Builder {
    root: PathBuf,
    parts: Vec<Part>,
    module_line: ModuleLine,
    module_usb: bool,
    protected_line: bool,
    disk: Option<PathBuf>,
    movable_clock: bool,
    profile: String,
    client_key: ClientKey,
}

/// What is between cardd and the secure module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ModuleLine {
    /// A Unix socket: it ends when one end goes away.
    #[default]
    Socket,
    /// A pseudo-terminal, which is what a UART is on a board: it tells neither end that the other came or went.
    Pty,
}

/// Where the key of the terminal's certificate for the host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientKey {
    /// In a file.
    #[default]
    File,
    /// In the secure module; the host certifies it before paymentd is started.
    SecureModule,
}

impl Builder {
    /// Leaves out the daemons that `parts` does not name. Buses and virtual hardware are always there.
    #[must_use]
    pub fn daemons(mut self, parts: &[Part]) -> Builder {
        self.parts.retain(|part| !part.is_daemon() || parts.contains(part));
        self
    }

    /// Adds a card for the USB reader of a machine in QEMU.
    #[must_use]
    pub fn reader(mut self) -> Builder {
        self.parts.push(Part::Reader);
        self
    }

    /// Gives the secure module a plug for the USB of a machine in QEMU ([`Layout::module_usb`]).
    #[must_use]
    pub fn module_usb(mut self) -> Builder {
        self.module_usb = true;
        self
    }

    /// Connects the secure module in this way.
    #[must_use]
    pub fn module_line(mut self, line: ModuleLine) -> Builder {
        self.module_line = line;
        self
    }

    /// Gives paymentd a clock that [`Clock::set`] moves, by Debian's `libfaketime`.
    #[must_use]
    pub fn movable_clock(mut self) -> Builder {
        self.movable_clock = true;
        self
    }

    /// Keeps the key of the terminal's certificate there.
    #[must_use]
    pub fn client_key(mut self, place: ClientKey) -> Builder {
        self.client_key = place;
        self
    }

    /// Has terminal and host speak the dialect of this profile.
    #[must_use]
    pub fn host_profile(mut self, name: &str) -> Builder {
        name.clone_into(&mut self.profile);
        self
    }

    /// Leaves the line between the module and cardd open: what goes over it can be read, and is believed.
    #[must_use]
    pub fn open_line(mut self) -> Builder {
        self.protected_line = false;
        self
    }

    /// Adds a disk for a machine in QEMU, whose medium is the file `image`: it is written to.
    #[must_use]
    pub fn disk(mut self, image: impl Into<PathBuf>) -> Builder {
        self.parts.push(Part::Disk);
        self.disk = Some(image.into());
        self
    }

    /// Starts all parts, one after the other; each is ready before the next one is started.
    ///
    /// Call it from the thread that outlives the terminal: the kernel kills the parts with the thread that started them.
    ///
    /// # Errors
    /// The first part that does not start, with the end of its log.
    pub async fn start(self) -> Result<Terminal> {
        let layout = Layout::create(&self.root)?;
        config::make_master_keys(&layout)?;
        let Builder {
            module_line,
            module_usb,
            protected_line,
            disk,
            movable_clock,
            profile,
            client_key,
            parts,
            ..
        } = self;
        let mut terminal = Terminal {
            layout,
            module_line,
            module_usb,
            protected_line,
            disk,
            movable_clock,
            profile,
            client_key,
            running: BTreeMap::new(),
            stopped: BTreeMap::new(),
        };
        if movable_clock {
            terminal.clock().set("+0")?;
        }
        let (daemons, hardware): (Vec<Part>, Vec<Part>) =
            parts.into_iter().partition(|part| part.is_daemon());
        for part in hardware {
            let program = terminal.program(part)?;
            terminal.running.insert(part, program.start().await?);
        }
        let (host, gateway) = (terminal.address(Part::Acquirer)?, terminal.address(Part::Gateway)?);
        let profile = &terminal.profile;
        config::write(&terminal.layout, module_line, protected_line, host, profile, client_key, gateway)?;
        terminal.keep_address(Part::Acquirer, host);
        terminal.keep_address(Part::Gateway, gateway);
        for part in daemons {
            if part == Part::Paymentd && terminal.client_key == ClientKey::SecureModule {
                terminal.enrol().await?;
            }
            let program = terminal.program(part)?;
            terminal.running.insert(part, program.start().await?);
        }
        Ok(terminal)
    }
}

impl Terminal {
    /// A terminal whose records are below `root`. An earlier run's journal, ledger and keys there go on.
    pub fn builder(root: impl Into<PathBuf>) -> Builder {
        Builder {
            root: root.into(),
            parts: Part::ALL.to_vec(),
            module_line: ModuleLine::default(),
            module_usb: false,
            protected_line: true,
            disk: None,
            movable_clock: false,
            profile: "unionpay-direct".to_owned(),
            client_key: ClientKey::default(),
        }
    }

    /// Where its files are.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The process id of a part that runs.
    #[must_use]
    pub fn pid(&self, part: Part) -> Option<u32> {
        self.running.get(&part).and_then(Process::id)
    }

    /// Paymentd's clock, of a terminal that was built with a movable one.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock::new(self.layout.clock())
    }

    /// Ends a part with SIGKILL, as `kill -9` does.
    ///
    /// # Errors
    /// [`Error::NotRunning`].
    pub async fn kill(&mut self, part: Part) -> Result {
        let process = self.running.remove(&part).ok_or(Error::NotRunning(part))?;
        let program = process.kill().await;
        self.stopped.insert(part, program);
        Ok(())
    }

    /// Starts a part again that was killed; one that runs is stopped first.
    ///
    /// # Errors
    /// [`Error::NotRunning`] for a part that this terminal was built without; when it does not stop or start.
    pub async fn restart(&mut self, part: Part) -> Result {
        let program = match self.running.remove(&part) {
            Some(process) => process.stop().await?,
            None => self.stopped.remove(&part).ok_or(Error::NotRunning(part))?,
        };
        // Kept, so that a failure to start can be tried again.
        self.stopped.insert(part, program.clone());
        self.running.insert(part, program.start().await?);
        self.stopped.remove(&part);
        Ok(())
    }

    /// Has the host certify the TLS client key of the secure module anew: after a service it has another one.
    ///
    /// # Errors
    /// What the module, the host or the file system said.
    pub async fn enrol(&self) -> Result {
        enrol::enrol(self).await
    }

    /// Returns the next part that ends without having been asked to; `restart` starts it again.
    pub async fn next_end(&mut self) -> Part {
        let ends = self.running.iter_mut().map(|(part, process)| {
            Box::pin(async {
                process.ended().await;
                *part
            })
        });
        let (part, _, _) = select_all(ends).await;
        // It has ended: this only takes it off the list.
        let _ = self.kill(part).await;
        part
    }

    /// Ends all parts, the last started first.
    ///
    /// # Errors
    /// The first daemon that did not end with success; all are gone all the same.
    pub async fn stop(mut self) -> Result {
        let mut outcome = Ok(());
        while let Some((_, process)) = self.running.pop_last() {
            outcome = outcome.and(process.stop().await.map(|_| ()));
        }
        outcome
    }

    /// A new connection to the bus of the apps, where we are the app [`APP`](crate::APP).
    ///
    /// # Errors
    /// What the bus said.
    pub async fn app_bus(&self) -> Result<Connection> {
        Ok(connection::Builder::address(self.app_bus_address().as_str()).build().await?)
    }

    /// A new connection to the bus of the daemons, where we are the operator.
    ///
    /// # Errors
    /// What the bus said.
    pub async fn system_bus(&self) -> Result<Connection> {
        Ok(connection::Builder::address(self.system_bus_address().as_str()).build().await?)
    }

    /// The D-Bus address of the bus of the apps.
    #[must_use]
    pub fn app_bus_address(&self) -> String {
        self.layout.bus_address(Part::AppBus)
    }

    /// The D-Bus address of the bus of the daemons and the operator.
    #[must_use]
    pub fn system_bus_address(&self) -> String {
        self.layout.bus_address(Part::SystemBus)
    }

    /// What a program needs to know to use this terminal, as environment variables.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("SMARTPOS_APP_BUS_ADDRESS", self.app_bus_address()),
            ("SMARTPOS_SYSTEM_BUS_ADDRESS", self.system_bus_address()),
            ("SMARTPOS_OPERATOR_BUS_ADDRESS", self.system_bus_address()),
            ("SMARTPOS_SIM_DIR", self.layout.control().display().to_string()),
        ]
    }

    /// Drives the virtual hardware, as `simctl` does.
    ///
    /// # Errors
    /// When the part does not answer, or refuses.
    pub async fn simctl(&self, words: &[&str]) -> Result<Reply> {
        let fail = |reason: String| Error::Control { command: words.join(" "), reason };
        let reply = sim_control::send(&self.layout.control(), words).await;
        let reply = reply.map_err(|error| fail(error.to_string()))?;
        if reply.ok { Ok(reply) } else { Err(fail(reply.text)) }
    }

    /// The address at which a host listens, which it chose.
    ///
    /// # Errors
    /// When its file does not say.
    pub fn address(&self, part: Part) -> Result<SocketAddr> {
        let file = self.layout.control().join(format!("{part}.addr"));
        let text = std::fs::read_to_string(&file).map_err(Error::file(&file))?;
        text.trim()
            .parse()
            .map_err(|_| Error::Records(format!("{} holds no address but `{text}`", file.display())))
    }

    /// A host has to be found where it was when it is started again.
    fn keep_address(&mut self, part: Part, address: SocketAddr) {
        let arguments = host_arguments(&self.layout, part, &self.profile, &address.to_string());
        if let Some(process) = self.running.get_mut(&part) {
            process.set_arguments(arguments);
        }
    }

    fn program(&self, part: Part) -> Result<Program> {
        let layout = &self.layout;
        let path = match part {
            Part::SystemBus | Part::AppBus => PathBuf::from(part.program()),
            _ => programs()?.join(part.program()),
        };
        let readiness = match part.is_daemon() {
            true => Readiness::Notify(layout.notify_socket(part)),
            false => Readiness::FirstLine,
        };
        let mut environment = match part.is_daemon() {
            true => daemon_environment(layout, part),
            false => Vec::new(),
        };
        if part == Part::Paymentd && self.movable_clock {
            environment.extend(clock::environment(&layout.clock()));
        }
        let arguments = match part {
            Part::SystemBus | Part::AppBus => bus_arguments(&buses::configure(layout, part)?),
            Part::Module => {
                let mut arguments = match self.module_line {
                    ModuleLine::Socket => device_arguments(layout, part),
                    ModuleLine::Pty => pty_arguments(layout),
                };
                if self.module_usb {
                    let mut socket = OsString::from("unix:");
                    socket.push(layout.module_usb());
                    arguments.extend(["--usb".into(), socket]);
                }
                arguments.extend(["--tmk".into(), layout.tmk().into()]);
                arguments.extend(["--tmk-sm4".into(), layout.tmk_sm4().into()]);
                arguments.extend(["--bdk".into(), layout.bdk().into()]);
                arguments.extend(["--key-host".into(), layout.key_host().into()]);
                arguments.extend(["--store".into(), layout.module_store().into()]);
                // Who tests types faster than people do.
                arguments.extend(["--pins".into(), "1000000".into()]);
                if self.protected_line {
                    arguments.extend(["--pairing".into(), layout.pairing().into()]);
                }
                arguments
            }
            Part::Reader => device_arguments(layout, part),
            Part::Printer => {
                let mut arguments = device_arguments(layout, part);
                arguments.extend(["--paper".into(), layout.paper().into()]);
                arguments
            }
            Part::Acquirer | Part::Gateway => host_arguments(layout, part, &self.profile, "127.0.0.1:0"),
            Part::Disk => {
                let mut arguments = device_arguments(layout, part);
                arguments.extend(self.disk.iter().flat_map(|image| ["--image".into(), image.into()]));
                arguments
            }
            Part::Cardd | Part::Printerd | Part::Paymentd => Vec::new(),
        };
        Ok(Program { part, path, arguments, environment, readiness, log: layout.log(part) })
    }
}

fn bus_arguments(configuration: &Path) -> Vec<OsString> {
    let mut file = OsString::from("--config-file=");
    file.push(configuration);
    vec![file, "--nofork".into(), "--nopidfile".into(), "--print-address=1".into()]
}

fn device_arguments(layout: &Layout, part: Part) -> Vec<OsString> {
    let mut socket = OsString::from("unix:");
    socket.push(layout.socket(part));
    vec!["--control".into(), layout.control().into(), "--listen".into(), socket]
}

fn pty_arguments(layout: &Layout) -> Vec<OsString> {
    vec!["--control".into(), layout.control().into(), "--pty".into(), layout.module_pty().into()]
}

fn host_arguments(layout: &Layout, part: Part, profile: &str, address: &str) -> Vec<OsString> {
    let mut arguments = vec!["--control".into(), layout.control().into(), "--listen".into(), address.into()];
    let (pki, ledger) = match part {
        Part::Gateway => (layout.gateway_pki(), layout.gateway_ledger()),
        _ => (layout.pki(), layout.ledger()),
    };
    arguments.extend(["--pki".into(), pki.into(), "--ledger".into(), ledger.into()]);
    if part == Part::Acquirer {
        let tmk = if profile.ends_with("-sm4") { layout.tmk_sm4() } else { layout.tmk() };
        arguments.extend(["--tmk".into(), tmk.into(), "--bdk".into(), layout.bdk().into()]);
        arguments.extend(["--profile".into(), profile.into()]);
    }
    arguments
}

/// What systemd gives a daemon.
fn daemon_environment(layout: &Layout, part: Part) -> Vec<(&'static str, OsString)> {
    vec![
        ("SMARTPOS_CONFIG_PATH", config::path(layout)),
        ("STATE_DIRECTORY", layout.state(part).into()),
        ("RUNTIME_DIRECTORY", layout.runtime(part).into()),
        ("CREDENTIALS_DIRECTORY", layout.credentials(part).into()),
    ]
}

/// The folder of the programs: `SMARTPOS_BIN_DIR`, or where cargo put ours.
///
/// # Errors
/// When the system does not say where we are.
pub fn programs() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("SMARTPOS_BIN_DIR") {
        return std::path::absolute(&folder).map_err(Error::file(Path::new(&folder)));
    }
    let executable = std::env::current_exe().map_err(Error::file(Path::new("our own executable")))?;
    let folder = executable.parent().unwrap_or(Path::new("/"));
    // Tests, benchmarks and examples have folders of their own beside the programs.
    let beside = ["deps", "examples"].iter().any(|name| folder.ends_with(name));
    Ok(if beside { folder.parent().unwrap_or(folder) } else { folder }.to_path_buf())
}
