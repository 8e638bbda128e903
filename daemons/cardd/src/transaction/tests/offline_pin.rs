//! PINs that the card verifies, as who started the transaction sees them.

use super::*;

/// Runs until the card asks for the host; the tries that each prompt told, none where there was none.
async fn prompts(bench: &mut Bench) -> (Vec<Option<u32>>, Dictionary) {
    let mut tries = Vec::new();
    loop {
        match bench.signals.recv().await.unwrap() {
            Signal::Progress("pin", details) => {
                tries.push(details.get("tries_left").map(|tries| u32::try_from(tries).unwrap()));
            }
            Signal::Progress(..) => {}
            Signal::OnlineRequested(card) => return (tries, card),
            Signal::Completed(outcome, result) => panic!("{outcome}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn each_prompt_says_how_many_tries_are_left_and_no_pin_goes_to_the_host() {
    for (card, pins, tries, cvm) in [
        ("offline-pin", &["1234"][..], &[Some(3)][..], "offline-pin"),
        ("offline-pin", &["4321", "1111", "1234"], &[Some(3), Some(2), Some(1)], "offline-pin"),
        ("offline-pin-enciphered", &["4321", "1234"], &[Some(3), Some(2)], "offline-pin"),
        ("offline-pin-own-key", &["1234"], &[Some(3)], "offline-pin"),
        ("offline-pin-and-signature", &["1234"], &[Some(3)], "offline-pin-and-signature"),
        ("offline-pin-last-try", &["4321"], &[Some(1)], "signature"),
        ("offline-pin-blocked", &["1234"], &[], "signature"),
        ("offline-pin", &[""], &[Some(3)], "signature"),
    ] {
        let mut bench = begin_with(card, PinPad::TypesForCard(pins)).await;
        let (told, requested) = prompts(&mut bench).await;
        assert_eq!((told.as_slice(), text(&requested, "cvm")), (tries, cvm), "{card}");
        assert_eq!(
            text(&requested, "entry_mode"),
            "052",
            "{card}: DE 22 is of the message, which has no PIN"
        );
        assert!(bytes(&requested, "pin_block").is_none());
    }
}

#[tokio::test]
async fn a_card_that_is_pulled_while_the_pin_is_typed_ends_it_in_the_module_too() {
    let mut bench = begin_with("offline-pin", PinPad::Waits).await;
    bench.reach("pin").await;
    let module = Arc::clone(&bench.module);
    module.remove();
    assert_eq!(bench.end().await.reason, "the card was removed");
    assert!(module.pin_cancelled.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_cancelled_pin_ends_it_and_a_pad_that_does_not_work_is_told_to_the_host() {
    let mut bench = begin_with("offline-pin", PinPad::Waits).await;
    bench.reach("pin").await;
    bench.line.tell(Command::Cancel).await.unwrap();
    assert_eq!(bench.end().await.outcome, "cancelled");
    for pad in [PinPad::Broken, PinPad::Fails] {
        let mut bench = begin_with("offline-pin", pad).await;
        let (_, requested) = prompts(&mut bench).await;
        let tvr = hex::decode(text(&requested, "tvr")).unwrap();
        assert_eq!(tvr[2], 0x10, "{tvr:02X?}: PIN entry required and PIN pad not present or not working");
    }
}
