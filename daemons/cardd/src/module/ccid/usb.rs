//! A reader on usbfs, by its device node: udev has given the node its name and its group (`docs/decisions/0009-usb.md`).
//!
//! libusb blocks, so that each transfer that waits has a thread of the runtime's pool: one for the interrupt pipe, which waits
//! for cards, and one for the message that is under way.

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ccid::{Assembler, Descriptor, Secret};
use rusb::{Direction, InterfaceDescriptor, TransferType};
use secure_module::{Error, Result};
use tokio::task::{JoinHandle, spawn_blocking};
use usb::Device;
use zeroize::Zeroizing;

use super::Identity;
use super::pipes::{Incoming, Pipes};

/// The interface class of smart-card readers, and the type of their descriptor.
const CLASS: u8 = 0x0B;
const DESCRIPTOR: u8 = 0x21;

/// How long a reader may take to take a message.
const SEND: Duration = Duration::from_secs(5);
/// How long a thread waits before it looks whether anybody still wants what may come: longer than any call.
const LOOK: Duration = Duration::from_secs(60);

/// An endpoint: its address, and the bytes of its longest packet.
#[derive(Clone, Copy)]
struct Endpoint {
    address: u8,
    packet: usize,
}

/// The interface of the reader that was claimed.
struct Interface {
    device: Device,
    number: u8,
    given_up: AtomicBool,
}

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
    let device = Device::open(node).map_err(|error| format!("{place}: {error}"))?;
    let unreadable = |error: rusb::Error| format!("{place} doesn't describe itself: {error}");
    let configuration = device.device().active_config_descriptor().map_err(unreadable)?;
    let mut interfaces = configuration.interfaces().flat_map(|interface| interface.descriptors());
    let found = interfaces.find(|interface| interface.class_code() == CLASS);
    let found = found.ok_or_else(|| format!("{place} is no smart-card reader"))?;
    let descriptor = class_descriptor(&found).map_err(|error| format!("{place}: {error}"))?;
    let [output, input, interrupt] = endpoints(&found);
    let (Some(output), Some(input)) = (output, input) else {
        return Err(format!("{place}: the reader lacks a bulk pipe"));
    };
    let number = found.interface_number();
    let claimed = device.claim_interface(number);
    claimed.map_err(|error| format!("{place} is in use by another driver: {error}"))?;
    let identity = identity(&device).map_err(unreadable)?;
    let interface = Arc::new(Interface { device, number, given_up: AtomicBool::new(false) });
    let max_message = descriptor.max_message;
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
    .map(|wanted| {
        let mut all = interface.endpoint_descriptors();
        let found = all.find(|endpoint| (endpoint.transfer_type(), endpoint.direction()) == wanted)?;
        Some(Endpoint { address: found.address(), packet: usize::from(found.max_packet_size()) })
    })
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

impl Interface {
    fn send(&self, output: Endpoint, message: &[u8]) -> Result<()> {
        let mut rest = message;
        while !rest.is_empty() {
            if self.given_up.load(Ordering::SeqCst) {
                return Err(Error::Gone);
            }
            let sent = self.device.write_bulk(output.address, rest, SEND).map_err(failure)?;
            rest = rest.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// Asks for packet after packet until they are a message.
    fn receive(&self, input: Endpoint, max_message: usize) -> Result<Secret> {
        let mut message = Assembler::new(max_message);
        let mut packet = Zeroizing::new(vec![0; input.packet]);
        while !self.given_up.load(Ordering::SeqCst) {
            let length = match self.device.read_bulk(input.address, &mut packet, LOOK) {
                Ok(length) => length,
                Err(rusb::Error::Timeout) => continue,
                Err(error) => {
                    // What stalled is free again for whoever opens the reader next; one that is gone has no pipe.
                    let _ = self.device.clear_halt(input.address);
                    return Err(failure(error));
                }
            };
            let taken = message.push(packet.get(..length).unwrap_or_default(), input.packet);
            if let Some(message) = taken.map_err(|error| Error::Protocol(error.to_string()))? {
                return Ok(message);
            }
        }
        Err(Error::Gone)
    }

    fn listen(&self, interrupt: Endpoint) -> Result<Vec<u8>> {
        let mut packet = vec![0; interrupt.packet];
        while !self.given_up.load(Ordering::SeqCst) {
            match self.device.read_interrupt(interrupt.address, &mut packet, LOOK) {
                Ok(length) => {
                    packet.truncate(length);
                    return Ok(packet);
                }
                Err(rusb::Error::Timeout) => {}
                Err(error) => {
                    let _ = self.device.clear_halt(interrupt.address);
                    return Err(failure(error));
                }
            }
        }
        Err(Error::Gone)
    }
}

impl UsbPipes {
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Secret>> {
        let waiting = self.message.get_or_insert_with(|| {
            let (interface, input, longest) = (Arc::clone(&self.interface), self.input, self.max_message);
            spawn_blocking(move || interface.receive(input, longest))
        });
        let done = ready!(Pin::new(waiting).poll(cx));
        self.message = None;
        Poll::Ready(done.unwrap_or(Err(Error::Gone)))
    }

    fn poll_notification(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>>> {
        let Some(interrupt) = self.interrupt else { return Poll::Pending };
        let waiting = self.notification.get_or_insert_with(|| {
            let interface = Arc::clone(&self.interface);
            spawn_blocking(move || interface.listen(interrupt))
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
        spawn_blocking(move || interface.send(output, &message)).await.unwrap_or(Err(Error::Gone))
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
    /// Letting go of the interface ends the transfers that wait, and so their threads.
    fn drop(&mut self) {
        self.interface.given_up.store(true, Ordering::SeqCst);
        // It fails for a reader that was pulled out: then nothing waits.
        let _ = self.interface.device.release_interface(self.interface.number);
    }
}

fn failure(error: rusb::Error) -> Error {
    match error {
        rusb::Error::NoDevice => Error::Gone,
        rusb::Error::Timeout => Error::Timeout,
        error => Error::Protocol(format!("its USB pipe failed: {error}")),
    }
}
