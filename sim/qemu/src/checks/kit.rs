//! The development kit: cardd with the USB reader and software keys in the place of the secure module, as
//! `docs/porting.md` tells its owner to set it up, a sale with the card in that reader, and a PIN on the keypad.

use std::fs;

use super::keypad::AS_OWNER;
use super::reader::NODE;
use super::{CARD as PIN_CARD, Checks, PIN};
use crate::error::{Error, Result};
use crate::reader;

/// A card that asks for no PIN.
const CARD: &str = "visa";

const DROP_INS: &str = "/run/systemd/system/smartpos-cardd.service.d";
const CREDENTIALS: &str = "/etc/smartpos/credentials";
const CONFIG: &str = "/run/smartpos/cardd.toml";

/// What makes the keypad a PIN pad: it comes after the board's rule.
const RULE: &str = "/run/udev/rules.d/61-kit.rules";
const PIN_PAD: &str = "/dev/smartpos/pin-pad";
/// Has udev go by its rules anew.
const RULES_AGAIN: &str = "udevadm control --reload && udevadm trigger --settle --subsystem-match=input";

/// What cardd says of the module: its state, and what it is.
const STATUS: &str =
    "busctl get-property org.smartpos.Card /org/smartpos/Card org.smartpos.Card1 ModuleState Module";
const READY: &str = "USB smart-card reader";

impl Checks {
    pub(super) async fn kit(&mut self) -> Result {
        self.set_up().await?;
        self.comes_true("cardd has opened the reader, from its sandbox", STATUS, |said| {
            said.contains(READY) && said.contains("\"ready\"")
        })
        .await?;
        self.machine.hardware.simctl(&["reader", "insert", CARD]).await?;
        self.succeeds("a sale with the card in the reader is approved", "posctl sale 5.67 --key kit-1")
            .await?;
        self.machine.hardware.simctl(&["reader", "remove"]).await?;
        self.pin_is_typed().await?;
        self.keypad_goes_and_comes().await?;
        self.reader_goes_and_comes().await?;
        self.card_is_pulled_out().await?;
        let found = self.disagreements().await?;
        self.check("terminal and host agree on what the reader sold", found.is_empty(), &found);
        self.take_down().await
    }

    /// The drop-ins, their credentials, sealed to this terminal, and the configuration.
    async fn set_up(&mut self) -> Result {
        let file = self.machine.hardware.layout().tmk();
        let tmk = fs::read_to_string(&file).map_err(Error::file(&file))?;
        let agent = &mut self.machine.agent;
        for (name, key) in
            [("software-tmk", tmk.trim()), ("software-secret", "00112233445566778899aabbccddeeff")]
        {
            let seal =
                format!("systemd-creds encrypt --with-key=host --name={name} - {CREDENTIALS}/{name}.cred");
            agent.output(&format!("printf %s {key} | {seal}")).await?;
        }
        let link = format!("ln -s /usr/share/smartpos/smartpos-cardd-{{reader,keypad}}.conf {DROP_INS}/");
        agent.output(&format!("mkdir -p {DROP_INS} && {link}")).await?;
        let rule = "ENV{SMARTPOS_ROLE}==\"keypad\", ENV{SMARTPOS_ROLE}=\"pin-pad\"";
        agent
            .output(&format!("mkdir -p /run/udev/rules.d && echo '{rule}' > {RULE} && {RULES_AGAIN}"))
            .await?;
        let config = format!("[module]\\nkind = \"ccid\"\\nkeypad = \"{PIN_PAD}\"\\n");
        agent.output(&format!("printf '{config}' > {CONFIG}")).await?;
        agent.output("systemctl daemon-reload && systemctl restart smartpos-cardd").await?;
        Ok(())
    }

    async fn take_down(&mut self) -> Result {
        let remove =
            format!("rm -r {DROP_INS} {CONFIG} {CREDENTIALS}/software-*.cred {RULE} && {RULES_AGAIN}");
        let agent = &mut self.machine.agent;
        agent
            .output(&format!("{remove} && systemctl daemon-reload && systemctl restart smartpos-cardd"))
            .await?;
        self.comes_true("cardd has its own module again", STATUS, |said| {
            said.contains("\"ready\"") && !said.contains(READY)
        })
        .await
    }

    /// PINs are typed on the keypad, a right one and a wrong one, while root reads it.
    async fn pin_is_typed(&mut self) -> Result {
        let what = "the keypad's owner does not open the PIN pad";
        self.is_refused(what, &format!("{AS_OWNER} head --bytes=1 {PIN_PAD}"), "Permission denied").await?;
        let listener = self.listen("", PIN_PAD).await?;
        self.sale_with_pin("kit-pin-1", PIN, "exit 0").await?;
        let heard = self.pressed().await?;
        self.check("root, who has it open, is handed no key of it", heard.is_empty(), &format!("{heard:?}"));
        self.machine.agent.run(&format!("kill {listener}")).await?;
        self.sale_with_pin("kit-pin-2", "654321", "exit 1").await
    }

    /// The keypad goes while a PIN is typed: the sale comes to its end without one. It comes back, and PINs are typed on it again.
    async fn keypad_goes_and_comes(&mut self) -> Result {
        let device =
            format!("readlink -f /sys/class/input/$(basename $(readlink -f {PIN_PAD}))/device/device");
        let device = self.machine.agent.output(&format!("basename $({device})")).await?;
        let driver = "/sys/bus/virtio/drivers/virtio_input";
        self.begin_sale_with_pin("kit-pin-3").await?;
        self.machine.monitor.press("1").await?;
        self.machine.agent.output(&format!("echo {device} > {driver}/unbind")).await?;
        self.comes_true("a sale whose keypad has gone ends", "cat /run/sale", |said| said.contains("exit "))
            .await?;
        let log = "journalctl --unit=smartpos-cardd --quiet --no-pager";
        self.comes_true("and cardd says why there was no PIN", log, |said| said.contains("No such device"))
            .await?;
        self.machine.hardware.simctl(&["reader", "remove"]).await?;
        self.machine.agent.output(&format!("echo {device} > {driver}/bind")).await?;
        self.comes_true("udev names the keypad again", &format!("ls -L {PIN_PAD}"), |node| node == PIN_PAD)
            .await?;
        self.sale_with_pin("kit-pin-4", PIN, "exit 0").await
    }

    /// Begins a sale that asks for a PIN, and waits until the keypad is cardd's; returns the command that shows whether it is.
    async fn begin_sale_with_pin(&mut self, key: &str) -> Result<String> {
        self.machine.hardware.simctl(&["reader", "insert", PIN_CARD]).await?;
        let sale = format!("(posctl sale 6.78 --key {key}; echo exit $?) > /run/sale 2>&1 &");
        self.machine.agent.output(&sale).await?;
        let pid = self.machine.agent.output("systemctl show -P MainPID smartpos-cardd").await?;
        let taken = format!("find /proc/{pid}/fd -lname '*/input/event*'");
        self.comes_true("cardd takes the keypad for a PIN", &taken, |nodes| !nodes.is_empty()).await?;
        Ok(taken)
    }

    async fn sale_with_pin(&mut self, key: &str, pin: &str, end: &str) -> Result {
        let taken = self.begin_sale_with_pin(key).await?;
        for digit in pin.chars() {
            self.machine.monitor.press(&digit.to_string()).await?;
        }
        self.machine.monitor.press("ret").await?;
        let what = format!("the sale with the PIN {pin} ends with {end}");
        self.comes_true(&what, "cat /run/sale", |said| said.ends_with(end)).await?;
        self.machine.hardware.simctl(&["reader", "remove"]).await?;
        self.comes_true("and cardd has let the keypad go", &taken, str::is_empty).await
    }

    /// The reader is unplugged, and is found again by the name that udev gives it, whatever its node is.
    async fn reader_goes_and_comes(&mut self) -> Result {
        reader::unplug(&mut self.machine.monitor).await?;
        self.comes_true("cardd notices that the reader is gone", STATUS, |said| said.contains("\"absent\""))
            .await?;
        self.is_refused("without it there is no sale", "posctl sale 1.00 --key kit-2", "attach it").await?;
        reader::plug(&mut self.machine.monitor).await?;
        self.comes_true("udev names the reader that was plugged in", NODE, |nodes| {
            nodes.starts_with("/dev/")
        })
        .await?;
        self.comes_true("cardd has it again", STATUS, |said| said.contains("\"ready\"")).await?;
        self.machine.hardware.simctl(&["reader", "insert", CARD]).await?;
        self.succeeds("and sells with it", "posctl sale 2.34 --key kit-3").await?;
        self.machine.hardware.simctl(&["reader", "remove"]).await?;
        Ok(())
    }

    /// A card that pulls itself out at its fifth command.
    async fn card_is_pulled_out(&mut self) -> Result {
        self.machine.hardware.simctl(&["reader", "insert", "removed-early:5"]).await?;
        let sale = self.machine.agent.run("posctl sale 3.45 --key kit-4").await?;
        let told = sale.status != 0 && sale.output.contains("removed");
        self.check("a card that is pulled out while it is read ends the sale", told, &sale.output);
        self.machine.hardware.simctl(&["reader", "insert", CARD]).await?;
        self.succeeds("and the next card is taken", "posctl sale 4.56 --key kit-5").await?;
        self.machine.hardware.simctl(&["reader", "remove"]).await?;
        Ok(())
    }
}
