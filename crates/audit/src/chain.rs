//! The links between records: SHA-256 (FIPS 180-4).
//!
//! ```text
//! first link  = SHA-256("smartpos audit 1 journal" || identity)
//! record      = id || transaction || at || body       (three integers of 64 bits, big-endian; then UTF-8)
//! link        = SHA-256("smartpos audit 1 record" || link before || length of record, 64 bits || record)
//! ```
//!
//! All parts but the last have a fixed length, so that no two records are the same octets. Neither tag begins the other, so
//! that no record stands for a journal's identity. A seal is a signature over what a [`Chain`] is: the last id and the head.

use sha2::{Digest as _, Sha256};

use crate::{Identity, Link, Octets};

const JOURNAL: &[u8] = b"smartpos audit 1 journal";
const RECORD: &[u8] = b"smartpos audit 1 record";

/// One event, as it is bound into the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place: 1, 2, 3 …
    pub id: i64,
    /// The transaction that it happened to.
    pub transaction: i64,
    /// Milliseconds since 1970.
    pub at: i64,
    /// What happened: the text as the journal holds it, to the octet.
    pub body: &'a str,
}

/// Where a chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The id of the record that was appended last; 0 before the first.
    pub last: i64,
    /// Its link; before the first record, that of the journal's identity.
    pub head: Link,
}

/// The first record that does not stand where, or as, it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Another record stands in its place.
    #[error("record {missing} is missing: record {found} stands in its place")]
    Missing {
        /// The one that should stand there.
        missing: i64,
        /// The one that does.
        found: i64,
    },
    /// Its link does not fit.
    #[error("record {0} is not as it was written, or what stands before it is not")]
    Changed(i64),
}

impl Chain {
    /// The empty chain of a journal.
    pub fn new(journal: &Identity) -> Chain {
        let digest = Sha256::new().chain_update(JOURNAL).chain_update(journal.0);
        Chain { last: 0, head: Link::from_digest(digest) }
    }

    /// The place of the next record.
    pub fn next_id(&self) -> i64 {
        self.last.saturating_add(1)
    }

    /// Appends `record`; the head is its link then.
    pub fn append(&mut self, record: &Record<'_>) {
        let numbers = [record.id, record.transaction, record.at].map(i64::to_be_bytes);
        let length = numbers.as_flattened().len().saturating_add(record.body.len());
        let digest = Sha256::new()
            .chain_update(RECORD)
            .chain_update(self.head.0)
            .chain_update(u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes())
            .chain_update(numbers.as_flattened())
            .chain_update(record.body);
        *self = Chain { last: record.id, head: Link::from_digest(digest) };
    }

    /// Appends `record`, if it comes next and `link` is its link.
    ///
    /// # Errors
    /// What is wrong with it; the chain is as before then.
    pub fn check(&mut self, record: &Record<'_>, link: &Link) -> Result<(), Broken> {
        if record.id != self.next_id() {
            return Err(Broken::Missing { missing: self.next_id(), found: record.id });
        }
        let mut next = *self;
        next.append(record);
        if next.head != *link {
            return Err(Broken::Changed(record.id));
        }
        *self = next;
        Ok(())
    }
}

impl Link {
    fn from_digest(digest: Sha256) -> Link {
        Octets(digest.finalize().into())
    }
}
