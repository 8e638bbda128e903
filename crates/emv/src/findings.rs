//! What the kernel decided, and by which clause: for whoever replays a transaction and asks why it ended as it did.
//!
//! Nothing is kept unless [`Kernel::record_findings`] was called; a daemon never does. Nothing in a finding is sensitive.

use core::fmt;

use crate::bits::Bit;
use crate::kernel::Kernel;
use crate::outcome::{CryptogramKind, Decision, Online, Reason};
use crate::words;

/// More findings than a card with the longest lists leads to; what comes after is not kept.
const MAX_FINDINGS: usize = 1024;

/// One thing that was decided. Its `Display` is a sentence without the clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// Terminal and card have so many applications in common.
    Candidates(usize),
    /// The application was selected, and said what it wants to be told.
    ApplicationSelected,
    /// The card lists so many records.
    Records(usize),
    /// A bit of the terminal verification results was set: byte from 0, mask.
    Tvr {
        /// From 0.
        byte: usize,
        /// One bit.
        mask: u8,
    },
    /// A bit of the transaction status information was set.
    Tsi {
        /// From 0.
        byte: usize,
        /// One bit.
        mask: u8,
    },
    /// A rule of the CVM list was passed over, as its condition does not hold.
    RulePassedOver {
        /// Annex C3: CVM code.
        code: u8,
        /// Annex C3: CVM condition code.
        condition: u8,
    },
    /// The CVM results (9F34) were set.
    CvmResults([u8; 3]),
    /// The results were compared with action codes of issuer and terminal.
    Compared {
        /// Which pair of action codes.
        with: ActionCodes,
        /// The bits of the results that one of them has, too.
        common: [u8; 5],
    },
    /// The card is asked for this cryptogram.
    Requested(CryptogramKind),
    /// The card gave this cryptogram.
    Given(CryptogramKind),
    /// What became of asking the issuer.
    Online(Online),
    /// The end.
    Ended(Decision, Reason),
}

/// A pair of action codes, the issuer's and the terminal's (Book 3 clause 10.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionCodes {
    /// A bit in common declines.
    Denial,
    /// A bit in common asks the issuer.
    Online,
    /// A bit in common declines where the issuer can't be asked.
    Default,
}

impl Finding {
    /// The clause that it was decided by; `None` where the sentence says it itself, or none decides.
    pub fn clause(&self) -> Option<&'static str> {
        let clause = match *self {
            Self::Candidates(_) => "Book 1, 12.3",
            Self::ApplicationSelected => "Book 1, 12.4",
            Self::Records(_) => "Book 3, 10.2",
            Self::Tvr { byte, mask } => words::tvr_bit(Bit { byte, mask }).1,
            Self::Tsi { byte, mask } => words::tsi_bit(Bit { byte, mask }).1,
            Self::RulePassedOver { .. } => "Book 3, 10.5",
            Self::CvmResults(_) => "Book 4, 6.3.4.5",
            Self::Compared { .. } | Self::Requested(_) => "Book 3, 10.7",
            Self::Given(_) => "Book 3, 10.8",
            Self::Online(_) => "Book 3, 10.9",
            Self::Ended(..) => "",
        };
        (!clause.is_empty()).then_some(clause)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Candidates(1) => f.write_str("one application in common"),
            Self::Candidates(count) => write!(f, "{count} applications in common"),
            Self::ApplicationSelected => f.write_str("the application is selected"),
            Self::Records(1) => f.write_str("one record to read"),
            Self::Records(count) => write!(f, "{count} records to read"),
            Self::Tvr { byte, mask } => bit(f, "TVR", byte, mask, words::tvr_bit(Bit { byte, mask }).0),
            Self::Tsi { byte, mask } => bit(f, "TSI", byte, mask, words::tsi_bit(Bit { byte, mask }).0),
            Self::RulePassedOver { code, condition } => {
                let (method, condition) = (words::cvm_method(code), words::cvm_condition(condition));
                write!(f, "rule passed over: {method}; not so: {condition}")
            }
            Self::CvmResults(results) => {
                let words = words::words(tlv::tags::CVM_RESULTS, &results, None);
                write!(f, "CVM results {}: {}", hex::encode_upper(results), words.concat())
            }
            Self::Compared { with, common } => {
                let with = match with {
                    ActionCodes::Denial => "denial",
                    ActionCodes::Online => "online",
                    ActionCodes::Default => "default",
                };
                match common {
                    [0, 0, 0, 0, 0] => write!(f, "no bit of the TVR is in the action codes for {with}"),
                    _ => write!(f, "TVR and action codes for {with} share {}", hex::encode_upper(common)),
                }
            }
            Self::Requested(kind) => write!(f, "the card is asked for {}", cryptogram(kind)),
            Self::Given(kind) => write!(f, "the card gives {}", cryptogram(kind)),
            Self::Online(Online::NotTried) => f.write_str("the issuer is not asked"),
            Self::Online(Online::Approved) => f.write_str("the issuer approves"),
            Self::Online(Online::Declined) => f.write_str("the issuer declines"),
            Self::Online(Online::Unreachable) => f.write_str("the issuer can't be reached"),
            Self::Ended(decision, reason) => {
                let decision = match decision {
                    Decision::Approved => "approved",
                    Decision::Declined => "declined",
                    Decision::Terminated => "terminated",
                };
                write!(f, "{decision}: {reason}")
            }
        }
    }
}

fn bit(f: &mut fmt::Formatter<'_>, map: &str, byte: usize, mask: u8, words: &str) -> fmt::Result {
    write!(f, "{map} byte {} bit {}: {words}", byte + 1, 8 - mask.leading_zeros())
}

fn cryptogram(kind: CryptogramKind) -> &'static str {
    match kind {
        CryptogramKind::Aac => "an AAC",
        CryptogramKind::Tc => "a TC",
        CryptogramKind::Arqc => "an ARQC",
    }
}

/// The findings so far, if they are wanted.
#[derive(Default)]
pub(crate) struct Findings(Option<Vec<Finding>>);

impl Kernel {
    /// Keeps what is decided from now on, for [`Kernel::findings`].
    pub fn record_findings(&mut self) {
        self.findings.0.get_or_insert_default();
    }

    /// What has been decided since [`Kernel::record_findings`], in its order.
    pub fn findings(&self) -> &[Finding] {
        self.findings.0.as_deref().unwrap_or_default()
    }

    pub(crate) fn note(&mut self, finding: Finding) {
        if let Some(findings) = self.findings.0.as_mut().filter(|findings| findings.len() < MAX_FINDINGS) {
            findings.push(finding);
        }
    }
}
