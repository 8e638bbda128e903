//! The interface of a secure module on usbfs, by its device node (`docs/decisions/0009-usb.md`).

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusb::{Direction, InterfaceDescriptor, TransferType};
use usb::Device;

use super::Pipes;

/// Class, subclass and protocol of the interface: a vendor's own class, and in it the line protocol.
const LINE: (u8, u8, u8) = (0xFF, 0x53, 0x01);

/// How long a module may take to take what is sent.
const SEND: Duration = Duration::from_secs(5);
/// How long a thread waits before it looks whether anybody still wants what may come.
const LOOK: Duration = Duration::from_secs(60);

/// The interface that was claimed.
pub(super) struct Interface {
    device: Device,
    number: u8,
    output: u8,
    input: u8,
    /// The bytes of the longest packet that comes.
    packet: usize,
    closed: AtomicBool,
}

/// Opens the module at `node`. Blocks for a moment.
pub(super) fn open(node: &Path) -> Result<Interface, String> {
    let place = node.display();
    let device = Device::open(node).map_err(|error| format!("{place}: {error}"))?;
    let configuration = device.device().active_config_descriptor();
    let configuration = configuration.map_err(|error| format!("{place} doesn't describe itself: {error}"))?;
    let mut interfaces = configuration.interfaces().flat_map(|interface| interface.descriptors());
    let found = interfaces.find(speaks_line).ok_or_else(|| {
        format!("{place} is no secure module: it has no interface of class ff, subclass 53, protocol 01")
    })?;
    let pipes = endpoint(&found, Direction::Out).zip(endpoint(&found, Direction::In));
    let ((output, _), (input, packet)) =
        pipes.ok_or_else(|| format!("{place}: the module lacks a bulk pipe"))?;
    let number = found.interface_number();
    let claimed = device.claim_interface(number);
    claimed.map_err(|error| format!("{place} is in use by another driver: {error}"))?;
    Ok(Interface { device, number, output, input, packet, closed: AtomicBool::new(false) })
}

fn speaks_line(found: &InterfaceDescriptor<'_>) -> bool {
    // Another setting would have to be asked for.
    found.setting_number() == 0 && (found.class_code(), found.sub_class_code(), found.protocol_code()) == LINE
}

/// The bulk endpoint of a direction: its address, and the bytes of its longest packet.
fn endpoint(interface: &InterfaceDescriptor<'_>, direction: Direction) -> Option<(u8, usize)> {
    let mut all = interface.endpoint_descriptors();
    let found =
        all.find(|found| (found.transfer_type(), found.direction()) == (TransferType::Bulk, direction))?;
    // One without room for a byte carries nothing, and is always ready.
    Some((found.address(), usize::from(found.max_packet_size()))).filter(|(_, packet)| *packet > 0)
}

impl Interface {
    /// What stalled is free again for whoever opens the module next; one that is gone has no pipe.
    fn failed(&self, endpoint: u8, error: rusb::Error) -> io::Error {
        let _ = self.device.clear_halt(endpoint);
        io::Error::other(error)
    }
}

impl Pipes for Interface {
    fn packet(&self) -> usize {
        self.packet
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.device.write_bulk(self.output, bytes, SEND);
        sent.map_err(|error| self.failed(self.output, error))
    }

    fn receive(&self, packet: &mut [u8]) -> io::Result<usize> {
        while !self.closed.load(Ordering::SeqCst) {
            match self.device.read_bulk(self.input, packet, LOOK) {
                Err(rusb::Error::Timeout) => {}
                received => return received.map_err(|error| self.failed(self.input, error)),
            }
        }
        Err(io::ErrorKind::NotConnected.into())
    }

    /// Letting go of the interface ends the transfers that wait.
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        // It fails for a module that was pulled out: then nothing waits.
        let _ = self.device.release_interface(self.number);
    }
}
