//! What is installed: the manifest, the units, the users; read as systemd reads them, without a terminal.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const DAEMONS: [&str; 3] = ["cardd", "paymentd", "printerd"];

/// One line of `config/install.manifest`.
struct Entry {
    package: String,
    mode: String,
    source: String,
    destination: String,
}

impl Entry {
    fn is_installed(&self) -> bool {
        self.destination != "-"
    }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn manifest() -> Vec<Entry> {
    let text = fs::read_to_string(top().join("config/install.manifest")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [package, mode, source, destination] = words[..] else { panic!("not four columns: {line}") };
            Entry {
                package: package.to_string(),
                mode: mode.to_string(),
                source: source.to_string(),
                destination: destination.to_string(),
            }
        })
        .collect()
}

fn files_below(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path.strip_prefix(top()).unwrap().to_string_lossy().into_owned());
        }
    }
}

/// A folder with everything that is installed; programs are stubs.
fn installed() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("etc")).unwrap();
    for entry in manifest().iter().filter(|entry| entry.is_installed()) {
        let text = match entry.source.strip_prefix("bin:") {
            Some(_) => "#!/bin/sh\n".into(),
            None => fs::read(top().join(&entry.source)).unwrap(),
        };
        write(root.path(), &entry.destination, &text, &entry.mode);
    }
    root
}

fn write(root: &Path, destination: &str, text: &[u8], mode: &str) {
    let path = root.join(destination.trim_start_matches('/'));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    let mode = u32::from_str_radix(mode, 8).expect("a mode is octal");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs a tool of systemd's; it has to succeed without a word of complaint.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; install Debian's `systemd`"));
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{program} {arguments:?}: {}{}", said[0], said[1]);
    said.concat()
}

fn at_root(root: &TempDir) -> String {
    format!("--root={}", root.path().display())
}

/// The services that are installed, each with its settings in order.
fn services() -> BTreeMap<String, Vec<(String, String)>> {
    let units = manifest()
        .into_iter()
        .filter(|entry| entry.source.starts_with("systemd/system/") && entry.source.ends_with(".service"));
    units
        .map(|entry| {
            let text = fs::read_to_string(top().join(&entry.source)).unwrap();
            let settings = text.lines().filter(|line| !line.starts_with('#'));
            let settings = settings.filter_map(|line| line.split_once('='));
            let settings = settings.map(|(key, value)| (key.to_string(), value.to_string())).collect();
            (entry.source.rsplit('/').next().unwrap().to_string(), settings)
        })
        .collect()
}

/// Every value of `key`.
fn values<'a>(settings: &'a [(String, String)], key: &str) -> Vec<&'a str> {
    settings.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn the_manifest_names_each_file_once_and_nothing_that_does_not_exist() {
    let mut files = Vec::new();
    files_below(&top().join("systemd"), &mut files);
    files_below(&top().join("config"), &mut files);
    files.sort();
    let mut named: Vec<String> = manifest().into_iter().map(|entry| entry.source).collect();
    named.retain(|source| !source.starts_with("bin:"));
    named.sort();
    assert_eq!(named, files);
}

#[test]
fn each_place_is_given_to_one_file_of_a_known_package() {
    let mut places = BTreeSet::new();
    for entry in manifest().iter().filter(|entry| entry.is_installed()) {
        assert!(places.insert(entry.destination.clone()), "{} is installed twice", entry.destination);
        assert!(entry.destination.starts_with("/usr/"), "{}: the image's /etc is empty", entry.destination);
        let known = ["smartpos-common", "smartpos-cardd", "smartpos-paymentd", "smartpos-printerd", "posctl"];
        assert!(known.contains(&entry.package.as_str()), "{}", entry.package);
        let mode = if entry.source.starts_with("bin:") { "0755" } else { "0644" };
        assert_eq!(entry.mode, mode, "{}", entry.source);
    }
    for daemon in DAEMONS {
        assert!(places.contains(&format!("/usr/bin/smartpos-{daemon}")), "{daemon} is not installed");
    }
}

#[test]
fn systemd_finds_no_fault_in_the_units() {
    let root = installed();
    // What the distribution brings, as far as our units lean on it.
    for target in ["basic", "multi-user", "network", "paths", "shutdown", "sockets", "sysinit", "timers"] {
        let unit = format!("/usr/lib/systemd/system/{target}.target");
        write(root.path(), &unit, b"[Unit]\nDescription=a stub\n", "0644");
    }
    write(root.path(), "/usr/lib/systemd/system/dbus.socket", b"[Socket]\nListenStream=/run/x\n", "0644");
    write(root.path(), "/usr/lib/systemd/system/dbus.service", b"[Service]\nExecStart=/usr/bin/x\n", "0644");
    for program in ["dbus-daemon", "x"] {
        write(root.path(), &format!("/usr/bin/{program}"), b"#!/bin/sh\n", "0755");
    }
    let at_root = at_root(&root);
    let mut arguments = vec!["verify", "--man=no", &at_root, "smartpos.target", "smartpos-appbus.socket"];
    let services = services();
    arguments.extend(services.keys().map(String::as_str));
    let said = run("systemd-analyze", &arguments);
    assert!(said.is_empty(), "{said}");
}

/// It widens what a daemon may do, so it is the owner's to install, and this is all that it may widen.
#[test]
fn the_drop_in_for_a_reader_is_not_in_force_and_opens_usbfs_and_what_libusb_and_credentials_need() {
    let source = "systemd/drop-ins/smartpos-cardd-reader.conf";
    let entry = manifest().into_iter().find(|entry| entry.source == source).unwrap();
    assert!(!entry.destination.contains("/systemd/"), "{}", entry.destination);
    let text = fs::read_to_string(top().join(source)).unwrap();
    let settings: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let (section, settings) = settings.split_first().unwrap();
    assert_eq!(*section, "[Service]");
    for setting in settings {
        let (key, value) = setting.split_once('=').unwrap();
        let credential = key == "LoadCredentialEncrypted" && value.starts_with("software-");
        let calls = ["timerfd_create", "timerfd_settime", "timerfd_settime64"];
        let libusb = key == "SystemCallFilter" && value.split(' ').all(|call| calls.contains(&call));
        assert!(credential || libusb || *setting == "DeviceAllow=char-usb_device rw", "{setting}");
    }
}

/// Likewise, for a board: no more than the nodes, and what libusb takes.
#[test]
fn the_drop_ins_for_spi_and_usb_are_not_in_force_and_open_no_more_than_that() {
    let libusb = "SystemCallFilter=timerfd_create timerfd_settime timerfd_settime64";
    for (name, opened) in [
        ("spi", ["DeviceAllow=char-spi rw", "DeviceAllow=char-gpiochip r"]),
        ("usb", ["DeviceAllow=char-usb_device rw", libusb]),
    ] {
        let source = format!("systemd/drop-ins/smartpos-cardd-{name}.conf");
        let entry = manifest().into_iter().find(|entry| entry.source == source).unwrap();
        assert!(!entry.destination.contains("/systemd/"), "{}", entry.destination);
        let text = fs::read_to_string(top().join(source)).unwrap();
        let settings: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(settings, ["[Service]", opened[0], opened[1]]);
    }
}

#[test]
fn the_drop_in_for_a_keypad_is_not_in_force_and_lets_input_devices_be_read_and_no_more() {
    let source = "systemd/drop-ins/smartpos-cardd-keypad.conf";
    let entry = manifest().into_iter().find(|entry| entry.source == source).unwrap();
    assert!(!entry.destination.contains("/systemd/"), "{}", entry.destination);
    let text = fs::read_to_string(top().join(source)).unwrap();
    let settings: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(settings, ["[Service]", "DeviceAllow=char-input r"]);
    // Whoever opens the node can ask which keys are down, so that it is nobody else's.
    let rules = fs::read_to_string(top().join("systemd/udev/70-smartpos.rules")).unwrap();
    let rule = rules.lines().find(|line| line.starts_with("ENV{SMARTPOS_ROLE}==\"pin-pad\"")).unwrap();
    assert!(rule.contains("GROUP=\"smartpos-card\", MODE=\"0640\""), "{rule}");
}

#[test]
fn every_service_is_exposed_by_at_most_1_5() {
    for service in services().keys() {
        let unit = top().join("systemd/system").join(service);
        let unit = unit.to_str().unwrap();
        run("systemd-analyze", &["security", "--no-pager", "--offline=true", "--threshold=15", unit]);
    }
}

#[test]
fn everybody_that_a_file_names_is_a_user_or_a_group_of_ours() {
    let root = installed();
    run("systemd-sysusers", &[&at_root(&root)]);
    let names = |file: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(root.path().join(file)).unwrap();
        text.lines().map(|line| line.split(':').next().unwrap().to_string()).collect()
    };
    let (users, groups) = (names("etc/passwd"), names("etc/group"));
    for (service, settings) in services() {
        let user = values(&settings, "User");
        assert!(users.contains(user[0]), "{service}: there is no user {user:?}");
        assert_eq!(values(&settings, "Group"), user, "{service}");
    }
    for entry in manifest() {
        let dbus = entry.source.starts_with("config/dbus/") && entry.source.ends_with(".conf");
        if !dbus && !entry.source.starts_with("systemd/udev/") {
            continue;
        }
        let text = fs::read_to_string(top().join(&entry.source)).unwrap();
        for (mark, known) in [("user=\"", &users), ("group=\"", &groups), ("GROUP=\"", &groups)] {
            for name in text.split(mark).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                assert!(name == "root" || known.contains(name), "{}: {mark}{name}\"", entry.source);
            }
        }
    }
}

#[test]
fn the_folders_are_made_and_only_root_sees_the_credentials() {
    let root = installed();
    let at_root = at_root(&root);
    run("systemd-sysusers", &[&at_root]);
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root {
        return println!("skipped: only root can give folders to root");
    }
    run("systemd-tmpfiles", &[&at_root, "--create"]);
    for (folder, mode) in [
        ("run/smartpos", 0o755),
        ("etc/smartpos", 0o755),
        ("etc/smartpos/credentials", 0o700),
        ("var/lib/smartpos", 0o755),
    ] {
        let made = fs::metadata(root.path().join(folder)).unwrap();
        assert_eq!(made.permissions().mode() & 0o7777, mode, "{folder}");
    }
}

#[test]
fn the_presets_start_every_daemon_with_the_target() {
    let root = installed();
    run("systemctl", &[&at_root(&root), "preset-all"]);
    let wants = root.path().join("etc/systemd/system/smartpos.target.wants");
    for daemon in DAEMONS {
        assert!(wants.join(format!("smartpos-{daemon}.service")).is_symlink(), "{daemon}");
    }
    assert!(wants.join("smartpos-appbus.socket").is_symlink());
    assert!(root.path().join("etc/systemd/system/multi-user.target.wants/smartpos.target").is_symlink());
}

#[test]
fn only_the_payment_daemon_has_a_network() {
    for (service, settings) in services() {
        let families = values(&settings, "RestrictAddressFamilies");
        if service == "smartpos-paymentd.service" {
            assert_eq!(families, ["AF_UNIX AF_INET AF_INET6"]);
        } else {
            assert_eq!(families, ["AF_UNIX"], "{service}");
            assert_eq!(values(&settings, "PrivateNetwork"), ["yes"], "{service}");
            assert_eq!(values(&settings, "IPAddressDeny"), ["any"], "{service}");
        }
    }
}

#[test]
fn only_the_card_daemon_is_in_the_group_of_the_secure_module() {
    let rules = fs::read_to_string(top().join("systemd/udev/70-smartpos.rules")).unwrap();
    let card: Vec<&str> = rules.lines().filter(|line| line.contains("GROUP=\"smartpos-card\"")).collect();
    assert!(card.iter().any(|line| line.contains("SYMLINK+=\"smartpos/module\"")), "{rules}");
    for line in rules.lines().filter(|line| line.contains("GROUP=")) {
        let closed = ["MODE=\"0660\"", "MODE=\"0640\""].iter().any(|mode| line.contains(mode));
        assert!(closed, "everybody may open this: {line}");
    }
    for (service, settings) in services() {
        assert!(values(&settings, "SupplementaryGroups").is_empty(), "{service} is in more groups");
        assert_eq!(values(&settings, "DevicePolicy"), ["closed"], "{service}");
        let own = values(&settings, "Group") == ["smartpos-card"];
        assert_eq!(own, service == "smartpos-cardd.service", "{service}");
    }
}

#[test]
fn the_shipped_configuration_is_in_order() {
    let programs = sim_terminal::programs().expect("the folder of the programs");
    for daemon in DAEMONS {
        let program = programs.join(format!("smartpos-{daemon}"));
        let output = Command::new(&program)
            .arg("--check-config")
            .env("SMARTPOS_CONFIG_PATH", top().join("config"))
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}; build the workspace", program.display()));
        assert!(output.status.success(), "{daemon}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
