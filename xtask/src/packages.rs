//! The Debian packages that the workspace needs beside the Rust toolchain.

use std::process::{Command, Stdio};

use crate::Result;
use crate::arm::Arch;
use crate::cargo::{run, shown};

/// What a Debian package is needed for.
struct Package {
    name: &'static str,
    purpose: &'static str,
}

/// What building and the virtual terminal need.
const TERMINAL: &[Package] = &[
    Package { name: "gcc", purpose: "linking, and the C parts of aws-lc and SQLite" },
    Package { name: "libc6-dev", purpose: "the same" },
    Package { name: "dbus-daemon", purpose: "the two buses of the virtual terminal" },
    Package { name: "util-linux", purpose: "setpriv, so that the virtual terminal leaves no process behind" },
];

/// What the tests need besides.
const TESTS: &[Package] = &[
    Package { name: "dbus-bin", purpose: "dbus-send, to try the bus policies" },
    Package { name: "gdb", purpose: "gcore, to look for secrets in a core dump" },
    Package { name: "libfaketime", purpose: "a daemon whose clock jumps" },
    Package { name: "python3", purpose: "the client in Python" },
    Package { name: "python3-dbus", purpose: "the client in Python" },
    Package { name: "python3-gi", purpose: "the main loop of the client in Python" },
    Package { name: "strace", purpose: "faults at system calls of a daemon" },
    Package { name: "systemd", purpose: "busctl, the D-Bus client that a developer types" },
];

/// What the checks of the Yocto layers need.
const YOCTO: &[Package] = &[
    Package { name: "python3", purpose: "bitbake's parser, oelint and kas" },
    Package { name: "python3-venv", purpose: "a place of their own, below target/" },
];

/// What a machine in QEMU needs.
const QEMU: &[Package] = &[
    Package { name: "qemu-system-arm", purpose: "the machine" },
    Package { name: "dbus-daemon", purpose: "the buses of the virtual hardware" },
    Package { name: "util-linux", purpose: "setpriv, so that the machine leaves no process behind" },
    Package { name: "e2fsprogs", purpose: "mke2fs and e2fsck, for the disk" },
];

/// What making an image needs besides.
const IMAGE: &[Package] = &[
    Package { name: "mmdebstrap", purpose: "Debian's packages in the image" },
    Package { name: "kmod", purpose: "depmod, for the kernel's modules" },
    Package { name: "cpio", purpose: "the initrd" },
    Package { name: "systemd", purpose: "systemctl and systemd-sysusers, which work on the image's files" },
];

/// What building for ARM needs.
const RUST: &[Package] = &[
    Package { name: "rustc-web", purpose: "Debian's Rust, which builds for ARM" },
    Package { name: "cargo-web", purpose: "the same" },
];

/// What building for aarch64 needs besides.
const AARCH64: &[Package] = &[
    Package {
        name: "gcc-aarch64-linux-gnu",
        purpose: "linking for arm64, and the C parts of aws-lc and SQLite",
    },
    Package { name: "libc6-dev-arm64-cross", purpose: "the same" },
];

/// What building for armv7, and trying what was built, needs besides.
const ARMV7: &[Package] = &[
    Package {
        name: "gcc-arm-linux-gnueabihf",
        purpose: "linking for armhf, and the C parts of aws-lc and SQLite",
    },
    Package { name: "libc6-dev-armhf-cross", purpose: "the same" },
    Package { name: "qemu-user-static", purpose: "starting the programs" },
];

/// Installs what demo, up and bench miss.
pub(crate) fn for_terminal() -> Result {
    install(TERMINAL.iter())
}

/// Installs what the tests miss.
pub(crate) fn for_tests() -> Result {
    install(TERMINAL.iter().chain(TESTS))
}

/// Installs what the checks of the Yocto layers miss.
pub(crate) fn for_yocto() -> Result {
    install(YOCTO.iter())
}

/// Installs what `qemu up` and `qemu test` miss.
pub(crate) fn for_qemu() -> Result {
    install(QEMU.iter())
}

/// Installs what `image` misses beside the compiler.
pub(crate) fn for_image() -> Result {
    install(QEMU.iter().chain(IMAGE))
}

/// Installs what building for `arch` misses: tools, then the standard library of the very version of rustc, which apt
/// does not see to.
pub(crate) fn for_arm(arch: Arch) -> Result {
    let (tools, library) = match arch {
        Arch::Aarch64 => (AARCH64, "libstd-rust-web-dev:arm64"),
        // Debian's armhf can't be counted on to be where arm64 is; its sources can.
        Arch::Armv7 => (ARMV7, "rust-web-src"),
    };
    install(RUST.iter().chain(tools))?;
    let Some(compiler) = version("rustc-web") else { return Ok(()) };
    if version(library).is_some_and(|library| library == compiler) {
        return Ok(());
    }
    println!("{library} {compiler}, Rust's standard library, will be installed with apt-get:");
    if arch == Arch::Aarch64 {
        let mut add = as_root("dpkg", &["--add-architecture", "arm64"])?;
        println!("$ {}", shown(&add));
        run(&mut add)?;
    }
    apt_get(&["update"])?;
    apt_get(&["install", "--yes", "--no-install-recommends", &format!("{library}={compiler}")])
}

/// The version of a package that is installed.
fn version(package: &str) -> Option<String> {
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status} ${Version}", package])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(query.stdout).ok()?;
    text.strip_prefix("installed ").map(str::to_owned)
}

fn install(needed: impl Iterator<Item = &'static Package> + Clone) -> Result {
    let names: Vec<&str> = needed.clone().map(|package| package.name).collect();
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\\n"])
        .args(&names)
        .stderr(Stdio::null())
        .output();
    let Ok(known) = query else {
        println!("This is no Debian system; please see to it yourself that it has: {}", names.join(" "));
        return Ok(());
    };
    let missing = missing(&names, &String::from_utf8_lossy(&known.stdout));
    if missing.is_empty() {
        return Ok(());
    }
    println!("These Debian packages are missing, and will be installed with apt-get:");
    for package in needed.filter(|package| missing.contains(&package.name)) {
        println!("  {:<12} {}", package.name, package.purpose);
    }
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(&missing);
    apt_get(&["update"])?;
    apt_get(&install)
}

/// Those of `names` that `known`, lines of a name and a status, does not call installed.
fn missing<'a>(names: &[&'a str], known: &str) -> Vec<&'a str> {
    let installed: Vec<&str> = known.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    names.iter().copied().filter(|name| !installed.contains(name)).collect()
}

fn apt_get(arguments: &[&str]) -> Result {
    let mut command = as_root("apt-get", arguments)?;
    println!("$ {}", shown(&command));
    run(&mut command)
}

/// `program` as root, without questions of packages.
fn as_root(program: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = if is_root()? {
        Command::new(program)
    } else if is_on_path("sudo") {
        let mut sudo = Command::new("sudo");
        // sudo clears the environment, so the setting goes on the command line.
        sudo.args(["DEBIAN_FRONTEND=noninteractive", program]);
        sudo
    } else {
        return Err(format!(
            "packages are missing, and there is no sudo here; as root, type: {program} {}",
            arguments.join(" ")
        ));
    };
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

/// Whether we may do everything.
pub(crate) fn is_root() -> Result<bool> {
    let id = Command::new("id")
        .arg("-u")
        .output()
        .map_err(|error| format!("`id -u` cannot be started: {error}"))?;
    Ok(id.stdout == b"0\n")
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_unknown_or_only_configured_is_missing() {
        let known = "gcc installed\nlibc6-dev installed\ngdb config-files\n";
        assert_eq!(missing(&["gcc", "gdb", "dbus-daemon"], known), ["gdb", "dbus-daemon"]);
    }
}
