//! The two buses: daemons meet on the system bus, apps call on a private one.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde::Deserialize;
use zbus::fdo::{DBusProxy, RequestNameFlags};
use zbus::names::OwnedUniqueName;
use zbus::{Connection, connection};

/// A peer that does not answer within this is treated as gone.
const CALL_TIMEOUT: Duration = Duration::from_secs(25);

/// D-Bus addresses of the two buses.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Addresses {
    /// The bus of the daemons and the operator.
    pub system: String,
    /// The bus of the apps.
    pub app: String,
}

impl Default for Addresses {
    fn default() -> Addresses {
        Addresses {
            system: "unix:path=/run/dbus/system_bus_socket".to_string(),
            app: "unix:path=/run/smartpos/appbus.sock".to_string(),
        }
    }
}

/// Which of the two buses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BusKind {
    /// The bus of the daemons and the operator.
    System,
    /// The bus of the apps.
    App,
}

/// Connections to both buses, on which nothing is named yet.
#[derive(Debug, Clone)]
pub struct Buses {
    /// The bus of the daemons and the operator.
    pub system: Connection,
    /// The bus of the apps.
    pub app: Connection,
}

impl Buses {
    /// Connects to both.
    ///
    /// # Errors
    /// What the bus said, with its address.
    pub async fn connect(addresses: &Addresses) -> Result<Buses, String> {
        let system = connect(&addresses.system).await.map_err(|error| format!("the system bus: {error}"))?;
        let app = connect(&addresses.app).await.map_err(|error| format!("the app bus: {error}"))?;
        Ok(Buses { system, app })
    }

    /// The connection to one of them.
    pub fn get(&self, kind: BusKind) -> &Connection {
        match kind {
            BusKind::System => &self.system,
            BusKind::App => &self.app,
        }
    }

    /// Takes `name` on both: from now on calls arrive, so everything must be served already.
    ///
    /// # Errors
    /// When another process has the name, or the bus policy does not allow it.
    pub async fn request_name(&self, name: &'static str) -> Result<(), String> {
        for (kind, connection) in [("system", &self.system), ("app", &self.app)] {
            connection
                .request_name_with_flags(name, RequestNameFlags::DO_NOT_QUEUE)
                .await
                .map_err(|error| format!("the name {name} can't be had on the {kind} bus: {error}"))?;
        }
        Ok(())
    }
}

async fn connect(address: &str) -> Result<Connection, String> {
    connection::Builder::address(address)
        .method_timeout(CALL_TIMEOUT)
        .build()
        .await
        .map_err(|error| format!("{address}: {error}"))
}

/// Returns when the connection `name` has left the bus (at once if it is not there any more).
///
/// # Errors
/// When the bus itself can't be asked.
pub async fn vanished(connection: &Connection, name: OwnedUniqueName) -> zbus::Result<()> {
    let bus = DBusProxy::new(connection).await?;
    let mut changes = bus.receive_name_owner_changed_with_args(&[(0, name.as_str())]).await?;
    // Subscribed first, then asked, so that leaving in between is not missed.
    if !bus.name_has_owner(name.into()).await? {
        return Ok(());
    }
    while let Some(change) = changes.next().await {
        if change.args()?.new_owner().is_none() {
            break;
        }
    }
    Ok(())
}
