//! `printerd.toml`.

use serde::Deserialize;
use service::stream::Endpoint;

/// The daemon's configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the printer is.
    pub(crate) device: Endpoint,
    /// What it can do: `printers/NAME.toml` in the folders of configuration.
    pub(crate) profile: String,
}

impl Default for Config {
    fn default() -> Config {
        Config { device: Endpoint::File("/dev/usb/lp0".into()), profile: "generic-58mm-gb18030".to_string() }
    }
}
