//! The USB smart-card reader: whose it is, and that a card is behind it. What PC/SC says is the independent witness of what
//! cardd's own driver is shown to do in `kit.rs`.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{AS_APP, Checks};
use crate::error::{Error, Result};
use crate::reader;

const CARD: &str = "visa";

/// SELECT of the payment system environment (EMV Book 1 clause 11.3).
const SELECT_PSE: &[u8] = b"\x00\xA4\x04\x00\x0E1PAY.SYS.DDF01\x00";

/// The kernel, udev and pcscd take their time, each instruction emulated.
const LIMIT: Duration = Duration::from_secs(60);

/// Prints the device node of the reader, or nothing.
pub(super) const NODE: &str = "for path in $(udevadm trigger --dry-run --verbose --property-match=SMARTPOS_ROLE=reader); do \
    echo /dev/$(udevadm info --query=name --path=$path); done";

const READERS: &str = "opensc-tool --list-readers";

impl Checks {
    pub(super) async fn reader(&mut self) -> Result {
        let node = self.machine.agent.output(NODE).await?;
        let one = node.starts_with("/dev/bus/usb/") && !node.contains('\n');
        self.check("udev knows the USB reader, and no other", one, &node);
        if !one {
            return Ok(());
        }
        self.reader_belongs_to_cardd(&node).await?;
        self.machine.agent.output("systemctl start pcscd.service").await?;
        self.card_comes_and_goes().await?;
        self.reader_is_plugged_in_again(&node).await?;
        // The socket would start it again.
        self.machine.agent.output("systemctl stop pcscd.socket pcscd.service").await?;
        self.machine.hardware.simctl(&["reader", "remove"]).await?;
        Ok(())
    }

    async fn reader_belongs_to_cardd(&mut self, node: &str) -> Result {
        self.is_cardds_alone("the reader is cardd's alone", node).await?;
        let tags = self.machine.agent.output(&format!("udevadm info --query=property --name={node}")).await?;
        self.check("nobody gets it by logging in", !tags.contains(":uaccess:"), &tags);
        let open = format!("head --bytes=18 {node}");
        self.succeeds("cardd's user opens the reader", &format!("{} {open}", as_user("smartpos-card")))
            .await?;
        let printer = as_user("smartpos-printer");
        for (user, who) in [("app-shop", AS_APP), ("smartpos-printer", printer.as_str())] {
            let what = format!("{user} does not open the reader");
            self.is_refused(&what, &format!("{who} {open}"), "Permission denied").await?;
        }
        let users = self.machine.agent.output(&format!("find /proc/[0-9]*/fd -lname {node}")).await?;
        self.check("nothing else uses the reader", users.is_empty(), &users);
        Ok(())
    }

    /// A card is put in, answers as it does without a reader between, is pulled out and put in again.
    async fn card_comes_and_goes(&mut self) -> Result {
        self.reader_says("PC/SC sees the empty reader", "No").await?;
        self.machine.hardware.simctl(&["reader", "insert", CARD]).await?;
        self.reader_says("PC/SC sees the card that was put in", "Yes").await?;
        let mut card = sim_cards::load(CARD).map_err(|error| Error::Agent(error.to_string()))?;
        let atr = self.machine.agent.run("opensc-tool --card-driver default --atr").await?;
        let expected = card.atr().unwrap_or_default();
        self.check(
            "PC/SC reads the card's answer to reset",
            answer_to_reset(&atr.output) == expected,
            &atr.output,
        );
        let command: Vec<String> = SELECT_PSE.iter().map(|byte| format!("{byte:02X}")).collect();
        let command = format!("opensc-tool --card-driver default --send-apdu {}", command.join(":"));
        let select = self.machine.agent.run(&command).await?;
        let expected = card.transmit(SELECT_PSE).unwrap_or_default();
        self.check(
            "PC/SC selects the PSE, and gets what the card says",
            response(&select.output) == expected,
            &select.output,
        );
        self.machine.hardware.simctl(&["reader", "remove"]).await?;
        self.reader_says("PC/SC sees that the card was pulled out", "No").await?;
        self.machine.hardware.simctl(&["reader", "insert", CARD]).await?;
        self.reader_says("PC/SC sees the card that was put in again", "Yes").await
    }

    async fn reader_is_plugged_in_again(&mut self, node: &str) -> Result {
        reader::unplug(&mut self.machine.monitor).await?;
        self.comes_true("the reader that was unplugged is gone", NODE, |nodes| nodes.is_empty()).await?;
        self.comes_true("PC/SC sees no reader", READERS, |readers| card_column(readers).is_none()).await?;
        reader::plug(&mut self.machine.monitor).await?;
        self.comes_true("the reader that was plugged in is there", NODE, |nodes| nodes.starts_with("/dev/"))
            .await?;
        let again = self.machine.agent.output(NODE).await?;
        self.is_cardds_alone(&format!("it was {node}, is {again}, and is cardd's alone"), &again).await?;
        self.reader_says("PC/SC sees it again, and its card", "Yes").await
    }

    async fn is_cardds_alone(&mut self, what: &str, node: &str) -> Result {
        let owner = self.machine.agent.run(&format!("stat --format='%U:%G %a' {node}")).await?.output;
        self.check(what, owner.trim() == "root:smartpos-card 660", &owner);
        Ok(())
    }

    /// Waits until PC/SC has one reader, with or without a card.
    async fn reader_says(&mut self, what: &str, card: &str) -> Result {
        self.comes_true(what, READERS, |readers| card_column(readers) == Some(card)).await
    }

    /// Checks that the output of a command becomes what it should be.
    pub(super) async fn comes_true(
        &mut self,
        what: &str,
        command: &str,
        holds: impl Fn(&str) -> bool,
    ) -> Result {
        let begin = Instant::now();
        let mut found = self.machine.agent.run(command).await?.output;
        while !holds(found.trim()) && begin.elapsed() < LIMIT {
            sleep(Duration::from_millis(200)).await;
            found = self.machine.agent.run(command).await?.output;
        }
        self.check(what, holds(found.trim()), &found);
        Ok(())
    }
}

fn as_user(name: &str) -> String {
    format!("setpriv --reuid={name} --regid={name} --clear-groups --")
}

/// The column `Card` of the first reader: `Yes` or `No`.
fn card_column(readers: &str) -> Option<&str> {
    readers.lines().find_map(|line| line.strip_prefix("0 ")?.split_whitespace().next())
}

/// An answer to reset as `opensc-tool` shows it, `3b:60:00:00`; the line before that names the reader.
fn answer_to_reset(text: &str) -> Vec<u8> {
    text.lines()
        .last()
        .unwrap_or_default()
        .split(':')
        .filter_map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect()
}

/// A response APDU as `opensc-tool` shows it: a line with SW1 and SW2, then rows of 16 bytes, and the same as text.
fn response(output: &str) -> Vec<u8> {
    let byte = |text: &str| u8::from_str_radix(text, 16).ok();
    let Some((_, shown)) = output.split_once("Received (SW1=0x") else { return Vec::new() };
    let (status, rows) = shown.split_once('\n').unwrap_or((shown, ""));
    let row =
        |row: &str| row.get(..48).unwrap_or(row).split_whitespace().map_while(byte).collect::<Vec<u8>>();
    let mut response: Vec<u8> = rows.lines().flat_map(row).collect();
    let (sw1, sw2) = (status.get(..2), status.split_once("SW2=0x").and_then(|(_, sw2)| sw2.get(..2)));
    response.extend([sw1, sw2].into_iter().flatten().filter_map(byte));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_read_from_its_rows_and_not_from_its_text() {
        let shown = "Sending: 00 A4 04 00 \nReceived (SW1=0x90, SW2=0x00):\n\
            6F 1E 84 0E 31 50 41 59 2E 53 59 53 2E 44 44 46 o...1PAY.SYS.DDF\n30 31                                           01\n";
        let expected = b"\x6F\x1E\x84\x0E1PAY.SYS.DDF01\x90\x00";
        assert_eq!(response(shown), expected);
        assert_eq!(response("Received (SW1=0x6A, SW2=0x82)\n"), [0x6A, 0x82]);
        assert!(response("Failed to connect to card").is_empty());
    }

    #[test]
    fn an_answer_to_reset_is_the_last_that_is_said() {
        assert_eq!(answer_to_reset("Using reader with a card: A B 00 00\n3b:60:00:00\n"), [0x3B, 0x60, 0, 0]);
        assert!(answer_to_reset("No smart card readers found.\n").is_empty());
    }

    #[test]
    fn a_reader_is_seen_with_and_without_a_card() {
        let shown =
            "# Detected readers (pcsc)\nNr.  Card  Features  Name\n0    Yes             QEMU CCID 00 00\n";
        assert_eq!(card_column(shown), Some("Yes"));
        assert_eq!(card_column("No smart card readers found.\n"), None);
    }
}
