//! cardd with its secure module on USB in the place of the serial line, as `docs/porting.md` tells the maker of a board to set it up.

use super::Checks;
use crate::error::Result;
use crate::secure_module;

const DROP_INS: &str = "/run/systemd/system/smartpos-cardd.service.d";
const CONFIG: &str = "/run/smartpos/cardd.toml";
const RULES: &str = "/run/udev/rules.d/60-module-usb.rules";
/// A name of its own: the serial line stays, and has that of the role.
const RULE: &str = r#"SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ENV{ID_USB_INTERFACES}=="*:ff5301:*", GROUP="smartpos-card", MODE="0660", SYMLINK+="smartpos/module-usb""#;

/// What cardd says of the module: its state, and what it is.
const STATUS: &str =
    "busctl get-property org.smartpos.Card /org/smartpos/Card org.smartpos.Card1 ModuleState Module";

impl Checks {
    pub(super) async fn module_usb(&mut self) -> Result {
        let socket = self.machine.hardware.layout().module_usb();
        let agent = &mut self.machine.agent;
        agent.output(&format!("mkdir -p /run/udev/rules.d {DROP_INS}")).await?;
        agent.output(&format!("echo '{RULE}' > {RULES} && udevadm control --reload")).await?;
        agent.output(&format!("ln -s /usr/share/smartpos/smartpos-cardd-usb.conf {DROP_INS}/")).await?;
        agent.output(&format!("echo 'device = \"usb:/dev/smartpos/module-usb\"' > {CONFIG}")).await?;
        agent.output("systemctl daemon-reload && systemctl restart smartpos-cardd").await?;
        self.comes_true("cardd misses a module that is not plugged in", STATUS, |said| {
            said.contains("\"absent\"")
        })
        .await?;
        secure_module::plug(&mut self.machine.monitor, &socket).await?;
        self.module_sells("cardd has opened the module on USB, from its sandbox", "usb-1").await?;
        secure_module::unplug(&mut self.machine.monitor).await?;
        self.comes_true("cardd notices that the module is gone", STATUS, |said| said.contains("\"absent\""))
            .await?;
        secure_module::plug(&mut self.machine.monitor, &socket).await?;
        self.module_sells("cardd has the module again", "usb-2").await?;
        secure_module::unplug(&mut self.machine.monitor).await?;
        let remove = format!("rm -r {DROP_INS} {CONFIG} {RULES} && udevadm control --reload");
        let restart = "systemctl daemon-reload && systemctl restart smartpos-cardd";
        self.machine.agent.output(&format!("{remove} && {restart}")).await?;
        self.comes_true("cardd has its module on the serial line again", STATUS, is_ready).await
    }

    /// A sale with a PIN, so that events come, too. The card is in the slot since the first sale of all.
    async fn module_sells(&mut self, what: &str, key: &str) -> Result {
        self.comes_true(what, STATUS, is_ready).await?;
        self.type_pin().await?;
        self.succeeds("a sale with a PIN over USB is approved", &format!("posctl sale 6.78 --key {key}"))
            .await
    }
}

fn is_ready(said: &str) -> bool {
    said.contains("\"ready\"")
}
