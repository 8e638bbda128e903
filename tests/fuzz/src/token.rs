//! Tokens of TR-34, as a device has them from whoever claims to be its host.

use std::sync::LazyLock;
use std::time::Duration;

use tr34::{Binding, Nonce, Receiver};

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("../../../crates/tr34/tests/vectors/", $name, ".der"))
    };
}

/// 2010-11-15, when the samples of the standard are valid.
const NOW: Duration = Duration::from_secs(1_289_779_200);
/// The nonces of the samples.
const NONCES: [&[u8]; 2] = [
    b"\x16\x7E\xB0\xE7\x27\x81\xE4\x94\x01\x12\x23\x34\x45\x56\x67\x78",
    b"\x7D\xEA\x1C\x00\x89\x4E\x24\x6A",
];

static DEVICE: LazyLock<Receiver> = LazyLock::new(|| {
    Receiver::new(vector!("krd-1-key"), vector!("krd-1"), vector!("ca-kdh")).expect("the sample device")
});

/// The bytes as each token. Only the sample host can bind, and only the key that it signed is taken.
pub(crate) fn tr34_token(bytes: &[u8]) -> bool {
    let host = vector!("kdh-1");
    let bound = || Binding::restore(host, Duration::ZERO).expect("the sample host");
    let nonces = || NONCES.iter().map(|nonce| Nonce::new(nonce).expect("8 or 16 bytes"));
    let mut taken = false;
    if let Ok(binding) = DEVICE.bind(bytes, Duration::ZERO, NOW) {
        assert_eq!(binding.host(), host, "another host is bound");
        taken = true;
    }
    for nonce in nonces() {
        if let Ok(key) = DEVICE.receive(&mut bound(), nonce, bytes, NOW) {
            assert_eq!(
                keys::kcv::of(&key, keys::kcv::Method::Zeros).expect("a check value")[..3],
                [0x08, 0xD7, 0xB4]
            );
            taken = true;
        }
    }
    taken |= nonces().any(|nonce| DEVICE.rebind(&mut bound(), nonce, bytes, NOW).is_ok());
    taken |= nonces().any(|nonce| DEVICE.unbind(&mut bound(), nonce, bytes, NOW).is_ok());
    if let Ok(nonce) = Nonce::from_token(bytes) {
        assert_eq!(nonce.token().expect("what was taken fits"), bytes, "a random number token");
        taken = true;
    }
    taken
}
