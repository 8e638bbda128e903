//! What a daemon's sandbox leaves to whoever breaks into it, asked of the kernel: which device nodes answer to it, where
//! it can write and start programs, and which system calls are refused.

use super::{Checks, DAEMONS, indented};
use crate::error::Result;

/// A shell where a sandbox lets programs start. Its `test` asks the kernel (faccessat2), which asks the control group, too;
/// busybox's looks at the mode of the file alone.
const SHELL: &str = "/usr/lib/smartpos-board/bash";

/// Nodes without a device behind them, which everybody has.
const COMMON_NODES: [&str; 7] =
    ["/dev/full", "/dev/null", "/dev/ptmx", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"];

/// The folder of pseudo-terminals; one belongs to who opened it.
const TERMINALS: &str = "/dev/pts/";

/// Where every daemon can write, as far as the modes of the files let its user.
const WRITABLE: [&str; 5] = ["/dev", "/dev/mqueue", "/dev/pts", "/dev/shm", "/proc"];

/// Where paymentd can write besides; they are private to it.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// Where systemd passes mounts on to a running service, empty and read-only, and where it is told of readiness, a socket.
const OF_SYSTEMD: [&str; 2] = ["/run/systemd/incoming", "/run/systemd/notify"];

/// What a daemon's filter refuses, with the command that asks for it. Root without the filter is refused none of it.
const REFUSED: [(&str, &str); 10] = [
    ("unshare", "unshare --ipc true"),
    ("pivot_root", "pivot_root . ."),
    ("chroot", "chroot / true"),
    ("chown", "chown 1 /tmp"),
    ("chmod u+s", "chmod u+s /tmp"),
    ("setpriority", "nice -n 1 true"),
    ("sched_setscheduler", "chrt --fifo 1 true"),
    ("capset", "setpriv --reuid=1 true"),
    ("personality", "setarch --addr-no-randomize true"),
    ("bind", "timeout 2 systemd-socket-activate --listen=/run/board-probe.socket true"),
];

/// What of a unit starts and confines the user of its own program, instead of which the probe runs.
const PROGRAM: &str = "BusName|NotifyAccess|ExecStart|Requires|After|PartOf|Restart|Watchdog|WantedBy|Wants|\\[Install|\
    StateDir|StartLimit|Condition|Documentation|User|Group|RootDirectory|MountAPIVFS|Bind|NoExecPaths|ExecPaths|\
    InaccessiblePaths|CapabilityBounding|PrivateUsers|Type|LoadCredential";

/// What the probe's shell and commands ask for besides, to wait for each other and to know what they may ask for.
const PROBE: &str = "wait4 sched_get_priority_max sched_get_priority_min sched_getscheduler timer_create";

/// What of a unit makes a filter of system calls.
const FILTERS: &str = "SystemCall|Lock|RestrictRealtime|RestrictAddress|RestrictSUID|RestrictNamespaces|ProtectClock|\
    ProtectHostname|ProtectKernelLogs|ProtectKernelModules|NoNewPrivileges|MemoryDeny";

impl Checks {
    /// Everything that must hold of a sandbox.
    pub(super) async fn sandboxes(&mut self) -> Result {
        self.machine.agent.output(&format!("cp /bin/bash {SHELL}")).await?;
        for (daemon, user, _) in DAEMONS {
            self.device_nodes(daemon, user).await?;
            self.mounts(daemon).await?;
        }
        self.system_calls().await
    }

    /// The kernel is asked from within the daemon's namespaces, as its user, in its control group.
    async fn device_nodes(&mut self, daemon: &str, user: u32) -> Result {
        let own = match daemon {
            "smartpos-cardd" => Some("module"),
            "smartpos-printerd" => Some("printer"),
            _ => None,
        };
        let own = match own {
            Some(name) => {
                Some(self.machine.agent.output(&format!("readlink -f /dev/smartpos/{name}")).await?)
            }
            None => None,
        };
        let list = "shopt -s globstar; for node in /dev/**; do if [ -h $node ]; then continue; fi; \
             if [ -c $node ] || [ -b $node ]; then \
             if [ -r $node ] || [ -w $node ]; then echo $node; fi; fi; done; exit 0";
        let ask = format!(
            "pid=$(systemctl show -P MainPID {daemon}); \
             echo $$ > /sys/fs/cgroup/system.slice/{daemon}.service/cgroup.procs; \
             exec nsenter --target $pid --user --mount --setuid {user} --setgid {user} {SHELL} -c '{list}'"
        );
        let found = self.machine.agent.run(&ask).await?;
        let (common, special): (Vec<&str>, Vec<&str>) =
            found.output.lines().partition(|node| COMMON_NODES.contains(node) || node.starts_with(TERMINALS));
        // That it reaches what everybody has shows that the question was understood.
        let holds =
            common.contains(&"/dev/null") && special == own.as_deref().into_iter().collect::<Vec<_>>();
        let node = own.as_deref().unwrap_or("no device node");
        self.check(&format!("{daemon} may open {node} beside what everybody has"), holds, &found.output);
        Ok(())
    }

    /// What is mounted in the daemon's view of the system, and how.
    async fn mounts(&mut self, daemon: &str) -> Result {
        let mounts = format!("cat /proc/$(systemctl show -P MainPID {daemon})/mountinfo");
        let mounts = self.machine.agent.output(&mounts).await?;
        let name = daemon.trim_start_matches("smartpos-");
        let state = format!("/var/lib/smartpos/{name}");
        let writable = without(&mounts, "ro");
        let temporary: &[&str] = if name == "paymentd" { &TEMPORARY } else { &[] };
        let allowed = |path: &&str| WRITABLE.contains(path) || temporary.contains(path) || *path == state;
        let foreign: Vec<&str> = writable.iter().copied().filter(|path| !allowed(path)).collect();
        let holds = writable.contains(&state.as_str()) && foreign.is_empty();
        self.check(
            &format!("{daemon} can write to its own state and nowhere else"),
            holds,
            &foreign.join("\n"),
        );
        let program = format!("/usr/bin/{daemon}");
        let mut programs = without(&mounts, "noexec");
        programs.sort_unstable();
        let [incoming, notify] = OF_SYSTEMD;
        let holds = programs == [incoming, notify, program.as_str(), "/usr/lib"];
        self.check(&format!("{daemon} can start nothing but its own program"), holds, &programs.join("\n"));
        Ok(())
    }

    /// A probe that is root with every capability, in the filter of each unit: what is refused, the filter refuses. The
    /// same probe without a filter is refused nothing, which shows that the probe tells the two apart.
    async fn system_calls(&mut self) -> Result {
        let tries: String = REFUSED
            .iter()
            .map(|(call, command)| format!("echo \"{call}: $({command} 2>&1 | tr '\\n' ' ')\"\n"))
            .collect();
        let script =
            format!("cat > /run/board-probe <<'END'\ngrep Seccomp_filters /proc/self/status\n{tries}END\n");
        self.machine.agent.output(&script).await?;
        for (daemon, ..) in DAEMONS {
            let said = self.probed(daemon, PROGRAM).await?;
            let let_through = refused(&said, false);
            self.check(
                &format!("the filter of {daemon} refuses {} kinds of calls to root", REFUSED.len()),
                let_through.is_empty(),
                &said,
            );
            let count = "grep Seccomp_filters /proc/$(systemctl show -P MainPID";
            let count = self.machine.agent.output(&format!("{count} {daemon})/status")).await?;
            self.check(&format!("{daemon} has as many filters as its probe"), said.contains(&count), &count);
        }
        let said = self.probed("smartpos-printerd", &format!("{PROGRAM}|{FILTERS}")).await?;
        let held_back = refused(&said, true);
        self.check("without the filter, root is refused nothing", held_back.is_empty(), &indented(&said));
        Ok(())
    }

    /// What the probe says in the unit of `daemon`, of which the lines `left_out` are not taken over.
    async fn probed(&mut self, daemon: &str, left_out: &str) -> Result<String> {
        let command = format!(
            "sed -E -e '/^({left_out})/d' \
             -e 's|^\\[Service\\]|[Service]\\nType=oneshot\\nExecStart=/bin/bash /run/board-probe\\n\
             StandardOutput=truncate:/run/board-probe.said|' \
             -e 's|^SystemCallErrorNumber=|SystemCallFilter={PROBE}\\n&|' \
             /usr/lib/systemd/system/{daemon}.service > /run/systemd/system/board-probe.service; \
             systemctl daemon-reload; systemctl start board-probe; cat /run/board-probe.said"
        );
        self.machine.agent.output(&command).await
    }
}

/// The calls of [`REFUSED`] that were refused, or were not, by the lines `call: answer`.
fn refused(said: &str, wanted: bool) -> Vec<&'static str> {
    let was_refused = |call: &str| {
        said.lines().any(|line| {
            line.strip_prefix(call)
                .is_some_and(|rest| rest.starts_with(": ") && rest.contains("Operation not permitted"))
        })
    };
    REFUSED.iter().map(|(call, _)| *call).filter(|call| was_refused(call) == wanted).collect()
}

/// The places of `mountinfo` whose mounts do not have the option. What is mounted below `/run/user` later, when somebody
/// logs in, is out of reach behind what hides `/run/user`.
fn without<'a>(mountinfo: &'a str, option: &str) -> Vec<&'a str> {
    let mount = |line: &'a str| {
        let mut words = line.split_whitespace().skip(4);
        let place = words.next()?;
        let options = words.next()?;
        (!place.starts_with("/run/user/") && !options.split(',').any(|word| word == option)).then_some(place)
    };
    mountinfo.lines().filter_map(mount).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_writable_unless_the_mount_itself_says_that_it_is_not() {
        let mountinfo = "137 120 254:0 / / ro,nosuid,noexec shared:76 master:1 - ext4 /dev/vda rw,errors=remount-ro\n\
            149 137 0:25 / /run rw,nosuid,nodev shared:107 - tmpfs tmpfs ro\n";
        assert_eq!(without(mountinfo, "ro"), ["/run"]);
        assert_eq!(without(mountinfo, "noexec"), ["/run"]);
    }

    #[test]
    fn a_call_that_fails_for_another_reason_was_not_refused() {
        let said = "chown: chown: '/tmp': Operation not permitted\nchroot: \nbind: nc: bind: Address already in use\n";
        assert_eq!(refused(said, true), ["chown"]);
        assert_eq!(refused(said, false).len(), REFUSED.len() - 1);
    }
}
