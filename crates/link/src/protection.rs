//! A protected line: each end knows the other by a key that it was paired with, and each frame of a session is enciphered and
//! authenticated, in its place and once.

use p256::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::frame::{Frame, Kind};
use crate::noise::{self, Initiator, Key, Split, TAG};

/// What stands in front of the sealed bytes: the lower half of the frame's count.
const COUNT: usize = 2;
/// How many bytes protection adds to a payload.
pub(crate) const SEAL: usize = COUNT + TAG;
/// Each direction has another key after so many frames: 2 to the power of this.
const REKEY_BITS: u32 = 16;

/// What the ends of a line were paired with in the factory: keys on P-256, our private one and the other's public one.
#[derive(Clone)]
pub struct Pairing {
    pub(crate) own: SecretKey,
    pub(crate) peer: PublicKey,
}

impl Pairing {
    /// From our private key (a scalar) and the other's public key (a point, SEC 1, 2.3.3).
    ///
    /// # Errors
    /// [`Error::Pairing`] if one of them is none.
    pub fn new(own: &[u8; 32], peer: &[u8]) -> Result<Self> {
        let own = SecretKey::from_slice(own).map_err(|_| Error::Pairing("our own key"))?;
        let peer = PublicKey::from_sec1_bytes(peer).map_err(|_| Error::Pairing("the other end's key"))?;
        Ok(Self { own, peer })
    }

    /// From PEM: our private key in PKCS #8 (RFC 5208), and the other's SubjectPublicKeyInfo (RFC 5480).
    ///
    /// # Errors
    /// [`Error::Pairing`] if one of them is none.
    pub fn from_pem(own: &str, peer: &str) -> Result<Self> {
        use p256::pkcs8::{DecodePrivateKey, DecodePublicKey};
        let own = SecretKey::from_pkcs8_pem(own).map_err(|_| Error::Pairing("our own key"))?;
        let peer = PublicKey::from_public_key_pem(peer).map_err(|_| Error::Pairing("the other end's key"))?;
        Ok(Self { own, peer })
    }
}

/// What an end needs to protect its line. It accepts no line that is not protected.
pub struct Protection {
    pairing: Pairing,
    /// Where the next ephemeral key comes from. Nothing leads back from one to those before.
    entropy: Key,
}

impl Protection {
    /// `entropy` are random bytes, for this object alone.
    #[must_use]
    pub fn new(pairing: Pairing, entropy: Zeroizing<[u8; 32]>) -> Self {
        Self { pairing, entropy }
    }

    fn ephemeral(&mut self) -> SecretKey {
        loop {
            let (next, secret) = noise::expand(&self.entropy, b"ephemeral");
            self.entropy = next;
            // One in 2^32 is no scalar of the curve.
            if let Ok(secret) = SecretKey::from_slice(&secret[..]) {
                return secret;
            }
        }
    }

    /// Begins a session: what a Hello with these fields goes on with.
    pub(crate) fn hello(&mut self, session: u32, fields: &[u8]) -> (Initiator, Vec<u8>) {
        let ephemeral = self.ephemeral();
        Initiator::new(&self.pairing, ephemeral, &prologue(session, fields))
    }

    /// The host's end of the session, if this Welcome is the module's: `message` is what follows its fields.
    pub(crate) fn welcomed(
        &self,
        session: u32,
        hello: &Initiator,
        fields: &[u8],
        message: &[u8],
    ) -> Option<Channel> {
        let (said, Split { host, module }) = hello.finish(&self.pairing, message)?;
        // What the module said of itself counts as it was sealed.
        (said == fields).then(|| Channel::new(session, host, module))
    }

    /// The module's end of the session, and what follows the fields of its Welcome; `None` for the Hello of somebody else.
    pub(crate) fn welcome(
        &mut self,
        session: u32,
        hello_fields: &[u8],
        message: &[u8],
        fields: &[u8],
    ) -> Option<(Channel, Vec<u8>)> {
        let ephemeral = self.ephemeral();
        let prologue = prologue(session, hello_fields);
        let (answer, Split { host, module }) =
            noise::respond(&self.pairing, &ephemeral, &prologue, message, fields)?;
        Some((Channel::new(session, module, host), answer))
    }
}

/// Binds the session and what the host offers, so that nobody talks the ends out of either.
fn prologue(session: u32, fields: &[u8]) -> Vec<u8> {
    [&b"smartpos link"[..], &session.to_be_bytes(), fields].concat()
}

/// One end's keys of an open session.
pub(crate) struct Channel {
    session: u32,
    sending: Direction,
    receiving: Direction,
}

struct Direction {
    key: Key,
    /// The count of the latest frame.
    count: u32,
}

impl Channel {
    fn new(session: u32, sending: Key, receiving: Key) -> Self {
        let direction = |key| Direction { key, count: 0 };
        Self { session, sending: direction(sending), receiving: direction(receiving) }
    }

    /// Seals what is said in the session. The same frame sent again is sealed anew. `None` after 2^32 frames: the session is over.
    pub(crate) fn seal(&mut self, frame: &Frame) -> Option<Frame> {
        let kind = frame.kind.sealed()?;
        let count = self.sending.count.checked_add(1)?;
        let key = self.sending.key_for(count)?;
        let mut payload = Zeroizing::new(Vec::with_capacity(frame.payload.len() + SEAL));
        payload.extend(lower(count));
        payload.extend(frame.payload.iter());
        let (_, data) = payload.split_at_mut_checked(COUNT)?;
        let tag = noise::encrypt(&key, count.into(), &header(kind, self.session, frame.number), data);
        payload.extend(tag);
        self.sending = Direction { key, count };
        Some(Frame { payload, ..Frame::bare(kind, 0, frame.number) })
    }

    /// What is in a sealed frame; `None` if it was changed, is of another session, or not later than all that came before.
    pub(crate) fn open(&mut self, sealed: &Frame) -> Option<Frame> {
        let kind = sealed.kind.opened()?;
        let (said, data) = sealed.payload.split_first_chunk()?;
        let (data, tag) = data.split_last_chunk()?;
        let count = self.receiving.next_ending_in(*said)?;
        let key = self.receiving.key_for(count)?;
        let mut payload = Zeroizing::new(data.to_vec());
        let header = header(sealed.kind, self.session, sealed.number);
        noise::decrypt(&key, count.into(), &header, &mut payload, tag)?;
        self.receiving = Direction { key, count };
        Some(Frame { payload, ..Frame::bare(kind, self.session, sealed.number) })
    }
}

impl Direction {
    /// The first count after the latest one that has this lower half. That of a frame before is taken for a later one, which nothing was
    /// sealed with.
    fn next_ending_in(&self, said: [u8; COUNT]) -> Option<u32> {
        let ahead = u16::from_be_bytes(said).wrapping_sub(u16::from_be_bytes(lower(self.count)));
        self.count.checked_add(if ahead == 0 { 1 << REKEY_BITS } else { ahead.into() })
    }

    /// The key of the frame `count`: this one or the next. One further on would be of a line that lost more frames than can be counted.
    fn key_for(&self, count: u32) -> Option<Key> {
        match (count >> REKEY_BITS).checked_sub(self.count >> REKEY_BITS)? {
            0 => Some(self.key.clone()),
            1 => Some(noise::rekey(&self.key)),
            _ => None,
        }
    }
}

/// The half of a count that is on the line.
fn lower(count: u32) -> [u8; COUNT] {
    let [_, _, high, low] = count.to_be_bytes();
    [high, low]
}

/// What is authenticated with the payload: the frame's head, and its session.
fn header(kind: Kind, session: u32, number: u16) -> [u8; 7] {
    let [a, b, c, d] = session.to_be_bytes();
    let [e, f] = number.to_be_bytes();
    [kind.code(), a, b, c, d, e, f]
}

#[cfg(test)]
mod tests;
