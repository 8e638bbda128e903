//! The samples of TR-34:2019 (annex B, as corrected), as the public code of warthog33/keyblock and clover/clover-tr34-host quotes
//! them, a token of OpenSSL's making, and what a device must refuse.

use std::time::Duration;

use keys::{Algorithm, Attributes, Exportability, Key, Mode, Usage};

use super::*;
use crate::cms::SignedData;
use crate::envelope::{self, Envelope};

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("../tests/vectors/", $name, ".der")).as_slice()
    };
}

const KRD_KEY: &[u8] = vector!("krd-1-key");
const KRD: &[u8] = vector!("krd-1");
const KDH_KEY: &[u8] = vector!("kdh-1-key");
const KDH: &[u8] = vector!("kdh-1");
const CA_KDH: &[u8] = vector!("ca-kdh");
const CRL: &[u8] = vector!("crl");

/// 2010-11-15: the sample's list of revoked certificates is of 2010-11-02, for 30 days.
const NOW: Duration = Duration::from_secs(1_289_779_200);
const HEADER: &[u8; 16] = b"A0256K0TB00E0000";
/// The key of every sample.
const KEY: [u8; 16] =
    [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10];

fn receiver() -> Receiver {
    Receiver::new(KRD_KEY, KRD, CA_KDH).unwrap()
}

fn host() -> Distributor {
    Distributor::new(KDH_KEY, KDH, CRL).unwrap()
}

fn bound() -> Binding {
    receiver().bind(vector!("b-6-kdh-credential"), Duration::ZERO, NOW).unwrap()
}

fn nonce(bytes: &[u8]) -> Nonce {
    Nonce::new(bytes).unwrap()
}

/// The nonce of B.9 and B.12.
fn sample_nonce() -> Nonce {
    nonce(&[0x16, 0x7E, 0xB0, 0xE7, 0x27, 0x81, 0xE4, 0x94, 0x01, 0x12, 0x23, 0x34, 0x45, 0x56, 0x67, 0x78])
}

/// The nonce of B.11 and B.14.
fn short_nonce() -> Nonce {
    nonce(&[0x7D, 0xEA, 0x1C, 0x00, 0x89, 0x4E, 0x24, 0x6A])
}

fn sample_key() -> Key {
    let kek =
        Attributes::new(Usage::KeyEncryption, Algorithm::Tdes, Mode::Both).exportable(Exportability::Trusted);
    Key::new(kek, &KEY).unwrap()
}

fn handed(content_key: &[u8]) -> Handed<'_> {
    Handed { key: &KEY, header: HEADER, content_key, iv: [0x5A; 16] }
}

fn key_token(answering: &Nonce, handed: &Handed<'_>) -> Vec<u8> {
    host().key(&receiver().credential().unwrap(), answering, handed).unwrap()
}

#[test]
fn the_credential_of_b_7_and_the_random_number_token_of_b_12_are_made_to_the_letter() {
    assert_eq!(receiver().credential().unwrap(), vector!("b-7-krd-credential"));
    let token = [
        &b"\x30\x20\x06\x0A\x2A\x86\x48\x86\xF7\x0D\x01\x09\x19\x03\x31\x12\x04\x10"[..],
        sample_nonce().bytes(),
    ]
    .concat();
    assert_eq!(sample_nonce().token().unwrap(), token);
    assert!(Nonce::from_token(&token).unwrap() == sample_nonce());
}

#[test]
fn the_host_of_b_6_is_bound_while_its_certificate_and_list_are_valid() {
    assert_eq!(bound().host(), KDH);
    let day = Duration::from_secs(86_400);
    for (now, refused) in [
        (NOW - 30 * day, Error::Expired("the list of revoked certificates")),
        (NOW + 30 * day, Error::Expired("the list of revoked certificates")),
    ] {
        assert_eq!(receiver().bind(vector!("b-6-kdh-credential"), Duration::ZERO, now).err(), Some(refused));
    }
}

#[test]
fn the_signature_of_b_9_verifies_over_its_attributes_as_they_stand() {
    let token = SignedData::token(vector!("b-9-key-token")).unwrap();
    let signer = token.signer.as_ref().unwrap();
    let kdh = certificate::Certificate::from_der(KDH).unwrap();
    signer.verify(&kdh, &token).unwrap();
    assert_eq!(signer.octets(cms::RANDOM_NONCE).unwrap(), sample_nonce().bytes());
    assert_eq!(signer.octets(cms::DATA).unwrap(), HEADER);
    // Its OAEP parameters are none, and its content key deciphers to nothing.
    let refused = receiver().receive(&mut bound(), sample_nonce(), vector!("b-9-key-token"), NOW);
    assert_eq!(refused, Err(Error::Algorithm("the enciphered content key")));
}

#[test]
fn the_content_of_b_9_opens_under_its_published_content_key() {
    let token = SignedData::token(vector!("b-9-key-token")).unwrap();
    let content_key = [&KEY[..], &[0xFF, 0xEE, 0xDD, 0xCC, 0xBB, 0xAA, 0x99, 0x88]].concat();
    let block = Envelope::content_of(token.content).unwrap().open(&content_key).unwrap();
    assert_eq!(block.as_slice(), vector!("b-2-2-2-3-key-block"));
    let kdh = certificate::Certificate::from_der(KDH).unwrap().name().unwrap();
    assert_eq!(envelope::key(&block, &kdh, HEADER).unwrap(), sample_key());
}

#[test]
fn a_key_token_of_openssl_gives_its_key() {
    let key = receiver().receive(&mut bound(), sample_nonce(), vector!("openssl-key-token"), NOW).unwrap();
    assert_eq!(key, sample_key());
}

#[test]
fn the_host_of_b_11_takes_over_and_that_of_b_14_lets_go() {
    let mut second = bound();
    receiver().rebind(&mut second, short_nonce(), vector!("b-11-rebind"), NOW).unwrap();
    assert_ne!(second.host(), KDH);
    assert_eq!(receiver().unbind(&mut bound(), short_nonce(), vector!("b-14-unbind"), NOW), Ok(()));
    // The first host has nothing to say any more.
    let refused = receiver().unbind(&mut second, short_nonce(), vector!("b-14-unbind"), NOW);
    assert_eq!(refused, Err(Error::OtherHost));
}

#[test]
fn what_the_host_makes_the_device_takes() {
    let credential = receiver().credential().unwrap();
    let mut binding = receiver().bind(&host().credential().unwrap(), Duration::ZERO, NOW).unwrap();
    for content_key in [&[0x11; 16][..], &[0x22; 32], &[KEY, [0x33; 16]].concat()[..24]] {
        let token = key_token(&sample_nonce(), &handed(content_key));
        assert_eq!(receiver().receive(&mut binding, sample_nonce(), &token, NOW), Ok(sample_key()));
    }
    let token = host().rebind(&credential, &sample_nonce(), KDH).unwrap();
    receiver().rebind(&mut binding, sample_nonce(), &token, NOW).unwrap();
    let token = host().unbind(&credential, &sample_nonce()).unwrap();
    assert_eq!(receiver().unbind(&mut binding, sample_nonce(), &token, NOW), Ok(()));
}

#[test]
fn a_token_answers_one_random_number() {
    let token = key_token(&sample_nonce(), &handed(&[0x11; 16]));
    assert_eq!(receiver().receive(&mut bound(), nonce(&[9; 16]), &token, NOW), Err(Error::Nonce));
    assert!(Nonce::new(&[1; 7]).is_err() && Nonce::new(&[1; 17]).is_err());
}

#[test]
fn a_token_of_one_kind_is_not_taken_for_another() {
    let credential = receiver().credential().unwrap();
    let unbind = host().unbind(&credential, &sample_nonce()).unwrap();
    let other = Err(Error::Form("it is another token"));
    assert_eq!(receiver().receive(&mut bound(), sample_nonce(), &unbind, NOW), other);
    let key = key_token(&sample_nonce(), &handed(&[0x11; 16]));
    assert_eq!(
        receiver().unbind(&mut bound(), sample_nonce(), &key, NOW),
        Err(Error::Form("it is another token"))
    );
    assert!(receiver().bind(&key, Duration::ZERO, NOW).is_err());
}

#[test]
fn a_key_does_what_its_header_says_and_an_impossible_header_is_refused() {
    let mut binding = bound();
    let mut take = |header: &[u8; 16], key: &[u8], content_key: &[u8]| {
        let token = key_token(&sample_nonce(), &Handed { key, header, content_key, iv: [0; 16] });
        receiver().receive(&mut binding, sample_nonce(), &token, NOW)
    };
    let pin = take(b"D0016P0AE00N0000", &[0x77; 16], &[0x11; 16]).unwrap();
    assert_eq!(*pin.attributes(), Attributes::new(Usage::PinEncryption, Algorithm::Aes, Mode::Encrypt));
    assert!(pin.encrypt_cbc(&[0; 16], &mut [0; 16]).is_err());
    assert!(matches!(
        take(b"D0016P0AG00N0000", &[0x77; 16], &[0x11; 16]),
        Err(Error::Key(keys::Error::Attributes { .. }))
    ));
    assert!(matches!(
        take(b"D0016ZZAE00N0000", &[0x77; 16], &[0x11; 16]),
        Err(Error::Key(keys::Error::KeyBlock(_)))
    ));
    assert!(matches!(
        take(b"D0016P0AE00N0000", &[0x77; 17], &[0x11; 16]),
        Err(Error::Key(keys::Error::Length { .. }))
    ));
    // AES-256 beneath AES-128.
    assert_eq!(take(b"D0016P0AE00N0000", &[0x77; 32], &[0x11; 16]), Err(Error::Key(keys::Error::Weaker)));
    assert!(take(b"D0016P0AE00N0000", &[0x77; 32], &[0x11; 32]).is_ok());
}

#[test]
fn the_header_beside_the_key_is_the_one_that_was_signed() {
    let kdh = certificate::Certificate::from_der(KDH).unwrap().name().unwrap();
    let block = vector!("b-2-2-2-3-key-block");
    assert_eq!(envelope::key(block, &kdh, b"A0256P0TB00E0000"), Err(Error::Header));
    let krd = certificate::Certificate::from_der(KRD).unwrap().name().unwrap();
    assert_eq!(envelope::key(block, &krd, HEADER), Err(Error::OtherHost));
}

#[test]
fn another_device_another_host_and_another_authority_are_refused() {
    // The sample's host as a device, which is what its credential makes it look like.
    let other = host().key(&host().credential().unwrap(), &sample_nonce(), &handed(&[0x11; 16])).unwrap();
    assert_eq!(receiver().receive(&mut bound(), sample_nonce(), &other, NOW), Err(Error::OtherDevice));
    let imposter = Distributor::new(KRD_KEY, KRD, CRL).unwrap();
    let token =
        imposter.key(&receiver().credential().unwrap(), &sample_nonce(), &handed(&[0x11; 16])).unwrap();
    assert_eq!(receiver().receive(&mut bound(), sample_nonce(), &token, NOW), Err(Error::OtherHost));
    let refused = receiver().bind(&imposter.credential().unwrap(), Duration::ZERO, NOW).err();
    assert_eq!(refused, Some(Error::Signature("the host's certificate")));
    // The host's certificate with the key of the device.
    let thief = Distributor::new(KRD_KEY, KDH, CRL).unwrap();
    let token = thief.key(&receiver().credential().unwrap(), &sample_nonce(), &handed(&[0x11; 16])).unwrap();
    assert_eq!(
        receiver().receive(&mut bound(), sample_nonce(), &token, NOW),
        Err(Error::Signature("the token"))
    );
    assert_eq!(Receiver::new(KRD_KEY, KDH, CA_KDH).err(), Some(Error::PrivateKey));
    assert_eq!(Receiver::new(KRD_KEY, KRD, KDH).err(), Some(Error::Certificate("its key usage")));
}

/// The list `crl-revoking-kdh-1` is made with the sample authority's key by `openssl ca -gencrl`.
#[test]
fn a_host_that_its_authority_revoked_is_refused() {
    let revoked = Distributor::new(KDH_KEY, KDH, vector!("crl-revoking-kdh-1")).unwrap();
    assert_eq!(
        receiver().bind(&revoked.credential().unwrap(), Duration::ZERO, NOW).err(),
        Some(Error::Revoked)
    );
    let credential = receiver().credential().unwrap();
    let token = revoked.key(&credential, &sample_nonce(), &handed(&[0x11; 16])).unwrap();
    assert_eq!(receiver().receive(&mut bound(), sample_nonce(), &token, NOW), Err(Error::Revoked));
}

#[test]
fn a_list_older_than_the_latest_one_is_refused() {
    let mut binding = Binding::restore(KDH, bound().list_made() + Duration::from_secs(1)).unwrap();
    let token = key_token(&sample_nonce(), &handed(&[0x11; 16]));
    assert_eq!(receiver().receive(&mut binding, sample_nonce(), &token, NOW), Err(Error::OldList));
}

#[test]
fn a_token_with_a_changed_byte_or_an_end_cut_off_gives_no_key() {
    let token = key_token(&sample_nonce(), &handed(&[0x11; 16]));
    for place in 0..token.len() {
        let mut changed = token.clone();
        changed[place] ^= 1;
        // The version, and the unused parameters of two algorithms, are not signed (RFC 5652, 5.1 and 5.3).
        if let Ok(key) = receiver().receive(&mut bound(), sample_nonce(), &changed, NOW) {
            assert_eq!(key, sample_key(), "{place}");
        }
        assert!(receiver().receive(&mut bound(), sample_nonce(), &token[..place], NOW).is_err(), "{place}");
    }
}
