//! The inhibitor locks of systemd-logind (`org.freedesktop.login1`(5), `Manager.Inhibit`): the system stays up while money is
//! in doubt.
//!
//! They are of mode `delay`. The journal loses nothing in a power cut, so that a lock only makes the doubt shorter; one of mode
//! `block` would keep a terminal whose host is away from being switched off, for as long as that lasts. And `block` is not for
//! the user of a system service, while polkit grants `delay` to all.

use std::time::Duration;

use zbus::{Connection, OwnedFd, proxy};

/// A sale does not wait longer than this for the locks.
const LIMIT: Duration = Duration::from_secs(1);
const WHO: &str = "smartpos-paymentd";
const WHY: &str = "what the acquirer holds of a payment is not known yet";

#[proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait LoginManager {
    /// The lock is held until all copies of the descriptor are closed.
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::Result<OwnedFd>;
}

/// The locks of this daemon. They are gone with it, however it ends.
pub(crate) struct Inhibitor {
    logind: LoginManagerProxy<'static>,
    locks: Option<[OwnedFd; 2]>,
    /// Whether the log says already that there are none to be had.
    refused: bool,
}

impl Inhibitor {
    /// Nothing is held or asked yet.
    pub(crate) async fn new(system_bus: &Connection) -> zbus::Result<Inhibitor> {
        Ok(Inhibitor { logind: LoginManagerProxy::new(system_bus).await?, locks: None, refused: false })
    }

    /// Holds up shutdown and sleep. Without a logind that allows it, payments go on without the locks.
    pub(crate) async fn take(&mut self) {
        if self.locks.is_some() {
            return;
        }
        // One for each: asked for both in one call, logind before version 257 looks up the right to inhibit the lid switch.
        let both = async { tokio::try_join!(self.lock("shutdown"), self.lock("sleep")) };
        let problem = match tokio::time::timeout(LIMIT, both).await {
            Ok(Ok((shutdown, sleep))) => {
                self.locks = Some([shutdown, sleep]);
                self.refused = false;
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer in {LIMIT:?}"),
        };
        if !std::mem::replace(&mut self.refused, true) {
            log::warn!("shutdown and sleep can't be held up while money is in doubt: logind: {problem}");
        }
    }

    async fn lock(&self, what: &str) -> zbus::Result<OwnedFd> {
        self.logind.inhibit(what, WHO, WHY, "delay").await
    }

    /// Lets the system go down again.
    pub(crate) fn release(&mut self) {
        self.locks = None;
    }
}
