//! An interface of a device, for one driver: its endpoints are read and written by calls that block, and that whoever is done with it ends.

use std::path::Path;
use std::time::Duration;

use rusb::{Direction, InterfaceDescriptor, TransferType};

use crate::calls::Calls;
use crate::{Device, Error};

/// How long a device may take to take what is sent.
const SEND: Duration = Duration::from_secs(5);
/// How long a transfer waits at most. Another one follows it: an idle line wakes its thread so often.
const LOOK: Duration = Duration::from_secs(60);

/// An endpoint: its address, its kind, and the bytes of its longest packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    address: u8,
    kind: TransferType,
    packet: usize,
}

impl Endpoint {
    /// The first endpoint of `interface` that has this kind and direction. One without room for a byte, which carries nothing and is always
    /// ready, is none.
    #[must_use]
    pub fn find(
        interface: &InterfaceDescriptor<'_>,
        kind: TransferType,
        direction: Direction,
    ) -> Option<Endpoint> {
        let mut all = interface.endpoint_descriptors();
        let found = all.find(|found| (found.transfer_type(), found.direction()) == (kind, direction))?;
        let packet = usize::from(found.max_packet_size());
        Some(Endpoint { address: found.address(), kind, packet }).filter(|_| packet > 0)
    }

    /// The bytes of its longest packet.
    #[must_use]
    pub fn packet(&self) -> usize {
        self.packet
    }
}

/// An interface that was claimed. Each call fails once it is [closed](Self::close).
#[derive(Debug)]
pub struct Interface {
    device: Device,
    number: u8,
    calls: Calls,
}

impl Interface {
    /// Opens the device at `node`, and claims the first interface in which `find` finds what it looks for; none if there is no such. Blocks for a moment.
    ///
    /// # Errors
    /// What stood in the way.
    pub fn open<T>(
        node: &Path,
        find: impl Fn(&InterfaceDescriptor<'_>) -> Option<T>,
    ) -> Result<Option<(Interface, T)>, Error> {
        let device = Device::open(node)?;
        let configuration = device.device().active_config_descriptor().map_err(Error::Undescribed)?;
        let mut all = configuration.interfaces().flat_map(|interface| interface.descriptors());
        let found = all.find_map(|one| Some((one.interface_number(), find(&one)?)));
        let Some((number, found)) = found else { return Ok(None) };
        device.claim_interface(number).map_err(Error::InUse)?;
        Ok(Some((Interface { device, number, calls: Calls::default() }, found)))
    }

    /// The device that it is of.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Sends `bytes`, or some of them: how many. Blocks for 5 s at most.
    ///
    /// # Errors
    /// What the device or the system said; [`rusb::Error::NoDevice`] when the interface is closed.
    pub fn send(&self, endpoint: Endpoint, bytes: &[u8]) -> rusb::Result<usize> {
        self.call(endpoint, || match endpoint.kind {
            TransferType::Interrupt => self.device.write_interrupt(endpoint.address, bytes, SEND),
            _ => self.device.write_bulk(endpoint.address, bytes, SEND),
        })
    }

    /// Waits for a packet, however long that takes, and puts it into `packet`: its length, which may be 0.
    ///
    /// # Errors
    /// As of [`send`](Self::send).
    pub fn receive(&self, endpoint: Endpoint, packet: &mut [u8]) -> rusb::Result<usize> {
        loop {
            let received = self.call(endpoint, || match endpoint.kind {
                TransferType::Interrupt => self.device.read_interrupt(endpoint.address, packet, LOOK),
                _ => self.device.read_bulk(endpoint.address, packet, LOOK),
            });
            if received != Err(rusb::Error::Timeout) {
                return received;
            }
        }
    }

    fn call(
        &self,
        endpoint: Endpoint,
        transfer: impl FnOnce() -> rusb::Result<usize>,
    ) -> rusb::Result<usize> {
        let done = self.calls.make(transfer).ok_or(rusb::Error::NoDevice)?;
        if done.is_err_and(|error| error != rusb::Error::Timeout) {
            // What stalled is free again for whoever opens the device next; one that is gone, or closed, has no pipe.
            let _ = self.calls.make(|| self.device.clear_halt(endpoint.address));
        }
        done
    }

    /// Ends the calls that wait, and makes all later ones fail. Blocks for a moment, until none waits.
    pub fn close(&self) {
        let ended = self.calls.end(|| {
            // Letting go ends the transfers that wait. One that was just about to begin has usbfs claim the interface again, behind the back
            // of libusb: that has to claim it, too, before it can let go. All this fails for a device that was pulled out, which ends its
            // transfers by itself.
            let _ = self.device.claim_interface(self.number);
            let _ = self.device.release_interface(self.number);
        });
        if !ended {
            log::warn!("a transfer of a USB device does not end; it will by itself");
        }
    }
}
