//! The acquirer against a tiny terminal, over real TLS.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may stop at the first surprise"
)]

mod services;
mod terminal;

use std::sync::Arc;

use sim_acquirer::ledger::{Ledger, State};
use sim_acquirer::pki;
use terminal::{Bank, Sale, Terminal, card, client_config, sign};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

#[tokio::test]
async fn a_sale_is_approved_booked_and_vouched_for() {
    let bank = Bank::open().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    let sale = Sale::of("unionpay-debit-pin", 7, 1234).with_pin("123456");
    let answer = terminal.sell(&sale).await.unwrap();
    assert_eq!((answer.mti.0, answer.code(), answer.mac_is_right), (0x0210, "00", true));
    assert_eq!((answer.text(4), answer.text(11), answer.text(41)), ("000000001234", "000007", "12345678"));
    assert!(answer.text(55).starts_with("910a") && answer.text(55).ends_with("3030"), "{}", answer.text(55));

    let entries = bank.ledger().await;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((entry.state, entry.amount, entry.code.as_str()), (State::Approved, 1234, "00"));
    assert_eq!(entry.approval.as_deref(), Some(answer.text(38)));
    assert_eq!(entry.rrn.as_deref(), Some(answer.text(37)));
    assert_eq!(entry.masked_pan, sale.card.pan.masked());
    let file = std::fs::read_to_string(bank.dir.path().join("ledger")).unwrap();
    assert!(!file.contains(sale.card.pan.digits()));
}

#[tokio::test]
async fn each_wrong_thing_gets_its_own_code_and_reason() {
    let bank = Bank::open().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    let good = |stan| Sale::of("unionpay-credit", stan, 100);
    let mut unknown = good(9);
    unknown.psn = 2;
    let cases = [
        (Sale { wrong_cryptogram: true, ..good(1) }, "05", "cryptogram is wrong"),
        (Sale { chip_amount: Some(1), ..good(2) }, "12", "9F02"),
        (Sale::of("unionpay-debit-pin", 3, 100).with_pin("654321"), "55", "the PIN is wrong"),
        (Sale::of("expired", 4, 100), "54", "expired"),
        (Sale::of("insufficient", 5, 101), "51", "100 that are available"),
        (Sale { terminal: "87654321", ..good(6) }, "97", "not registered"),
        (Sale { merchant: "898100000000000", ..good(7) }, "03", "does not own"),
        (Sale { amount: 0, ..good(8) }, "13", "zero"),
        (unknown, "14", "no card"),
        (Sale { wrong_method: true, ..good(10) }, "30", "online PIN"),
        (Sale { wrong_method: true, ..good(11) }.with_pin("123456"), "30", "no online PIN"),
    ];
    for (sale, code, reason) in cases {
        let answer = terminal.sell(&sale).await.unwrap();
        let (_, booked, why) = bank.last().await;
        assert_eq!((answer.code(), booked.as_str()), (code, code), "{why}");
        assert!(why.contains(reason), "{why}");
        assert_eq!(answer.text(38), "");
    }
    assert!(bank.ledger().await.iter().all(|entry| entry.state != State::Approved));
}

#[tokio::test]
async fn a_stripe_is_taken_where_the_card_has_no_chip_or_its_chip_has_failed() {
    let bank = Bank::open().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    let credit = |stan| Sale::of("unionpay-credit", stan, 100);
    let stripe = |stan| Sale::of("stripe-only", stan, 100);
    let debit = |stan| Sale::of("stripe-track-2", stan, 100);
    let copied = Some(("802", "2010000000000".to_owned()));
    for (sale, code, reason) in [
        (stripe(1).swiped("022", "101"), "00", ""),
        (debit(2).swiped("021", "120").with_pin("123456"), "00", ""),
        (credit(3).swiped("802", "201"), "00", ""),
        (credit(4).swiped("022", "201"), "45", "not tried"),
        (stripe(5).swiped("802", "101"), "30", "no chip that could fail"),
        (Sale { swiped: copied, ..credit(6) }, "05", "verification value"),
        (debit(7).swiped("022", "120"), "55", "needs a PIN"),
        (debit(8).swiped("022", "120").with_pin("123456"), "30", "expected 021"),
        (stripe(9).swiped("022", "104"), "05", "cash alone"),
        (stripe(10).swiped("022", "801"), "30", "service code"),
    ] {
        let answer = terminal.sell(&sale).await.unwrap();
        let (_, _, why) = bank.last().await;
        assert_eq!(answer.code(), code, "{}: {why}", sale.stan);
        assert!(why.contains(reason), "{}: {why}", sale.stan);
        assert_eq!(answer.text(55), "", "no chip is told anything");
    }
    let late = stripe(11).swiped("022", "101");
    terminal.sell(&late).await.unwrap();
    assert_eq!(terminal.reverse(&late, 100).await.unwrap().code(), "00");
}

#[tokio::test]
async fn a_changed_bit_anywhere_in_a_sale_is_never_approved() {
    let bank = Bank::open().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    let keys = terminal.keys.clone();
    let good = Sale::of("unionpay-credit", 1, 100).pack(keys.as_ref().unwrap());
    for position in (0..good.len()).step_by(5) {
        let mut bad = good.clone();
        bad[position] ^= 0x01;
        match terminal.exchange(&bad).await {
            Some(answer) => assert_ne!(answer.code(), "00", "byte {position}"),
            // The codec refused it, and the host hung up.
            None => {
                terminal = Terminal::connect(&bank).await;
                terminal.keys = keys.clone();
            }
        }
    }
    assert_eq!(terminal.exchange(&good).await.unwrap().code(), "00", "no refusal has used the STAN up");
}

#[tokio::test]
async fn without_a_sign_on_there_is_no_mac_and_no_sale() {
    let bank = Bank::open().await;
    let keys = Terminal::signed_on(&bank).await.keys;
    let bank = bank.restart().await;
    let mut terminal = Terminal::connect(&bank).await;
    terminal.keys = keys;
    let answer = terminal.sell(&Sale::of("unionpay-credit", 1, 100)).await.unwrap();
    assert_eq!((answer.code(), answer.text(64)), ("A0", ""));
    assert!(bank.last().await.2.contains("not signed on"));
    terminal.sign_on().await;
    assert_eq!(terminal.sell(&Sale::of("unionpay-credit", 1, 100)).await.unwrap().code(), "00");
}

#[tokio::test]
async fn a_repeated_stan_or_counter_is_refused_also_after_a_restart() {
    let bank = Bank::open().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    let sale = Sale::of("unionpay-credit", 1, 100);
    assert_eq!(terminal.sell(&sale).await.unwrap().code(), "00");
    let bank = bank.restart().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    assert_eq!(terminal.sell(&sale).await.unwrap().code(), "94");
    let cloned = Sale { stan: 2, ..sale };
    assert_eq!(terminal.sell(&cloned).await.unwrap().code(), "05");
    let approved: Vec<_> =
        bank.ledger().await.into_iter().filter(|entry| entry.state == State::Approved).collect();
    assert_eq!(approved.len(), 1);
}

#[tokio::test]
async fn a_reversal_undoes_a_sale_once_and_is_acknowledged_each_time() {
    let bank = Bank::open().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    let sale = Sale::of("insufficient", 1, 100);
    assert_eq!(terminal.sell(&sale).await.unwrap().code(), "00");
    assert_eq!(terminal.sell(&Sale::of("insufficient", 2, 1)).await.unwrap().code(), "51");
    assert_eq!(terminal.reverse(&sale, 99).await.unwrap().code(), "64");
    for _ in 0..2 {
        let answer = terminal.reverse(&sale, 100).await.unwrap();
        assert_eq!((answer.mti.0, answer.code(), answer.mac_is_right), (0x0410, "00", true));
    }
    assert_eq!(bank.ledger().await[0].state, State::Reversed);
    // The money is back on the account.
    assert_eq!(terminal.sell(&Sale::of("insufficient", 3, 100)).await.unwrap().code(), "00");
    assert_eq!(terminal.sell(&sale).await.unwrap().code(), "94", "a reversed STAN is used up");
    assert_eq!(terminal.reverse(&Sale::of("insufficient", 2, 1), 1).await.unwrap().code(), "25");
}

#[tokio::test]
async fn a_reversal_that_comes_first_forbids_its_sale_also_after_a_restart() {
    let bank = Bank::open().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    let sale = Sale::of("unionpay-credit", 1, 100);
    assert_eq!(terminal.reverse(&sale, 100).await.unwrap().code(), "25");
    let bank = bank.restart().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    assert_eq!(terminal.sell(&sale).await.unwrap().code(), "94");
    assert_eq!(terminal.reverse(&sale, 100).await.unwrap().code(), "25");
    assert_eq!(bank.ledger().await[0].state, State::Reversed);
}

#[tokio::test]
async fn a_reversal_with_a_wrong_mac_undoes_nothing() {
    let bank = Bank::open().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    let sale = Sale::of("unionpay-credit", 1, 100);
    terminal.sell(&sale).await.unwrap();
    let keys = terminal.keys.clone().unwrap();
    let mut message = sale.pack_reversal(&keys, 100);
    *message.last_mut().unwrap() ^= 1;
    assert_eq!(terminal.exchange(&message).await.unwrap().code(), "A0");
    assert_eq!(bank.ledger().await[0].state, State::Approved);
    sign(&mut message, &keys);
    assert_eq!(terminal.exchange(&message).await.unwrap().code(), "00");
}

#[tokio::test]
async fn rules_lose_delay_and_spoil_answers_after_booking() {
    let bank = Bank::open().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    let sale = |stan| Sale::of("unionpay-credit", stan, 100);

    bank.rule("once wrong mac").await;
    assert!(!terminal.sell(&sale(1)).await.unwrap().mac_is_right);
    bank.rule("once wrong stan").await;
    let answer = terminal.sell(&sale(2)).await.unwrap();
    assert_eq!((answer.text(11), answer.mac_is_right), ("000003", true));
    bank.rule("once wrong amount").await;
    assert_eq!(terminal.sell(&sale(3)).await.unwrap().text(4), "000000000101");
    bank.rule("once wrong mti").await;
    assert_eq!(terminal.sell(&sale(4)).await.unwrap().mti.0, 0x0410);
    bank.rule("once decline 05").await;
    assert_eq!(terminal.sell(&sale(5)).await.unwrap().code(), "05");

    // Late: the next message on the connection is answered first.
    bank.rule("once late 1s").await;
    let keys = terminal.keys.clone().unwrap();
    terminal.send(&sale(6).pack(&keys)).await;
    assert_eq!(terminal.sell(&sale(7)).await.unwrap().text(11), "000007");
    assert_eq!(terminal.answer().await.unwrap().text(11), "000006");

    // Silent: booked, and only the next message is answered.
    bank.rule("once silent").await;
    terminal.send(&sale(8).pack(&keys)).await;
    assert_eq!(terminal.sell(&sale(9)).await.unwrap().text(11), "000009");

    let states: Vec<State> = bank.ledger().await.iter().map(|entry| entry.state).collect();
    let mut expected = [State::Approved; 9];
    expected[4] = State::Declined;
    assert_eq!(states, expected);
}

#[tokio::test]
async fn a_dropped_connection_is_booked_or_not_as_the_rule_says() {
    let bank = Bank::open().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    let keys = terminal.keys.clone();
    bank.rule("drop before").await;
    assert!(terminal.sell(&Sale::of("unionpay-credit", 1, 100)).await.is_none());
    assert_eq!(bank.ledger().await.len(), 0);
    bank.rule("drop after").await;
    let mut terminal = Terminal::connect(&bank).await;
    terminal.keys = keys.clone();
    assert!(terminal.sell(&Sale::of("unionpay-credit", 1, 100)).await.is_none());
    assert_eq!(bank.ledger().await[0].state, State::Approved);

    // Rules are for requests with a card unless they name another message.
    let mut terminal = Terminal::connect(&bank).await;
    terminal.keys = keys;
    bank.rule("once 0400 silent").await;
    let sale = Sale::of("unionpay-credit", 1, 100);
    terminal.send(&sale.pack_reversal(terminal.keys.as_ref().unwrap(), 100)).await;
    // The one answer that comes is the second's: the first has none.
    assert_eq!(terminal.reverse(&sale, 100).await.unwrap().code(), "00");
    assert_eq!(terminal.sign_on().await.mti.0, 0x0810);
}

#[tokio::test]
async fn an_answer_can_come_behind_another_one_or_behind_its_own_reversal() {
    let bank = Bank::open().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    let keys = terminal.keys.clone().unwrap();
    let sale = |stan| Sale::of("unionpay-credit", stan, 100);
    bank.rule("script stray; after reversal").await;
    assert_eq!(terminal.sell(&sale(1)).await.unwrap().text(11), "000002");
    assert_eq!(terminal.answer().await.unwrap().text(11), "000001");

    terminal.send(&sale(2).pack(&keys)).await;
    let reversed = terminal.reverse(&sale(2), 100).await.unwrap();
    assert_eq!((reversed.mti.0, reversed.code()), (0x0410, "00"));
    let late = terminal.answer().await.unwrap();
    assert_eq!((late.mti.0, late.text(11), late.code()), (0x0210, "000002", "00"));
    assert_eq!(bank.ledger().await[1].state, State::Reversed);
    assert_eq!(terminal.reverse(&sale(1), 100).await.unwrap().code(), "00");
    assert_eq!(terminal.sell(&sale(3)).await.unwrap().text(11), "000003", "it came once");
}

#[tokio::test]
async fn a_host_that_restarts_forgets_connections_and_keys_and_not_what_it_has_booked() {
    let bank = Bank::open().await;
    let mut idle = Terminal::signed_on(&bank).await;
    let sale = Sale::of("unionpay-credit", 1, 100);
    assert_eq!(idle.sell(&sale).await.unwrap().code(), "00");
    assert!(bank.command("host restart").await.ok);
    assert!(idle.answer().await.is_none(), "it hangs up");
    for (stan, rule, booked) in [(2, "once restart before", 1), (3, "once restart after", 2)] {
        let mut terminal = Terminal::connect(&bank).await;
        terminal.keys = idle.keys.clone();
        assert_eq!(terminal.sell(&sale).await.unwrap().code(), "A0", "no keys are left");
        terminal.sign_on().await;
        bank.rule(rule).await;
        assert!(
            terminal.sell(&Sale { stan, atc: u16::try_from(stan).unwrap(), ..sale.clone() }).await.is_none()
        );
        let approved = bank.ledger().await.iter().filter(|entry| entry.state == State::Approved).count();
        assert_eq!(approved, booked, "{rule}");
    }
    let batch = bank.command("ledger batch 000001").await.data;
    assert_eq!(batch, bank.command("ledger").await.data);
    assert_eq!(bank.command("ledger batch 000002").await.data, serde_json::json!([]));
}

#[tokio::test]
async fn frames_that_are_cut_oversized_or_misaddressed_end_the_connection() {
    let bank = Bank::open().await;
    let good = terminal::dialect().framing.encode(iso8583::frame::End::Terminal, &[0; 40]).unwrap();
    let mut other_tpdu = good.clone();
    other_tpdu[4] ^= 1;
    let mut other_header = good.clone();
    other_header[9] ^= 1;
    for bytes in [&[0xFF, 0xFF][..], &[0, 20], &[8, 1, 0x60], &other_tpdu, &other_header] {
        let mut terminal = Terminal::connect(&bank).await;
        terminal.stream.write_all(bytes).await.unwrap();
        assert!(terminal.answer().await.is_none(), "{bytes:02X?}");
    }
    let mut cut = Terminal::connect(&bank).await;
    cut.stream.write_all(&good[..20]).await.unwrap();
    cut.stream.shutdown().await.unwrap();
    assert!(cut.answer().await.is_none());
    assert_eq!(bank.ledger().await.len(), 0);
    assert_eq!(Terminal::connect(&bank).await.sign_on().await.code(), "00", "the host goes on");
}

#[tokio::test]
async fn a_terminal_without_a_certificate_is_turned_away() {
    let bank = Bank::open().await;
    let connector = TlsConnector::from(Arc::new(client_config(bank.dir.path(), false)));
    let tcp = TcpStream::connect(bank.address).await.unwrap();
    // In TLS 1.3 the client learns of it when it first reads.
    if let Ok(mut stream) = connector.connect(pki::SERVER_NAME.try_into().unwrap(), tcp).await {
        assert!(stream.read(&mut [0]).await.is_err());
    }
}

#[tokio::test]
async fn a_ledger_whose_last_line_was_cut_off_opens_without_it() {
    let bank = Bank::open().await;
    let mut terminal = Terminal::signed_on(&bank).await;
    terminal.sell(&Sale::of("unionpay-credit", 1, 100)).await.unwrap();
    let path = bank.dir.path().join("ledger");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], &whole[..whole.len() / 2]].concat()).unwrap();
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(ledger.entries().len(), 1);
    assert_eq!(ledger.owed("unionpay-credit"), 100);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    std::fs::write(&path, b"{}\n").unwrap();
    assert!(Ledger::open(&path).unwrap_err().to_string().contains("ledger:1"));
}

#[tokio::test]
async fn every_virtual_card_that_works_has_a_number_of_its_own() {
    let numbers: std::collections::BTreeSet<String> =
        sim_cards::profiles().map(|card| card.pan.digits().to_owned()).collect();
    assert_eq!(numbers.len(), sim_cards::profiles().count(), "balances are kept by card");
    assert!(card("unionpay-credit").pan.luhn_valid());
}
