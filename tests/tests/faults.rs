//! Faults injected at each step of a sale. Whatever happens, terminal and host agree afterwards.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::time::Duration;

use client::payment::TransactionProxy;
use futures_util::StreamExt as _;
use sim_terminal::Part;
use smartpos_tests::{Bench, Shop, text, until};
use zbus::MessageStream;
use zbus::message::Type as MessageType;

/// What a host can do to a request, and how the sale must end.
#[tokio::test]
async fn a_host_that_misbehaves_never_leaves_money_in_doubt() {
    let bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    let rules = [
        ("decline 51", "declined"),
        ("silent", "reversed"),
        ("late 4s", "reversed"),
        ("wrong mac", "reversed"),
        ("wrong stan", "reversed"),
        ("wrong amount", "reversed"),
        ("wrong mti", "reversed"),
        ("wrong terminal", "reversed"),
        ("wrong truncated", "reversed"),
        ("wrong oversized", "reversed"),
        ("wrong garbage", "reversed"),
        // What comes after the answer is not the host's to send: better no sale than a doubtful one.
        ("repeat", "approved"),
        ("drop before", "reversed"),
        ("drop after", "reversed"),
        ("approve", "approved"),
    ];
    for (rule, expected) in rules {
        bench.sim(&format!("host once {rule}")).await;
        let (outcome, result) = shop.sell(700, &rule.replace(' ', "-")).await;
        assert_eq!(outcome, expected, "{rule}: {result:?}\n{}", bench.logs());
        bench.settle_and_compare().await;
    }
}

#[tokio::test]
async fn who_asked_a_service_in_its_last_moment_is_answered_when_it_is_back() {
    let mut bench = Bench::start().await;
    let shop = bench.shop().await;
    bench.terminal.kill(Part::Paymentd).await.expect("it runs");
    let dying = bench.terminal.app_bus().await.expect("the app bus");
    dying.request_name("org.smartpos.Payment").await.expect("the name is free");
    let end_with_the_first_call = async {
        let mut messages = MessageStream::from(&dying);
        while let Some(Ok(message)) = messages.next().await {
            if message.message_type() == MessageType::MethodCall {
                break;
            }
        }
        dying.clone().close().await.expect("it closes");
    };
    let (answer, ()) = tokio::join!(shop.payment.state(), end_with_the_first_call);
    assert!(answer.is_err(), "somebody answered in its place");
    bench.terminal.restart(Part::Paymentd).await.expect("it starts again");
    assert_eq!(shop.payment.state().await.as_deref(), Ok("ready"));
}

/// `SMARTPOS_SEED` replays what a failed run printed.
#[tokio::test]
async fn a_daemon_killed_at_any_moment_leaves_ledgers_that_agree() {
    let seed = match std::env::var("SMARTPOS_SEED") {
        Ok(seed) => seed.parse().expect("SMARTPOS_SEED is a number"),
        Err(_) => std::process::id().into(),
    };
    println!("SMARTPOS_SEED={seed}");
    let mut dice = Dice(seed);
    let mut bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    for round in 0..12 {
        let key = format!("round-{round}");
        let part = [Part::Paymentd, Part::Cardd, Part::Printerd][dice.below(3)];
        let moment = Duration::from_micros(u64::try_from(dice.below(40_001)).unwrap());
        println!("round {round}: {part} is killed after {moment:?}");
        let mut sale = shop.start(1100, &key).await.unwrap();
        // The sale may end first: then an idle daemon dies.
        let _ = tokio::time::timeout(moment, sale.completed()).await;
        bench.kill_and_restart(part).await;
        ended(&shop, &key).await;
        bench.settle_and_compare().await;
    }
}

/// A linear congruential generator (Knuth's MMIX), so that a seed always gives the same run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

#[tokio::test]
async fn a_reversal_is_repeated_until_the_host_acknowledges_it_and_before_any_other_sale() {
    let bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    for times in 0..3 {
        bench.sim(if times == 0 { "host once silent" } else { "host once 0400 silent" }).await;
    }
    let (outcome, _) = shop.sell(700, "unknown").await;
    assert_eq!(outcome, "reversed");
    let (outcome, result) = shop.sell(800, "next").await;
    bench.settle_and_compare().await;
    let ledger = bench.sim("ledger").await.data;
    let first = ledger.as_array().unwrap().iter().find(|entry| entry["amount"] == 700).unwrap();
    assert_eq!(first["state"], "reversed", "{ledger}");
    // The next sale went through only if the reversal had been acknowledged first.
    assert!(outcome == "approved" || text(&result, "stan").is_empty(), "{outcome}: {result:?}");
}

#[tokio::test]
async fn a_card_pulled_at_any_command_ends_the_sale_on_both_sides() {
    let bench = Bench::start().await;
    let shop = bench.shop().await;
    let mut approved = false;
    for command in 1..40 {
        bench.sim(&format!("card insert removed-early:{command}")).await;
        let (outcome, result) = shop.sell(900, &format!("pulled-{command}")).await;
        assert!(["failed", "reversed", "approved"].contains(&outcome.as_str()), "{command}: {result:?}");
        bench.settle_and_compare().await;
        approved = outcome == "approved";
        if approved {
            break;
        }
    }
    assert!(approved, "a card that is pulled late enough pays");
}

/// Waits until the sale with `key` has ended, also where its daemon was started anew.
async fn ended(shop: &Shop, key: &str) {
    until("the sale to end", async || {
        let Ok(path) = shop.payment.get_transaction(key).await else { return false };
        let Ok(proxy) = client::proxy_at::<TransactionProxy>(&shop.bus, path).await else { return false };
        proxy.state().await.is_ok_and(|state| state == "final")
    })
    .await;
}

/// Kills `part` when the sale reaches `step`, starts it again, and waits until both sides agree.
async fn kill_at(bench: &mut Bench, shop: &Shop, part: Part, step: &str) {
    let key = format!("{part}-{step}");
    // The host takes its time, so that the daemon dies while the request is out there.
    bench.sim("host once late 300ms").await;
    bench.sim("pin 123456").await;
    let mut sale = shop.start(1100, &key).await.unwrap();
    sale.reached(step).await;
    bench.kill_and_restart(part).await;
    ended(shop, &key).await;
    bench.settle_and_compare().await;
    // What the host was told to do to a request that never came is not for the next sale.
    bench.sim("host approve").await;
    let _ = bench.terminal.simctl(&["pin", "clear"]).await;
    let _ = bench.terminal.simctl(&["card", "remove"]).await;
    bench.sim("card insert unionpay-debit-pin").await;
}

const STEPS: [&str; 6] = ["preparing", "reading", "pin", "connecting", "host", "finishing"];

#[tokio::test]
async fn paymentd_killed_at_any_step_leaves_ledgers_that_agree() {
    let mut bench = Bench::start().await;
    bench.sim("card insert unionpay-debit-pin").await;
    let shop = bench.shop().await;
    for step in STEPS {
        kill_at(&mut bench, &shop, Part::Paymentd, step).await;
    }
}

#[tokio::test]
async fn cardd_killed_at_any_step_leaves_ledgers_that_agree() {
    let mut bench = Bench::start().await;
    bench.sim("card insert unionpay-debit-pin").await;
    let shop = bench.shop().await;
    for step in STEPS {
        kill_at(&mut bench, &shop, Part::Cardd, step).await;
    }
}

#[tokio::test]
async fn printerd_killed_at_any_step_leaves_ledgers_that_agree_and_a_receipt() {
    let mut bench = Bench::start().await;
    bench.sim("card insert unionpay-debit-pin").await;
    let shop = bench.shop().await;
    for step in ["pin", "host", "finishing"] {
        kill_at(&mut bench, &shop, Part::Printerd, step).await;
    }
    let paper = bench.terminal.layout().paper().join("receipt-0001.txt");
    until("a receipt", async || paper.exists()).await;
}

#[tokio::test]
async fn a_host_that_restarts_during_a_sale_agrees_afterwards() {
    let mut bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    bench.sim("host once late 1s").await;
    let mut sale = shop.start(1300, "order-1").await.unwrap();
    sale.reached("host").await;
    bench.kill_and_restart(Part::Acquirer).await;
    assert_eq!(sale.completed().await.0, "reversed");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_receipt_that_the_printer_daemon_could_not_take_is_printed_when_it_is_back() {
    let mut bench = Bench::start().await;
    bench.sim("card insert unionpay-credit").await;
    let shop = bench.shop().await;
    bench.terminal.kill(Part::Printerd).await.unwrap();
    for key in ["first", "second"] {
        assert_eq!(shop.sell(100, key).await.0, "approved");
    }
    bench.terminal.restart(Part::Printerd).await.unwrap();
    let paper = bench.terminal.layout().paper();
    until("both receipts", async || paper.join("receipt-0002.txt").exists()).await;
    let receipts = ["receipt-0001.txt", "receipt-0002.txt"]
        .map(|file| std::fs::read_to_string(paper.join(file)).unwrap());
    assert!(receipts.iter().all(|receipt| !receipt.contains("DUPLICATE")));
}

#[tokio::test]
async fn a_daemon_that_is_asked_to_stop_calls_off_what_it_can_and_ends_the_rest() {
    let mut bench = Bench::start().await;
    let shop = bench.shop().await;
    let mut sale = shop.start(100, "waiting").await.unwrap();
    sale.reached("insert-card").await;
    bench.terminal.restart(Part::Paymentd).await.expect("it stops in order");
    assert_eq!(sale.completed().await.0, "cancelled");
    bench.sim("card insert unionpay-credit").await;
    bench.sim("host once late 1s").await;
    let mut sale = shop.start(100, "asked").await.unwrap();
    sale.reached("host").await;
    bench.terminal.restart(Part::Paymentd).await.expect("it stops in order");
    assert_eq!(sale.completed().await.0, "approved", "an answer that is on its way is waited for");
    bench.settle_and_compare().await;
}
