//! The system stays up while money is in doubt: the locks that paymentd takes of logind, here one that the test plays.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use client::payment::PaymentProxy;
use sim_terminal::Part;
use smartpos_tests::{Bench, text, until};
use tokio::net::unix::pipe::Receiver;
use zbus::{Connection, fdo, interface};

/// The locks that are held, each by what it holds up; clones are the same list.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<Vec<String>>>);

impl Held {
    fn now(&self) -> Vec<String> {
        let mut held = self.0.lock().unwrap().clone();
        held.sort();
        held
    }

    async fn until_none(&self) {
        until("the locks to be given back", async || self.now().is_empty()).await;
    }
}

/// What of logind is asked here, and as much of its rules: one operation in a call, as version 252 has it for a system's user.
struct Logind {
    held: Held,
}

#[interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    async fn inhibit(&self, what: String, who: &str, why: &str, mode: &str) -> fdo::Result<zbus::OwnedFd> {
        let allowed = mode == "delay" && ["shutdown", "sleep"].contains(&what.as_str());
        if !allowed || who != "smartpos-paymentd" || why.is_empty() {
            return Err(fdo::Error::AccessDenied("Access denied".to_string()));
        }
        let (ours, theirs) = std::io::pipe().unwrap();
        let ours = Receiver::from_owned_fd(OwnedFd::from(ours)).unwrap();
        self.held.0.lock().unwrap().push(what.clone());
        let held = self.held.clone();
        tokio::spawn(async move {
            // Nobody writes: it is readable when the other end is closed.
            ours.readable().await.unwrap();
            let mut held = held.0.lock().unwrap();
            let place = held.iter().position(|lock| *lock == what).unwrap();
            held.remove(place);
        });
        Ok(zbus::OwnedFd::from(OwnedFd::from(theirs)))
    }
}

/// Plays logind on the bench's system bus, for as long as the connection lives.
async fn logind(bench: &Bench) -> (Connection, Held) {
    let held = Held::default();
    let bus = bench.terminal.system_bus().await.unwrap();
    bus.object_server().at("/org/freedesktop/login1", Logind { held: held.clone() }).await.unwrap();
    bus.request_name("org.freedesktop.login1").await.unwrap();
    (bus, held)
}

const BOTH: [&str; 2] = ["shutdown", "sleep"];

#[tokio::test]
async fn shutdown_and_sleep_wait_from_before_the_host_is_asked_until_nothing_is_in_doubt() {
    let mut bench = Bench::start().await;
    let (bus, held) = logind(&bench).await;
    let payment = client::proxy::<PaymentProxy>(&bus).await.unwrap();
    let shop = bench.shop().await;

    bench.sim("host once late 300ms").await;
    let mut sale = shop.start(700, "answered").await.unwrap();
    sale.reached("insert-card").await;
    assert!(held.now().is_empty(), "a sale that can still be called off keeps nobody waiting");
    bench.insert("unionpay-credit").await;
    sale.reached("host").await;
    assert_eq!(held.now(), BOTH, "{}", bench.logs());
    assert_eq!(sale.completed().await.0, "approved");
    held.until_none().await;

    bench.sim("host once silent").await;
    bench.sim("host rule 0400 silent").await;
    assert_eq!(shop.sell(800, "unanswered").await.0, "reversed");
    assert_eq!(
        (payment.pending_reversals().await.unwrap(), held.now()),
        (1, BOTH.map(String::from).to_vec())
    );
    bench.terminal.kill(Part::Paymentd).await.unwrap();
    held.until_none().await;
    bench.terminal.restart(Part::Paymentd).await.unwrap();
    assert_eq!(held.now(), BOTH, "taken again for what the journal holds");
    bench.sim("host rule 0400 approve").await;
    bench.settle_and_compare().await;
    held.until_none().await;
}

#[tokio::test]
async fn a_terminal_without_logind_sells_and_says_once_what_is_missing() {
    let bench = Bench::start().await;
    bench.insert("unionpay-credit").await;
    let shop = bench.shop().await;
    for key in ["first", "second"] {
        let (outcome, result) = shop.sell(700, key).await;
        assert_eq!(outcome, "approved", "{}", text(&result, "reason"));
    }
    let log = std::fs::read_to_string(bench.terminal.layout().log(Part::Paymentd)).unwrap();
    assert_eq!(log.matches("can't be held up while money is in doubt").count(), 1, "{log}");
}
