//! The two buses: `dbus-daemon` with a configuration of our own, without root.
//!
//! On a terminal the policies go by user. Here all processes share one uid, so they go by name alone: on the app bus
//! nothing but `org.smartpos.*` can be owned or called. Who is an app is said in `smartpos.toml`.

use std::fs;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::part::Part;

/// Writes the configuration of `bus` and returns its path.
pub(crate) fn configure(layout: &Layout, bus: Part) -> Result<PathBuf> {
    let policy = match bus {
        Part::AppBus => APP_POLICY,
        _ => SYSTEM_POLICY,
    };
    let file = layout.config().join(format!("{bus}.conf"));
    fs::write(&file, document(&layout.bus_address(bus), policy)).map_err(Error::file(&file))?;
    Ok(file)
}

fn document(address: &str, policy: &str) -> String {
    let address = address.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>custom</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
    <deny send_destination="org.freedesktop.DBus"
          send_interface="org.freedesktop.DBus" send_member="UpdateActivationEnvironment"/>
{policy}  </policy>
</busconfig>
"#
    )
}

const APP_POLICY: &str = r#"    <allow own_prefix="org.smartpos"/>
    <allow send_destination_prefix="org.smartpos"/>
"#;

/// Tests put other services here, such as a scripted ModemManager.
const SYSTEM_POLICY: &str = r#"    <allow own="*"/>
    <allow send_type="method_call"/>
"#;
