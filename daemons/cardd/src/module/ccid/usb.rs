//! A reader on usbfs, by its device node: udev has given the node its name and its group (`docs/decisions/0009-usb.md`).
//!
//! libusb blocks, so that each transfer that waits has a thread of the runtime's pool: one for the interrupt pipe, which waits
//! for cards, and one for the message that is under way.

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ccid::{Assembler, Descriptor, Secret};
use rusb::{Direction, InterfaceDescriptor, TransferType};
use secure_module::{Error, Result};
use tokio::task::{JoinHandle, spawn_blocking};
use usb::{Device, Endpoint, Interface};
use zeroize::Zeroizing;

use super::Identity;
use super::pipes::{Incoming, Pipes};

/// The interface class of smart-card readers, and the type of their descriptor.
const CLASS: u8 = 0x0B;
const DESCRIPTOR: u8 = 0x21;

pub(super) struct UsbPipes {
    interface: Arc<Interface>,
    output: Endpoint,
    input: Endpoint,
    interrupt: Option<Endpoint>,
    max_message: usize,
    /// The transfers that wait, if any do.
    message: Option<JoinHandle<Result<Secret>>>,
    notification: Option<JoinHandle<Result<Vec<u8>>>>,
}

/// Opens the reader at `node`. Blocks for a moment.
pub(super) fn open(node: &Path) -> std::result::Result<(UsbPipes, Descriptor, Identity), String> {
    let place = node.display();
    let here = |error: &dyn std::fmt::Display| format!("{place}: {error}");
    let opened = Interface::open(node, |found| {
        (found.class_code() == CLASS).then(|| (class_descriptor(found), endpoints(found)))
    });
    let (interface, (descriptor, endpoints)) =
        opened.map_err(|error| here(&error))?.ok_or_else(|| format!("{place} is no smart-card reader"))?;
    let descriptor = descriptor.map_err(|error| here(&error))?;
    let [Some(output), Some(input), interrupt] = endpoints else {
        return Err(format!("{place}: the reader lacks a bulk pipe"));
    };
    let identity = identity(interface.device()).map_err(|error| here(&usb::Error::Undescribed(error)))?;
    let (interface, max_message) = (Arc::new(interface), descriptor.max_message);
    let pipes =
        UsbPipes { interface, output, input, interrupt, max_message, message: None, notification: None };
    Ok((pipes, descriptor, identity))
}

/// The reader's descriptor of its class (5.1), which follows that of the interface; in some it follows an endpoint's.
fn class_descriptor(interface: &InterfaceDescriptor<'_>) -> std::result::Result<Descriptor, ccid::Error> {
    let of_endpoints: Vec<_> = interface.endpoint_descriptors().collect();
    let extras = of_endpoints.iter().filter_map(|endpoint| endpoint.extra());
    let found = std::iter::once(interface.extra()).chain(extras).find_map(|extra| {
        let mut rest = extra;
        while let [length, kind, ..] = *rest {
            let (one, others) = rest.split_at_checked(usize::from(length.max(2)))?;
            if kind == DESCRIPTOR {
                return Some(one);
            }
            rest = others;
        }
        None
    });
    Descriptor::parse(found.unwrap_or_default())
}

/// The bulk-out, the bulk-in and the interrupt-in endpoint.
fn endpoints(interface: &InterfaceDescriptor<'_>) -> [Option<Endpoint>; 3] {
    [
        (TransferType::Bulk, Direction::Out),
        (TransferType::Bulk, Direction::In),
        (TransferType::Interrupt, Direction::In),
    ]
    .map(|(kind, direction)| Endpoint::find(interface, kind, direction))
}

fn identity(device: &Device) -> rusb::Result<Identity> {
    let about = device.device().device_descriptor()?;
    let rusb::Version(major, minor, sub) = about.device_version();
    Ok(Identity {
        firmware: format!("{:04x}:{:04x} {major}.{minor}{sub}", about.vendor_id(), about.product_id()),
        // A reader without one, or that does not tell it, is as good as another.
        serial: device.read_serial_number_string_ascii(&about).unwrap_or_default(),
    })
}

fn send(interface: &Interface, output: Endpoint, message: &[u8]) -> Result<()> {
    let mut rest = message;
    while !rest.is_empty() {
        let sent = interface.send(output, rest).map_err(failure)?;
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}

/// Asks for packet after packet until they are a message.
fn receive(interface: &Interface, input: Endpoint, max_message: usize) -> Result<Secret> {
    let mut message = Assembler::new(max_message);
    let mut packet = Zeroizing::new(vec![0; input.packet()]);
    loop {
        let length = interface.receive(input, &mut packet).map_err(failure)?;
        let taken = message.push(packet.get(..length).unwrap_or_default(), input.packet());
        if let Some(message) = taken.map_err(|error| Error::Protocol(error.to_string()))? {
            return Ok(message);
        }
    }
}

fn listen(interface: &Interface, interrupt: Endpoint) -> Result<Vec<u8>> {
    let mut packet = vec![0; interrupt.packet()];
    let length = interface.receive(interrupt, &mut packet).map_err(failure)?;
    packet.truncate(length);
    Ok(packet)
}

impl UsbPipes {
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Secret>> {
        let waiting = self.message.get_or_insert_with(|| {
            let (interface, input, longest) = (Arc::clone(&self.interface), self.input, self.max_message);
            spawn_blocking(move || receive(&interface, input, longest))
        });
        let done = ready!(Pin::new(waiting).poll(cx));
        self.message = None;
        Poll::Ready(done.unwrap_or(Err(Error::Gone)))
    }

    fn poll_notification(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>>> {
        let Some(interrupt) = self.interrupt else { return Poll::Pending };
        let waiting = self.notification.get_or_insert_with(|| {
            let interface = Arc::clone(&self.interface);
            spawn_blocking(move || listen(&interface, interrupt))
        });
        let done = ready!(Pin::new(waiting).poll(cx));
        self.notification = None;
        Poll::Ready(done.unwrap_or(Err(Error::Gone)))
    }
}

impl Pipes for UsbPipes {
    fn notifies(&self) -> bool {
        self.interrupt.is_some()
    }

    async fn send(&mut self, message: Secret) -> Result<()> {
        let (interface, output) = (Arc::clone(&self.interface), self.output);
        spawn_blocking(move || send(&interface, output, &message)).await.unwrap_or(Err(Error::Gone))
    }

    async fn next(&mut self, expected: bool) -> Result<Incoming> {
        poll_fn(|cx| {
            if let Poll::Ready(said) = self.poll_notification(cx) {
                return Poll::Ready(said.map(Incoming::Notification));
            }
            if expected { self.poll_message(cx).map_ok(Incoming::Message) } else { Poll::Pending }
        })
        .await
    }
}

impl Drop for UsbPipes {
    /// Ends the transfers that wait, and so their threads.
    fn drop(&mut self) {
        self.interface.close();
    }
}

fn failure(error: rusb::Error) -> Error {
    match error {
        rusb::Error::NoDevice => Error::Gone,
        rusb::Error::Timeout => Error::Timeout,
        error => Error::Protocol(format!("its USB pipe failed: {error}")),
    }
}
