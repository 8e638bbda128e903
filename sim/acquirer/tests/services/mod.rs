//! Every service, without a line between terminal and host.

mod desk;
mod property;
mod settlement;

use std::time::Instant;

use desk::Desk;

use crate::terminal::{Named, Sale};

#[test]
fn every_service_is_approved_after_its_original_and_owes_what_it_should() {
    let mut desk = Desk::open();
    let sale = desk.approve(&Sale::of("unionpay-credit", 1, 1000));
    assert_eq!(desk.owed(), 1000);
    desk.approve(&Sale::follow("refund", &sale, 2, 400));
    desk.approve(&Sale::follow("refund", &sale, 3, 600));
    assert_eq!(desk.owed(), 0);
    let voided = desk.approve(&Sale::of("unionpay-credit", 4, 700));
    desk.approve(&Sale::follow("void", &voided, 5, 700));
    assert_eq!(desk.owed(), 0);
    let free = Sale { service: "refund", ..Sale::of("unionpay-credit", 6, 50) };
    desk.approve(&free);
    assert_eq!(desk.owed(), -50);

    let hold = desk.approve(&Sale { service: "preauthorisation", ..Sale::of("unionpay-credit", 7, 1000) });
    desk.approve(&Sale::follow("increment", &hold, 8, 200));
    assert_eq!(desk.owed(), 1150);
    let taken = desk.approve(&Sale::follow("completion", &hold, 9, 1380));
    assert_eq!(desk.owed(), 1330, "at most 115 % of what was held");
    desk.approve(&Sale::follow("completion-void", &taken, 10, 1380));
    assert_eq!(desk.owed(), 1150, "the hold stands again");
    desk.approve(&Sale::follow("preauthorisation-cancel", &hold, 11, 1200));
    assert_eq!(desk.owed(), -50);

    let mut asked = Sale { service: "balance", ..Sale::of("unionpay-credit", 12, 0) };
    asked.pin = None;
    let answer = desk.ask(&asked);
    let available = crate::terminal::card("unionpay-credit").available + 50;
    assert_eq!((answer.code(), answer.text(54)), ("00", format!("1002156C{available:012}").as_str()));
    assert_eq!((answer.text(4), desk.owed()), ("", -50));
    let words: Vec<String> = desk.entries().iter().map(|entry| entry.service.to_string()).collect();
    assert_eq!(words[..5], ["sale", "refund", "refund", "sale", "void"]);
    assert_eq!(
        words[6..],
        [
            "preauthorisation",
            "increment",
            "completion",
            "completion-void",
            "preauthorisation-cancel",
            "balance"
        ]
    );
}

/// Asks, and checks the code and the reason in the ledger.
fn refused(desk: &mut Desk, request: &Sale, code: &str, reason: &str) {
    let answer = desk.ask(request);
    let entry = desk.entries().last().unwrap().clone();
    let what = format!("{} STAN {}: {}", request.service, request.stan, entry.reason);
    assert_eq!((answer.code(), entry.code.as_str()), (code, code), "{what}");
    assert!(entry.reason.contains(reason), "{what}");
    assert_eq!(answer.text(38), "", "{what}");
}

#[test]
fn an_original_that_is_not_named_right_is_unknown() {
    let mut desk = Desk::open();
    let sale = desk.approve(&Sale::of("unionpay-credit", 1, 1000));
    desk.ask(&Sale::of("unionpay-credit", 2, 100_000_000));
    let declined = Named { stan: 2, ..sale.clone() };
    let elsewhere = [
        (Named { stan: 77, ..sale.clone() }, "no transaction"),
        (Named { batch: 2, ..sale.clone() }, "no transaction"),
        (Named { date: "0230".to_owned(), ..sale.clone() }, "the date"),
        (Named { rrn: "000000000000".to_owned(), ..sale.clone() }, "DE 37"),
        (Named { approval: "999999".to_owned(), ..sale.clone() }, "DE 38"),
        (declined, "DE 37"),
    ];
    for (stan, (named, reason)) in (10..).zip(&elsewhere) {
        refused(&mut desk, &Sale::follow("void", named, stan, 1000), "25", reason);
    }
    let other_card = Sale { card: crate::terminal::card("visa"), ..Sale::follow("void", &sale, 20, 1000) };
    refused(&mut desk, &other_card, "25", "another card");
    desk.reverse(&Sale::of("unionpay-credit", 1, 1000), "00");
    refused(&mut desk, &Sale::follow("void", &sale, 21, 1000), "25", "reversed");
    let nameless = Sale { original: None, ..Sale::follow("void", &sale, 22, 1000) };
    refused(&mut desk, &nameless, "30", "DE 37: missing");
    let superfluous = Sale { service: "sale", ..Sale::follow("void", &sale, 23, 1000) };
    refused(&mut desk, &superfluous, "30", "does not belong");
}

#[test]
fn an_original_allows_what_its_state_and_its_service_allow() {
    let mut desk = Desk::open();
    let sale = desk.approve(&Sale::of("unionpay-credit", 1, 1000));
    let hold = desk.approve(&Sale { service: "preauthorisation", ..Sale::of("unionpay-credit", 2, 1000) });
    let wrong_kinds = [
        ("void", &hold),
        ("refund", &hold),
        ("completion-void", &sale),
        ("completion", &sale),
        ("increment", &sale),
        ("preauthorisation-cancel", &sale),
    ];
    for (stan, (service, original)) in (10..).zip(wrong_kinds) {
        refused(&mut desk, &Sale::follow(service, original, stan, 1000), "12", "can't have");
    }
    for (stan, service, original, amount) in
        [(20, "void", &sale, 999), (21, "refund", &sale, 1001), (22, "completion", &hold, 1151)]
    {
        refused(&mut desk, &Sale::follow(service, original, stan, amount), "64", "DE 4");
    }
    refused(&mut desk, &Sale::follow("preauthorisation-cancel", &hold, 23, 999), "64", "all of 1000");
    refused(&mut desk, &Sale::follow("refund", &sale, 24, 0), "13", "zero");
    refused(&mut desk, &Sale { batch: 2, ..Sale::follow("void", &sale, 25, 1000) }, "12", "another batch");

    desk.approve(&Sale::follow("refund", &sale, 30, 1));
    refused(&mut desk, &Sale::follow("void", &sale, 31, 1000), "12", "was refunded");
    refused(&mut desk, &Sale::follow("refund", &sale, 32, 1000), "64", "999 are left");
    let taken = desk.approve(&Sale::follow("completion", &hold, 33, 500));
    for (stan, service) in [(34, "completion"), (35, "increment"), (36, "preauthorisation-cancel")] {
        refused(&mut desk, &Sale::follow(service, &hold, stan, 500), "12", "completed already");
    }
    desk.approve(&Sale::follow("completion-void", &taken, 37, 500));
    refused(&mut desk, &Sale::follow("completion-void", &taken, 38, 500), "12", "voided or cancelled");
    desk.approve(&Sale::follow("preauthorisation-cancel", &hold, 39, 1000));
    refused(&mut desk, &Sale::follow("completion", &hold, 40, 500), "12", "voided or cancelled");
}

#[test]
fn money_that_is_not_there_is_neither_held_nor_taken() {
    let mut desk = Desk::open();
    let of = |service, stan, amount| Sale { service, ..Sale::of("insufficient", stan, amount) };
    let hold = desk.approve(&of("preauthorisation", 1, 60));
    refused(&mut desk, &of("sale", 2, 41), "51", "40 that are available");
    let more = |service, stan, amount| Sale {
        card: crate::terminal::card("insufficient"),
        ..Sale::follow(service, &hold, stan, amount)
    };
    refused(&mut desk, &more("increment", 3, 41), "51", "40 that are available");
    desk.approve(&more("increment", 4, 40));
    refused(&mut desk, &more("completion", 5, 101), "51", "0 that are available");
    desk.approve(&more("completion", 6, 100));
}

#[test]
fn a_reversal_undoes_any_service_and_its_original_stands_again() {
    let mut desk = Desk::open();
    let sale = desk.approve(&Sale::of("unionpay-credit", 1, 1000));
    let hold = desk.approve(&Sale { service: "preauthorisation", ..Sale::of("unionpay-credit", 2, 500) });
    for (round, (service, original, amount)) in
        [("void", &sale, 1000), ("refund", &sale, 1000), ("completion", &hold, 575), ("increment", &hold, 5)]
            .into_iter()
            .enumerate()
    {
        for again in 0..2 {
            let stan = 10 + 2 * u64::try_from(round).unwrap() + again;
            let request = Sale::follow(service, original, stan, amount);
            desk.approve(&request);
            assert_ne!(desk.owed(), 1500, "{service}");
            desk.reverse(&request, "00");
            desk.reverse(&request, "00");
            assert_eq!(desk.owed(), 1500, "{service}");
        }
    }
    // One that comes first forbids its request, whatever it is.
    let early = Sale::follow("refund", &sale, 50, 10);
    desk.reverse(&early, "25");
    refused(&mut desk, &early, "94", "reversed");
    // What was built on is not in doubt any more.
    let void = Sale::follow("void", &sale, 51, 1000);
    desk.approve(&void);
    desk.reverse(&Sale::of("unionpay-credit", 1, 1000), "12");
    desk.reverse(&void, "00");
    desk.reverse(&Sale::of("unionpay-credit", 1, 1000), "00");
    assert_eq!(desk.owed(), 500);
    // A reversal that speaks of another service.
    desk.reverse(&Sale { service: "refund", ..Sale::of("unionpay-credit", 2, 500) }, "12");
}

#[test]
fn a_tip_is_added_once_without_the_card_and_the_sale_is_then_refunded_with_it() {
    let mut desk = Desk::open();
    let sale = desk.approve(&Sale::of("unionpay-credit", 1, 1000));
    refused(&mut desk, &Sale::follow("tip-adjustment", &sale, 2, 301), "64", "tip");
    let tip = Sale::follow("tip-adjustment", &sale, 3, 300);
    desk.approve(&tip);
    assert_eq!(desk.owed(), 1300);
    refused(&mut desk, &Sale::follow("tip-adjustment", &sale, 4, 1), "12", "tip already");
    refused(&mut desk, &Sale::follow("void", &sale, 5, 1000), "12", "tip already");
    desk.reverse(&tip, "00");
    assert_eq!(desk.owed(), 1000);
    let given = desk.approve(&Sale::follow("tip-adjustment", &sale, 6, 200));
    refused(&mut desk, &Sale::follow("void", &given, 7, 200), "12", "can't have");
    desk.approve(&Sale::follow("refund", &sale, 8, 1200));
    assert_eq!(desk.owed(), 0);
    let refunded = desk.approve(&Sale::of("unionpay-credit", 9, 1000));
    desk.approve(&Sale::follow("refund", &refunded, 10, 1));
    refused(&mut desk, &Sale::follow("tip-adjustment", &refunded, 11, 1), "12", "refunded");
    let hold = desk.approve(&Sale { service: "preauthorisation", ..Sale::of("unionpay-credit", 12, 100) });
    refused(&mut desk, &Sale::follow("tip-adjustment", &hold, 13, 1), "12", "can't have");
}

#[test]
fn what_is_paid_in_instalments_says_so_and_is_taken_back_whole_and_as_such() {
    let mut desk = Desk::open();
    let in_instalments = |plan, request: Sale| Sale { plan: Some(plan), ..request };
    for (plan, code, reason) in
        [("", "30", "DE 62: missing"), ("05", "12", "not offered"), ("6", "30", "two digits")]
    {
        refused(&mut desk, &in_instalments(plan, Sale::of("unionpay-credit", 1, 1200)), code, reason);
    }
    let hold = Sale { service: "preauthorisation", ..Sale::of("unionpay-credit", 2, 1) };
    refused(&mut desk, &in_instalments("06", hold), "30", "DE 62");
    let request = in_instalments("06", Sale::of("unionpay-credit", 3, 1200));
    let sale = desk.approve(&request);
    assert_eq!((desk.owed(), desk.entries().last().map(|entry| entry.instalments)), (1200, Some(6)));
    refused(&mut desk, &Sale::follow("void", &sale, 4, 1200), "12", "in instalments");
    refused(&mut desk, &Sale::follow("tip-adjustment", &sale, 5, 1), "12", "in instalments");
    refused(&mut desk, &in_instalments("", Sale::follow("refund", &sale, 6, 1199)), "64", "expected all");
    let void = in_instalments("", Sale::follow("void", &sale, 7, 1200));
    desk.approve(&void);
    desk.reverse(&void, "00");
    desk.approve(&in_instalments("", Sale::follow("void", &sale, 14, 1200)));
    let again = in_instalments("24", Sale::of("unionpay-credit", 8, 300));
    let sale = desk.approve(&again);
    desk.reverse(&Sale { plan: Some("12"), ..again.clone() }, "12");
    desk.reverse(&again, "00");
    refused(&mut desk, &in_instalments("", Sale::follow("refund", &sale, 9, 300)), "25", "reversed");
    let sale = desk.approve(&in_instalments("12", Sale::of("unionpay-credit", 10, 700)));
    let refund = in_instalments("", Sale::follow("refund", &sale, 11, 700));
    desk.approve(&refund);
    refused(&mut desk, &in_instalments("", Sale::follow("refund", &sale, 15, 700)), "64", "expected all");
    desk.reverse(&refund, "00");
    desk.approve(&in_instalments("", Sale::follow("refund", &sale, 16, 700)));
    let free = Sale { service: "refund", ..Sale::of("unionpay-credit", 17, 1) };
    refused(&mut desk, &in_instalments("", free), "12", "DE 25");
    let plain = desk.approve(&Sale::of("unionpay-credit", 12, 500));
    refused(&mut desk, &in_instalments("", Sale::follow("void", &plain, 13, 500)), "12", "at once");
    assert_eq!(desk.owed(), 500);
}

#[test]
fn an_expired_card_pays_nothing_and_can_have_its_money_back() {
    let mut desk = Desk::open();
    refused(&mut desk, &Sale::of("expired", 1, 100), "54", "expired");
    desk.approve(&Sale { service: "refund", ..Sale::of("expired", 2, 100) });
    refused(
        &mut desk,
        &Sale { service: "refund", ..Sale::of("unionpay-debit-pin", 3, 100) }.with_pin("654321"),
        "55",
        "PIN is wrong",
    );
}

#[test]
fn a_sale_takes_as_long_with_twenty_thousand_in_the_ledger_as_with_none() {
    let mut desk = Desk::open();
    // The quickest of five rounds: what else runs on this machine only makes them slower.
    let time = |desk: &mut Desk, from: u64| {
        let rounds = (from..from + 500).step_by(100).map(|from| {
            let sales = (from..from + 100).map(|stan| Sale::of("unionpay-credit", stan, 1));
            let requests: Vec<Vec<u8>> = sales.map(|sale| desk.pack(&sale)).collect();
            let started = Instant::now();
            for request in &requests {
                assert_eq!(desk.exchange(request).code(), "00");
            }
            started.elapsed()
        });
        rounds.min().unwrap()
    };
    let first = time(&mut desk, 1);
    desk.fill(1000..21_000);
    let last = time(&mut desk, 30_000);
    println!("100 sales took {first:?}, and {last:?} with 20,000 in the ledger");
    assert!(last < 3 * first, "100 sales took {first:?}, and {last:?} with 20,000 in the ledger");
}
