//! The driver of a secure module over SPI, against a firmware as the specification has it: the module's end of the line behind an SPI slave.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use embedded_hal::spi::{ErrorKind, ErrorType};
use link::{Incoming, Module, Pace, Request, Response};
use secure_module::{CardSlot, Error, Event, SecureModule};
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

use super::*;
use crate::module::LinkModule;

const LIMIT: Duration = Duration::from_secs(20);

/// What goes wrong with the wires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The module stops before it answers.
    Dead,
    /// A byte of each so-manyth transfer is another one.
    Garbage(usize),
    /// The kernel misses so many edges of the interrupt line.
    LostEdges(usize),
    /// The interrupt line is active, whatever the module has to say.
    Stuck,
    /// So it is, and each transfer brings these bytes.
    Babble([u8; TRANSFER]),
    /// The transfer fails.
    Broken,
}

/// The module's side of the wires.
struct Firmware {
    module: Module,
    started: Instant,
    /// What is to be clocked out.
    queue: Vec<u8>,
    fault: Option<Fault>,
    transfers: usize,
}

impl Firmware {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn active(&self) -> bool {
        matches!(self.fault, Some(Fault::Stuck | Fault::Babble(_))) || !self.queue.is_empty()
    }

    /// Queues what the module has to say; whether that is an edge of the interrupt line.
    fn speak(&mut self) -> bool {
        let before = self.queue.len();
        while let Some(bytes) = self.module.output() {
            self.queue.extend(bytes.iter());
        }
        match &mut self.fault {
            _ if self.queue.len() == before => false,
            Some(Fault::LostEdges(left)) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        }
    }

    fn exchange(&mut self, block: &mut [u8]) {
        self.transfers += 1;
        let said: Vec<u8> = self.queue.drain(..block.len().min(self.queue.len())).collect();
        if self.fault == Some(Fault::Dead) {
            self.queue.clear();
        } else {
            let now = self.now();
            for incoming in self.module.receive(block, now) {
                if let Incoming::Request(request) = incoming {
                    self.module.respond(&answer(request));
                }
            }
        }
        block.fill(0);
        block[..said.len()].copy_from_slice(&said);
        match self.fault {
            Some(Fault::Babble(bytes)) => block.copy_from_slice(&bytes),
            Some(Fault::Garbage(each)) if self.transfers.is_multiple_of(each) => block[3] ^= 0x81,
            _ => {}
        }
    }
}

fn answer(request: Request) -> Response {
    match request {
        Request::Random { length } => Response::Data(vec![7; length.into()].into()),
        Request::SealTrack2 { track2, .. } => Response::Data(track2),
        Request::CardTransmit { command, .. } => Response::Data(command),
        _ => Response::Done,
    }
}

#[derive(Clone)]
struct Shared {
    firmware: Arc<Mutex<Firmware>>,
    edge: Arc<Notify>,
    /// The module has another deadline, or the driver another state.
    changed: Arc<Notify>,
    /// The driver waits for the interrupt line, and does nothing else.
    resting: Arc<AtomicBool>,
}

impl Shared {
    fn new(fault: Option<Fault>) -> Shared {
        let (module, started) = (Module::new(1).at(Pace::baud(8_000_000)), Instant::now());
        let firmware = Firmware { module, started, queue: Vec::new(), fault, transfers: 0 };
        let shared = Shared {
            firmware: Arc::new(Mutex::new(firmware)),
            edge: Arc::new(Notify::new()),
            changed: Arc::new(Notify::new()),
            resting: Arc::default(),
        };
        shared.change(|_| ());
        shared
    }

    fn lock(&self) -> MutexGuard<'_, Firmware> {
        self.firmware.lock().unwrap()
    }

    /// Has the module do something, and say what it has to say.
    fn change(&self, change: impl FnOnce(&mut Firmware)) {
        let mut firmware = self.lock();
        change(&mut firmware);
        if firmware.speak() {
            self.edge.notify_one();
        }
        self.changed.notify_waiters();
    }

    /// The module, which sends again what isn't acknowledged.
    async fn live(self) {
        loop {
            let changed = self.changed.notified();
            let deadline = {
                let firmware = self.lock();
                firmware.module.deadline().map(|deadline| firmware.started + deadline)
            };
            match deadline {
                Some(deadline) => tokio::select! {
                    () = sleep_until(deadline.into()) => {}
                    () = changed => continue,
                },
                None => {
                    changed.await;
                    continue;
                }
            }
            self.change(|firmware| firmware.module.tick(firmware.started.elapsed()));
        }
    }

    /// Waits until the driver rests.
    async fn rest(&self) {
        let resting = async {
            loop {
                let changed = self.changed.notified();
                if self.resting.load(Ordering::SeqCst) {
                    return;
                }
                changed.await;
            }
        };
        timeout(LIMIT, resting).await.expect("the driver never rests");
    }

    fn report(&self, event: link::Event) {
        self.change(|firmware| firmware.module.report(event, firmware.started.elapsed()));
    }

    async fn open(&self) -> Result<LinkModule, Error> {
        tokio::spawn(self.clone().live());
        let stream = stream(self.clone(), self.clone()).unwrap();
        LinkModule::open(stream, None, Pace::baud(8_000_000)).await
    }
}

#[derive(Debug)]
struct Broken;

impl embedded_hal::spi::Error for Broken {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl ErrorType for Shared {
    type Error = Broken;
}

impl SpiDevice for Shared {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Broken> {
        let [Operation::DelayNs(SETUP_NS), Operation::TransferInPlace(block)] = operations else {
            panic!("a transfer has another form: {operations:?}");
        };
        assert_eq!(block.len(), TRANSFER);
        self.resting.store(false, Ordering::SeqCst);
        if self.lock().fault == Some(Fault::Broken) {
            return Err(Broken);
        }
        self.change(|firmware| firmware.exchange(block));
        Ok(())
    }
}

impl Interrupt for Shared {
    fn active(&self) -> io::Result<bool> {
        Ok(self.lock().active())
    }

    async fn edge(&mut self) -> io::Result<()> {
        self.resting.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
        self.edge.notified().await;
        self.resting.store(false, Ordering::SeqCst);
        Ok(())
    }
}

fn apdu(length: u8) -> Vec<u8> {
    [&[0, 0xD6, 0, 0, length][..], &vec![0; length.into()]].concat()
}

#[tokio::test]
async fn a_module_on_spi_is_asked_answers_and_reports() {
    let shared = Shared::new(None);
    let module = shared.open().await.unwrap();
    for length in [0, 1, 100, 255] {
        let command = apdu(length);
        let answer = module.card_transmit(CardSlot::Contact, &command).await.unwrap();
        assert_eq!(answer[..], command);
    }
    let long: Vec<u8> = (0_u32..).flat_map(u32::to_be_bytes).take(60_000).collect();
    let slot = secure_module::KeySlot::TDK;
    assert_eq!(module.seal_track2(&slot, &long).await.unwrap(), long);
    shared.rest().await;
    shared.report(link::Event::CardInserted { slot: 0 });
    shared.report(link::Event::CardRemoved { slot: 0 });
    assert_eq!(module.next_event().await, Ok(Event::CardInserted(CardSlot::Contact)));
    assert_eq!(module.next_event().await, Ok(Event::CardRemoved(CardSlot::Contact)));
}

#[tokio::test]
async fn an_idle_line_has_no_transfer() {
    let shared = Shared::new(None);
    let module = shared.open().await.unwrap();
    module.random(8).await.unwrap();
    // Edges that are of no use any more are passed over.
    shared.rest().await;
    let transfers = shared.lock().transfers;
    shared.edge.notify_one();
    tokio::task::yield_now().await;
    shared.rest().await;
    assert_eq!(shared.lock().transfers, transfers);
}

#[tokio::test]
async fn what_noise_changes_is_sent_again() {
    let shared = Shared::new(None);
    let module = shared.open().await.unwrap();
    shared.lock().fault = Some(Fault::Garbage(7));
    for length in [1, 100, 255] {
        let command = apdu(length);
        let answer = module.card_transmit(CardSlot::Contact, &command).await.unwrap();
        assert_eq!(answer[..], command);
    }
}

#[tokio::test]
async fn an_edge_that_was_missed_is_made_again() {
    let shared = Shared::new(None);
    let module = shared.open().await.unwrap();
    shared.rest().await;
    shared.lock().fault = Some(Fault::LostEdges(1));
    shared.report(link::Event::CardInserted { slot: 0 });
    let event = timeout(LIMIT, module.next_event()).await.expect("the event is told again");
    assert_eq!(event, Ok(Event::CardInserted(CardSlot::Contact)));
}

#[tokio::test]
async fn a_module_whose_interrupt_line_is_stuck_works_and_keeps_nobody_busy() {
    let shared = Shared::new(Some(Fault::Stuck));
    let module = shared.open().await.unwrap();
    let command = apdu(255);
    assert_eq!(module.card_transmit(CardSlot::Contact, &command).await.unwrap()[..], command);
    shared.rest().await;
}

/// What a module clocks out that has crashed: a constant, noise, and a good frame over and over.
fn babble() -> Vec<[u8; TRANSFER]> {
    let noise = std::iter::successors(Some(7_u8), |byte| Some(byte.wrapping_mul(141).wrapping_add(3)));
    let frame = Module::new(1).output().unwrap().to_vec();
    let frames = frame.iter().copied().cycle();
    let fill = |bytes: &mut dyn Iterator<Item = u8>| std::array::from_fn(|_| bytes.next().unwrap());
    vec![
        [0; TRANSFER],
        [0x55; TRANSFER],
        [0xFF; TRANSFER],
        fill(&mut noise.into_iter()),
        fill(&mut { frames }),
    ]
}

#[tokio::test]
async fn a_module_that_never_stops_talking_is_not_listened_to_for_long() {
    for bytes in babble() {
        let shared = Shared::new(Some(Fault::Babble(bytes)));
        let (mut near, before) = (stream(shared.clone(), shared.clone()).unwrap(), shared.lock().transfers);
        shared.rest().await;
        near.write_all(&[0, 1, 2, 0]).await.unwrap();
        // What it wrote is clocked out, and then as much again as at the start.
        while shared.lock().transfers < before + 130 {
            tokio::task::yield_now().await;
        }
        shared.rest().await;
        let transfers = shared.lock().transfers;
        assert!((130..=200).contains(&transfers), "{transfers} transfers of {bytes:02x?}");
    }
}

#[tokio::test]
async fn a_module_that_asks_without_end_is_listened_to_at_most_every_300_ms() {
    let shared = Shared::new(Some(Fault::Babble(babble()[4])));
    let _near = stream(shared.clone(), shared.clone()).unwrap();
    let (begun, most) = (Instant::now(), usize::try_from(MOST_ASKED).unwrap());
    while shared.lock().transfers < 3 * most {
        shared.edge.notify_one();
        tokio::task::yield_now().await;
    }
    assert!(begun.elapsed() >= 2 * PAUSE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_module_that_dies_is_given_up_and_a_bus_that_fails_is_gone() {
    let shared = Shared::new(None);
    let module = shared.open().await.unwrap();
    shared.lock().fault = Some(Fault::Dead);
    assert_eq!(module.random(8).await, Err(Error::Timeout));
    shared.lock().fault = Some(Fault::Broken);
    assert_eq!(module.random(8).await, Err(Error::Gone));
    assert_eq!(module.next_event().await, Err(Error::Gone));
}

#[tokio::test]
async fn what_is_no_spi_is_refused_with_its_reason() {
    for device in ["/dev/smartpos/no-such-module", "/dev/null"] {
        let wires: Wires = format!("{device}?hz=1000000&irq=/dev/null:0").parse().unwrap();
        let problem = wires.open().unwrap_err();
        assert!(problem.to_string().starts_with(device), "{problem}");
    }
}

#[tokio::test]
async fn the_wires_are_let_go_of_with_the_module() {
    let shared = Shared::new(None);
    let stream = stream(shared.clone(), shared.clone()).unwrap();
    assert_eq!(Arc::strong_count(&shared.firmware), 3);
    drop(stream);
    let gone = async {
        while Arc::strong_count(&shared.firmware) > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, gone).await.expect("the wires are still held");
}
