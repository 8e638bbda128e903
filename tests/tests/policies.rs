//! The bus policies, as `dbus-daemon` applies them to real users: both buses, real daemons, and callers of each kind.
//!
//! It takes root, and a mount namespace in which `/etc/passwd` holds our users; nothing of the machine is changed.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Besides the users that the terminal has: two apps, an operator, and somebody.
const PEOPLE: &str = "\
shop:x:61000:811::/:/bin/false
other:x:61999:811::/:/bin/false
clerk:x:1100:810::/:/bin/false
stranger:x:1101:1101::/:/bin/false
";
const LIMIT: Duration = Duration::from_secs(60);

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A process that ends with its test.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Reads until a line holds `mark`.
    fn line_with(&mut self, mark: &str) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if line.contains(mark) {
                return line;
            }
            line.clear();
        }
        panic!("it ended without saying `{mark}`");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two buses under our policies, with the card and the printer daemon on both.
struct Terminal {
    folder: TempDir,
    processes: Vec<Process>,
}

impl Terminal {
    /// `None`, with a word why, where it can't be: without root, or without mount namespaces.
    fn start() -> Option<Terminal> {
        let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let namespaces = || {
            let mut probe = Command::new("unshare");
            probe.args(["--mount", "true"]).status().is_ok_and(|status| status.success())
        };
        if !root || !namespaces() {
            println!("skipped: other users can only be played by root, in a mount namespace");
            return None;
        }
        let mut terminal = Terminal { folder: tempfile::tempdir().unwrap(), processes: Vec::new() };
        terminal.write_users();
        terminal.write_configuration();
        let system = terminal.path("system.conf");
        terminal.start_bus("root", &system, "system.sock");
        terminal.start_bus("smartpos-appbus", &top().join("config/dbus/app/appbus.conf"), "app.sock");
        terminal.start_daemon("cardd", "smartpos-card");
        terminal.start_daemon("printerd", "smartpos-printer");
        Some(terminal)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn address(&self, bus: &str) -> String {
        format!("unix:path={}", self.path(&format!("{bus}.sock")).display())
    }

    fn write_users(&self) {
        let everybody = fs::Permissions::from_mode(0o777);
        fs::set_permissions(self.folder.path(), everybody).unwrap();
        let sysusers = self.path("root/usr/lib/sysusers.d");
        fs::create_dir_all(&sysusers).unwrap();
        fs::create_dir_all(self.path("root/etc")).unwrap();
        fs::copy(top().join("systemd/sysusers.d/smartpos.conf"), sysusers.join("smartpos.conf")).unwrap();
        let distribution = "u root 0\nu messagebus 100\ng strangers 1101\n";
        fs::write(sysusers.join("distribution.conf"), distribution).unwrap();
        let root = format!("--root={}", self.path("root").display());
        let made = Command::new("systemd-sysusers").arg(root).output().expect("systemd-sysusers");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let passwd = self.path("root/etc/passwd");
        fs::write(&passwd, fs::read_to_string(&passwd).unwrap() + PEOPLE).unwrap();
    }

    fn write_configuration(&self) {
        // The distribution's own policy first, then ours, as in its `system.d`.
        let policies = top().join("config/dbus/system");
        let text = format!(
            "<busconfig><include>/usr/share/dbus-1/system.conf</include><includedir>{}</includedir></busconfig>",
            policies.display()
        );
        fs::write(self.path("system.conf"), text).unwrap();
        let config = self.path("config");
        fs::create_dir_all(&config).unwrap();
        let buses =
            format!("[bus]\nsystem = \"{}\"\napp = \"{}\"\n", self.address("system"), self.address("app"));
        fs::write(config.join("smartpos.toml"), buses).unwrap();
    }

    /// `program` as `user`, among our users.
    fn command(&self, user: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        const ENTER: &str = "mount --bind \"$1/passwd\" /etc/passwd && \
                             mount --bind \"$1/group\" /etc/group && shift && exec \"$@\"";
        let group = Command::new("awk")
            .args(["-F:", &format!("$1 == \"{user}\" {{ print $4 }}")])
            .arg(self.path("root/etc/passwd"))
            .output()
            .expect("awk");
        let group = String::from_utf8(group.stdout).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", ENTER, "sh"]).arg(self.path("root/etc"));
        command.args(["setpriv", "--reuid", user, "--regid", group.trim(), "--clear-groups"]);
        command.arg(program);
        command
    }

    fn spawn(&mut self, mut command: Command) -> &mut Process {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("unshare");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        self.processes.push(Process { child, output });
        self.processes.last_mut().expect("the one just put there")
    }

    fn start_bus(&mut self, user: &str, configuration: &Path, socket: &str) {
        let mut command = self.command(user, "dbus-daemon");
        command.arg(format!("--config-file={}", configuration.display()));
        command.arg(format!("--address=unix:path={}", self.path(socket).display()));
        command.args(["--nofork", "--nopidfile", "--nosyslog", "--print-address"]);
        self.spawn(command).line_with(socket);
    }

    fn start_daemon(&mut self, daemon: &str, user: &str) {
        let notify = self.path(&format!("{daemon}.notify"));
        let ready = UnixDatagram::bind(&notify).unwrap();
        fs::set_permissions(&notify, fs::Permissions::from_mode(0o777)).unwrap();
        ready.set_read_timeout(Some(LIMIT)).unwrap();
        let program = sim_terminal::programs().expect("the programs").join(format!("smartpos-{daemon}"));
        let mut command = self.command(user, program);
        let folders = format!("{}:{}", top().join("config").display(), self.path("config").display());
        command.env("SMARTPOS_CONFIG_PATH", folders);
        command.env("STATE_DIRECTORY", self.path(&format!("{daemon}.state")));
        command.env("NOTIFY_SOCKET", &notify);
        self.spawn(command);
        let mut told = [0; 64];
        let count = ready.recv(&mut told).unwrap_or_else(|error| panic!("{daemon} is not ready: {error}"));
        assert!(told.starts_with(b"READY=1"), "{:?}", String::from_utf8_lossy(told.get(..count).unwrap()));
    }

    /// What comes of it when `user` calls `method` on `bus`.
    fn call(&self, user: &str, bus: &str, target: &str, method: &str, arguments: &[&str]) -> Answer {
        let mut command = self.command(user, "dbus-send");
        command.arg(format!("--bus={}", self.address(bus)));
        command.args(["--print-reply", "--reply-timeout=20000"]).arg(format!("--dest={target}"));
        let path = if target.starts_with("org.smartpos.") { target.replace('.', "/") } else { String::new() };
        command.arg(format!("/{path}")).arg(method).args(arguments);
        let output = command.output().expect("dbus-send");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return Answer::Answered;
        }
        match said.strip_prefix("Error ").and_then(|said| said.split(':').next()) {
            Some(name) => Answer::Error(name.to_string()),
            None => Answer::NotLetIn(said),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Answer {
    Answered,
    Error(String),
    NotLetIn(String),
}

impl Answer {
    fn is_denied(&self) -> bool {
        *self == Answer::Error("org.freedesktop.DBus.Error.AccessDenied".to_string())
    }
}

const PING: &str = "org.freedesktop.DBus.Peer.Ping";
const REQUEST_NAME: &str = "org.freedesktop.DBus.RequestName";
const CERTIFICATE_REQUEST: &str = "org.smartpos.CardKeys1.TlsCertificateRequest";
const KEY_CHECK_VALUE: &str = "org.smartpos.CardPayment1.KeyCheckValue";

#[test]
fn an_app_calls_the_daemons_and_does_nothing_else_on_its_bus() {
    let Some(mut terminal) = Terminal::start() else { return };
    let mut listener = terminal.command("other", "dbus-monitor");
    listener.arg("--address").arg(terminal.address("app")).stderr(Stdio::null());
    let listener = terminal.spawn(listener);
    listener.line_with("member=NameAcquired");
    let name = listener.line_with("string").replace(['"', '\n'], "").replace("string", "");
    let other = name.trim();
    for app in ["shop", "other"] {
        for daemon in ["org.smartpos.Card", "org.smartpos.Printer"] {
            assert_eq!(terminal.call(app, "app", daemon, PING, &[]), Answer::Answered, "{app} to {daemon}");
        }
        for owned in ["org.smartpos.Payment", "org.example.Shop"] {
            let owned = format!("string:{owned}");
            let answer =
                terminal.call(app, "app", "org.freedesktop.DBus", REQUEST_NAME, &[&owned, "uint32:0"]);
            assert!(answer.is_denied(), "{app} owns {owned}: {answer:?}");
        }
        let answer = terminal.call(app, "app", other, PING, &[]);
        assert!(answer.is_denied(), "{app} calls {other}: {answer:?}");
    }
    let monitor = "org.freedesktop.DBus.Monitoring.BecomeMonitor";
    let answer =
        terminal.call("shop", "app", "org.freedesktop.DBus", monitor, &["array:string:", "uint32:0"]);
    assert!(answer.is_denied(), "{answer:?}");
    let mut signal = terminal.command("shop", "dbus-send");
    signal.arg(format!("--bus={}", terminal.address("app"))).arg(format!("--dest={other}"));
    assert!(signal.args(["/", "org.example.Shop.Hello"]).status().unwrap().success());
    // The listener asked for everything; nothing that an app said may have come to it.
    let listener = terminal.processes.last_mut().unwrap();
    assert_eq!(listener.child.try_wait().unwrap(), None, "the listener has left");
    listener.child.kill().unwrap();
    let heard: Vec<String> = listener.output.by_ref().lines().map_while(Result::ok).collect();
    let foreign = |line: &String| line.starts_with("method") || line.contains("org.example.");
    assert!(!heard.iter().any(foreign), "{heard:#?}");
}

#[test]
fn only_apps_daemons_and_root_get_onto_the_app_bus() {
    let Some(terminal) = Terminal::start() else { return };
    for user in ["stranger", "clerk"] {
        let answer = terminal.call(user, "app", "org.smartpos.Printer", PING, &[]);
        assert!(matches!(answer, Answer::NotLetIn(_)), "{user}: {answer:?}");
    }
    assert_eq!(terminal.call("root", "app", "org.smartpos.Printer", PING, &[]), Answer::Answered);
    // A daemon owns its own name and no other, and calls no other daemon here.
    let arguments = ["string:org.smartpos.Payment", "uint32:0"];
    let bus = "org.freedesktop.DBus";
    assert!(terminal.call("smartpos-printer", "app", bus, REQUEST_NAME, &arguments).is_denied());
    assert_eq!(terminal.call("smartpos-payment", "app", bus, REQUEST_NAME, &arguments), Answer::Answered);
    assert!(terminal.call("smartpos-printer", "app", "org.smartpos.Card", PING, &[]).is_denied());
}

#[test]
fn on_the_system_bus_operators_operate_and_only_the_payment_daemon_takes_cards() {
    let Some(terminal) = Terminal::start() else { return };
    let slot = ["string:mak"];
    for daemon in ["org.smartpos.Card", "org.smartpos.Printer"] {
        for user in ["root", "clerk", "smartpos-payment"] {
            let answer = terminal.call(user, "system", daemon, PING, &[]);
            assert_eq!(answer, Answer::Answered, "{user} to {daemon}");
        }
        for user in ["stranger", "shop", "smartpos-appbus"] {
            let answer = terminal.call(user, "system", daemon, PING, &[]);
            assert!(answer.is_denied(), "{user} to {daemon}: {answer:?}");
        }
    }
    for user in ["root", "clerk", "smartpos-printer"] {
        let answer = terminal.call(user, "system", "org.smartpos.Card", KEY_CHECK_VALUE, &slot);
        assert!(answer.is_denied(), "{user}: {answer:?}");
    }
    for (user, let_through) in [("root", true), ("clerk", true), ("smartpos-printer", false), ("shop", false)]
    {
        let answer =
            terminal.call(user, "system", "org.smartpos.Card", CERTIFICATE_REQUEST, &["string:CN=1"]);
        assert_eq!(!answer.is_denied(), let_through, "{user}: {answer:?}");
    }
    // The bus lets it through; the guard refuses one who does not own the payment daemon's name.
    let answer = terminal.call("smartpos-payment", "system", "org.smartpos.Card", KEY_CHECK_VALUE, &slot);
    assert_eq!(answer, Answer::Error("org.smartpos.Error.NotPermitted".to_string()));
    let arguments = ["string:org.smartpos.Payment", "uint32:0"];
    for user in ["clerk", "smartpos-card", "stranger"] {
        let answer = terminal.call(user, "system", "org.freedesktop.DBus", REQUEST_NAME, &arguments);
        assert!(answer.is_denied(), "{user}: {answer:?}");
    }
}
