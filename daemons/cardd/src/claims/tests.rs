//! What a payment waits for when it takes the place from claims.

use async_trait::async_trait;
use secure_module::{Event, Result as ModuleResult, Secret, Status};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::*;
use crate::supervisor;

/// A module whose card hangs: the module begins anew when the time for a command is over, as one on a line does.
struct Hanging {
    reports: mpsc::UnboundedSender<Event>,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Event>>,
}

/// How long the module takes to say what it is, and so until the daemon has noticed that it began anew.
const STATUS: Duration = Duration::from_millis(700);

#[async_trait]
impl SecureModule for Hanging {
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
        tokio::time::sleep(limit).await;
        self.reports.send(Event::Reset).unwrap();
        Err(ModuleError::Timeout)
    }
}

fn select() -> Vec<u8> {
    vec![0x00, 0xA4, 0x04, 0x00, 0x05, 0xF0, 0x00, 0x00, 0x00, 0x01]
}

#[tokio::test(start_paused = true)]
async fn a_payment_begins_in_the_session_that_follows_a_card_that_hangs() {
    let (reports, events) = mpsc::unbounded_channel();
    let module = Arc::new(Hanging { reports, events: tokio::sync::Mutex::new(events) });
    let (handle, supervisor) = supervisor::new();
    let attended = Arc::clone(&module);
    tokio::spawn(async move { supervisor.attend(attended).await });
    handle.watch().wait_for(|view| view.state() == "ready").await.unwrap();

    let places = Places::default();
    let slot = Slot(CardSlot::Contact);
    let (line, told, mut signals) = claim::line(slot.first_state());
    let claimed = || Claimed { slot, app: "dev.example.shop".to_owned(), line: line.clone() };
    let held = places.hold(claimed()).unwrap();
    assert!(matches!(places.hold(claimed()), Err(Error::Busy(_))));
    let (module, session) = handle.ready().unwrap();
    let granted = vec!["F000000001".to_owned().try_into().unwrap()];
    let (filter, view, limit) = (Filter::new(granted, &[]), handle.watch(), Duration::from_secs(60));
    tokio::spawn(Claim { slot: slot.0, module, filter, view, session, limit, told }.run(held));
    line.power_on().await.unwrap();
    let hangs = tokio::spawn({
        let line = line.clone();
        async move { line.exchange(select()).await }
    });
    yield_now().await;

    let began = Instant::now();
    let (first, second) = tokio::join!(places.take(End::Payment), places.take(End::Payment));
    assert!(second.is_none(), "it would wait for the first payment to end");
    assert!(first.is_some());
    let waited = began.elapsed();
    assert!((5..8).contains(&waited.as_secs()), "{waited:?}");
    let (_, after) = handle.ready().unwrap();
    assert_ne!(after, session, "a payment in the old session would be interrupted");
    assert!(matches!(hangs.await.unwrap(), Err(Error::Timeout(_))));
    assert!(matches!(places.hold(claimed()), Err(Error::Busy(_))), "the payment has the place");
    assert!(matches!(line.power_on().await, Err(Error::NotClaimed(_))));
    drop(first);
    assert!(places.hold(claimed()).is_ok());
    let mut told = Vec::new();
    while let Ok(signal) = signals.try_recv() {
        told.push(signal);
    }
    assert_eq!(told.last(), Some(&Signal::Revoked(End::ModuleGone)));
}
