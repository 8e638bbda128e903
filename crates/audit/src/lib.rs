//! A journal whose records are bound to each other: whoever removes, changes, reorders or inserts one has to make all links
//! after it anew, and then ends at another head.
//!
//! - [`chain`]: the links, and the chain that records are appended to or checked against.
//! - [`copy`]: the file that a journal is exported to, line by line, and its check. No terminal is needed for it.
//! - [`seal`]: a secure module's signature over where the chain was.
//!
//! A chain alone does not stop one who can write the whole journal: such a one makes a whole new chain. It shows all the
//! same that this happened to whoever holds an earlier copy, or knows an earlier head. `docs/audit.md` says more.

pub mod chain;
pub mod copy;
mod octets;
pub mod seal;

pub use octets::{NotOctets, Octets};

/// What tells one journal from another: drawn at random when it is made.
pub type Identity = Octets<16>;
/// A public key of SM2: the point `x ‖ y`.
pub type PublicKey = Octets<64>;
/// A signature of SM2: `r ‖ s`.
pub type Signature = Octets<64>;
/// A record's link: a SHA-256 over it and, by the link before, over all before it.
pub type Link = Octets<32>;
