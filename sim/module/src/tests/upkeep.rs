//! A module that tests itself, and takes new firmware.

use std::fs;
use std::time::Duration;

use link::{Event, Refusal, Request, Response};

use super::{ask, device, enter_kbpk, kept_device, refusal};
use crate::{Device, release};

const IMAGE: &[u8] = &[0x6B; 10_000];

/// The manifest and the image of a release.
fn update(number: u32, version: &str, image: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let file = release(number, version, image).unwrap();
    let (length, rest) = file.strip_prefix(b"smartpos update 1").unwrap().split_first_chunk().unwrap();
    let (manifest, image) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
    (manifest.to_vec(), image.to_vec())
}

fn begin(device: &mut Device, manifest: &[u8]) -> Response {
    ask(device, Request::BeginUpdate { manifest: manifest.to_vec().into() })
}

fn send(device: &mut Device, offset: usize, data: &[u8]) -> Response {
    let offset = u32::try_from(offset).unwrap();
    ask(device, Request::UpdateData { offset, data: data.to_vec().into() })
}

/// Updates the module, and starts it with what it has then.
fn install(device: &mut Device, number: u32, version: &str) -> Response {
    let (manifest, image) = update(number, version, IMAGE);
    assert_eq!(begin(device, &manifest), Response::Done);
    for (at, chunk) in image.chunks(3000).enumerate() {
        assert_eq!(send(device, at * 3000, chunk), Response::Done);
    }
    let finished = ask(device, Request::FinishUpdate);
    device.restart();
    finished
}

/// The tests that fail now.
fn failing(device: &mut Device) -> Vec<String> {
    let Response::SelfTest(results) = ask(device, Request::SelfTest) else { panic!("no results") };
    results.into_iter().filter(|result| !result.passed).map(|result| result.name).collect()
}

#[test]
fn a_module_that_fails_a_test_uses_no_key_until_it_passes_and_keeps_its_keys() {
    let mut device = enter_kbpk(device(None));
    let keys = ask(&mut device, Request::KeySlots);
    device.fail(Some("aes")).unwrap();
    assert!(device.fail(Some("nonsense")).is_err());
    assert_eq!(failing(&mut device), ["aes"]);
    for request in [Request::KeySlots, Request::Random { length: 8 }, Request::TlsPublicKey] {
        assert_eq!(refusal(ask(&mut device, request)), Refusal::Failed);
    }
    for request in [Request::Status, Request::Clock, Request::CancelUpdate] {
        assert!(!matches!(ask(&mut device, request), Response::Refused { .. }));
    }
    device.fail(None).unwrap();
    assert_eq!(refusal(ask(&mut device, Request::KeySlots)), Refusal::Failed, "nothing was tested yet");
    assert!(failing(&mut device).is_empty());
    assert_eq!(ask(&mut device, Request::KeySlots), keys);
}

#[test]
fn a_module_tests_itself_at_its_start_and_each_day() {
    let mut device = device(None);
    device.fail(Some("random")).unwrap();
    device.poll(Duration::ZERO);
    assert!(!matches!(ask(&mut device, Request::KeySlots), Response::Refused { .. }), "not yet");
    device.a_day_later();
    assert_eq!(device.deadline(), Some(Duration::ZERO));
    device.poll(Duration::ZERO);
    assert_eq!(refusal(ask(&mut device, Request::KeySlots)), Refusal::Failed);
    assert!(device.deadline() > Some(Duration::from_secs(86_000)));
}

#[test]
fn a_store_that_somebody_changed_while_the_module_ran_is_tampering() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let mut device = kept_device(Some(&store), None);
    fs::write(&store, [7; 200]).unwrap();
    device.a_day_later();
    assert_eq!(device.poll(Duration::ZERO), [Event::Tampered]);
    assert_eq!(refusal(ask(&mut device, Request::KeySlots)), Refusal::Tampered);
    assert!(kept_device(Some(&store), None).status().tampered);
}

#[test]
fn a_store_that_is_behind_is_written_again_and_is_no_tampering() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let device = kept_device(Some(&store), None);
    let behind = fs::read(&store).unwrap();
    let mut device = enter_kbpk(device);
    let keys = ask(&mut device, Request::KeySlots);
    fs::write(&store, behind).unwrap();
    assert!(failing(&mut device).is_empty());
    assert_eq!(ask(&mut kept_device(Some(&store), None), Request::KeySlots), keys);
}

#[test]
fn new_firmware_runs_from_the_next_start_on_and_keys_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let mut device = enter_kbpk(kept_device(Some(&store), None));
    let (keys, boot) = (ask(&mut device, Request::KeySlots), device.boot());
    assert_eq!(install(&mut device, 7, "2.0"), Response::Done);
    assert_ne!(device.boot(), boot, "a new session begins");
    for device in [&mut device, &mut kept_device(Some(&store), None)] {
        assert_eq!(device.status().firmware, "2.0");
        assert!(failing(device).is_empty());
        assert_eq!(ask(device, Request::KeySlots), keys);
    }
    for older in [0, 6, 7] {
        let (manifest, _) = update(older, "1.9", IMAGE);
        assert_eq!(refusal(begin(&mut device, &manifest)), Refusal::Invalid, "{older}");
    }
    assert_eq!(install(&mut device, 8, "2.1"), Response::Done);
    assert_eq!(kept_device(Some(&store), None).status().firmware, "2.1");
}

#[test]
fn what_the_vendor_did_not_sign_is_refused_and_no_other_image_passes_for_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let mut device = kept_device(Some(&folder.path().join("store")), None);
    let (manifest, image) = update(7, "2.0", IMAGE);
    for at in 0..manifest.len() {
        let mut wrong = manifest.clone();
        wrong[at] ^= 1;
        assert_eq!(refusal(begin(&mut device, &wrong)), Refusal::Invalid, "{at}");
        assert_eq!(refusal(begin(&mut device, &manifest[..at])), Refusal::Invalid, "{at}");
    }
    let mut other = image.clone();
    other[9_999] ^= 1;
    for (sent, what) in [(&other[..], "changed"), (&image[..9_999], "cut"), (&[], "empty")] {
        assert_eq!(begin(&mut device, &manifest), Response::Done);
        assert_eq!(send(&mut device, 0, sent), Response::Done);
        assert_eq!(refusal(ask(&mut device, Request::FinishUpdate)), Refusal::Invalid, "{what}");
        device.restart();
        assert_eq!(device.status().firmware, env!("CARGO_PKG_VERSION"), "{what}");
    }
    for (offset, data) in [(1, &image[..]), (0, &[&image[..], &[0]].concat())] {
        assert_eq!(begin(&mut device, &manifest), Response::Done);
        assert_eq!(refusal(send(&mut device, offset, data)), Refusal::Invalid);
        assert_eq!(refusal(send(&mut device, 0, &image)), Refusal::Invalid, "the update was forgotten");
    }
    assert_eq!(refusal(ask(&mut device, Request::FinishUpdate)), Refusal::Invalid);
}

#[test]
fn power_that_fails_during_an_update_leaves_the_firmware_that_ran() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let start = || kept_device(Some(&store), None);
    let mut device = start();
    assert_eq!(install(&mut device, 1, "1.1"), Response::Done);
    let (manifest, image) = update(2, "1.2", IMAGE);
    for sent in [0, 1, 5_000, image.len()] {
        assert_eq!(begin(&mut device, &manifest), Response::Done);
        assert_eq!(send(&mut device, 0, &image[..sent]), Response::Done);
        device = start();
        assert_eq!(device.status().firmware, "1.1", "{sent}");
        assert!(failing(&mut device).is_empty(), "{sent}");
        assert_eq!(refusal(ask(&mut device, Request::FinishUpdate)), Refusal::Invalid, "{sent}");
    }
    assert_eq!(install(&mut device, 2, "1.2"), Response::Done);
}

#[test]
fn no_update_takes_the_module_from_a_card_or_from_who_is_at_its_pad() {
    let folder = tempfile::tempdir().unwrap();
    let mut device = kept_device(Some(&folder.path().join("store")), None);
    let (manifest, image) = update(7, "2.0", IMAGE);
    assert_eq!(begin(&mut device, &manifest), Response::Done);
    assert_eq!(send(&mut device, 0, &image), Response::Done);
    device.insert("visa").unwrap();
    ask(&mut device, Request::CardPowerOn { slot: 0 });
    assert_eq!(refusal(ask(&mut device, Request::FinishUpdate)), Refusal::Busy);
    assert_eq!(refusal(begin(&mut device, &manifest)), Refusal::Busy);
    ask(&mut device, Request::CardPowerOff { slot: 0 });
    assert_eq!(ask(&mut device, super::begin("kbpk", 2)), Response::Done);
    assert_eq!(refusal(ask(&mut device, Request::FinishUpdate)), Refusal::Busy);
    ask(&mut device, Request::CancelKeyEntry);
    assert_eq!(ask(&mut device, Request::FinishUpdate), Response::Done, "it was only put off");
}

#[test]
fn firmware_that_was_changed_where_it_lies_does_not_run_with_keys_until_an_update_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let mut device = kept_device(Some(&store), None);
    assert_eq!(install(&mut device, 1, "1.1"), Response::Done);
    fs::write(store.with_extension("b"), [7; 10_000]).unwrap();
    let mut device = kept_device(Some(&store), None);
    assert_eq!(refusal(ask(&mut device, Request::KeySlots)), Refusal::Failed);
    assert_eq!(failing(&mut device), ["firmware"]);
    assert_eq!(install(&mut device, 2, "1.2"), Response::Done);
    assert!(matches!(ask(&mut device, Request::KeySlots), Response::KeySlots(_)));
}
