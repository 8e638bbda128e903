//! The handshake that opens a protected session: `Noise_KK_P256_AESGCM_SHA256` (The Noise Protocol Framework, revision 34,
//! 5 and 7.5), with P-256 as the DH function as in CTAP 2.2, 11.5.1: public keys are uncompressed points, and the shared secret is the
//! x-coordinate.
//!
//! ```text
//! -> s
//! <- s
//! ...
//! -> e, es, ss
//! <- e, ee, se
//! ```

use aes_gcm::aead::{AeadInOut, KeyInit, Nonce};
use aes_gcm::{Aes256Gcm, Tag};
use hkdf::Hkdf;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{PublicKey, SecretKey, ecdh};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::protection::Pairing;

/// An uncompressed point on P-256 (SEC 1, 2.3.3).
pub(crate) const POINT: usize = 65;
/// What authenticates a ciphertext.
pub(crate) const TAG: usize = 16;

const NAME: &[u8] = b"Noise_KK_P256_AESGCM_SHA256";

/// A key of AES-256-GCM.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// The host's end, which has sent its message.
pub(crate) struct Initiator {
    symmetric: Symmetric,
    ephemeral: SecretKey,
}

/// What the handshake comes to: the key for what the host sends, and that for what the module sends.
pub(crate) struct Split {
    pub(crate) host: Key,
    pub(crate) module: Key,
}

impl Initiator {
    /// The first message, `e` and the tag of an empty payload.
    pub(crate) fn new(pairing: &Pairing, ephemeral: SecretKey, prologue: &[u8]) -> (Self, Vec<u8>) {
        let mut symmetric = Symmetric::new(prologue, &pairing.own.public_key(), &pairing.peer);
        let e = point(&ephemeral.public_key());
        symmetric.mix_hash(&e);
        symmetric.mix_key(&ephemeral, &pairing.peer);
        symmetric.mix_key(&pairing.own, &pairing.peer);
        let tag = symmetric.encrypt(&mut []);
        (Self { symmetric, ephemeral }, [&e[..], &tag[..]].concat())
    }

    /// Takes the answer. `None` for one that is not the module's own answer to this very message: the right one may still come.
    pub(crate) fn finish(&self, pairing: &Pairing, message: &[u8]) -> Option<(Vec<u8>, Split)> {
        let (e, payload) = message.split_first_chunk::<POINT>()?;
        let theirs = parse(e)?;
        let mut symmetric = self.symmetric.clone();
        symmetric.mix_hash(e);
        symmetric.mix_key(&self.ephemeral, &theirs);
        symmetric.mix_key(&pairing.own, &theirs);
        let payload = symmetric.decrypt(payload)?;
        Some((payload, symmetric.split()))
    }
}

/// The module's end: takes the first message, and answers with `payload`. `None` if it is not from the host of the pairing.
pub(crate) fn respond(
    pairing: &Pairing,
    ephemeral: &SecretKey,
    prologue: &[u8],
    message: &[u8],
    payload: &[u8],
) -> Option<(Vec<u8>, Split)> {
    let (e, tag) = message.split_first_chunk::<POINT>()?;
    let theirs = parse(e)?;
    let mut symmetric = Symmetric::new(prologue, &pairing.peer, &pairing.own.public_key());
    symmetric.mix_hash(e);
    symmetric.mix_key(&pairing.own, &theirs);
    symmetric.mix_key(&pairing.own, &pairing.peer);
    symmetric.decrypt(tag).filter(Vec::is_empty)?;
    let e = point(&ephemeral.public_key());
    symmetric.mix_hash(&e);
    symmetric.mix_key(ephemeral, &theirs);
    symmetric.mix_key(ephemeral, &pairing.peer);
    let mut sealed = payload.to_vec();
    let tag = symmetric.encrypt(&mut sealed);
    Some(([&e[..], &sealed, &tag[..]].concat(), symmetric.split()))
}

/// The SymmetricState of the framework, 5.2. No key serves for two messages, so that its nonce is always 0.
#[derive(Clone)]
struct Symmetric {
    chaining_key: Key,
    hash: [u8; 32],
    key: Key,
}

impl Symmetric {
    fn new(prologue: &[u8], host: &PublicKey, module: &PublicKey) -> Self {
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(NAME) {
            *to = *from;
        }
        let mut symmetric = Self { chaining_key: Key::new(hash), hash, key: Key::default() };
        symmetric.mix_hash(prologue);
        symmetric.mix_hash(&point(host));
        symmetric.mix_hash(&point(module));
        symmetric
    }

    fn mix_hash(&mut self, data: &[u8]) {
        self.hash = Sha256::new().chain_update(self.hash).chain_update(data).finalize().into();
    }

    fn mix_key(&mut self, own: &SecretKey, theirs: &PublicKey) {
        let shared = ecdh::diffie_hellman(own.to_nonzero_scalar(), theirs.as_affine());
        (self.chaining_key, self.key) = expand(&self.chaining_key, shared.raw_secret_bytes());
    }

    fn encrypt(&mut self, payload: &mut [u8]) -> [u8; TAG] {
        let tag = encrypt(&self.key, 0, &self.hash, payload);
        self.hash =
            Sha256::new().chain_update(self.hash).chain_update(payload).chain_update(tag).finalize().into();
        tag
    }

    fn decrypt(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (ciphertext, tag) = sealed.split_last_chunk()?;
        let mut payload = ciphertext.to_vec();
        decrypt(&self.key, 0, &self.hash, &mut payload, tag)?;
        self.mix_hash(sealed);
        Some(payload)
    }

    fn split(&self) -> Split {
        let (host, module) = expand(&self.chaining_key, &[]);
        Split { host, module }
    }
}

/// HKDF of the framework, 4.3, with two outputs: that of RFC 5869 without info.
pub(crate) fn expand(salt: &Key, material: &[u8]) -> (Key, Key) {
    let mut output = Zeroizing::new([0; 64]);
    // It is refused above 8160 bytes alone.
    let _ = Hkdf::<Sha256>::new(Some(&salt[..]), material).expand(&[], &mut output[..]);
    let (mut first, mut second) = (Key::default(), Key::default());
    for ((to, also), (from, other)) in
        first.iter_mut().zip(second.iter_mut()).zip(output.iter().zip(output.iter().skip(32)))
    {
        (*to, *also) = (*from, *other);
    }
    (first, second)
}

/// REKEY of the framework, 4.2.
pub(crate) fn rekey(key: &Key) -> Key {
    let mut next = Key::default();
    encrypt(key, u64::MAX, &[], &mut next[..]);
    next
}

/// AESGCM of the framework, 12.4: in place.
pub(crate) fn encrypt(key: &Key, nonce: u64, associated: &[u8], data: &mut [u8]) -> [u8; TAG] {
    let cipher = Aes256Gcm::new((&**key).into());
    // It is refused above 64 GiB alone; a tag of zeros authenticates nothing.
    let tag = cipher.encrypt_inout_detached(&nonce_bytes(nonce), associated, data.into());
    tag.map(Into::into).unwrap_or_default()
}

/// Undoes it. `None`, and nothing deciphered, where the tag is wrong.
pub(crate) fn decrypt(
    key: &Key,
    nonce: u64,
    associated: &[u8],
    data: &mut [u8],
    tag: &[u8; TAG],
) -> Option<()> {
    let cipher = Aes256Gcm::new((&**key).into());
    cipher.decrypt_inout_detached(&nonce_bytes(nonce), associated, data.into(), &Tag::from(*tag)).ok()
}

fn nonce_bytes(nonce: u64) -> Nonce<Aes256Gcm> {
    let [a, b, c, d, e, f, g, h] = nonce.to_be_bytes();
    [0, 0, 0, 0, a, b, c, d, e, f, g, h].into()
}

fn point(key: &PublicKey) -> [u8; POINT] {
    let mut bytes = [0; POINT];
    for (to, from) in bytes.iter_mut().zip(key.to_sec1_point(false).as_bytes()) {
        *to = *from;
    }
    bytes
}

/// An uncompressed point that is on the curve; the one at infinity has another form.
fn parse(bytes: &[u8; POINT]) -> Option<PublicKey> {
    PublicKey::from_sec1_bytes(bytes).ok()
}
