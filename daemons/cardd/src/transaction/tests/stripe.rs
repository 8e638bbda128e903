//! Cards that are swiped: where they have no chip, where they have one, and where that fails.

use super::*;
use crate::config::Stripe;

const CREDIT: &str = "stripe-only";
const DEBIT: &str = "stripe-track-2";

/// A module with a head, and perhaps a card in its slot.
fn head(card: Option<&str>, pin_pad: PinPad) -> FakeModule {
    let mut module = FakeModule::new(card, pin_pad);
    module.has_head = true;
    module
}

/// A transaction of `kind` that has begun, with a card that may be swiped.
async fn begin_swipe(kind: &str, pin: Option<bool>, fallback: bool, module: FakeModule) -> Bench {
    let kind = zbus::Variant::from(kind).try_into_owned().unwrap();
    let mut options = Dictionary::from([("type".to_owned(), kind), ("stripe".to_owned(), true.into())]);
    if let Some(pin) = pin {
        options.insert("pin".to_owned(), pin.into());
    }
    let module = Arc::new(module);
    let (handle, supervisor) = supervisor::new();
    let attached: Arc<dyn SecureModule> = module.clone();
    tokio::spawn(async move { supervisor.attend(attached).await });
    handle.watch().wait_for(|view| view.state() == "ready").await.unwrap();
    let config = Config { stripe: Stripe { accepted: true, fallback }, ..Config::default() };
    begin_at(terms(options), Arc::default(), module, handle, config)
}

async fn sale(module: FakeModule) -> Bench {
    begin_swipe("sale", None, false, module).await
}

fn host(code: [u8; 2]) -> Command {
    Command::Authorise(HostAnswer { code, issuer_data: Vec::new() })
}

fn keys_of(values: &Dictionary) -> Vec<&str> {
    let mut keys: Vec<&str> = values.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn a_card_without_a_chip_pays_by_its_stripe_and_the_host_alone_decides() {
    for (code, outcome) in [(Some(*b"00"), "approved"), (Some(*b"51"), "declined"), (None, "declined")] {
        let mut bench = sale(head(None, PinPad::Fails)).await;
        bench.reach("insert-card").await;
        bench.module.swipe(CREDIT);
        let card = bench.reach_host().await;
        assert_eq!(keys_of(&card), ["cvm", "entry_mode", "masked_pan", "sealed_track2", "token"]);
        assert_eq!((text(&card, "entry_mode"), text(&card, "cvm")), ("022", "signature"));
        let opened = keys::track2::open(&tdk(), &bytes(&card, "sealed_track2").unwrap()).unwrap();
        assert_eq!((opened.service_code(), opened.expiry()), ("101", "4912"));
        assert!(!bench.module.holds_swiped(), "the module forgets it while the host is asked");
        bench.line.tell(code.map_or(Command::UnableToGoOnline, host)).await.unwrap();
        assert_eq!(bench.end().await.outcome, outcome);
    }
}

#[tokio::test]
async fn the_service_code_of_a_card_that_pays_says_whether_a_pin_is_asked_for() {
    let mut bench = sale(head(None, PinPad::Types(6))).await;
    bench.reach("insert-card").await;
    bench.module.swipe(DEBIT);
    let card = bench.reach_host().await;
    assert_eq!((text(&card, "entry_mode"), text(&card, "cvm")), ("021", "online-pin"));
    assert_eq!(bytes(&card, "pin_block").unwrap(), PIN_BLOCK);

    let mut bench = sale(head(None, PinPad::Broken)).await;
    bench.reach("insert-card").await;
    bench.module.swipe(DEBIT);
    let end = bench.end().await;
    assert_eq!(end.outcome, "failed");
    assert!(end.reason.contains("PIN pad"), "{}", end.reason);
}

#[tokio::test]
async fn for_a_card_that_is_only_identified_the_host_says_whether_a_pin_is_asked_for() {
    for (pin, expected) in [(true, ("021", "online-pin")), (false, ("022", "none"))] {
        let mut bench = begin_swipe("refund", Some(pin), false, head(None, PinPad::Types(4))).await;
        bench.reach("insert-card").await;
        bench.module.swipe(DEBIT);
        let card = bench.reach_host().await;
        assert_eq!((text(&card, "entry_mode"), text(&card, "cvm")), expected);
    }
}

#[tokio::test]
async fn a_card_with_a_chip_that_is_swiped_is_to_use_it() {
    let mut bench = begin_swipe("sale", None, true, head(None, PinPad::Fails)).await;
    bench.reach("insert-card").await;
    bench.module.swipe("unionpay-credit");
    bench.reach("use-chip").await;
    assert!(!bench.module.holds_swiped());
    bench.module.insert("unionpay-credit");
    let card = bench.reach_host().await;
    assert_eq!(text(&card, "entry_mode"), "052");
    assert!(!bench.module.armed.load(Ordering::Relaxed), "nothing is swiped any more");
}

#[tokio::test]
async fn a_stripe_that_can_not_be_read_is_swiped_again_and_one_that_was_read_only_once() {
    let mut bench = sale(head(None, PinPad::Waits)).await;
    bench.reach("insert-card").await;
    bench.module.swipe("stripe-damaged");
    bench.reach("swipe-again").await;
    bench.module.swipe(DEBIT);
    bench.reach("pin").await;
    bench.module.swipe(CREDIT);
    bench.module.cancel_pin().await.unwrap();
    let end = bench.end().await;
    assert_eq!(end.outcome, "cancelled");
    assert!(text(&end.result, "masked_pan").starts_with("621799"), "the card that was swiped first");
}

#[tokio::test]
async fn a_chip_that_fails_lets_its_card_be_swiped_where_the_owner_allows_it() {
    let mut bench = begin_swipe("sale", None, true, head(Some("chip-mute"), PinPad::Fails)).await;
    bench.reach("swipe-card").await;
    bench.module.remove();
    bench.module.swipe("chip-mute");
    let card = bench.reach_host().await;
    assert_eq!((text(&card, "entry_mode"), text(&card, "cvm")), ("802", "signature"));
    bench.line.tell(host(*b"00")).await.unwrap();
    assert_eq!(bench.end().await.outcome, "approved");

    let end = sale(head(Some("chip-mute"), PinPad::Fails)).await.end().await;
    assert_eq!(end.outcome, "failed", "the owner does not allow it");
    let no_head = FakeModule::new(Some("chip-mute"), PinPad::Fails);
    let end = begin_swipe("sale", None, true, no_head).await.end().await;
    assert_eq!(end.outcome, "failed", "there is no head");
}

#[tokio::test]
async fn no_chip_that_works_falls_back_to_the_stripe_whatever_it_decides() {
    for card in ["declined", "blocked-card"] {
        let end = begin_swipe("sale", None, true, head(Some(card), PinPad::Fails)).await.end().await;
        assert_ne!(end.outcome, "approved", "{card}");
        assert!(!end.steps.contains(&"swipe-card"), "{card}");
    }
}

#[tokio::test]
async fn a_transaction_that_is_called_off_leaves_the_head_disarmed() {
    let mut bench = sale(head(None, PinPad::Fails)).await;
    bench.reach("insert-card").await;
    let module = Arc::clone(&bench.module);
    bench.line.tell(Command::Cancel).await.unwrap();
    assert_eq!(bench.end().await.outcome, "cancelled");
    assert!(!module.armed.load(Ordering::Relaxed));
}
