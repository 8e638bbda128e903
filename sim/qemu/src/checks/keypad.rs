//! The terminal's own keys: an input device with a name, which no app opens.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{AS_APP, Checks};
use crate::error::Result;

const NODE: &str = "/dev/smartpos/keypad";

/// How a program is run as who owns the keypad.
pub(super) const AS_OWNER: &str =
    "setpriv --reuid=smartpos-peripheral --regid=smartpos-peripheral --clear-groups --";

/// QEMU's names of the keys, and the kernel's numbers (`input-event-codes.h`).
const KEYS: [(&str, u16); 4] = [("1", 2), ("2", 3), ("0", 11), ("ret", 28)];

/// `EV_KEY` (`input-event-codes.h`).
const EV_KEY: u16 = 1;

/// How long keys may take into the guest.
const LIMIT: Duration = Duration::from_secs(30);

impl Checks {
    pub(super) async fn keypad(&mut self) -> Result {
        let what = "an app does not open the keypad";
        self.is_refused(what, &format!("{AS_APP} head --bytes=1 {NODE}"), "Permission denied").await?;
        let listener = self.listen(AS_OWNER, NODE).await?;
        for (key, _) in KEYS {
            self.machine.monitor.press(key).await?;
        }
        let begin = Instant::now();
        let expected: Vec<u16> = KEYS.map(|(_, code)| code).to_vec();
        let mut found = self.pressed().await?;
        while found.len() < expected.len() && begin.elapsed() < LIMIT {
            sleep(Duration::from_millis(100)).await;
            found = self.pressed().await?;
        }
        self.machine.agent.run(&format!("kill {listener}")).await?;
        self.check("its keys arrive as they are typed", found == expected, &format!("{found:?}"));
        Ok(())
    }

    /// Has somebody read the keypad `node`, until the process whose number this returns is killed: root, or who `user` sets.
    pub(super) async fn listen(&mut self, user: &str, node: &str) -> Result<String> {
        // Keys that are typed before the device is open are lost.
        let read = format!(
            "{user} cat {node} > /run/keys 2>&1 & \
             for try in $(seq 100); do \
             [ -n \"$(find /proc/$!/fd -lname $(readlink -f {node}))\" ] && echo $! && exit; sleep 0.1; done; \
             kill $!; cat /run/keys; exit 1"
        );
        let done = self.machine.agent.run(&read).await?;
        self.check(&format!("who may read it opens {node}"), done.status == 0, &done.output);
        Ok(done.output.trim().to_owned())
    }

    /// The codes of the keys that went down so far.
    pub(super) async fn pressed(&mut self) -> Result<Vec<u16>> {
        Ok(pressed(&self.machine.agent.output("od -An -v -tu2 -w24 /run/keys").await?))
    }
}

/// The keys that went down in events of 64-bit Linux, a row of 16-bit numbers for each: eight of time, type, code, and
/// two of the value, which is 1 for down.
fn pressed(rows: &str) -> Vec<u16> {
    let code = |row: &str| {
        let numbers: Vec<u16> = row.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        match numbers.as_slice() {
            [_, _, _, _, _, _, _, _, EV_KEY, code, 1, 0] => Some(*code),
            _ => None,
        }
    };
    rows.lines().filter_map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_when_it_goes_down_and_not_when_it_comes_up_or_repeats() {
        let rows = " 1 2 3 4 5 6 7 8 1 11 1 0\n 1 2 3 4 5 6 7 8 0 0 0 0\n 1 2 3 4 5 6 7 8 1 11 2 0\n\
            1 2 3 4 5 6 7 8 1 11 0 0\n 1 2 3 4 5 6 7 8 1 2 1 0\n 1 2 3 4\n";
        assert_eq!(pressed(rows), [11, 2]);
    }
}
