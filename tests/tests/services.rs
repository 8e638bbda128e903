//! Each service through the production daemons, the rules on originals, and faults in what is no sale.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::collections::HashMap;

use client::payment::TransactionProxy;
use client::{Dictionary, get};
use sim_terminal::Part;
use smartpos_tests::{Bench, Shop, error_name, option, text, until};
use zbus::Variant;

type Options<'a> = HashMap<&'a str, Variant<'a>>;

const CNY: &str = "CNY";

fn none() -> Options<'static> {
    Options::new()
}

/// Ends the test unless it was approved.
fn approved(bench: &Bench, (outcome, result): (String, Dictionary)) -> Dictionary {
    assert_eq!(outcome, "approved", "{result:?}\n{}", bench.logs());
    result
}

async fn result(shop: &Shop, key: &str) -> Dictionary {
    let proxy = client::proxy_at::<TransactionProxy>(&shop.bus, shop.path(key)).await.unwrap();
    proxy.get_result().await.unwrap()
}

/// The text of the receipt with this number, once it is printed.
async fn receipt(bench: &Bench, number: usize) -> String {
    let file = bench.terminal.layout().paper().join(format!("receipt-{number:04}.txt"));
    until("a receipt", async || file.exists()).await;
    std::fs::read_to_string(file).unwrap()
}

#[tokio::test]
async fn every_service_is_approved_printed_and_the_same_on_both_sides_and_the_batch_balances() {
    let bench = Bench::start().await;
    bench.insert("unionpay-credit").await;
    let shop = bench.shop().await;
    let pay = &shop.payment;

    let sale = shop.run("sale", pay.start_sale(5500, CNY, "sale", option("tip", 500_u64))).await;
    assert_eq!(get::<u64>(&approved(&bench, sale), "tip"), Some(500));
    let part = approved(&bench, shop.run("part", pay.start_refund(1000, CNY, "sale", "part", none())).await);
    assert_eq!((text(&part, "type"), text(&part, "original")), ("refund", "sale"));
    let free = shop.run("free", pay.start_refund(300, CNY, "", "free", none())).await;
    assert!(!approved(&bench, free).contains_key("original"));

    approved(&bench, shop.sell(2000, "wrong").await);
    let void = approved(&bench, shop.run("void", pay.start_void("wrong", "void", none())).await);
    assert_eq!((text(&void, "type"), get::<u64>(&void, "amount")), ("void", Some(2000)));

    approved(&bench, shop.sell(3000, "meal").await);
    assert_eq!(error_name(pay.start_tip_adjustment("meal", 601, "tip", none()).await), "InvalidArgument");
    bench.sim("card remove").await;
    let tip = approved(&bench, shop.run("tip", pay.start_tip_adjustment("meal", 600, "tip", none())).await);
    assert_eq!((text(&tip, "type"), text(&tip, "original")), ("tip-adjustment", "meal"));
    assert!(!text(&tip, "masked_pan").is_empty(), "the card of its original");
    bench.sim("card insert unionpay-credit").await;
    assert_eq!(error_name(pay.start_void("meal", "k", none()).await), "WrongState");
    approved(&bench, shop.run("whole", pay.start_refund(3600, CNY, "meal", "whole", none())).await);

    let hold = pay.start_preauthorisation(10_000, CNY, "hold", none());
    approved(&bench, shop.run("hold", hold).await);
    approved(&bench, shop.run("more", pay.start_increment(2000, "hold", "more", none())).await);
    approved(&bench, shop.run("take", pay.start_completion(13_800, "hold", "take", none())).await);
    let undo = approved(&bench, shop.run("undo", pay.start_void("take", "undo", none())).await);
    assert_eq!(text(&undo, "type"), "completion-void");

    let second = pay.start_preauthorisation(700, CNY, "second", none());
    approved(&bench, shop.run("second", second).await);
    approved(&bench, shop.run("drop", pay.start_cancellation("second", "drop", none())).await);

    let balance = approved(&bench, shop.run("asked", pay.start_balance_inquiry("asked", none())).await);
    assert!(get::<i64>(&balance, "balance").is_some_and(|balance| balance > 0), "{balance:?}");
    approved(&bench, shop.run("notes", pay.record_cash(800, CNY, "notes", none())).await);

    let totals = pay.get_totals().await.unwrap();
    let count = |name: &str| get::<u32>(&totals, name).unwrap();
    let amount = |name: &str| get::<u64>(&totals, name).unwrap();
    assert_eq!((count("debit_count"), amount("debit_amount")), (3, 9100), "{totals:?}");
    assert_eq!((count("credit_count"), amount("credit_amount")), (3, 4900), "{totals:?}");
    bench.settle_and_compare().await;

    let closed = approved(&bench, shop.run("close", pay.start_settlement("close", none())).await);
    assert_eq!(get::<bool>(&closed, "balanced"), Some(true), "{closed:?}");
    assert_eq!(get::<u64>(&closed, "debit_amount"), Some(9100));
    assert_eq!(text(&pay.get_totals().await.unwrap(), "batch"), "000002");
    bench.settle_and_compare().await;

    // What is settled can't be voided, and is refunded.
    assert_eq!(error_name(pay.start_void("sale", "late", none()).await), "WrongState");
    approved(&bench, shop.run("rest", pay.start_refund(4500, CNY, "sale", "rest", none())).await);
    bench.settle_and_compare().await;

    let refund = receipt(&bench, 2).await;
    for line in ["退货", "原凭证号", "10.00"] {
        assert!(refund.contains(line), "`{line}` is not on the receipt:\n{refund}");
    }
    let tip = receipt(&bench, 7).await;
    assert!(tip.contains("小费调整") && tip.contains("36.00") && tip.contains("6.00"), "{tip}");
    let slip = receipt(&bench, 16).await;
    assert!(slip.contains("对账平") && slip.contains("91.00"), "{slip}");
    pay.reprint("sale").await.unwrap();
    let copy = receipt(&bench, 18).await;
    assert!(copy.contains("重印") && copy.contains("5.00") && copy.contains("55.00"), "{copy}");
    assert_eq!(error_name(pay.reprint("nothing").await), "NotFound");
}

#[tokio::test]
async fn what_an_original_does_not_allow_is_refused_here_and_the_host_never_asked() {
    let bench = Bench::start().await;
    bench.insert("unionpay-credit").await;
    let shop = bench.shop().await;
    let pay = &shop.payment;
    approved(&bench, shop.sell(1000, "sale").await);
    bench.sim("host once decline 51").await;
    assert_eq!(shop.sell(1000, "declined").await.0, "declined");
    let hold = pay.start_preauthorisation(1000, CNY, "hold", none());
    approved(&bench, shop.run("hold", hold).await);
    let operator = Shop::new(bench.terminal.system_bus().await.unwrap(), "operator").await;
    approved(&bench, operator.sell(1000, "theirs").await);
    let booked = bench.sim("ledger").await.data.as_array().unwrap().len();

    let refused = [
        ("NotFound", pay.start_void("nothing", "k", none()).await),
        ("NotFound", pay.start_void("theirs", "k", none()).await),
        ("InvalidArgument", pay.start_void("", "k", none()).await),
        ("WrongState", pay.start_void("declined", "k", none()).await),
        ("WrongState", pay.start_void("hold", "k", none()).await),
        ("InvalidArgument", pay.start_refund(1001, CNY, "sale", "k", none()).await),
        ("InvalidArgument", pay.start_refund(0, CNY, "sale", "k", none()).await),
        ("WrongState", pay.start_refund(1, CNY, "hold", "k", none()).await),
        ("WrongState", pay.start_tip_adjustment("hold", 1, "k", none()).await),
        ("InvalidArgument", pay.start_tip_adjustment("sale", 201, "k", none()).await),
        ("InvalidArgument", pay.start_tip_adjustment("sale", 0, "k", none()).await),
        ("WrongState", pay.start_increment(1, "sale", "k", none()).await),
        ("WrongState", pay.start_completion(1, "sale", "k", none()).await),
        ("InvalidArgument", pay.start_completion(1151, "hold", "k", none()).await),
        ("WrongState", pay.start_cancellation("sale", "k", none()).await),
        ("InvalidArgument", pay.start_void("sale", "sale", none()).await),
        ("InvalidArgument", pay.start_sale(1000, CNY, "k", option("tip", 1001_u64)).await),
        ("InvalidArgument", pay.start_balance_inquiry("k", option("tip", 1_u64)).await),
        ("InvalidArgument", pay.start_settlement("k", option("operator", "much too long")).await),
    ];
    for (index, (expected, answer)) in refused.into_iter().enumerate() {
        assert_eq!(error_name(answer), expected, "case {index}");
    }
    assert_eq!(error_name(pay.get_transaction("k").await), "NotFound", "nothing was begun");
    assert_eq!(bench.sim("ledger").await.data.as_array().unwrap().len(), booked);

    // Another card than the one that paid: the host is not asked either.
    bench.sim("card remove").await;
    bench.sim("card insert visa").await;
    let (outcome, other) = shop.run("other", pay.start_void("sale", "other", none())).await;
    assert_eq!((outcome.as_str(), text(&other, "host")), ("declined", "none"), "{other:?}");
    assert!(text(&other, "reason").contains("not the card"), "{other:?}");
    bench.sim("card remove").await;
    bench.sim("card insert unionpay-credit").await;

    // The operator voids what an app sold; the same key is the same void.
    let void = || operator.payment.start_void("sale", "void", none());
    let first = approved(&bench, operator.run("void", void()).await);
    assert_eq!(void().await.unwrap(), operator.path("void"));
    assert_eq!(result(&operator, "void").await, first);
    assert_eq!(error_name(operator.payment.start_void("theirs", "void", none()).await), "InvalidArgument");
    assert_eq!(error_name(operator.payment.start_void("sale", "again", none()).await), "WrongState");
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_sale_in_instalments_is_printed_so_and_taken_back_whole() {
    let bench = Bench::start().await;
    bench.insert("unionpay-credit").await;
    let shop = bench.shop().await;
    let pay = &shop.payment;
    let sell = |key, number: u32| pay.start_sale(1200, CNY, key, option("instalments", number));
    for number in [1, 5, 99, 256, u32::MAX] {
        assert_eq!(error_name(sell("k", number).await), "InvalidArgument", "{number}");
    }
    let reserve = pay.start_preauthorisation(1, CNY, "k", option("instalments", 6_u32));
    assert_eq!(error_name(reserve.await), "InvalidArgument");
    let sale = approved(&bench, shop.run("sale", sell("sale", 12)).await);
    assert_eq!(get::<u32>(&sale, "instalments"), Some(12), "{sale:?}");
    assert_eq!(error_name(sell("sale", 6).await), "InvalidArgument", "the key is of another sale");
    let paper = receipt(&bench, 1).await;
    assert!(paper.lines().any(|line| line.contains("INSTALMENTS") && line.ends_with("12")), "{paper}");
    assert_eq!(error_name(pay.start_refund(1199, CNY, "sale", "k", none()).await), "InvalidArgument");
    assert_eq!(error_name(pay.start_tip_adjustment("sale", 1, "k", none()).await), "WrongState");
    approved(&bench, shop.run("void", pay.start_void("sale", "void", none())).await);
    approved(&bench, shop.run("other", sell("other", 3)).await);
    approved(&bench, shop.run("back", pay.start_refund(1200, CNY, "other", "back", none())).await);
    bench.sim("host once silent").await;
    let (outcome, lost) = shop.run("lost", sell("lost", 24)).await;
    assert_eq!(outcome, "reversed", "{lost:?}");
    approved(&bench, shop.run("third", sell("third", 6)).await);
    for loss in ["silent", "drop after"] {
        bench.sim(&format!("host once {loss}")).await;
        let key = loss.replace(' ', "-");
        let refund = pay.start_refund(1200, CNY, "third", &key, none());
        assert_eq!(shop.run(&key, refund).await.0, "reversed", "{}", bench.logs());
        bench.settle_and_compare().await;
    }
    approved(&bench, shop.run("close", pay.start_settlement("close", none())).await);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn an_app_without_the_grant_can_neither_void_nor_refund_nor_reserve_nor_settle() {
    let grants = "[apps.\"dev.example.shop\"]\npermissions = [\"payment.start\", \"payment.read\"]\n";
    let bench = Bench::start_with(&[("smartpos", grants)]).await;
    let shop = bench.shop().await;
    let pay = &shop.payment;
    for answer in [
        pay.start_void("k", "v", none()).await,
        pay.start_refund(1, CNY, "", "v", none()).await,
        pay.start_tip_adjustment("k", 1, "v", none()).await,
        pay.start_preauthorisation(1, CNY, "v", none()).await,
        pay.start_increment(1, "k", "v", none()).await,
        pay.start_completion(1, "k", "v", none()).await,
        pay.start_cancellation("k", "v", none()).await,
        pay.start_settlement("v", none()).await,
    ] {
        assert_eq!(error_name(answer), "NotPermitted");
    }
    assert_eq!(error_name(pay.get_totals().await), "NotPermitted");
}

#[tokio::test]
async fn a_void_or_refund_whose_answer_is_lost_is_reversed_and_its_original_stands_again() {
    let bench = Bench::start().await;
    bench.insert("unionpay-credit").await;
    let shop = bench.shop().await;
    let pay = &shop.payment;
    approved(&bench, shop.sell(1000, "sale").await);
    for (index, rule) in
        ["silent", "drop before", "drop after", "wrong mac", "wrong amount"].iter().enumerate()
    {
        bench.sim(&format!("host once {rule}")).await;
        let key = format!("void-{index}");
        let (outcome, lost) = shop.run(&key, pay.start_void("sale", &key, none())).await;
        assert_eq!(outcome, "reversed", "{rule}: {lost:?}\n{}", bench.logs());
        bench.settle_and_compare().await;
        assert_eq!(text(&result(&shop, &key).await, "host"), "reversed");
        bench.sim(&format!("host once {rule}")).await;
        let key = format!("refund-{index}");
        let (outcome, lost) = shop.run(&key, pay.start_refund(1000, CNY, "sale", &key, none())).await;
        assert_eq!(outcome, "reversed", "{rule}: {lost:?}\n{}", bench.logs());
        bench.settle_and_compare().await;
    }
    approved(&bench, shop.run("void", pay.start_void("sale", "void", none())).await);
    bench.sim("host once silent").await;
    let (outcome, asked) = shop.run("asked", pay.start_balance_inquiry("asked", none())).await;
    assert_eq!(
        (outcome.as_str(), text(&asked, "host")),
        ("failed", "unknown"),
        "no money: nothing to reverse"
    );
    assert_eq!(pay.pending_reversals().await.unwrap(), 0);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn paymentd_killed_at_any_step_of_a_completion_leaves_ledgers_that_agree() {
    let mut bench = Bench::start().await;
    bench.insert("unionpay-credit").await;
    let shop = bench.shop().await;
    let hold = shop.payment.start_preauthorisation(1000, CNY, "hold", none());
    approved(&bench, shop.run("hold", hold).await);
    for step in ["preparing", "reading", "connecting", "host", "finishing"] {
        bench.sim("host once late 300ms").await;
        let key = format!("take-{step}");
        let call = shop.payment.start_completion(1000, "hold", &key, none());
        let mut taking = shop.follow(&key, call).await.expect("nothing has completed it yet");
        taking.reached(step).await;
        bench.kill_and_restart(Part::Paymentd).await;
        until("its end", async || {
            let Ok(path) = shop.payment.get_transaction(&key).await else { return false };
            let proxy = client::proxy_at::<TransactionProxy>(&shop.bus, path).await.unwrap();
            proxy.state().await.is_ok_and(|state| state == "final")
        })
        .await;
        bench.settle_and_compare().await;
        bench.sim("host approve").await;
        // The last step may have been done before the daemon died.
        if text(&result(&shop, &key).await, "outcome") == "approved" {
            assert_eq!(step, "finishing");
            approved(&bench, shop.run("undo", shop.payment.start_void(&key, "undo", none())).await);
        }
    }
    approved(&bench, shop.run("take", shop.payment.start_completion(1000, "hold", "take", none())).await);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn the_host_gets_each_certificate_before_a_batch_is_closed_and_one_that_it_refuses_holds_nothing_up() {
    let mut bench = Bench::start().await;
    bench.insert("unionpay-credit").await;
    let shop = bench.shop().await;
    for number in 1..=3 {
        approved(&bench, shop.sell(100 + number, &format!("sale-{number}")).await);
    }
    approved(&bench, shop.run("undo", shop.payment.start_void("sale-2", "undo", none())).await);
    // The first does not arrive, the terminal dies, it is told to come again later, and then refused.
    bench.sim("host script 0320 drop before; 0320 decline 96; 0320 decline 12").await;
    let call = shop.payment.start_settlement("close", none());
    let mut closing = shop.follow("close", call).await.unwrap();
    closing.reached("upload").await;
    bench.kill_and_restart(Part::Paymentd).await;
    assert_eq!(shop.payment.start_settlement("close", none()).await.unwrap(), shop.path("close"));
    until("the batch to be closed", async || text(&result(&shop, "close").await, "outcome") == "approved")
        .await;
    let closed = result(&shop, "close").await;
    assert_eq!(
        (get::<bool>(&closed, "balanced"), get::<u32>(&closed, "certificates")),
        (Some(true), Some(2))
    );
    let ledger = bench.sim("ledger").await.data;
    let certificates: Vec<&str> =
        ledger.as_array().unwrap().iter().filter_map(|line| line["certificate"].as_str()).collect();
    assert_eq!(certificates.iter().filter(|one| **one == "taken").count(), 2);
    bench.settle_and_compare().await;
}

#[tokio::test]
async fn a_batch_that_does_not_balance_is_uploaded_and_a_settlement_survives_silence_and_crashes() {
    let mut bench = Bench::start().await;
    bench.insert("unionpay-credit").await;
    let shop = bench.shop().await;
    for number in 0..9 {
        approved(&bench, shop.sell(100 + number, &format!("sale-{number}")).await);
    }
    bench.sim("host script 0500 unbalanced; 0320 decline 12").await;
    let (outcome, closed) = shop.run("upload", shop.payment.start_settlement("upload", none())).await;
    assert_eq!(outcome, "approved", "{closed:?}\n{}", bench.logs());
    let counts = ["certificates", "certificates_refused", "uploaded"].map(|key| get::<u32>(&closed, key));
    // The one that is refused goes with the others that have none.
    assert_eq!((get::<bool>(&closed, "balanced"), counts), (Some(false), [Some(8), Some(1), Some(1)]));
    bench.settle_and_compare().await;

    approved(&bench, shop.sell(700, "next").await);
    bench.sim("host once 0500 silent").await;
    let call = shop.payment.start_settlement("slow", none());
    let mut closing = shop.follow("slow", call).await.unwrap();
    closing.reached("host").await;
    assert_eq!(error_name(shop.payment.start_sale(1, CNY, "early", none()).await), "Busy");
    bench.kill_and_restart(Part::Paymentd).await;
    assert_eq!(shop.payment.start_settlement("slow", none()).await.unwrap(), shop.path("slow"));
    until("the settlement to go on", async || text(&result(&shop, "slow").await, "outcome") == "approved")
        .await;
    assert_eq!(text(&shop.payment.get_totals().await.unwrap(), "batch"), "000003");
    bench.settle_and_compare().await;
}
