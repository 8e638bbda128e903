//! What a payment waits for when it takes the place from claims.

use async_trait::async_trait;
use secure_module::{Event, Result as ModuleResult, Secret, Status};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::Instant;

use super::*;
use crate::claims::claim::Line;
use crate::supervisor;

/// How a card takes its time.
#[derive(Clone, Copy)]
enum Temper {
    /// It hangs: the module begins anew when the time for a command is over, as one on a line does.
    Hangs,
    /// Each time it says after 4 s that there is more, and its driver can't hold to a limit.
    Dawdles,
}

struct Slow {
    temper: Temper,
    reports: mpsc::UnboundedSender<Event>,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Event>>,
}

/// How long the module takes to say what it is, and so until the daemon has noticed that it began anew.
const STATUS: Duration = Duration::from_millis(700);

#[async_trait]
impl SecureModule for Slow {
    async fn status(&self) -> ModuleResult<Status> {
        tokio::time::sleep(STATUS).await;
        Ok(Status {
            certified: false,
            tampered: false,
            card_present: true,
            kind: "a test".to_owned(),
            firmware: "1".to_owned(),
            serial: "0".to_owned(),
        })
    }

    async fn next_event(&self) -> ModuleResult<Event> {
        self.events.lock().await.recv().await.ok_or(ModuleError::Gone)
    }

    async fn card_power_on(&self, _: CardSlot) -> ModuleResult<Vec<u8>> {
        Ok(vec![0x3B, 0x00])
    }

    async fn card_power_off(&self, _: CardSlot) -> ModuleResult<()> {
        Ok(())
    }

    async fn card_transmit_within(&self, _: CardSlot, _: &[u8], limit: Duration) -> ModuleResult<Secret> {
        match self.temper {
            Temper::Hangs => {
                tokio::time::sleep(limit).await;
                self.reports.send(Event::Reset).unwrap();
                Err(ModuleError::Timeout)
            }
            Temper::Dawdles => {
                tokio::time::sleep(Duration::from_secs(4)).await;
                Ok(vec![0x61, 0x10].into())
            }
        }
    }
}

fn select() -> Vec<u8> {
    vec![0x00, 0xA4, 0x04, 0x00, 0x05, 0xF0, 0x00, 0x00, 0x00, 0x01]
}

/// A terminal with one such card, and a claim that has it under power.
struct Bench {
    handle: ModuleHandle,
    places: Places,
    allowances: Allowances,
    line: Line,
    signals: mpsc::Receiver<Signal>,
}

impl Bench {
    async fn start(temper: Temper) -> Bench {
        let (reports, events) = mpsc::unbounded_channel();
        let module = Arc::new(Slow { temper, reports, events: tokio::sync::Mutex::new(events) });
        let (handle, supervisor) = supervisor::new();
        tokio::spawn(async move { supervisor.attend(module).await });
        handle.watch().wait_for(|view| view.state() == "ready").await.unwrap();
        let places = Places::default();
        let allowances = Allowances::default();
        let (line, signals) = claim_of(CONTACT, &handle, &places, &allowances);
        line.power_on().await.unwrap();
        Bench { handle, places, allowances, line, signals }
    }

    fn claimed(&self) -> Claimed {
        claimed(CONTACT, &self.line)
    }

    /// A command on its way to the card.
    async fn exchange(&self) -> JoinHandle<Result<Vec<u8>>> {
        let line = self.line.clone();
        let exchange = tokio::spawn(async move { line.exchange(select()).await });
        yield_now().await;
        exchange
    }
}

const APP: &str = "dev.example.shop";
const CONTACT: Slot = Slot(CardSlot::Contact);

fn claimed(slot: Slot, line: &Line) -> Claimed {
    Claimed { slot, app: APP.to_owned(), line: line.clone() }
}

fn claim_of(
    slot: Slot,
    handle: &ModuleHandle,
    places: &Places,
    allowances: &Allowances,
) -> (Line, mpsc::Receiver<Signal>) {
    let (line, told, signals) = claim::line(slot.first_state());
    let held = places.hold(claimed(slot, &line)).unwrap();
    let (module, session) = handle.ready().unwrap();
    let granted = vec!["F000000001".to_owned().try_into().unwrap()];
    let (filter, view, limit) = (Filter::new(granted, &[]), handle.watch(), Duration::from_secs(60));
    let claim =
        Claim { slot: slot.0, module, filter, view, session, limit, allowance: allowances.of(APP), told };
    tokio::spawn(claim.run(held));
    (line, signals)
}

#[tokio::test(start_paused = true)]
async fn a_payment_begins_in_the_session_that_follows_a_card_that_hangs() {
    let mut bench = Bench::start(Temper::Hangs).await;
    let (_, session) = bench.handle.ready().unwrap();
    let places = bench.places.clone();
    assert!(matches!(places.hold(bench.claimed()), Err(Error::Busy(_))));
    let hangs = bench.exchange().await;

    let began = Instant::now();
    let (first, second) = tokio::join!(places.take(End::Payment), places.take(End::Payment));
    assert!(matches!(second, Err(Error::Busy(_))), "it would wait for the first payment to end");
    assert!(first.is_ok());
    let waited = began.elapsed();
    assert!((5..8).contains(&waited.as_secs()), "{waited:?}");
    let (_, after) = bench.handle.ready().unwrap();
    assert_ne!(after, session, "a payment in the old session would be interrupted");
    assert!(matches!(hangs.await.unwrap(), Err(Error::Timeout(_))));
    let rested = bench.allowances.of(APP).rested();
    assert!(matches!(rested, Err(Error::Throttled(_))), "it would have the module begin anew again");
    assert!(matches!(places.hold(bench.claimed()), Err(Error::Busy(_))), "the payment has the place");
    assert!(matches!(bench.line.power_on().await, Err(Error::NotClaimed(_))));
    drop(first);
    assert!(places.hold(bench.claimed()).is_ok());
    let mut told = Vec::new();
    while let Ok(signal) = bench.signals.try_recv() {
        told.push(signal);
    }
    assert_eq!(told.last(), Some(&Signal::Revoked(End::ModuleGone)));
}

#[tokio::test(start_paused = true)]
async fn a_command_takes_5_seconds_however_often_the_card_has_more_to_say() {
    let bench = Bench::start(Temper::Dawdles).await;
    let began = Instant::now();
    let late = bench.line.exchange(select()).await;
    assert!(matches!(late, Err(Error::Timeout(_))), "{late:?}");
    // The second part was under way already.
    assert_eq!(began.elapsed().as_secs(), 8);
    assert_eq!(bench.line.state(), State::Powered, "the module is as it was, and so is the claim");
    assert!(bench.allowances.of(APP).rested().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_payment_is_refused_in_time_when_a_claim_does_not_let_go() {
    let places = Places::default();
    let (line, _told, _signals) = claim::line(CONTACT.first_state());
    let held = places.hold(claimed(CONTACT, &line)).unwrap();
    let began = Instant::now();
    assert!(matches!(places.take(End::Payment).await, Err(Error::Timeout(_))));
    assert_eq!(began.elapsed().as_secs(), 15);
    drop(held);
    assert!(places.take(End::Payment).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn claims_give_way_to_the_host_and_none_begins_between_its_messages() {
    let mut bench = Bench::start(Temper::Dawdles).await;
    bench.places.give_way(End::Payment);
    bench.line.ended().await;
    let mut told = None;
    while let Some(signal) = bench.signals.recv().await {
        told = Some(signal);
    }
    assert_eq!(told, Some(Signal::Revoked(End::Payment)));
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(1900)).await;
        assert!(matches!(bench.places.hold(bench.claimed()), Err(Error::Busy(_))));
        bench.places.give_way(End::Payment);
    }
    tokio::time::sleep(Duration::from_millis(2100)).await;
    bench.places.give_way(End::Payment);
    assert!(bench.places.hold(bench.claimed()).is_ok(), "where nobody gave way nobody waits");
}

#[tokio::test(start_paused = true)]
async fn no_claim_begins_while_the_operator_loads_keys() {
    let places = Places::default();
    let (line, _told, _signals) = claim::line(CONTACT.first_state());
    places.reserve(End::KeyLoading);
    assert!(matches!(places.hold(claimed(CONTACT, &line)), Err(Error::Busy(_))));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert!(places.hold(claimed(CONTACT, &line)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_card_is_talked_to_at_a_time_and_the_others_go_with_the_claim() {
    let bench = Bench::start(Temper::Hangs).await;
    let (sam, mut told) = claim_of(Slot(CardSlot::Sam(1)), &bench.handle, &bench.places, &bench.allowances);
    sam.power_on().await.unwrap();
    let first = bench.exchange().await;
    let second = tokio::spawn(async move { sam.exchange(select()).await });
    yield_now().await;
    let began = Instant::now();
    let place = bench.places.take(End::Payment).await.unwrap();
    assert!((5..8).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert!(matches!(first.await.unwrap(), Err(Error::Timeout(_))));
    assert!(matches!(second.await.unwrap(), Err(Error::NotClaimed(_))), "it has not gone out");
    assert_eq!(told.recv().await, Some(Signal::State(State::Powered)));
    assert_eq!(told.recv().await, Some(Signal::Revoked(End::Payment)));
    drop(place);
}
