//! `docs/host-qr-gateway.md`, Signatures: the gateway's end. Only a request of a known key, signed now and not before
//! seen, comes in; what goes out is signed.

use std::collections::BTreeMap;

use crate::MAX_SKEW;
use crate::head::{Head, HeadError, Signed};
use crate::key::{KeyError, Sign, Verify};
use crate::message::{Refusal, RefusalKind, Request};

/// The most nonces that are remembered: more requests in 600 s are refused until some are forgotten.
const MAX_NONCES: usize = 100_000;

/// What lets requests in.
pub struct Door {
    keys: BTreeMap<String, Box<dyn Verify>>,
    nonces: Nonces,
}

/// A request that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The name of the key that signed it: whose terminal it is.
    pub key: String,
    /// What is asked.
    pub request: Request,
}

impl Door {
    /// A door that opens at `now` for these keys, by name. What was signed before is refused, because it may have been
    /// answered by a predecessor that has forgotten its nonces.
    #[must_use]
    pub fn new(keys: BTreeMap<String, Box<dyn Verify>>, now: u64) -> Door {
        Door { keys, nonces: Nonces { opened: now, swept: now, seen: BTreeMap::new() } }
    }

    /// Lets a request in that arrives at `now`, or says why not.
    ///
    /// # Errors
    /// The refusal to answer.
    pub fn admit(
        &mut self,
        method: &str,
        path: &str,
        head: &Head,
        body: &[u8],
        now: u64,
    ) -> Result<Admitted, Refusal> {
        // One reason for both: who asks learns no names of keys.
        let wrong =
            || RefusalKind::BadSignature.because("the key is unknown or the signature is not its own");
        let key = self.keys.get(&head.key).ok_or_else(wrong)?;
        head.verify(key.as_ref(), now, Signed { line: method, path, body }).map_err(|error| match error {
            HeadError::Skew(_) => RefusalKind::ClockSkew.because(error.to_string()),
            _ => wrong(),
        })?;
        // After the signature: a stranger must not use up the nonce of another.
        self.nonces.take(head, now)?;
        if method != "POST" {
            return Err(RefusalKind::NotFound.because("every path takes POST"));
        }
        Ok(Admitted { key: head.key.clone(), request: Request::parse(path, body)? })
    }
}

/// The header fields of an answer to a request with this nonce.
///
/// # Errors
/// If the key cannot be used.
pub fn seal(
    key_name: &str,
    key: &dyn Sign,
    now: u64,
    nonce: &str,
    status: u16,
    path: &str,
    body: &[u8],
) -> Result<Head, KeyError> {
    Head::sign(key_name, key, now, nonce, Signed { line: &status.to_string(), path, body })
}

/// The nonces that could still be replayed: key and nonce, with the time at which they were signed.
struct Nonces {
    opened: u64,
    swept: u64,
    seen: BTreeMap<(String, String), u64>,
}

impl Nonces {
    fn take(&mut self, head: &Head, now: u64) -> Result<(), Refusal> {
        if now != self.swept {
            self.seen.retain(|_, signed| signed.saturating_add(MAX_SKEW) >= now);
            self.swept = now;
        }
        if head.timestamp < self.opened {
            return Err(RefusalKind::Replayed.because("signed before the gateway started: sign again"));
        }
        if self.seen.contains_key(&(head.key.clone(), head.nonce.clone())) {
            return Err(
                RefusalKind::Replayed.because("the nonce was used before: sign again with another one")
            );
        }
        if self.seen.len() >= MAX_NONCES {
            return Err(RefusalKind::Unavailable.because("too many requests: send again later"));
        }
        self.seen.insert((head.key.clone(), head.nonce.clone()), head.timestamp);
        Ok(())
    }
}
