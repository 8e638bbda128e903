//! The driver of a secure module on USB, against a scripted device: the module's end of the line behind two bulk endpoints.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use link::{Incoming, Module, Pace, Request, Response};
use secure_module::{CardSlot, Error, Event, SecureModule};
use tokio::time::timeout;

use super::*;
use crate::module::LinkModule;

const PACKET: usize = 64;
const LIMIT: Duration = Duration::from_secs(20);

/// The module's side of the plug.
struct Device {
    module: Module,
    started: Instant,
    packets: VecDeque<Vec<u8>>,
    /// It is unplugged at this call, counted from 1.
    unplugged_at: Option<usize>,
    calls: usize,
    /// It takes no more than so many bytes at a time.
    takes: usize,
    gone: bool,
    waiting: bool,
}

#[derive(Clone)]
struct Plug(Arc<(Mutex<Device>, Condvar)>);

impl Plug {
    fn new() -> Plug {
        let device = Device {
            module: Module::new(1),
            started: Instant::now(),
            packets: VecDeque::new(),
            unplugged_at: None,
            calls: 0,
            takes: usize::MAX,
            gone: false,
            waiting: false,
        };
        Plug(Arc::new((Mutex::new(device), Condvar::new())))
    }

    fn lock(&self) -> MutexGuard<'_, Device> {
        self.0.0.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Device)) {
        let mut device = self.lock();
        change(&mut device);
        device.speak();
        self.0.1.notify_all();
    }

    fn call(&self) -> io::Result<()> {
        let mut device = self.lock();
        device.calls += 1;
        device.gone |= device.unplugged_at == Some(device.calls);
        if device.gone { Err(io::Error::other("no device")) } else { Ok(()) }
    }

    async fn open(&self) -> Result<LinkModule, Error> {
        LinkModule::open(stream(self.clone()).unwrap(), None, Pace::default()).await
    }

    /// Waits until the stream has let go of the device.
    async fn let_go(&self) {
        let gone = async {
            while Arc::strong_count(&self.0) > 1 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, gone).await.expect("a thread still waits for the module");
    }
}

impl Device {
    fn speak(&mut self) {
        while let Some(bytes) = self.module.output() {
            self.packets.extend(bytes.chunks(PACKET).map(<[u8]>::to_vec));
            // Where a transfer's last packet is full, and elsewhere, too: an empty one says nothing.
            self.packets.push_back(Vec::new());
        }
    }
}

impl Pipes for Plug {
    fn packet(&self) -> usize {
        PACKET
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.call()?;
        let taken = bytes.len().min(self.lock().takes);
        self.change(|device| {
            let now = device.started.elapsed();
            for incoming in device.module.receive(&bytes[..taken], now) {
                if let Incoming::Request(request) = incoming {
                    device.module.respond(&answer(request));
                }
            }
        });
        Ok(taken)
    }

    fn receive(&self, packet: &mut [u8]) -> io::Result<usize> {
        self.call()?;
        let mut device = self.lock();
        loop {
            if device.gone {
                return Err(io::Error::other("no device"));
            }
            if let Some(next) = device.packets.pop_front() {
                packet[..next.len()].copy_from_slice(&next);
                return Ok(next.len());
            }
            device.waiting = true;
            device = self.0.1.wait(device).unwrap();
            device.waiting = false;
        }
    }

    fn close(&self) {
        self.change(|device| device.gone = true);
    }
}

fn answer(request: Request) -> Response {
    match request {
        Request::SealTrack2 { track2, .. } => Response::Data(track2),
        Request::CardTransmit { command, .. } => Response::Data(command),
        _ => Response::Done,
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_be_bytes).take(length).collect()
}

#[tokio::test]
async fn a_module_on_usb_is_asked_answers_and_reports() {
    let plug = Plug::new();
    let module = plug.open().await.unwrap();
    // Frames that end within a packet, and some that fill their last one.
    for length in 4..=261 {
        let command = pattern(length);
        assert_eq!(module.card_transmit(CardSlot::Contact, &command).await.unwrap()[..], command);
    }
    plug.lock().takes = 100;
    let long = pattern(60_000);
    assert_eq!(module.seal_track2(&secure_module::KeySlot::TDK, &long).await.unwrap(), long);
    plug.change(|device| {
        device.module.report(link::Event::CardInserted { slot: 0 }, device.started.elapsed())
    });
    assert_eq!(module.next_event().await, Ok(Event::CardInserted(CardSlot::Contact)));
    drop(module);
    plug.let_go().await;
}

#[tokio::test]
async fn a_module_that_is_unplugged_at_any_moment_is_gone_at_once_and_leaves_no_thread() {
    for call in 1..40 {
        let plug = Plug::new();
        plug.lock().unplugged_at = Some(call);
        let work = async {
            let module = plug.open().await?;
            for length in 4..100 {
                module.card_transmit(CardSlot::Contact, &pattern(length)).await?;
            }
            module.next_event().await.map(drop)
        };
        let end = timeout(Duration::from_secs(4), work).await.expect("the driver never notices");
        assert_eq!(end, Err(Error::Gone), "call {call}");
        plug.let_go().await;
    }
}

#[tokio::test]
async fn a_module_that_is_unplugged_while_nothing_goes_on_is_missed() {
    let plug = Plug::new();
    let module = plug.open().await.unwrap();
    while !plug.lock().waiting {
        tokio::task::yield_now().await;
    }
    plug.change(|device| device.gone = true);
    assert_eq!(timeout(LIMIT, module.next_event()).await.unwrap(), Err(Error::Gone));
    drop(module);
    plug.let_go().await;
}

#[test]
fn a_runtime_that_ends_does_not_wait_for_what_a_module_may_say() {
    let plug = Plug::new();
    let (ended, end) = std::sync::mpsc::channel();
    let held = plug.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let module = runtime.block_on(async {
            let module = held.open().await.unwrap();
            while !held.lock().waiting {
                tokio::task::yield_now().await;
            }
            module
        });
        drop(runtime);
        drop(module);
        ended.send(()).unwrap();
    });
    end.recv_timeout(LIMIT).expect("the runtime waits for the module");
}

#[tokio::test]
async fn what_is_no_module_is_refused_with_its_reason() {
    let missing = open(Path::new("/dev/smartpos/no-such-module")).await.unwrap_err();
    assert!(missing.to_string().contains("/dev/smartpos/no-such-module"), "{missing}");
    let other = open(Path::new("/dev/null")).await.unwrap_err();
    assert!(other.to_string().contains("USB"), "{other}");
}
