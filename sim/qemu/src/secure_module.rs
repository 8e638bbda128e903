//! The secure module as a USB device of the machine, in the place of its serial line.

use std::path::Path;

use serde_json::json;

use crate::error::Result;
use crate::monitor::Monitor;

const DEVICE: &str = "module-usb";
const CONNECTION: &str = "module-usb-line";

/// Plugs it in; `socket` is that of its plug.
pub(crate) async fn plug(monitor: &mut Monitor, socket: &Path) -> Result {
    monitor.connect_device(CONNECTION, socket).await?;
    monitor.plug(json!({ "driver": "usb-redir", "id": DEVICE, "bus": "usb.0", "chardev": CONNECTION })).await
}

/// Pulls it out. The connection goes with it.
pub(crate) async fn unplug(monitor: &mut Monitor) -> Result {
    monitor.unplug(DEVICE).await
}
