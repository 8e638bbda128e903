//! Blocks as a host sends them.

use std::fs;

use ::keys::kcv::{self, shown};
use ::keys::key_block::{Destination, Request, Version};
use ::keys::slot::X919_SCHEME;
use ::keys::{Algorithm, Attributes, Exportability, KeyVersion, Mode, Usage, mac, track2};
use tempfile::TempDir;

use super::*;

const KBPK: &str = "88e1ab2a2e3dd38c1fa039a536500cc8";

/// Credentials and state, with or without the key of key blocks.
fn folder(kbpk: Option<&str>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["software-tmk", "software-secret"] {
        fs::write(folder.path().join(name), KBPK).unwrap();
    }
    if let Some(kbpk) = kbpk {
        fs::write(folder.path().join("software-kbpk"), kbpk).unwrap();
    }
    folder
}

fn open(folder: &TempDir) -> SoftwareKeys {
    SoftwareKeys::open(folder.path(), folder.path()).unwrap()
}

fn key_of(usage: Usage, algorithm: Algorithm, mode: Mode, version: u8) -> Key {
    let mut attributes = Attributes::new(usage, algorithm, mode).exportable(Exportability::Sensitive);
    attributes.version = KeyVersion::Number([b'0', b'0' + version]);
    Key::new(attributes, &[0x5C; 16]).unwrap()
}

/// As a host sends it.
fn block_of(key: &Key) -> Vec<u8> {
    let kbpk = Attributes::new(Usage::KeyBlockProtection, Algorithm::Aes, Mode::Both);
    let kbpk = Key::new(kbpk, &hex::decode(KBPK).unwrap()).unwrap();
    let destination = Destination::Receiver(Exportability::Never);
    let request = Request { version: Version::D, destination, optionals: &[], hide_length: true };
    let mut block = String::new();
    key_block::wrap(&kbpk, key, &request, &[7; 32], &mut block).unwrap();
    block.into_bytes()
}

fn pin_key(version: u8) -> Key {
    key_of(Usage::PinEncryption, Algorithm::Aes, Mode::Encrypt, version)
}

fn info(keys: &SoftwareKeys, slot: &KeySlot) -> KeySlotInfo {
    keys.infos().into_iter().find(|info| info.slot == *slot).unwrap()
}

#[test]
fn a_key_of_a_block_is_there_after_a_restart_and_only_its_check_value_is_told() {
    let folder = folder(Some(KBPK));
    let keys = open(&folder);
    assert_eq!(keys.load_key_block(&KeySlot::PIK, &block_of(&pin_key(1))), Ok(()));
    for keys in [keys, open(&folder)] {
        let told = info(&keys, &KeySlot::PIK);
        assert_eq!((told.usage.as_str(), told.algorithm.as_str()), ("P0", "A"));
        assert_eq!(told.check, shown(&pin_key(1)));
        assert_eq!(info(&keys, &KeySlot::TDK).check, b"");
    }
    for file in fs::read_dir(folder.path()).unwrap() {
        let content = fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!content.to_lowercase().contains(&"5c".repeat(16)), "the key is on disk");
    }
}

#[test]
fn a_slot_takes_keys_of_its_own_use_alone_and_keeps_what_it_has() {
    let folder = folder(Some(KBPK));
    let keys = open(&folder);
    let good = block_of(&pin_key(1));
    for slot in [
        KeySlot::TDK,
        KeySlot::TMK,
        KeySlot::KBPK,
        KeySlot::TOKEN,
        KeySlot::STORE,
        KeySlot::MAK,
        KeySlot::MAK_X919,
    ] {
        assert_eq!(keys.load_key_block(&slot, &good), Err(Error::WrongUsage), "{slot}");
    }
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(matches!(keys.load_key_block(&KeySlot::PIK, &changed), Err(Error::Invalid(_))));
    assert_eq!(info(&keys, &KeySlot::PIK).check, b"");
    keys.load_key_block(&KeySlot::PIK, &block_of(&pin_key(2))).unwrap();
    assert!(matches!(keys.load_key_block(&KeySlot::PIK, &good), Err(Error::Invalid(_))), "an older version");
    let before = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(before, 4, "three credentials and one block");
    assert!(matches!(open(&folder).load_key_block(&KeySlot::PIK, &good), Err(Error::Invalid(_))));
}

#[test]
fn a_key_of_a_block_is_not_replaced_by_one_of_a_sign_on() {
    let folder = folder(Some(KBPK));
    open(&folder).load_key_block(&KeySlot::PIK, &block_of(&pin_key(2))).unwrap();
    let keys = open(&folder);
    let master = Attributes::new(Usage::KeyEncryption, Algorithm::Tdes, Mode::Encrypt);
    let master = Key::new(master, &hex::decode(KBPK).unwrap()).unwrap();
    let working = key_of(Usage::Data, Algorithm::Tdes, Mode::Both, 0);
    let wrapped = master.encrypt_key(&working).unwrap().as_slice().try_into().unwrap();
    let check = *kcv::of(&working, kcv::Method::Zeros).unwrap().first_chunk().unwrap();
    let load = |slot| keys.load_key(&slot, &KeySlot::TMK, &wrapped, check);
    assert!(matches!(load(KeySlot::PIK), Err(Error::Invalid(_))));
    assert_eq!(info(&keys, &KeySlot::PIK).check, shown(&pin_key(2)));
    let older = keys.load_key_block(&KeySlot::PIK, &block_of(&pin_key(1)));
    assert!(matches!(older, Err(Error::Invalid(_))), "{older:?}");
    // The slot has none of a block.
    assert_eq!(load(KeySlot::TDK), Ok(()));
    assert_eq!(load(KeySlot::TDK), Ok(()));
}

#[test]
fn without_the_key_of_key_blocks_none_is_taken() {
    let keys = open(&folder(None));
    assert_eq!(keys.load_key_block(&KeySlot::PIK, &block_of(&pin_key(1))), Err(Error::NoKey));
}

#[test]
fn a_key_that_can_not_be_kept_is_not_loaded() {
    let folder = folder(Some(KBPK));
    let keys = open(&folder);
    folder.close().unwrap();
    assert!(matches!(keys.load_key_block(&KeySlot::PIK, &block_of(&pin_key(1))), Err(Error::Protocol(_))));
    assert_eq!(info(&keys, &KeySlot::PIK).check, b"");
}

#[test]
fn a_block_that_the_disk_spoiled_leaves_its_slot_empty_and_may_be_loaded_again() {
    let good = block_of(&pin_key(1));
    let too_long = vec![b'0'; 2 * key_block::LONGEST];
    for spoiled in [&good[..good.len() - 1], b"", b"\xFF", &too_long] {
        let folder = folder(Some(KBPK));
        fs::write(folder.path().join("software-pik.block"), spoiled).unwrap();
        let keys = open(&folder);
        assert_eq!(info(&keys, &KeySlot::PIK).check, b"");
        assert_eq!(keys.load_key_block(&KeySlot::PIK, &good), Ok(()));
    }
}

#[test]
fn a_slot_of_x9_19_makes_that_mac_and_no_other() {
    let folder = folder(Some(KBPK));
    let keys = open(&folder);
    let key = key_of(X919_SCHEME.usage(), Algorithm::Tdes, Mode::GenerateVerify, 0);
    keys.load_key_block(&KeySlot::MAK_X919, &block_of(&key)).unwrap();
    let expected = mac::generate(&key, X919_SCHEME, b"message").unwrap();
    assert_eq!(keys.mac(&KeySlot::MAK_X919, b"message").unwrap(), expected.as_bytes());
    assert_eq!(keys.mac(&KeySlot::MAK, b"message"), Err(Error::NoKey));
}

#[test]
fn a_card_that_waits_for_the_host_is_sealed_for_it_after_a_restart_and_for_nobody_else() {
    let folder = folder(Some(KBPK));
    let track = hex::decode("6217001234567890123D49122010000F").unwrap();
    let stored = open(&folder).seal_track2(&KeySlot::STORE, &track).unwrap();
    let keys = open(&folder);
    let tdk = key_of(Usage::Data, Algorithm::Tdes, Mode::Both, 0);
    keys.load_key_block(&KeySlot::TDK, &block_of(&tdk)).unwrap();
    let sealed = keys.reseal_track2(&KeySlot::STORE, &KeySlot::TDK, &stored).unwrap();
    assert_eq!(track2::decrypt(&tdk, &sealed).unwrap().as_bytes(), track);
    for (from, to) in [(KeySlot::TDK, KeySlot::TDK), (KeySlot::STORE, KeySlot::STORE)] {
        assert_eq!(keys.reseal_track2(&from, &to, &stored), Err(Error::WrongUsage));
    }
}
