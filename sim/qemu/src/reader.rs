//! The machine's USB, with a smart-card reader plugged in, and behind that the card of `smartpos-sim-reader`.

use serde_json::{Value, json};

use crate::error::Result;
use crate::monitor::Monitor;

/// The USB host controller, as QEMU's command line has it.
pub(crate) const CONTROLLER: &str = "qemu-xhci,id=usb";

/// The line to the card, without the path of its socket.
pub(crate) const CHARDEV: &str = "socket,id=reader,reconnect=1,path=";

const ID: &str = "reader";

/// The reader, and what passes on to the line what concerns the card.
pub(crate) fn devices() -> [Value; 2] {
    [
        json!({ "driver": "usb-ccid", "id": ID, "bus": "usb.0" }),
        json!({ "driver": "ccid-card-passthru", "bus": format!("{ID}.0"), "chardev": "reader" }),
    ]
}

/// Pulls the reader out of its port; the card stays in it.
pub(crate) async fn unplug(monitor: &mut Monitor) -> Result {
    monitor.unplug(ID).await
}

/// Plugs it in again.
pub(crate) async fn plug(monitor: &mut Monitor) -> Result {
    for device in devices() {
        monitor.plug(device).await?;
    }
    Ok(())
}
