//! A card that stays in the slot after a transaction.

use super::*;

#[tokio::test]
async fn a_card_that_was_used_has_to_leave_the_slot_before_it_is_used_again() {
    let mut bench = begin_with("unionpay-credit", PinPad::Waits).await;
    bench.reach_host().await;
    let mut bench = bench.cancel_and_begin_anew(Config::default()).await;
    assert_eq!(bench.step().await, "remove-card");
    // Giving up meanwhile does not make the card good for another use.
    let mut bench = bench.cancel_and_begin_anew(Config::default()).await;
    assert_eq!(bench.step().await, "remove-card");
    bench.module.remove();
    assert_eq!(bench.step().await, "insert-card");
    bench.module.insert("unionpay-credit");
    bench.reach_host().await;
}

#[tokio::test]
async fn a_used_card_that_was_taken_out_and_put_in_again_between_two_transactions_will_do() {
    let mut bench = begin_with("unionpay-credit", PinPad::Waits).await;
    bench.reach_host().await;
    let (place, module, handle) = (Arc::clone(&bench.place), Arc::clone(&bench.module), bench.handle.clone());
    bench.line.tell(Command::Cancel).await.unwrap();
    bench.end().await;
    module.remove();
    handle.watch().wait_for(|view| view.card.is_none()).await.unwrap();
    module.insert("unionpay-credit");
    handle.watch().wait_for(|view| view.card.is_some()).await.unwrap();
    assert_eq!(
        begin_at(terms(Dictionary::new()), place, module, handle, Config::default()).step().await,
        "reading"
    );
}

#[tokio::test]
async fn a_card_may_stay_that_was_not_asked_for_a_cryptogram_or_is_allowed_to() {
    let mut bench = begin_with("unionpay-debit-pin", PinPad::Waits).await;
    bench.reach("pin").await;
    let mut bench = bench.cancel_and_begin_anew(Config::default()).await;
    assert_eq!(bench.step().await, "reading");

    let mut bench = begin_with("unionpay-credit", PinPad::Waits).await;
    bench.reach_host().await;
    let config = Config { card_may_stay: true, ..Config::default() };
    assert_eq!(bench.cancel_and_begin_anew(config).await.step().await, "reading");
}

#[tokio::test(start_paused = true)]
async fn a_used_card_that_nobody_takes_out_is_not_waited_for_for_ever() {
    let mut bench = begin_with("unionpay-credit", PinPad::Waits).await;
    bench.reach_host().await;
    let mut bench = bench.cancel_and_begin_anew(Config::default()).await;
    assert_eq!(bench.step().await, "remove-card");
    let end = bench.end().await;
    assert_eq!((end.outcome, end.reason.as_str()), ("cancelled", "the last card was not taken out in time"));
}
