//! Where the secure module is, and which driver has it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use link::Pairing;
use secure_module::SecureModule;

use super::{Address, CcidModule, LinkModule, SoftwareKeys};
use crate::config::{Config, Kind, Module, pairing};

/// A place where a module can be attached, again and again.
pub(crate) enum Source {
    /// A module that speaks our line protocol, and the pairing that protects the line to it.
    Link(Address, Option<Pairing>),
    /// A USB smart-card reader, perhaps with a keypad for PINs, and the keys beside them.
    Ccid(Module, Arc<SoftwareKeys>),
}

impl Source {
    /// The one that `config` names; none where it names none. Software keys keep in the folder `state` what they are loaded with.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the credentials that software keys or a protected line take.
    pub(crate) fn new(config: &Config, credentials: &Path, state: &Path) -> Result<Option<Source>, String> {
        match config.module.kind {
            Kind::Link => {
                let pairing = pairing(config, credentials)?;
                Ok(config.device.clone().map(|device| Source::Link(device, pairing)))
            }
            Kind::Ccid => {
                let keys = SoftwareKeys::open(credentials, state)?;
                log::warn!("software keys beside a smart-card reader: for development, and not certified");
                if let Some(keypad) = &config.module.keypad {
                    log::warn!("PINs are typed on {}: for development, and not certified", keypad.display());
                }
                Ok(Some(Source::Ccid(config.module.clone(), Arc::new(keys))))
            }
        }
    }

    /// Attaches the module.
    ///
    /// # Errors
    /// A sentence that says why it can't be.
    pub(crate) async fn open(&self) -> Result<Arc<dyn SecureModule>, String> {
        match self {
            Source::Link(device, pairing) => {
                let stream = device.open().await.map_err(|error| error.to_string())?;
                let module = LinkModule::open(stream, pairing.as_ref(), device.pace()).await;
                let module = module.map_err(|error| format!("{device}: {error}"))?;
                Ok(Arc::new(module))
            }
            Source::Ccid(devices, keys) => {
                let module = CcidModule::open(devices, Arc::clone(keys)).await?;
                Ok(Arc::new(module))
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Link(device, _) => write!(f, "{device}"),
            Source::Ccid(devices, _) => write!(f, "{}", devices.reader.display()),
        }
    }
}
