//! The packets of usbredir 0.7 (its `usb-redirection-protocol.md`), on the side of the device. All numbers are little-endian.

use std::collections::VecDeque;
use std::io;

use super::descriptors::{self, BULK_IN, BULK_OUT, CLASS, PACKET, PRODUCT, RELEASE, VENDOR};

// The types of packets.
const HELLO: u32 = 0;
const DEVICE_CONNECT: u32 = 1;
const RESET: u32 = 3;
const INTERFACE_INFO: u32 = 4;
const EP_INFO: u32 = 5;
const SET_CONFIGURATION: u32 = 6;
const GET_CONFIGURATION: u32 = 7;
const CONFIGURATION_STATUS: u32 = 8;
const SET_ALT_SETTING: u32 = 9;
const GET_ALT_SETTING: u32 = 10;
const ALT_SETTING_STATUS: u32 = 11;
const CANCEL_DATA_PACKET: u32 = 21;
const CONTROL_PACKET: u32 = 100;
const BULK_PACKET: u32 = 101;

/// The capabilities without which an xHCI controller takes no device: a version in DEVICE_CONNECT, packet sizes in EP_INFO, ids of 64 bits,
/// lengths of 32 bits.
const CAPABILITIES: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6;
const IDS_OF_64_BITS: u32 = 1 << 5;

// How a transfer ended.
const SUCCESS: u8 = 0;
const CANCELLED: u8 = 1;
const STALL: u8 = 4;

/// The longest packet that is taken, in bytes.
const LONGEST: usize = 128 * 1024;
/// How much of a bulk packet is not data.
const BULK_HEADER: usize = 10;
/// GET_DESCRIPTOR (USB 2.0, 9.4.3) to the device, and the bit of a request that wants data.
const GET_DESCRIPTOR: (u8, u8) = (0x80, 6);
const IN: u8 = 0x80;

/// A transfer of the host's that waits for what the module says.
struct Asked {
    id: u64,
    length: usize,
}

/// The device's side of a redirection.
pub(super) struct Redirection {
    /// What has come of a packet that is not whole.
    heard: Vec<u8>,
    /// Whether packets have ids of 64 bits: both ends can, and have said so.
    wide: bool,
    asked: VecDeque<Asked>,
    said: VecDeque<u8>,
    to_qemu: Vec<u8>,
    to_module: Vec<u8>,
}

impl Redirection {
    pub(super) fn new() -> Redirection {
        let mut redirection = Redirection {
            heard: Vec::new(),
            wide: false,
            asked: VecDeque::new(),
            said: VecDeque::new(),
            to_qemu: Vec::new(),
            to_module: Vec::new(),
        };
        let mut hello = b"smartpos-sim-module".to_vec();
        hello.resize(64, 0);
        hello.extend(CAPABILITIES.to_le_bytes());
        redirection.send(HELLO, 0, &hello);
        redirection
    }

    pub(super) fn take_for_qemu(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.to_qemu)
    }

    pub(super) fn take_for_module(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.to_module)
    }

    /// Whether the host wants to hear something of the module.
    pub(super) fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Takes what the module says.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.said.extend(bytes);
        while !self.said.is_empty() {
            let Some(Asked { id, length }) = self.asked.pop_front() else { return };
            let data: Vec<u8> = self.said.drain(..length.min(self.said.len())).collect();
            self.end_bulk(BULK_IN, id, SUCCESS, data.len(), &data);
        }
    }

    /// Takes bytes of QEMU's.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.heard.extend(bytes);
        loop {
            let header = if self.wide { 16 } else { 12 };
            let Some((kind, length, id)) = self.heard.get(..header).and_then(numbers) else { return Ok(()) };
            if length > LONGEST {
                return Err(io::Error::other(format!("QEMU sends a packet of {length} bytes")));
            }
            let Some(body) = self.heard.get(header..header + length).map(<[u8]>::to_vec) else {
                return Ok(());
            };
            self.heard.drain(..header + length);
            let taken = self.packet(kind, id, &body);
            taken.ok_or_else(|| io::Error::other(format!("QEMU sends a packet {kind} that is too short")))?;
        }
    }

    fn packet(&mut self, kind: u32, id: u64, body: &[u8]) -> Option<()> {
        match kind {
            HELLO => {
                let theirs = body.get(64..68)?.try_into().map(u32::from_le_bytes).ok()?;
                self.wide = theirs & IDS_OF_64_BITS != 0;
                self.plug_in();
            }
            RESET => self.asked.clear(),
            SET_CONFIGURATION => self.send(CONFIGURATION_STATUS, id, &[SUCCESS, *body.first()?]),
            GET_CONFIGURATION => self.send(CONFIGURATION_STATUS, id, &[SUCCESS, 1]),
            SET_ALT_SETTING => self.send(ALT_SETTING_STATUS, id, &[SUCCESS, *body.first()?, *body.get(1)?]),
            GET_ALT_SETTING => self.send(ALT_SETTING_STATUS, id, &[SUCCESS, *body.first()?, 0]),
            CONTROL_PACKET => self.control(id, body)?,
            BULK_PACKET => self.bulk(id, body)?,
            CANCEL_DATA_PACKET => {
                let before = self.asked.len();
                self.asked.retain(|asked| asked.id != id);
                if self.asked.len() < before {
                    self.end_bulk(BULK_IN, id, CANCELLED, 0, &[]);
                }
            }
            // Filters and the like concern who redirects a device that exists.
            _ => {}
        }
        Some(())
    }

    fn plug_in(&mut self) {
        let [class, subclass, protocol] = CLASS;
        let mut interfaces = 1_u32.to_le_bytes().to_vec();
        for first in [0, class, subclass, protocol] {
            interfaces.push(first);
            interfaces.resize(interfaces.len() + 31, 0);
        }
        self.send(INTERFACE_INFO, 0, &interfaces);
        // 32 endpoints: out 0 to 15, in 0 to 15. Their types, intervals, interfaces and packets.
        let endpoints = (0..32_u8).map(|place| match place {
            0 | 16 => (0, 64),
            1 | 17 => (2, PACKET),
            _ => (0xFF, 0),
        });
        let mut info: Vec<u8> = endpoints.clone().map(|(kind, _)| kind).collect();
        info.resize(3 * 32, 0);
        info.extend(endpoints.flat_map(|(_, packet)| u16::to_le_bytes(packet)));
        self.send(EP_INFO, 0, &info);
        // High speed; the class is the interface's.
        let about = [VENDOR, PRODUCT, RELEASE].map(u16::to_le_bytes).concat();
        self.send(DEVICE_CONNECT, 0, &[&[2, 0, 0, 0], &about[..]].concat());
    }

    fn control(&mut self, id: u64, body: &[u8]) -> Option<()> {
        let (head, _) = body.split_first_chunk::<10>()?;
        let [endpoint, request, kind, _, index, descriptor, language, high, length_low, length_high] = *head;
        let length = u16::from_le_bytes([length_low, length_high]);
        let data = match (kind, request) {
            GET_DESCRIPTOR => descriptors::get(descriptor, index),
            _ => None,
        };
        let status = if data.is_some() { SUCCESS } else { STALL };
        let mut data = data.unwrap_or_default();
        data.truncate(length.into());
        let sent = if kind & IN == 0 { length } else { u16::try_from(data.len()).unwrap_or(length) };
        let [sent_low, sent_high] = sent.to_le_bytes();
        let mut answer =
            vec![endpoint, request, kind, status, index, descriptor, language, high, sent_low, sent_high];
        answer.extend(data);
        self.send(CONTROL_PACKET, id, &answer);
        Some(())
    }

    fn bulk(&mut self, id: u64, body: &[u8]) -> Option<()> {
        let (head, data) = body.split_first_chunk::<BULK_HEADER>()?;
        let [endpoint, _, low, second, _, _, _, _, third, high] = *head;
        let length = usize::try_from(u32::from_le_bytes([low, second, third, high])).ok()?;
        match endpoint {
            BULK_IN => {
                self.asked.push_back(Asked { id, length });
                self.say(&[]);
            }
            BULK_OUT => {
                self.to_module.extend(data);
                self.end_bulk(BULK_OUT, id, SUCCESS, data.len(), &[]);
            }
            other => self.end_bulk(other, id, STALL, 0, &[]),
        }
        Some(())
    }

    fn end_bulk(&mut self, endpoint: u8, id: u64, status: u8, length: usize, data: &[u8]) {
        let [low, second, third, high] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let head: [u8; BULK_HEADER] = [endpoint, status, low, second, 0, 0, 0, 0, third, high];
        self.send(BULK_PACKET, id, &[&head, data].concat());
    }

    fn send(&mut self, kind: u32, id: u64, body: &[u8]) {
        self.to_qemu.extend(kind.to_le_bytes());
        self.to_qemu.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
        let id = id.to_le_bytes();
        self.to_qemu.extend(if self.wide { &id[..] } else { &id[..4] });
        self.to_qemu.extend(body);
    }
}

/// Type, length and id of a header.
fn numbers(header: &[u8]) -> Option<(u32, usize, u64)> {
    let (kind, rest) = header.split_first_chunk()?;
    let (length, id) = rest.split_first_chunk()?;
    let mut wide = [0; 8];
    wide.get_mut(..id.len())?.copy_from_slice(id);
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    Some((u32::from_le_bytes(*kind), length, u64::from_le_bytes(wide)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of QEMU's with an id of 64 bits.
    fn packet(kind: u32, id: u64, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap();
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), &id.to_le_bytes(), body].concat()
    }

    fn bulk(endpoint: u8, length: u16, data: &[u8]) -> Vec<u8> {
        let [low, high] = length.to_le_bytes();
        [&[endpoint, 0, low, high, 0, 0, 0, 0, 0, 0], data].concat()
    }

    /// One that is plugged in.
    fn plugged() -> Redirection {
        let mut redirection = Redirection::new();
        let mut hello = [0; 80];
        hello[4] = 68;
        hello[76..].copy_from_slice(&CAPABILITIES.to_le_bytes());
        redirection.hear(&hello).unwrap();
        let said = redirection.take_for_qemu();
        // Hello, and with longer ids interfaces, endpoints, the device: their headers and bodies.
        assert_eq!(said.len(), 12 + 68 + 16 + 132 + 16 + 160 + 16 + 10);
        redirection
    }

    #[test]
    fn a_host_reads_the_descriptors_and_is_refused_what_there_is_not() {
        let mut redirection = plugged();
        for (kind, length, first) in [(1, 18, 18), (2, 255, 9), (2, 9, 9)] {
            let request = [0x80, 6, 0x80, 0, 0, kind, 0, 0, length, 0];
            redirection.hear(&packet(CONTROL_PACKET, 7, &request)).unwrap();
            let answer = redirection.take_for_qemu();
            assert_eq!((answer[19], answer[26]), (SUCCESS, first));
            assert_eq!(answer.len() - 26, usize::from(length).min(32), "descriptor {kind}");
        }
        redirection.hear(&packet(CONTROL_PACKET, 8, &[0x80, 6, 0x80, 0, 0, 15, 0, 0, 255, 0])).unwrap();
        assert_eq!(redirection.take_for_qemu()[19], STALL);
    }

    #[test]
    fn bytes_pass_both_ways_and_no_answer_is_given_that_nobody_asked_for() {
        let mut redirection = plugged();
        let sent = packet(BULK_PACKET, 1, &bulk(BULK_OUT, 3, &[1, 2, 3]));
        for byte in sent {
            redirection.hear(&[byte]).unwrap();
        }
        assert_eq!(redirection.take_for_module(), [1, 2, 3]);
        assert_eq!(redirection.take_for_qemu().len(), 16 + BULK_HEADER);
        redirection.say(&[4, 5, 6]);
        assert!(redirection.take_for_qemu().is_empty());
        for id in [2, 3] {
            redirection.hear(&packet(BULK_PACKET, id, &bulk(BULK_IN, 2, &[]))).unwrap();
        }
        let said = redirection.take_for_qemu();
        assert!(said.ends_with(&[6]) && said[26..28] == [4, 5], "{said:?}");
        redirection.hear(&packet(BULK_PACKET, 4, &bulk(BULK_IN, 512, &[]))).unwrap();
        redirection.hear(&packet(CANCEL_DATA_PACKET, 4, &[])).unwrap();
        assert_eq!(redirection.take_for_qemu()[17], CANCELLED);
        assert!(!redirection.is_asked());
    }

    #[test]
    fn what_is_no_packet_is_an_error() {
        assert!(plugged().hear(&[0xFF; 16]).is_err());
        assert!(plugged().hear(&packet(BULK_PACKET, 1, &[BULK_IN])).is_err());
        assert!(Redirection::new().hear(&[0; 12]).is_err());
    }
}
