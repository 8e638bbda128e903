//! The machine: QEMU with the image, and with the virtual hardware at its serial lines and its network.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use sim_terminal::{Part, Terminal};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::agent::Agent;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::monitor::Monitor;
use crate::reader;
use crate::tool;

const QEMU: &str = "qemu-system-aarch64";

/// Emulated on two idle processors it takes 25 s.
const BOOT_LIMIT: Duration = Duration::from_secs(240);
/// How long the guest may take to end its work and power off.
const OFF_LIMIT: Duration = Duration::from_secs(60);
/// How much of the console an error shows.
const LAST_LINES: usize = 25;

/// A terminal that runs in QEMU, with its virtual hardware outside. Dropping it kills both.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The virtual hardware and the acquirer.
    pub(crate) hardware: Terminal,
    /// Commands in the guest.
    pub(crate) agent: Agent,
    /// QEMU itself.
    pub(crate) monitor: Monitor,
    /// From power-on until everything was started.
    pub(crate) boot_time: Duration,
    qemu: Child,
    image: Image,
    folder: PathBuf,
    processors: Processors,
}

/// What becomes of what a machine writes to its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// It is forgotten when the machine ends. Nothing is lost before that: there is no power to cut.
    Forgetful,
    /// It is kept as a disk with a write cache keeps it: `smartpos-sim-disk`, at the price of some speed.
    Lossy,
}

/// What a machine computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processors {
    /// As fast as the host can, and measured by the host's clock.
    Two,
    /// One, whose clock is the number of its instructions (4 ns each): what it measures does not depend on how busy the host is.
    Counted,
}

impl Machine {
    /// Starts a new terminal with an `image`, and waits until it takes payments. Its records are below `folder`;
    /// those of an earlier run are removed.
    pub(crate) async fn start(
        image: &Image,
        folder: &Path,
        disk: Disk,
        processors: Processors,
    ) -> Result<Machine> {
        image.must_exist()?;
        let hardware = hardware(image, &folder.join("terminal"), disk).await?;
        let Power { agent, monitor, boot_time, qemu } =
            power_on(image, &hardware, folder, processors).await?;
        let (image, folder) = (image.clone(), folder.to_path_buf());
        Ok(Machine { hardware, agent, monitor, boot_time, qemu, image, folder, processors })
    }

    /// Ends the machine as it is, when its disk has lost power. The module and the printer have theirs from the terminal.
    pub(crate) async fn power_off(&mut self) -> Result {
        // It fails only for a process that has ended already.
        let _ = self.qemu.kill().await;
        for device in ["module", "printer"] {
            self.hardware.simctl(&[device, "reset"]).await?;
        }
        Ok(())
    }

    /// Gives power to a machine that has none, and waits until the terminal takes payments again.
    pub(crate) async fn power_on(&mut self) -> Result {
        let power = power_on(&self.image, &self.hardware, &self.folder, self.processors).await?;
        (self.agent, self.monitor, self.qemu) = (power.agent, power.monitor, power.qemu);
        self.boot_time = power.boot_time;
        Ok(())
    }

    /// All that the guest's console has said since power was on.
    pub(crate) fn console(&self) -> Result<String> {
        let file = console(&self.folder);
        let text = fs::read(&file).map_err(Error::file(&file))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Waits until the machine has ended by itself.
    pub(crate) async fn ended(&mut self) -> Error {
        let _ = self.qemu.wait().await;
        self.error("the machine has ended")
    }

    /// Powers the machine off and ends the virtual hardware.
    pub(crate) async fn stop(mut self) -> Result {
        self.shut_down().await?;
        Ok(self.hardware.stop().await?)
    }

    /// Lets the guest end its work and power off.
    pub(crate) async fn shut_down(&mut self) -> Result {
        self.agent.run("systemctl poweroff --no-block").await?;
        let off = timeout(OFF_LIMIT, self.qemu.wait()).await;
        if off.is_err() { Err(self.error("the machine does not power off")) } else { Ok(()) }
    }

    fn error(&self, reason: &str) -> Error {
        Error::Machine { reason: reason.to_owned(), console: last_lines(&console(&self.folder)) }
    }
}

/// What a machine has only while it has power.
struct Power {
    agent: Agent,
    monitor: Monitor,
    boot_time: Duration,
    qemu: Child,
}

async fn power_on(
    image: &Image,
    hardware: &Terminal,
    folder: &Path,
    processors: Processors,
) -> Result<Power> {
    // QEMU makes its sockets anew; until then nobody may take the old ones for them.
    for socket in [agent_socket(hardware), monitor_socket(hardware)] {
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::file(&socket)(error)),
            _ => {}
        }
    }
    let command = command(image, hardware, folder, processors)?;
    let begin = Instant::now();
    let mut qemu = start_qemu(command, folder)?;
    let agent = tokio::select! {
        agent = boot(hardware) => agent,
        _ = qemu.wait() => Err(Error::Agent(format!("{QEMU} ended: {}", qemu_log(folder)))),
    };
    let agent = agent.map_err(|error| Error::Machine {
        reason: format!("the machine did not come up: {error}"),
        console: last_lines(&console(folder)),
    })?;
    let boot_time = begin.elapsed();
    let monitor = Monitor::connect(&monitor_socket(hardware)).await?;
    Ok(Power { agent, monitor, boot_time, qemu })
}

/// The virtual module, card, printer, acquirer and QR gateway. Certificates and keys are those that the image was made with; so is the pairing.
async fn hardware(image: &Image, folder: &Path, disk: Disk) -> Result<Terminal> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(Error::file(folder))?;
    }
    for (from, to) in
        [(image.pki(), "pki"), (image.gateway_pki(), "gateway-pki"), (image.pairing(), "pairing")]
    {
        copy_files(&from, &folder.join(to))?;
    }
    let hardware = Terminal::builder(folder).daemons(&[]).reader().module_usb();
    if disk == Disk::Forgetful {
        return Ok(hardware.start().await?);
    }
    let medium = medium(folder);
    tool::run(
        std::process::Command::new("cp")
            .args(["--reflink=auto", "--sparse=always"])
            .arg(image.disk())
            .arg(&medium),
    )?;
    Ok(hardware.disk(medium).start().await?)
}

/// What a lossy disk keeps, below the folder of the virtual hardware.
pub(crate) fn medium(folder: &Path) -> PathBuf {
    folder.join("disk.ext4")
}

/// Waits until the guest has started all that it starts.
async fn boot(hardware: &Terminal) -> Result<Agent> {
    let socket = agent_socket(hardware);
    while !socket.exists() {
        sleep(Duration::from_millis(20)).await;
    }
    let mut agent = Agent::connect(&socket).await?;
    agent.run_within(BOOT_LIMIT, "systemctl is-system-running --wait").await?;
    let state = agent.run("systemctl is-active smartpos.target").await?;
    if state.status == 0 {
        return Ok(agent);
    }
    let why = agent
        .run("systemctl list-jobs; systemctl --failed; journalctl -b -p warning -n 25 --no-pager")
        .await?;
    Err(Error::Agent(format!("smartpos.target is {}:\n{}", state.output.trim_end(), why.output)))
}

/// Below the folder of the control sockets, which is short.
pub(crate) fn console_socket(control: &Path) -> PathBuf {
    control.join("console.sock")
}

fn agent_socket(hardware: &Terminal) -> PathBuf {
    hardware.layout().control().join("agent.sock")
}

fn monitor_socket(hardware: &Terminal) -> PathBuf {
    hardware.layout().control().join("monitor.sock")
}

fn start_qemu(mut command: Command, folder: &Path) -> Result<Child> {
    let log = folder.join("qemu.log");
    let log = fs::File::create(&log).map_err(Error::file(&log))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    // Ctrl-C is for us: the guest's file system is unmounted first.
    command.process_group(0).kill_on_drop(true);
    command.spawn().map_err(|source| Error::NotStarted { program: QEMU.to_owned(), source })
}

fn copy_files(from: &Path, to: &Path) -> Result {
    fs::create_dir_all(to).map_err(Error::file(to))?;
    for entry in fs::read_dir(from).map_err(Error::file(from))? {
        let entry = entry.map_err(Error::file(from))?;
        fs::copy(entry.path(), to.join(entry.file_name())).map_err(Error::file(&entry.path()))?;
    }
    Ok(())
}

/// Below `setpriv`, so that the kernel ends it when we end, however that is.
fn command(image: &Image, hardware: &Terminal, folder: &Path, processors: Processors) -> Result<Command> {
    let layout = hardware.layout();
    let (host, gateway) = (hardware.address(Part::Acquirer)?.port(), hardware.address(Part::Gateway)?.port());
    let with = |text: &str, path: &Path| {
        let mut word = OsString::from(text);
        word.push(path);
        word
    };
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", QEMU]);
    command.args(["-M", "virt,gic-version=3", "-cpu", "cortex-a53"]);
    command.args(match processors {
        Processors::Two => ["-accel", "tcg,thread=multi", "-smp", "2"].as_slice(),
        Processors::Counted => &["-accel", "tcg,thread=single", "-icount", "shift=2", "-smp", "1"],
    });
    command.args(["-m", "512", "-nodefaults", "-display", "none", "-no-reboot"]);
    command.arg("-kernel").arg(image.kernel()).arg("-initrd").arg(image.initrd());
    command.arg("-append").arg(format!(
        "console=ttyAMA0 quiet TERM=dumb mitigations=off audit=0 nokaslr smartpos.host=10.0.2.2:{host} \
         smartpos.gateway=10.0.2.2:{gateway}"
    ));
    command.arg("-drive").arg(match hardware.pid(Part::Disk) {
        None => with("if=none,id=disk,format=raw,snapshot=on,file=", &image.disk()),
        Some(_) => with(
            "if=none,id=disk,format=raw,file.driver=nbd,file.server.type=unix,file.server.path=",
            &layout.socket(Part::Disk),
        ),
    });
    command.args(["-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci"]);
    command.args(["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="]);
    command.arg("-chardev").arg({
        let mut word = with("socket,id=console,server=on,wait=off,path=", &console_socket(&layout.control()));
        word.push(with(",logfile=", &console(folder)));
        word
    });
    command.args(["-serial", "chardev:console"]);
    command.arg("-chardev").arg(with("socket,id=agent,server=on,wait=off,path=", &agent_socket(hardware)));
    command
        .arg("-chardev")
        .arg(with("socket,id=monitor,server=on,wait=off,path=", &monitor_socket(hardware)));
    command.args(["-mon", "chardev=monitor,mode=control"]);
    command.args(["-device", "virtio-serial-pci"]);
    command.args(["-device", "virtserialport,chardev=agent,name=org.smartpos.agent"]);
    // The places are those of board/etc/udev/rules.d.
    command.args(["-device", "virtio-keyboard-pci,addr=0x12"]);
    for (part, place) in [(Part::Module, "0x10"), (Part::Printer, "0x11")] {
        command
            .arg("-chardev")
            .arg(with(&format!("socket,id={part},reconnect=1,path="), &layout.socket(part)));
        command.arg("-device").arg(format!("pci-serial,chardev={part},addr={place}"));
    }
    command.args(["-device", reader::CONTROLLER]);
    command.arg("-chardev").arg(with(reader::CHARDEV, &layout.socket(Part::Reader)));
    for device in reader::devices() {
        command.arg("-device").arg(device.to_string());
    }
    Ok(command)
}

/// All that the guest's console has said since power was on.
fn console(folder: &Path) -> PathBuf {
    folder.join("console.log")
}

fn qemu_log(folder: &Path) -> String {
    fs::read_to_string(folder.join("qemu.log")).unwrap_or_default().trim_end().to_owned()
}

fn last_lines(file: &Path) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_consoles_last_lines_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (1..=40).map(|number| format!("line {number}\r\n\r\n")).collect();
        fs::write(console(folder.path()), text).unwrap();
        let shown = last_lines(&console(folder.path()));
        assert!(shown.starts_with("line 16\n") && shown.ends_with("line 40"), "{shown}");
        assert_eq!(last_lines(Path::new("/nonexistent")), "");
    }

    #[tokio::test]
    async fn a_machine_without_an_image_says_what_makes_one() {
        let folder = tempfile::tempdir().unwrap();
        let image = Image::at(folder.path());
        let error =
            Machine::start(&image, folder.path(), Disk::Forgetful, Processors::Two).await.unwrap_err();
        assert!(error.to_string().contains("cargo xtask image"), "{error}");
    }
}
