//! Cards that are only read, for a transaction that the host decides alone.

use super::*;

/// A refund that has begun, with or without a PIN.
async fn refund(module: FakeModule, pin: bool) -> Bench {
    let service = zbus::Variant::from("refund").try_into_owned().unwrap();
    let options = Dictionary::from([("type".to_owned(), service), ("pin".to_owned(), pin.into())]);
    begin_for(terms(options), module).await
}

fn host(code: [u8; 2]) -> Command {
    Command::Authorise(HostAnswer { code, issuer_data: Vec::new() })
}

fn keys_of(values: &Dictionary) -> Vec<&str> {
    let mut keys: Vec<&str> = values.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

const IDENTIFIED: [&str; 8] =
    ["aid", "cvm", "entry_mode", "label", "masked_pan", "pan_sequence", "sealed_track2", "token"];

#[tokio::test]
async fn an_identified_card_gives_its_account_and_no_cryptogram() {
    // This card's own list wants a PIN.
    let mut bench = refund(FakeModule::new(Some("unionpay-debit-pin"), PinPad::Fails), false).await;
    let card = bench.reach_host().await;
    assert_eq!(keys_of(&card), IDENTIFIED);
    assert_eq!((text(&card, "entry_mode"), text(&card, "cvm")), ("052", "none"));
    let pan = sim_cards::load("unionpay-debit-pin").unwrap().profile().pan.clone();
    let opened = keys::track2::open(&tdk(), &bytes(&card, "sealed_track2").unwrap()).unwrap();
    assert_eq!(opened.pan(), &pan);
    bench.line.tell(host(*b"00")).await.unwrap();
    let end = bench.end().await;
    assert_eq!(end.outcome, "approved", "{}", end.reason);
    assert!(!end.result.contains_key("chip_data") && !end.result.contains_key("tvr"));
}

#[tokio::test]
async fn a_pin_is_asked_for_where_the_caller_wants_one_whatever_the_card_says() {
    // This card's own list wants a signature.
    let mut bench = refund(FakeModule::new(Some("unionpay-credit"), PinPad::Types(6)), true).await;
    bench.reach("pin").await;
    let card = bench.reach_host().await;
    assert_eq!((text(&card, "entry_mode"), text(&card, "cvm")), ("051", "online-pin"));
    assert_eq!(bytes(&card, "pin_block").unwrap(), PIN_BLOCK);
}

#[tokio::test]
async fn only_the_host_decides_about_an_identified_card() {
    for (code, outcome) in [(Some(*b"00"), "approved"), (Some(*b"12"), "declined"), (None, "declined")] {
        let mut bench = refund(FakeModule::new(Some("unionpay-credit"), PinPad::Waits), false).await;
        bench.reach_host().await;
        bench.line.tell(code.map_or(Command::UnableToGoOnline, host)).await.unwrap();
        assert_eq!(bench.end().await.outcome, outcome);
    }
}

#[tokio::test]
async fn an_expired_card_can_still_get_its_money_back() {
    let mut bench = refund(FakeModule::new(Some("expired"), PinPad::Waits), false).await;
    assert!(bytes(&bench.reach_host().await, "sealed_track2").is_some());
}

#[tokio::test]
async fn a_blocked_application_a_mute_chip_and_a_card_without_track_2_fail_with_their_reasons() {
    for (card, hides_track, reason) in [
        ("blocked-application", false, "no application"),
        ("blocked-card", false, "blocked"),
        ("chip-mute", false, "does not answer"),
        ("unionpay-credit", true, "no track 2"),
    ] {
        let mut module = FakeModule::new(Some(card), PinPad::Waits);
        module.hides_track = hides_track;
        let end = refund(module, false).await.end().await;
        assert_eq!(end.outcome, "failed", "{card}");
        assert!(end.reason.contains(reason), "{card}: {}", end.reason);
    }
}

#[tokio::test]
async fn a_card_that_is_pulled_while_it_is_read_or_its_pin_is_typed_fails_it() {
    for number in 1..=6 {
        let card = format!("removed-early:{number}");
        let end = refund(FakeModule::new(Some(&card), PinPad::Waits), false).await.end().await;
        assert_eq!((end.outcome, end.reason.as_str()), ("failed", "the card was removed"), "{number}");
    }
    let mut bench = refund(FakeModule::new(Some("unionpay-credit"), PinPad::Waits), true).await;
    bench.reach("pin").await;
    bench.module.remove();
    assert_eq!(bench.end().await.reason, "the card was removed");
}

#[tokio::test]
async fn a_card_that_is_taken_out_once_the_host_is_asked_changes_nothing() {
    let mut bench = refund(FakeModule::new(Some("unionpay-credit"), PinPad::Waits), false).await;
    bench.reach_host().await;
    bench.module.remove();
    bench.handle.watch().wait_for(|view| view.card.is_none()).await.unwrap();
    bench.line.tell(host(*b"00")).await.unwrap();
    let end = bench.end().await;
    assert_eq!((end.outcome, end.steps.as_slice()), ("approved", &[][..]), "{}", end.reason);
}

#[tokio::test]
async fn a_card_that_got_a_refund_has_to_leave_before_the_next_sale_or_it_would_pay_for_it() {
    let mut bench = refund(FakeModule::new(Some("unionpay-credit"), PinPad::Waits), false).await;
    bench.reach_host().await;
    let mut bench = bench.cancel_and_begin_anew(Config::default()).await;
    assert_eq!(bench.step().await, "remove-card");
}

#[tokio::test]
async fn a_card_has_the_same_token_in_both_flows_and_none_from_a_module_that_makes_none() {
    let module = || FakeModule::new(Some("unionpay-credit"), PinPad::Waits);
    let refunded = text(&refund(module(), false).await.reach_host().await, "token").to_owned();
    let paid = text(&begin(module()).await.reach_host().await, "token").to_owned();
    assert_eq!((refunded.len(), &refunded), (16, &paid));
    let other = begin_with("visa", PinPad::Waits).await.reach_host().await;
    assert_ne!(text(&other, "token"), paid);
    let mut none = module();
    none.makes_tokens = false;
    assert!(!begin(none).await.reach_host().await.contains_key("token"));
}
