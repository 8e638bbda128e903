//! `org.smartpos.CardClaim1`, as seen on the app bus.

use service::grants::Permission;
use service::guard::{Admitted, Guard};
use service::{Error, Result};
use zbus::message::Header;
use zbus::names::OwnedUniqueName;
use zbus::object_server::SignalEmitter;
use zbus::{fdo, interface};

use crate::claims::claim::{End, Line};

/// One claim.
pub(super) struct ClaimObject {
    pub(super) guard: Guard,
    pub(super) owner: OwnedUniqueName,
    pub(super) permission: Permission,
    pub(super) line: Line,
}

/// A claim of a card slot, for the connection that made it. It ends with `Release`, when its connection leaves the bus, when its time is
/// over, when the card is taken out, and when a payment begins. Then the card loses its power, and the object answers
/// NotClaimed until its app claims the slot again.
///
/// Commands are filtered: only applications can be selected that the terminal's owner has granted to the app, and that pay
/// nothing; only what the selected application alone can hear passes. `docs/app-developers.md` has the rules.
#[interface(name = "org.smartpos.CardClaim1")]
impl ClaimObject {
    /// Powers the card up, or resets it (ISO/IEC 7816-3), and returns its answer to reset, without the historical bytes. Nothing is selected then.
    ///
    /// Errors: NotPermitted (the claim's permission), NotClaimed, DeviceGone when no card is in the slot or it does not answer, Timeout,
    /// Throttled.
    async fn power_on(&self, #[zbus(header)] header: Header<'_>) -> Result<Vec<u8>> {
        let _admitted = self.admit(&header).await?;
        self.line.power_on().await
    }

    /// Exchanges a short command APDU (ISO/IEC 7816-4) with the card, within 5 s, and returns its whole response, up to 256 bytes,
    /// and the status word. The terminal sends GET RESPONSE and the right Le by itself. An app has 1,200 commands a minute, resets among them.
    ///
    /// Errors: InvalidArgument when it is no short command, NotPermitted (the claim's permission) and for commands that don't pass,
    /// WrongState before PowerOn and SELECT have succeeded, NotClaimed, DeviceGone when no card is in the slot or it does not answer,
    /// Timeout, Throttled.
    async fn exchange(&self, command: Vec<u8>, #[zbus(header)] header: Header<'_>) -> Result<Vec<u8>> {
        let _admitted = self.admit(&header).await?;
        self.line.exchange(command).await
    }

    /// Ends the claim, and returns when the slot is free. One that has ended already is no error.
    ///
    /// Errors: NotPermitted (the claim's permission), Throttled.
    async fn release(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let _admitted = self.admit(&header).await?;
        self.line.end(End::Released);
        self.line.ended().await;
        Ok(())
    }

    /// `waiting` for a card (never of a PSAM), `present`: a card is in the slot, `powered`, or `ended`.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn state(&self, #[zbus(header)] header: Option<Header<'_>>) -> fdo::Result<String> {
        if let Some(header) = header {
            self.admit(&header).await?;
        }
        Ok(self.line.state().to_string())
    }

    /// `present` or `powered`: the card came in, was powered up, or lost its power.
    #[zbus(signal)]
    pub(super) async fn state_changed(emitter: &SignalEmitter<'_>, state: &str) -> zbus::Result<()>;

    /// The claim has ended, once, and not by `Release`: `payment`, `key-loading`, `module-upkeep`, `timeout`, `card-removed`, `module-gone` or `stopping`.
    #[zbus(signal)]
    pub(super) async fn revoked(emitter: &SignalEmitter<'_>, reason: &str) -> zbus::Result<()>;
}

impl ClaimObject {
    async fn admit(&self, header: &Header<'_>) -> Result<Admitted> {
        let admitted = self.guard.admit(header, self.permission).await?;
        if admitted.caller.name != self.owner {
            return Err(Error::NotPermitted("this claim was made by somebody else".to_string()));
        }
        Ok(admitted)
    }
}
