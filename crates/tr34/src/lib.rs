//! X9 TR-34 (2012, 2019): how a key distribution host hands a terminal its first symmetric key, under RSA, in two passes.
//!
//! A terminal is the *key receiving device* (KRD): [`Receiver`]. It has a private key with a certificate, and knows one
//! certification authority of hosts. A *key distribution host* (KDH) is [bound](Receiver::bind) to it once; from then on it takes
//! keys of that host alone, each against a random number of its own, and only the host can hand it over to another one or let go
//! of it. The other end is [`Distributor`].
//!
//! Nothing here does I/O or reads a clock. RSA is done by aws-lc, which draws what OAEP and the blinding of a private key
//! need; every other random number is handed in.

mod certificate;
mod cms;
mod distributor;
mod envelope;
mod error;
mod receiver;
#[cfg(test)]
mod tests;

pub use distributor::{Distributor, Handed};
pub use error::{Error, Result};
pub use receiver::{Binding, Nonce, Receiver};

/// The most bytes of a token, of a certificate and of a CRL.
pub const LONGEST: usize = 16_384;
