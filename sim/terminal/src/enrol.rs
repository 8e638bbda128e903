//! Has the host certify the TLS client key of the secure module, as an operator does with an acquirer.

use std::fs;
use std::time::Duration;

use client::card::{CardKeysProxy, CardProxy};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::config::{TERMINAL_ID, write_file};
use crate::error::{Error, Result};
use crate::part::Part;
use crate::terminal::{Terminal, programs};

/// A module that is not attached by then will never be.
const ATTACHED_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks at the module.
const PAUSE: Duration = Duration::from_millis(20);

/// Leaves paymentd the certificate of the module's key, and no other key.
pub(crate) async fn enrol(terminal: &Terminal) -> Result {
    let bus = terminal.system_bus().await?;
    let card = client::proxy::<CardProxy>(&bus).await?;
    let attached = async {
        while card.module_state().await? != "ready" {
            sleep(PAUSE).await;
        }
        zbus::Result::Ok(())
    };
    let late = |_| Error::Records("the secure module was not attached, so its key has no certificate".into());
    timeout(ATTACHED_LIMIT, attached).await.map_err(late)??;
    let keys = client::proxy::<CardKeysProxy>(&bus).await?;
    let request = keys.tls_certificate_request(&format!("CN={TERMINAL_ID},O=TEST")).await?;

    let layout = terminal.layout();
    let file = layout.pki().join("terminal-request.pem");
    write_file(&file, request.as_bytes())?;
    let program = programs()?.join(Part::Acquirer.program());
    let certify = Command::new(&program).arg("certify").arg(layout.pki()).arg(&file).output().await;
    let certify = certify.map_err(Error::file(&program))?;
    if !certify.status.success() {
        let reason = String::from_utf8_lossy(&certify.stderr);
        return Err(Error::Records(format!("the acquirer certifies no key: {reason}")));
    }
    let credentials = layout.credentials(Part::Paymentd);
    write_file(&credentials.join("host-client-cert.pem"), &certify.stdout)?;
    let key = credentials.join("host-client-key.pem");
    match fs::remove_file(&key) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(&key)(error)),
        _ => Ok(()),
    }
}
