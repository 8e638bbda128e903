//! Keys as they come into the module, and what becomes of them.

mod offline_pin;
mod upkeep;

use std::path::Path;
use std::time::Duration;

use keys::key_block::{self, Destination, Version};
use keys::{Algorithm, Attributes, Exportability, Key, KeyVersion, Mode, TdesKey, Usage, kcv};
use link::{KeyEntryRequest, KeyEntryState, PinEntry, Refusal, Request, Response};
use sim_cards::Drawer;
use tr34::{Handed, Nonce};

use crate::{Device, KeyHost, MasterKeys, Store, pki};

const FIRST: &str = "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF";
const SECOND: &str = "1111111111111111222222222222222233333333333333334444444444444444";

fn device(key_host: Option<&Path>) -> Device {
    kept_device(None, key_host)
}

/// A module that keeps in the file `store`.
fn kept_device(store: Option<&Path>, key_host: Option<&Path>) -> Device {
    let store = Store::new(store.map(Path::to_owned));
    Device::new(store, factory(key_host), 1, Drawer::new(1)).unwrap()
}

fn factory(key_host: Option<&Path>) -> MasterKeys {
    let tmk = MasterKeys::key(Algorithm::Tdes, &[0x11; 16]).unwrap();
    let key_host = key_host.map(|dir| KeyHost::new(dir.to_owned()));
    MasterKeys { tmk, tmk_sm4: None, dukpt: None, key_host }
}

fn ask(device: &mut Device, request: Request) -> Response {
    device.handle(request, Duration::ZERO)
}

fn refusal(response: Response) -> Refusal {
    match response {
        Response::Refused { refusal, .. } => refusal,
        other => panic!("{other:?}"),
    }
}

fn begin(key: &str, components: u8) -> Request {
    Request::BeginKeyEntry(KeyEntryRequest { key: key.to_owned(), algorithm: b'A', length: 32, components })
}

fn state(device: &mut Device) -> KeyEntryState {
    match ask(device, Request::KeyEntry) {
        Response::KeyEntry(state) => state,
        other => panic!("{other:?}"),
    }
}

/// The check value that the module tells of a slot.
fn check(device: &mut Device, slot: &str) -> Vec<u8> {
    let Response::KeySlots(slots) = ask(device, Request::KeySlots) else { panic!("no slots") };
    slots.into_iter().find(|info| info.name == slot).unwrap().check
}

/// The key of FIRST and SECOND.
fn kbpk() -> Key {
    let parts = [FIRST, SECOND].map(|part| hex::decode(part).unwrap());
    let attributes = Attributes::new(Usage::KeyBlockProtection, Algorithm::Aes, Mode::Both);
    Key::combine(attributes, &[&parts[0], &parts[1]]).unwrap()
}

fn with_kbpk() -> Device {
    enter_kbpk(device(None))
}

fn enter_kbpk(mut device: Device) -> Device {
    assert_eq!(ask(&mut device, begin("kbpk", 2)), Response::Done);
    device.enter_component("111111", FIRST).unwrap();
    device.enter_component("222222", SECOND).unwrap();
    device
}

fn load(device: &mut Device, slot: &str, attributes: Attributes, key: &[u8]) -> Response {
    let key = Key::new(attributes, key).unwrap();
    let (version, destination) = (Version::D, Destination::Storage);
    let request = key_block::Request { version, destination, optionals: &[], hide_length: true };
    let mut block = String::new();
    key_block::wrap(&kbpk(), &key, &request, &[7; 32], &mut block).unwrap();
    ask(device, Request::LoadKeyBlock { key: slot.to_owned(), block: block.into_bytes().into() })
}

#[test]
fn two_custodians_make_a_key_and_neither_can_be_both() {
    let mut device = device(None);
    assert_eq!(state(&mut device), KeyEntryState::Idle);
    assert_eq!(ask(&mut device, begin("kbpk", 2)), Response::Done);
    assert_eq!(state(&mut device), KeyEntryState::Waits { component: 1, previous: vec![] });
    let shown = device.enter_component("111111", FIRST).unwrap();
    assert_eq!(state(&mut device), KeyEntryState::Waits { component: 2, previous: shown });
    for (code, text) in
        [("111111", SECOND), ("999999", SECOND), ("222222", "00"), ("222222", &"0".repeat(64))]
    {
        assert!(device.enter_component(code, text).is_err(), "{code} {text}");
    }
    assert!(check(&mut device, "kbpk").is_empty(), "one component is no key");
    device.enter_component("222222", SECOND).unwrap();
    let expected = kcv::of(&kbpk(), kcv::Method::Cmac).unwrap()[..5].to_vec();
    assert_eq!(state(&mut device), KeyEntryState::Loaded { check: expected.clone() });
    assert_eq!(check(&mut device, "kbpk"), expected);
    assert!(device.enter_component("333333", FIRST).is_err());
}

#[test]
fn an_entry_that_is_interrupted_leaves_the_key_that_was_there() {
    let mut device = with_kbpk();
    let before = check(&mut device, "kbpk");
    let interruptions: [fn(&mut Device); 4] = [
        Device::opened,
        |device| assert_eq!(ask(device, Request::CancelKeyEntry), Response::Done),
        |device| drop(device.poll(Duration::from_secs(180))),
        // The same component twice is no key.
        |device| drop(device.enter_component("333333", SECOND)),
    ];
    for interrupt in interruptions {
        assert_eq!(ask(&mut device, begin("kbpk", 2)), Response::Done);
        device.enter_component("222222", SECOND).unwrap();
        interrupt(&mut device);
        assert!(matches!(state(&mut device), KeyEntryState::Ended { .. }));
        assert_eq!(check(&mut device, "kbpk"), before);
    }
}

#[test]
fn custodians_enter_master_keys_alone_and_not_while_a_pin_is_entered() {
    let mut device = device(None);
    for (slot, refused) in
        [("pik", Refusal::WrongUsage), ("token", Refusal::WrongUsage), ("zmk", Refusal::Invalid)]
    {
        assert_eq!(refusal(ask(&mut device, begin(slot, 2))), refused, "{slot}");
    }
    for components in [0, 1, 4] {
        assert_eq!(refusal(ask(&mut device, begin("kbpk", components))), Refusal::Invalid);
    }
    assert_eq!(ask(&mut device, begin("kbpk", 3)), Response::Done);
    let pin = PinEntry {
        entry: 1,
        key: "pik".to_owned(),
        pan: "6217001234567890".to_owned().into(),
        shortest: 4,
        longest: 6,
        first_key: 1000,
        next_key: 1000,
        bypass: false,
        accessible: false,
        amount: None,
    };
    assert_eq!(refusal(ask(&mut device, Request::EnterPin(pin))), Refusal::Busy);
}

#[test]
fn a_slot_takes_the_keys_that_serve_it_and_a_key_does_what_its_block_allows() {
    let mut device = with_kbpk();
    let mac = |mode| Attributes::new(Usage::MacAlgorithm3, Algorithm::Tdes, mode);
    let pin = |mode| Attributes::new(Usage::PinEncryption, Algorithm::Tdes, mode);
    for (slot, attributes) in [
        ("pik", pin(Mode::Decrypt)),
        ("pik", mac(Mode::GenerateVerify)),
        ("tdk", pin(Mode::Encrypt)),
        ("mak", mac(Mode::GenerateVerify)),
        ("mak-x919", pin(Mode::Encrypt)),
        ("tmk", Attributes::new(Usage::KeyEncryption, Algorithm::Tdes, Mode::Encrypt)),
        ("tmk", Attributes::new(Usage::KeyEncryption, Algorithm::Aes, Mode::Decrypt)),
        ("tmk-sm4", Attributes::new(Usage::KeyEncryption, Algorithm::Aes, Mode::Decrypt)),
        ("kbpk", Attributes::new(Usage::KeyEncryption, Algorithm::Aes, Mode::Decrypt)),
        ("store", Attributes::new(Usage::Data, Algorithm::Tdes, Mode::Both)),
        ("token", mac(Mode::Generate)),
    ] {
        let before = check(&mut device, slot);
        assert_eq!(refusal(load(&mut device, slot, attributes, &[0x5A; 16])), Refusal::WrongUsage, "{slot}");
        assert_eq!(check(&mut device, slot), before, "{slot}");
    }
    assert_eq!(load(&mut device, "pik", pin(Mode::Encrypt), &[0x5A; 16]), Response::Done);
    assert_eq!(check(&mut device, "pik"), TdesKey::new([0x5A; 16]).encrypt_block([0; 8])[..3]);
    // This one verifies and makes none.
    assert_eq!(load(&mut device, "mak-x919", mac(Mode::Verify), &[0x5A; 16]), Response::Done);
    let (key, message) = ("mak-x919".to_owned(), vec![1, 2, 3]);
    let made = ask(&mut device, Request::Mac { key: key.clone(), message: message.clone().into() });
    assert_eq!(refusal(made), Refusal::WrongUsage);
    let verified = ask(&mut device, Request::VerifyMac { key, mac: [0; 8], message: message.into() });
    assert_eq!(verified, Response::Verified(false));
}

#[test]
fn an_older_version_of_a_key_and_a_block_of_another_key_are_refused() {
    let mut device = with_kbpk();
    let version = |number: &[u8; 2]| {
        let attributes = Attributes::new(Usage::PinEncryption, Algorithm::Tdes, Mode::Encrypt);
        Attributes { version: KeyVersion::Number(*number), ..attributes }
    };
    assert_eq!(load(&mut device, "pik", version(b"02"), &[2; 16]), Response::Done);
    assert_eq!(refusal(load(&mut device, "pik", version(b"01"), &[1; 16])), Refusal::Invalid);
    assert_eq!(load(&mut device, "pik", version(b"03"), &[3; 16]), Response::Done);
    assert_eq!(ask(&mut device, begin("kbpk", 2)), Response::Done);
    device.enter_component("222222", FIRST).unwrap();
    device.enter_component("333333", &SECOND.replace('1', "7")).unwrap();
    assert_eq!(refusal(load(&mut device, "pik", version(b"04"), &[4; 16])), Refusal::Invalid);
}

#[test]
fn a_key_distribution_host_loads_keys_once_it_is_bound_until_it_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut device = device(Some(folder.path()));
    assert_eq!(refusal(ask(&mut device, Request::KeyCredential)), Refusal::NotSupported);
    pki::ensure(folder.path()).unwrap();
    let host = pki::host(folder.path()).unwrap();
    let data = |response| match response {
        Response::Data(data) => data.to_vec(),
        other => panic!("{other:?}"),
    };
    let credential = data(ask(&mut device, Request::KeyCredential));
    let handed = Handed { key: &[0x42; 32], header: b"D0000K1AD00E0000", content_key: &[9; 32], iv: [5; 16] };
    let token = |device: &mut Device| {
        let nonce = Nonce::from_token(&data(ask(device, Request::KeyNonce))).unwrap();
        host.key(&credential, &nonce, &handed).unwrap()
    };
    let load = |device: &mut Device, slot: &str, token: &[u8]| {
        ask(device, Request::LoadKeyToken { key: slot.to_owned(), token: token.to_vec().into() })
    };
    let early = token(&mut device);
    assert_eq!(refusal(load(&mut device, "kbpk", &early)), Refusal::NoKey);
    let bind = || Request::BindKeyHost { token: host.credential().unwrap().into() };
    assert_eq!(ask(&mut device, bind()), Response::Done);
    assert_eq!(refusal(ask(&mut device, bind())), Refusal::Invalid, "it is bound already");
    assert_eq!(refusal(load(&mut device, "kbpk", &early)), Refusal::Invalid, "its random number was used up");
    let wrong = token(&mut device);
    assert_eq!(refusal(load(&mut device, "pik", &wrong)), Refusal::WrongUsage);
    let right = token(&mut device);
    assert_eq!(load(&mut device, "kbpk", &right), Response::Done);
    let attributes = Attributes::new(Usage::KeyBlockProtection, Algorithm::Aes, Mode::Decrypt);
    let key = Key::new(attributes.exportable(Exportability::Trusted), &[0x42; 32]).unwrap();
    assert_eq!(check(&mut device, "kbpk"), kcv::of(&key, kcv::Method::Cmac).unwrap()[..5]);
    assert_eq!(refusal(load(&mut device, "kbpk", &right)), Refusal::Invalid, "a token comes once");

    let nonce = Nonce::from_token(&data(ask(&mut device, Request::KeyNonce))).unwrap();
    let unbind = Request::UnbindKeyHost { token: host.unbind(&credential, &nonce).unwrap().into() };
    assert_eq!(ask(&mut device, unbind), Response::Done);
    let late = token(&mut device);
    assert_eq!(refusal(load(&mut device, "kbpk", &late)), Refusal::NoKey);
}

#[test]
fn a_module_that_is_tampered_with_loses_every_key_and_the_binding() {
    let mut device = with_kbpk();
    assert_eq!(ask(&mut device, begin("kbpk", 2)), Response::Done);
    device.enter_component("111111", FIRST).unwrap();
    device.tamper();
    assert!(device.enter_component("222222", SECOND).is_err());
    assert!(device.key_slots().all(|(_, loaded)| !loaded));
    for request in [Request::KeySlots, Request::KeyEntry, begin("kbpk", 2), Request::KeyNonce] {
        assert_eq!(refusal(ask(&mut device, request)), Refusal::Tampered);
    }
}

#[test]
fn keys_and_the_bound_host_outlive_a_start_and_so_does_having_been_tampered_with() {
    let folder = tempfile::tempdir().unwrap();
    let (store, host_folder) = (folder.path().join("store"), folder.path().join("host"));
    pki::ensure(&host_folder).unwrap();
    let host = pki::host(&host_folder).unwrap();
    let start = || kept_device(Some(&store), Some(&host_folder));
    let mut device = enter_kbpk(start());
    let pin = Attributes::new(Usage::PinEncryption, Algorithm::Tdes, Mode::Encrypt);
    assert_eq!(load(&mut device, "pik", pin, &[0x5A; 16]), Response::Done);
    let bind = || Request::BindKeyHost { token: host.credential().unwrap().into() };
    assert_eq!(ask(&mut device, bind()), Response::Done);
    let (slots, tls) = (ask(&mut device, Request::KeySlots), ask(&mut device, Request::TlsPublicKey));
    drop(device);

    let mut device = start();
    assert_eq!(ask(&mut device, Request::KeySlots), slots);
    assert_eq!(ask(&mut device, Request::TlsPublicKey), tls);
    assert_eq!(load(&mut device, "pik", pin, &[0x6A; 16]), Response::Done, "the key of blocks is there");
    assert_eq!(refusal(ask(&mut device, bind())), Refusal::Invalid, "it is bound still");
    device.tamper();
    drop(device);

    let mut device = start();
    assert!(device.status().tampered && device.key_slots().all(|(_, loaded)| !loaded));
    assert_eq!(refusal(ask(&mut device, Request::TlsPublicKey)), Refusal::Tampered);
    device.reset(factory(Some(&host_folder))).unwrap();
    assert_ne!(ask(&mut device, Request::TlsPublicKey), tls, "a service makes another module of it");
    assert_eq!(ask(&mut device, bind()), Response::Done, "the host was let go");
    assert!(!start().status().tampered);
}

#[test]
fn a_key_that_can_not_be_kept_is_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("module");
    std::fs::create_dir(&place).unwrap();
    let mut device = enter_kbpk(kept_device(Some(&place.join("store")), None));
    let pin = Attributes::new(Usage::PinEncryption, Algorithm::Tdes, Mode::Encrypt);
    assert_eq!(load(&mut device, "pik", pin, &[0x5A; 16]), Response::Done);
    let before = check(&mut device, "pik");
    std::fs::remove_dir_all(&place).unwrap();
    assert_eq!(refusal(load(&mut device, "pik", pin, &[0x6A; 16])), Refusal::NotSupported);
    assert_eq!(check(&mut device, "pik"), before);
}

#[test]
fn custodians_enter_no_key_that_its_slot_does_not_take() {
    let mut device = device(None);
    for (key, expected) in
        [("tmk", Refusal::WrongUsage), ("pik", Refusal::WrongUsage), ("zmk", Refusal::Invalid)]
    {
        assert_eq!(refusal(ask(&mut device, begin(key, 2))), expected, "{key}");
    }
}
