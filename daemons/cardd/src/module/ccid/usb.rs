//! A reader on usbfs, by its device node: the sandbox has no `/sys` to look for readers in, and udev has given the node its
//! name and its group (`docs/decisions/0009-usb.md`).

use std::fs::OpenOptions;
use std::future::poll_fn;
use std::path::Path;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ccid::{Assembler, Descriptor, Secret};
use nusb::descriptors::{InterfaceDescriptor, TransferType, language_id::US_ENGLISH};
use nusb::transfer::{Buffer, Bulk, Completion, Direction, In, Interrupt, Out, TransferError};
use nusb::{Device, Endpoint, Interface, MaybeFuture};
use secure_module::{Error, Result};
use zeroize::Zeroize;

use super::Identity;
use super::pipes::{Incoming, Pipes};

/// The interface class of smart-card readers, and the type of their descriptor.
const CLASS: u8 = 0x0B;
const DESCRIPTOR: u8 = 0x21;

/// How long a reader may take to say its serial number.
const CONTROL: Duration = Duration::from_secs(1);
/// How long a reader may take to take a message.
const SEND: Duration = Duration::from_secs(5);

pub(super) struct UsbPipes {
    output: Endpoint<Bulk, Out>,
    input: Endpoint<Bulk, In>,
    interrupt: Option<Endpoint<Interrupt, In>>,
    message: Assembler,
}

/// Opens the reader at `node`. Blocks for a moment.
pub(super) fn open(node: &Path) -> std::result::Result<(UsbPipes, Descriptor, Identity), String> {
    let place = node.display();
    let file = OpenOptions::new().read(true).write(true).open(node);
    let file = file.map_err(|error| format!("{place}: {error}"))?;
    let device = Device::from_fd(file.into()).wait().map_err(|error| format!("{place}: {error}"))?;
    let configuration = device.active_configuration().map_err(|error| format!("{place}: {error}"))?;
    let found = configuration.interface_alt_settings().find(|interface| interface.class() == CLASS);
    let found = found.ok_or_else(|| format!("{place} is no smart-card reader"))?;
    let descriptor = found.descriptors().find(|descriptor| descriptor.descriptor_type() == DESCRIPTOR);
    let descriptor = Descriptor::parse(descriptor.as_deref().unwrap_or_default());
    let descriptor = descriptor.map_err(|error| format!("{place}: {error}"))?;
    let interface = device.claim_interface(found.interface_number()).wait();
    let interface = interface.map_err(|error| format!("{place} is in use by another driver: {error}"))?;
    let pipes =
        UsbPipes::new(&interface, &found, &descriptor).map_err(|error| format!("{place}: {error}"))?;
    Ok((pipes, descriptor, identity(&device)))
}

fn identity(device: &Device) -> Identity {
    let about = device.device_descriptor();
    let serial = about.serial_number_string_index();
    // A reader without one, or that does not tell it, is as good as another.
    let serial =
        serial.and_then(|index| device.get_string_descriptor(index, US_ENGLISH, CONTROL).wait().ok());
    let [major, minor] = about.device_version().to_be_bytes();
    Identity {
        firmware: format!("{:04x}:{:04x} {major:x}.{minor:02x}", about.vendor_id(), about.product_id()),
        serial: serial.unwrap_or_default(),
    }
}

impl UsbPipes {
    fn new(
        interface: &Interface,
        about: &InterfaceDescriptor<'_>,
        descriptor: &Descriptor,
    ) -> std::result::Result<Self, String> {
        let address = |kind, direction| {
            let mut endpoints = about.endpoints();
            endpoints
                .find(|endpoint| (endpoint.transfer_type(), endpoint.direction()) == (kind, direction))
                .map(|endpoint| endpoint.address())
        };
        let missing = || "the reader lacks a bulk pipe".to_owned();
        let output = address(TransferType::Bulk, Direction::Out).ok_or_else(missing)?;
        let input = address(TransferType::Bulk, Direction::In).ok_or_else(missing)?;
        let unusable = |error: nusb::Error| format!("a pipe can't be used: {error}");
        let interrupt = address(TransferType::Interrupt, Direction::In);
        Ok(Self {
            output: interface.endpoint(output).map_err(unusable)?,
            input: interface.endpoint(input).map_err(unusable)?,
            interrupt: interrupt.map(|address| interface.endpoint(address)).transpose().map_err(unusable)?,
            message: Assembler::new(descriptor.max_message),
        })
    }

    /// Asks for packet after packet until they are a message.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Secret>> {
        loop {
            let size = self.input.max_packet_size();
            if self.input.pending() == 0 {
                self.input.submit(Buffer::new(size));
            }
            let mut packet = match taken(ready!(self.input.poll_next_complete(cx))) {
                Ok(packet) => packet,
                Err(error) => {
                    // What stalled is free again for whoever opens the reader next; one that is gone has no pipe.
                    let _ = self.input.clear_halt().wait();
                    return Poll::Ready(Err(error));
                }
            };
            let message = self.message.push(&packet, size);
            packet.zeroize();
            match message {
                Ok(Some(message)) => return Poll::Ready(Ok(message)),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(Error::Protocol(error.to_string()))),
            }
        }
    }

    fn poll_notification(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>>> {
        let Some(interrupt) = &mut self.interrupt else { return Poll::Pending };
        if interrupt.pending() == 0 {
            interrupt.submit(Buffer::new(interrupt.max_packet_size()));
        }
        Poll::Ready(taken(ready!(interrupt.poll_next_complete(cx))))
    }
}

impl Pipes for UsbPipes {
    fn notifies(&self) -> bool {
        self.interrupt.is_some()
    }

    async fn send(&mut self, message: Secret) -> Result<()> {
        self.output.submit(message.to_vec().into());
        match tokio::time::timeout(SEND, self.output.next_complete()).await {
            Ok(done) => taken(done).map(|mut sent| sent.zeroize()),
            Err(_) => Err(Error::Timeout),
        }
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

/// What a transfer carried.
fn taken(done: Completion) -> Result<Vec<u8>> {
    match done.status {
        Ok(()) => Ok(done.buffer.into_vec()),
        Err(TransferError::Disconnected | TransferError::Cancelled) => Err(Error::Gone),
        Err(error) => Err(Error::Protocol(format!("its USB pipe failed: {error}"))),
    }
}
