//! USB devices by their nodes of usbfs. libusb is told not to look for devices: a daemon's sandbox has neither `/sys` nor a
//! netlink socket to look with, and udev has said already which device is meant (`docs/decisions/0009-usb.md`).
//!
//! This is the one crate of the workspace that has an `unsafe` block.

mod calls;
mod interface;

use std::fs::{File, OpenOptions};
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::path::Path;

use rusb::{Context, DeviceHandle, UsbContext};

pub use interface::{Endpoint, Interface};

/// Why a device can't be worked with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node can't be opened: it is not there, or belongs to others.
    #[error("it can't be opened: {0}")]
    Node(#[from] std::io::Error),
    /// What was opened is no USB device, or it doesn't answer.
    #[error("it can't be reached over USB: {0}")]
    Usb(#[from] rusb::Error),
    /// It has no descriptors that can be read.
    #[error("it doesn't describe itself: {0}")]
    Undescribed(rusb::Error),
    /// Another driver has the interface.
    #[error("it is in use by another driver: {0}")]
    InUse(rusb::Error),
}

/// A device that is open, to be used as the handle of `rusb` that it is.
#[derive(Debug)]
pub struct Device {
    // Fields are dropped in this order: libusb lets go of the node before it is closed.
    handle: DeviceHandle<Context>,
    _node: File,
}

impl Device {
    /// Opens the device at `node`, such as `/dev/bus/usb/001/002` or a link to it. Blocks while the device tells its
    /// configuration.
    ///
    /// # Errors
    /// What stood in the way.
    pub fn open(node: &Path) -> Result<Self, Error> {
        let node = OpenOptions::new().read(true).write(true).open(node)?;
        rusb::disable_device_discovery()?;
        let context = Context::new()?;
        // SAFETY: libusb wants the descriptor open for as long as it has the handle. Both are in one `Device`, which lends
        // the handle only, and drops it first.
        #[allow(unsafe_code)]
        let handle = unsafe { context.open_device_with_fd(node.as_raw_fd()) }?;
        Ok(Self { handle, _node: node })
    }
}

impl Deref for Device {
    type Target = DeviceHandle<Context>;

    fn deref(&self) -> &Self::Target {
        &self.handle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_usb_device_is_refused_with_its_reason() {
        let missing = Device::open(Path::new("/dev/smartpos/no-such-reader"));
        assert!(matches!(missing, Err(Error::Node(_))), "{missing:?}");
        let other = Device::open(Path::new("/dev/null"));
        assert!(matches!(other, Err(Error::Usb(_))), "{other:?}");
    }
}
