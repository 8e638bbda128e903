//! `org.smartpos.CardModule1`, as seen on the system bus.

use secure_module::{Error as ModuleError, SelfTestResult};
use service::grants::Permission;
use service::guard::Guard;
use service::{Error, Result};
use zbus::interface;
use zbus::message::Header;

use crate::claims::{End, Places};
use crate::supervisor::{ModuleHandle, refusal};

/// The most bytes of an image that are taken at once.
const MOST_DATA: usize = 32_768;

/// The secure card module as a device, on the system bus.
pub(crate) struct CardModuleService {
    pub(crate) guard: Guard,
    pub(crate) module: ModuleHandle,
    pub(crate) places: Places,
}

/// What the operator does to keep the secure card module well.
#[interface(name = "org.smartpos.CardModule1")]
impl CardModuleService {
    /// Has the module test itself: the name of each test, and whether it passed. While one fails, the module uses no key.
    ///
    /// Errors: NotPermitted (`device.status`), DeviceGone, Timeout, NotSupported.
    async fn self_test(&self, #[zbus(header)] header: Header<'_>) -> Result<Vec<(String, bool)>> {
        let admitted = self.guard.admit_operator(&header).await?;
        self.guard.authorize(&admitted.caller, Permission::DeviceStatus)?;
        self.places.reserve(End::Upkeep);
        let results = self.module.ready()?.0.self_test().await.map_err(not_told)?;
        Ok(results.into_iter().map(|SelfTestResult { name, passed }| (name, passed)).collect())
    }

    /// The module's own time, in milliseconds since 1970: by it certificates of key distribution hosts are judged.
    ///
    /// Errors: NotPermitted (`device.status`), DeviceGone, Timeout, NotSupported.
    async fn clock(&self, #[zbus(header)] header: Header<'_>) -> Result<u64> {
        let admitted = self.guard.admit_operator(&header).await?;
        self.guard.authorize(&admitted.caller, Permission::DeviceStatus)?;
        self.module.ready()?.0.clock().await.map_err(not_told)
    }

    /// Begins an update of the module's firmware. The manifest is what the module's vendor has signed; the module takes none that
    /// is not newer than what runs. Busy while a transaction goes on, a card has power, or something is being entered at the pad.
    ///
    /// Errors: InvalidArgument, NotPermitted (`module.update`), Busy, DeviceGone, Timeout, NotSupported.
    async fn begin_update(&self, manifest: Vec<u8>, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let admitted = self.guard.admit_operator(&header).await?;
        self.guard.authorize(&admitted.caller, Permission::ModuleUpdate)?;
        let _place = self.places.take(End::Upkeep).await?;
        self.module.ready()?.0.begin_update(&manifest).await.map_err(no_update)?;
        let who = self.guard.operator_name(&admitted.caller);
        log::warn!("{who} begins an update of the secure card module's firmware");
        Ok(())
    }

    /// The image, from its beginning: up to 32,768 bytes, `offset` where those before them ended.
    ///
    /// Errors: InvalidArgument, NotPermitted (`module.update`), DeviceGone, Timeout, NotSupported.
    async fn update_data(
        &self,
        offset: u32,
        data: Vec<u8>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<()> {
        let admitted = self.guard.admit_operator(&header).await?;
        self.guard.authorize(&admitted.caller, Permission::ModuleUpdate)?;
        if data.len() > MOST_DATA {
            return Err(Error::invalid("data", format!("give at most {MOST_DATA} bytes at once")));
        }
        self.places.reserve(End::Upkeep);
        self.module.ready()?.0.update_data(offset, &data).await.map_err(no_update)
    }

    /// Has the module check the image, and start with it. Keys stay. Until then, whatever ends the update leaves the firmware that
    /// runs. Busy while a transaction goes on: the update waits, and can be finished after it.
    ///
    /// Errors: InvalidArgument, NotPermitted (`module.update`), Busy, DeviceGone, Timeout, NotSupported.
    async fn finish_update(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let admitted = self.guard.admit_operator(&header).await?;
        self.guard.authorize(&admitted.caller, Permission::ModuleUpdate)?;
        let _place = self.places.take(End::Upkeep).await?;
        self.module.ready()?.0.finish_update().await.map_err(no_update)?;
        let who = self.guard.operator_name(&admitted.caller);
        log::warn!("{who} updated the secure card module's firmware");
        Ok(())
    }

    /// Forgets the update that was begun.
    ///
    /// Errors: NotPermitted (`module.update`), DeviceGone, Timeout, NotSupported.
    async fn cancel_update(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        let admitted = self.guard.admit_operator(&header).await?;
        self.guard.authorize(&admitted.caller, Permission::ModuleUpdate)?;
        self.module.ready()?.0.cancel_update().await.map_err(no_update)
    }
}

fn not_told(error: ModuleError) -> Error {
    match error {
        ModuleError::NotSupported => {
            Error::NotSupported("the secure card module does not tell this of itself".to_string())
        }
        error => refusal(error),
    }
}

fn no_update(error: ModuleError) -> Error {
    match error {
        ModuleError::NotSupported => {
            Error::NotSupported("the secure card module takes no firmware in this way".to_string())
        }
        error => refusal(error),
    }
}
