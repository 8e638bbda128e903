//! Settlement and batch upload.

use iso8583::{Builder, Mti};

use super::desk::Desk;
use crate::terminal::{Answer, MERCHANT, Named, Sale, TERMINAL, dialect, pack, sign};

fn message(desk: &Desk, mti: u16, network_code: &str, content: &str) -> Vec<u8> {
    let kind = format!("00000001{network_code}");
    let mut message = Builder::new(&dialect().codec, Mti(mti));
    message.number(11, 999).text(41, TERMINAL).text(42, MERCHANT).text(48, content).text(49, "156");
    message.text(60, &kind).bytes(64, &[0; 8]);
    if mti == 0x0500 {
        message.text(63, "001");
    }
    let mut packed = pack(&message);
    sign(&mut packed, desk.keys());
    packed
}

fn settle(desk: &mut Desk, debit: (u64, u64), credit: (u64, u64)) -> Answer {
    let side = |(amount, count): (u64, u64)| format!("{amount:012}{count:03}");
    let content = format!("{}{}0{:031}", side(debit), side(credit), 0);
    let message = message(desk, 0x0500, "201", &content);
    desk.exchange(&message)
}

fn verdict(answer: &Answer) -> &str {
    assert_eq!(answer.code(), "00");
    &answer.text(48)[30..31]
}

/// Side, STAN and amount of each.
fn upload(desk: &mut Desk, entries: &[(&str, u64, u64)]) -> String {
    let list = entries.iter().map(|(side, stan, amount)| format!("{side}{stan:06}{amount:012}"));
    let content = format!("{:02}{}", entries.len(), list.collect::<String>());
    let message = message(desk, 0x0320, "201", &content);
    desk.exchange(&message).code().to_owned()
}

/// Says that `count` transactions and certificates came; 202 or 207.
fn end(desk: &mut Desk, code: &str, count: usize) -> String {
    let message = message(desk, 0x0320, code, &format!("{count:04}"));
    desk.exchange(&message).code().to_owned()
}

/// Hands over the certificate of `sale`; 203 or 205.
fn certify(desk: &mut Desk, sale: &Sale, code: &str) -> String {
    let message = sale.pack_certificate(desk.keys(), code);
    desk.exchange(&message).code().to_owned()
}

/// What of the batch below was approved with a chip, and stands.
fn certified() -> [Sale; 3] {
    let hold = Sale { service: "preauthorisation", ..Sale::of("unionpay-credit", 6, 500) };
    [Sale::of("unionpay-credit", 1, 1000), Sale::of("unionpay-credit", 3, 50), hold]
}

/// A sale of 1000 with a refund of 300, a sale that was voided, one that was reversed, a hold, and its completion by 400.
fn batch(desk: &mut Desk) -> Named {
    let sale = desk.approve(&Sale::of("unionpay-credit", 1, 1000));
    desk.approve(&Sale::follow("refund", &sale, 2, 300));
    let voided = desk.approve(&Sale::of("unionpay-credit", 3, 50));
    desk.approve(&Sale::follow("void", &voided, 4, 50));
    desk.approve(&Sale::of("unionpay-credit", 5, 60));
    desk.reverse(&Sale::of("unionpay-credit", 5, 60), "00");
    let hold = desk.approve(&Sale { service: "preauthorisation", ..Sale::of("unionpay-credit", 6, 500) });
    desk.approve(&Sale::follow("completion", &hold, 7, 400));
    sale
}

#[test]
fn equal_totals_close_the_batch_and_closing_it_again_says_the_same() {
    let mut desk = Desk::open();
    let sale = batch(&mut desk);
    for wrong in [((1400, 3), (300, 1)), ((1401, 2), (300, 1)), ((1400, 2), (0, 0)), ((300, 1), (1400, 2))] {
        assert_eq!(verdict(&settle(&mut desk, wrong.0, wrong.1)), "2");
    }
    assert!(desk.entries().iter().all(|entry| !entry.settled));
    assert_eq!(verdict(&settle(&mut desk, (1400, 2), (300, 1))), "1");
    let mut desk = desk.reopen();
    assert_eq!(verdict(&settle(&mut desk, (1400, 2), (300, 1))), "1");
    assert!(desk.entries().iter().all(|entry| entry.settled));

    // The batch is closed: nothing is added, nothing undone, and what was sold is refunded from the next one.
    assert_eq!(desk.ask(&Sale::of("unionpay-credit", 20, 1)).code(), "12");
    desk.reverse(&Sale::of("unionpay-credit", 1, 1000), "12");
    assert_eq!(desk.ask(&Sale { batch: 2, ..Sale::follow("void", &sale, 21, 1000) }).code(), "12");
    desk.approve(&Sale { batch: 2, ..Sale::follow("refund", &sale, 22, 700) });
}

#[test]
fn an_empty_batch_balances() {
    assert_eq!(verdict(&settle(&mut Desk::open(), (0, 0), (0, 0))), "1");
}

#[test]
fn an_upload_is_checked_entry_by_entry_and_closes_the_batch_when_nothing_is_missing() {
    let mut desk = Desk::open();
    batch(&mut desk);
    for (entry, code) in [
        (("00", 1, 1001), "64"),
        (("01", 1, 1000), "12"),
        (("00", 3, 50), "25"),
        (("00", 5, 60), "25"),
        (("00", 77, 1), "25"),
        (("00", 6, 500), "12"),
        (("02", 1, 1000), "30"),
    ] {
        assert_eq!(upload(&mut desk, &[entry]), code, "{entry:?}");
    }
    let [sold, voided, hold] = certified();
    for sale in [&voided, &hold] {
        assert_eq!(certify(&mut desk, sale, "203"), "30", "the totals were not equal");
        assert_eq!(certify(&mut desk, sale, "205"), "00");
    }
    assert_eq!(upload(&mut desk, &[("01", 2, 300)]), "00");
    assert_eq!(end(&mut desk, "202", 3), "95");
    let mut desk = desk.reopen();
    for _ in 0..2 {
        assert_eq!(upload(&mut desk, &[("00", 7, 400)]), "00");
    }
    assert_eq!(end(&mut desk, "202", 4), "95", "a sale is missing");
    assert_eq!(certify(&mut desk, &sold, "205"), "00");
    assert_eq!(upload(&mut desk, &[("00", 1, 1000)]), "12", "it came by its certificate");
    assert_eq!(end(&mut desk, "202", 4), "30", "five came");
    assert_eq!(end(&mut desk, "207", 3), "95", "the totals were not equal");
    for _ in 0..2 {
        assert_eq!(end(&mut desk, "202", 5), "00");
    }
    assert!(desk.entries().iter().filter(|entry| entry.code == "00").all(|entry| entry.settled));
    assert_eq!(desk.ask(&Sale::of("unionpay-credit", 20, 1)).code(), "12");
}

#[test]
fn a_certificate_is_taken_once_and_only_from_the_card_for_what_was_approved() {
    let mut desk = Desk::open();
    batch(&mut desk);
    assert_eq!(verdict(&settle(&mut desk, (1400, 2), (300, 1))), "1");
    let sale = Sale::of("unionpay-credit", 1, 1000);
    for (wrong, code) in [
        (Sale { amount: 1001, ..sale.clone() }, "64"),
        (Sale { atc: 9, ..sale.clone() }, "12"),
        (Sale { chip_amount: Some(1001), ..sale.clone() }, "12"),
        (Sale { wrong_cryptogram: true, ..sale.clone() }, "05"),
        (Sale { stan: 2, ..sale.clone() }, "25"),
        (Sale { stan: 5, ..sale.clone() }, "25"),
        (Sale { stan: 77, ..sale.clone() }, "25"),
    ] {
        assert_eq!(certify(&mut desk, &wrong, "203"), code, "{} {}", wrong.stan, wrong.amount);
    }
    for (came, sale) in certified().into_iter().enumerate() {
        // A wrong one of the first came, and is declined: it is waited for no more.
        assert_eq!(end(&mut desk, "207", came), "95", "not all came");
        assert_eq!(certify(&mut desk, &sale, "205"), "30", "the totals were equal");
        for _ in 0..2 {
            assert_eq!(certify(&mut desk, &sale, "203"), "00");
        }
    }
    assert_eq!(end(&mut desk, "207", 2), "30");
    assert_eq!(end(&mut desk, "207", 3), "00");
}

#[test]
fn sums_and_lists_of_another_form_are_refused() {
    let mut desk = Desk::open();
    let zeros = |count: usize| "0".repeat(count);
    for content in [zeros(61), zeros(63), format!("{}1{}", zeros(30), zeros(31)), format!("{}1", zeros(61))] {
        let message = message(&desk, 0x0500, "201", &content);
        assert_eq!(desk.exchange(&message).code(), "30", "{content}");
    }
    for content in ["01", "0100", &format!("09{}", zeros(180)), &format!("01{}", zeros(21))] {
        let message = message(&desk, 0x0320, "201", content);
        assert_eq!(desk.exchange(&message).code(), "30", "{content}");
    }
}

#[test]
fn a_tester_can_have_a_balanced_batch_uploaded() {
    let mut desk = Desk::open();
    desk.approve(&Sale::of("unionpay-credit", 1, 1000));
    let words = ["host", "once", "0500", "unbalanced"].map(str::to_owned);
    assert!(sim_acquirer::commands::run(&mut desk.acquirer, &words).ok);
    assert_eq!(verdict(&settle(&mut desk, (1000, 1), (0, 0))), "2");
    assert_eq!(certify(&mut desk, &Sale::of("unionpay-credit", 1, 1000), "205"), "00");
    assert_eq!(end(&mut desk, "202", 1), "00");
    assert_eq!(verdict(&settle(&mut desk, (1000, 1), (0, 0))), "1");
}
