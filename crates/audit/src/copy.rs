//! The copy of a journal: JSON Lines, UTF-8. The journal's identity comes first, then each record with its link, each seal
//! after the last record that it covers, then where the chain ended when the copy was made. Where the journal has dropped
//! its oldest records, the seal over the last of them is its anchor, and stands in their place.
//!
//! ```text
//! {"journal":{"version":1,"identity":"…"}}
//! {"anchor":{"last":4711,"head":"…","at":1763900000000,"key":"…","signature":"…"}}      where records were dropped
//! {"record":{"id":1,"transaction":1,"at":1763900000000,"body":"{…}","link":"…"}}
//! {"seal":{"last":1,"head":"…","at":1763900000000,"key":"…","signature":"…"}}
//! {"end":{"last":1,"head":"…"}}
//! ```
//!
//! The body is a JSON string, so that whatever reads and writes JSON keeps it to the octet.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::chain::{Broken, Chain, Record};
use crate::seal::Seal;
use crate::{Identity, Link, Octets, PublicKey};

/// The version of the form.
pub const VERSION: u32 = 1;
/// No line is longer, in octets, its end included.
pub const MAX_LINE: usize = 1 << 20;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Line<'a> {
    /// Whose copy this is.
    Journal {
        /// [`VERSION`].
        version: u32,
        /// The journal's.
        identity: Identity,
    },
    /// A record.
    Record {
        /// As in [`Record::id`].
        id: i64,
        /// As in [`Record::transaction`].
        transaction: i64,
        /// As in [`Record::at`].
        at: i64,
        /// As in [`Record::body`].
        #[serde(borrow)]
        body: Cow<'a, str>,
        /// The record's link.
        link: Link,
    },
    /// The seal over the last record that the journal has dropped.
    Anchor(Seal),
    /// A seal over the records so far.
    Seal(Seal),
    /// Where the journal's chain ended.
    End {
        /// The last record's id.
        last: i64,
        /// The last record's link.
        head: Link,
    },
}

impl Line<'_> {
    /// The line as it is written, its end included.
    ///
    /// # Errors
    /// None that this form can have.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|text| text + "\n")
    }
}

/// Why a copy is not what a journal held.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// This is no line of a copy.
    #[error("line {line} can't be read: {reason}")]
    Unreadable {
        /// From 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// The copy is of another form.
    #[error("the copy is of version {0}; this program knows {VERSION}")]
    Version(u32),
    /// The line is of a kind that has no place here.
    #[error(
        "line {0} does not belong there: a copy is one line `journal`, records and seals, one line `end`"
    )]
    Misplaced(usize),
    /// A record is not what was written.
    #[error("line {line}: {broken}")]
    Broken {
        /// From 1.
        line: usize,
        /// Which record, and how.
        broken: Broken,
    },
    /// The records end elsewhere than the journal did.
    #[error("the copy's last record is {last}, the journal's was {end}")]
    End {
        /// The last one that is there.
        last: i64,
        /// Where the journal's chain ended.
        end: i64,
    },
    /// The head that the journal had is another one.
    #[error("the journal's head does not belong to record {0}")]
    Head(i64),
    /// The last line is not there.
    #[error("the copy breaks off after record {0}: it was cut, or was never finished")]
    Cut(i64),
    /// The head that was known before is none of this journal's.
    #[error(
        "the chain never had the head {0}: this journal was made anew, was cut before it, or begins after it"
    )]
    Unknown(Link),
    /// What was sealed is not what stands here.
    #[error("line {line}: what was sealed as record {last} and all before it is not what stands there")]
    NotSealed {
        /// From 1.
        line: usize,
        /// The last record that the seal covers.
        last: i64,
    },
    /// The signature is not one.
    #[error("line {0}: the seal's signature is false")]
    Forged(usize),
    /// The seal was not made by one of the keys that are trusted.
    #[error("line {0}: the seal is by another key than was given")]
    Stranger(usize),
    /// Nothing is sealed, although the key of a secure module is known.
    #[error("the copy has no seal by the key that was given")]
    Unsealed,
}

/// What a copy that holds is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Where its chain ends.
    pub chain: Chain,
    /// The last record that the journal has dropped; 0 where it begins with its first.
    pub dropped: i64,
    /// The last seal: what came after it is bound, and not sealed.
    pub seal: Option<Seal>,
}

/// The check of a copy, line by line.
#[derive(Debug, Clone)]
pub struct Check {
    line: usize,
    stage: Stage,
    /// A head that is known from elsewhere and not yet passed.
    wanted: Option<Link>,
    /// Whose seals count; where none is named, every key that the copy names.
    trusted: Vec<PublicKey>,
    journal: Identity,
    dropped: i64,
    seal: Option<Seal>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Start,
    Records(Chain),
    End(Chain),
}

impl Check {
    /// Begins. `known` is a head that the journal is known to have had: one told earlier, or of an earlier copy.
    /// `trusted` are the public keys of the secure modules that this terminal had: with one, an unsealed copy is refused.
    pub fn new(known: Option<Link>, trusted: Vec<PublicKey>) -> Check {
        let journal = Octets([0; 16]);
        Check { line: 0, stage: Stage::Start, wanted: known, trusted, journal, dropped: 0, seal: None }
    }

    /// Takes the next line, with its end or without.
    ///
    /// # Errors
    /// What is wrong with it. Only the first error of a copy means something.
    pub fn line(&mut self, text: &[u8]) -> Result<(), Error> {
        self.line = self.line.saturating_add(1);
        let unreadable = |reason: String| Error::Unreadable { line: self.line, reason };
        if text.len() > MAX_LINE {
            return Err(unreadable(format!("it has more than {MAX_LINE} octets")));
        }
        let line: Line<'_> = serde_json::from_slice(text).map_err(|error| unreadable(error.to_string()))?;
        self.stage = match (self.stage, line) {
            (Stage::Start, Line::Journal { version: VERSION, identity }) => {
                self.journal = identity;
                Stage::Records(self.passing(Chain::new(&identity)))
            }
            (Stage::Records(chain), Line::Anchor(seal)) if chain.last == 0 && seal.last > 0 => {
                self.dropped = seal.last;
                Stage::Records(self.sealed(seal)?)
            }
            (Stage::Records(chain), Line::Seal(seal))
                if self.seal.is_none_or(|seal| seal.last < chain.last) =>
            {
                if seal.chain() != chain {
                    return Err(Error::NotSealed { line: self.line, last: seal.last });
                }
                Stage::Records(self.sealed(seal)?)
            }
            (Stage::Start, Line::Journal { version, .. }) => return Err(Error::Version(version)),
            (Stage::Records(mut chain), Line::Record { id, transaction, at, body, link }) => {
                let checked = chain.check(&Record { id, transaction, at, body: &body }, &link);
                checked.map_err(|broken| Error::Broken { line: self.line, broken })?;
                Stage::Records(self.passing(chain))
            }
            (Stage::Records(chain), Line::End { last, head }) => Stage::End(ended(chain, last, head)?),
            _ => return Err(Error::Misplaced(self.line)),
        };
        Ok(())
    }

    /// Ends the copy.
    ///
    /// # Errors
    /// What is missing.
    pub fn finish(self) -> Result<Whole, Error> {
        match (self.stage, self.wanted) {
            (Stage::Start, _) => Err(Error::Cut(0)),
            (Stage::Records(chain), _) => Err(Error::Cut(chain.last)),
            (Stage::End(_), Some(known)) => Err(Error::Unknown(known)),
            (Stage::End(_), None) if self.seal.is_none() && !self.trusted.is_empty() => Err(Error::Unsealed),
            (Stage::End(chain), None) => Ok(Whole { chain, dropped: self.dropped, seal: self.seal }),
        }
    }

    /// Takes a seal that stands in its place; where the chain is then.
    fn sealed(&mut self, seal: Seal) -> Result<Chain, Error> {
        if !self.trusted.is_empty() && !self.trusted.contains(&seal.key) {
            return Err(Error::Stranger(self.line));
        }
        if !seal.is_signed(&self.journal) {
            return Err(Error::Forged(self.line));
        }
        self.seal = Some(seal);
        Ok(self.passing(seal.chain()))
    }

    fn passing(&mut self, chain: Chain) -> Chain {
        self.wanted = self.wanted.filter(|wanted| *wanted != chain.head);
        chain
    }
}

fn ended(chain: Chain, last: i64, head: Link) -> Result<Chain, Error> {
    if last != chain.last {
        return Err(Error::End { last: chain.last, end: last });
    }
    if head != chain.head {
        return Err(Error::Head(last));
    }
    Ok(chain)
}
