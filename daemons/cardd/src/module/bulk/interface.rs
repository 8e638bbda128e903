//! The interface of a secure module on usbfs, by its device node (`docs/decisions/0009-usb.md`).

use std::io;
use std::path::Path;

use rusb::{Direction, InterfaceDescriptor, TransferType};
use usb::{Endpoint, Interface};

use super::Pipes;

/// Class, subclass and protocol of the interface: a vendor's own class, and in it the line protocol.
const LINE: (u8, u8, u8) = (0xFF, 0x53, 0x01);

/// The interface that was claimed, and its endpoints.
pub(super) struct BulkPipes {
    interface: Interface,
    output: Endpoint,
    input: Endpoint,
}

/// Opens the module at `node`. Blocks for a moment.
pub(super) fn open(node: &Path) -> Result<BulkPipes, String> {
    let place = node.display();
    let opened = Interface::open(node, |found| speaks_line(found).then(|| endpoints(found)));
    let (interface, pipes) = opened.map_err(|error| format!("{place}: {error}"))?.ok_or_else(|| {
        format!("{place} is no secure module: it has no interface of class ff, subclass 53, protocol 01")
    })?;
    let (output, input) = pipes.ok_or_else(|| format!("{place}: the module lacks a bulk pipe"))?;
    Ok(BulkPipes { interface, output, input })
}

fn speaks_line(found: &InterfaceDescriptor<'_>) -> bool {
    // Another setting would have to be asked for.
    found.setting_number() == 0 && (found.class_code(), found.sub_class_code(), found.protocol_code()) == LINE
}

fn endpoints(found: &InterfaceDescriptor<'_>) -> Option<(Endpoint, Endpoint)> {
    let bulk = |direction| Endpoint::find(found, TransferType::Bulk, direction);
    bulk(Direction::Out).zip(bulk(Direction::In))
}

impl Pipes for BulkPipes {
    fn packet(&self) -> usize {
        self.input.packet()
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.interface.send(self.output, bytes).map_err(io::Error::other)
    }

    fn receive(&self, packet: &mut [u8]) -> io::Result<usize> {
        self.interface.receive(self.input, packet).map_err(io::Error::other)
    }

    fn close(&self) {
        self.interface.close();
    }
}
