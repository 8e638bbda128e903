//! Sales that card and terminal approve without the host.

use super::*;

fn offline() -> Terms {
    terms([("offline".to_owned(), true.into())].into())
}

/// What was stored opens under the module's key, and is the card's account.
fn stored_pan(end: &End) -> Option<String> {
    let stored = bytes(&end.result, "stored_track2")?;
    Some(keys::track2::open(&tdk(), &stored).unwrap().pan().digits().to_owned())
}

#[tokio::test]
async fn a_card_that_approves_by_itself_leaves_its_account_sealed_for_the_host() {
    let module = FakeModule::new(Some("approves-offline"), PinPad::Fails);
    let end = begin_for(offline(), module).await.end().await;
    assert_eq!(end.outcome, "approved", "{}", end.reason);
    assert_eq!(stored_pan(&end).as_deref(), Some("6250940000000068"));
    assert!(!text(&end.result, "token").is_empty());
    // 9F27: a transaction certificate.
    let chip_data = bytes(&end.result, "chip_data").unwrap();
    let information = tlv::find(&chip_data, tlv::tags::CID).unwrap().unwrap();
    assert_eq!(information, [0x40]);
}

#[tokio::test]
async fn the_host_is_asked_where_nobody_allowed_otherwise_and_its_approval_stores_nothing() {
    let mut bench = begin_with("approves-offline", PinPad::Fails).await;
    bench.reach_host().await;
    bench.line.tell(Command::UnableToGoOnline).await.unwrap();
    let end = bench.end().await;
    assert_eq!((end.outcome, stored_pan(&end)), ("declined", None));
}

#[tokio::test]
async fn an_approval_that_can_not_be_stored_is_none() {
    let mut module = FakeModule::new(Some("approves-offline"), PinPad::Fails);
    module.hides_track = true;
    let end = begin_for(offline(), module).await.end().await;
    assert_eq!((end.outcome, stored_pan(&end)), ("failed", None));
    assert!(end.reason.contains("track 2"), "{}", end.reason);
}
