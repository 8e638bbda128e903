//! EMV Book 4 clause 6.3 and Book 3 clause 10.11: how a transaction ended, and why.

use tlv::Tag;

use crate::names::{Aid, Label};

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The card gave a transaction certificate.
    Approved,
    /// The card, the issuer or the terminal declined.
    Declined,
    /// The transaction broke off without a decision of the card.
    Terminated,
}

/// Whether the issuer was asked, and what it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Online {
    /// Not asked.
    NotTried,
    /// It approved.
    Approved,
    /// It declined.
    Declined,
    /// It could not be reached.
    Unreachable,
}

/// How the cardholder was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cvm {
    /// The card does not support verification, has no rules, or it was not reached.
    None,
    /// A PIN was entered; the issuer checks it.
    OnlinePin,
    /// A PIN was entered, and the card has verified it.
    OfflinePin,
    /// The card has verified a PIN, and the receipt must be signed.
    OfflinePinAndSignature,
    /// The receipt must be signed.
    Signature,
    /// The card's rules ask for none.
    NotRequired,
    /// All that applied failed.
    Failed,
}

/// The kind of a cryptogram (Book 3 clause 6.5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CryptogramKind {
    /// Application Authentication Cryptogram: declined.
    Aac,
    /// Transaction Certificate: approved.
    Tc,
    /// Authorisation Request Cryptogram.
    Arqc,
}

/// The last cryptogram of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cryptogram {
    /// Its kind.
    pub kind: CryptogramKind,
    /// 9F26.
    pub value: [u8; 8],
}

/// Why a transaction ended as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Y1.
    #[error("approved offline (Book 3, 10.8)")]
    ApprovedOffline,
    /// The issuer and the card approved.
    #[error("approved online (Book 3, 10.11)")]
    ApprovedOnline,
    /// Y3.
    #[error("unable to go online, approved offline (Book 3, 10.7)")]
    ApprovedUnableToGoOnline,
    /// Z1, by the terminal's action analysis.
    #[error("declined by terminal action analysis (Book 3, 10.7)")]
    DeclinedByTerminal,
    /// Z1, by the card.
    #[error("declined by the card (Book 3, 10.8)")]
    DeclinedByCard,
    /// The signature over a cryptogram is wrong.
    #[error("the signature over the card's cryptogram is wrong or missing (Book 4, 6.3.2.1)")]
    CombinedAuthenticationFailed,
    /// The card allows no such service.
    #[error("the card does not allow this service (Book 3, 6.5.5)")]
    ServiceNotAllowed,
    /// The issuer declined.
    #[error("declined by the issuer (Book 3, 10.9)")]
    DeclinedByIssuer,
    /// The issuer approved, and the card then declined: the host has to be told.
    #[error("approved by the issuer but declined by the card (Book 3, 10.11)")]
    DeclinedByCardAfterApproval,
    /// Z3.
    #[error("unable to go online, declined offline (Book 3, 10.7)")]
    DeclinedUnableToGoOnline,
    /// SELECT is not supported.
    #[error("the card is blocked (Book 1, 12.3)")]
    CardBlocked,
    /// No application in common, or none that could be used.
    #[error("the card has no application that this terminal accepts (Book 1, 12.4)")]
    NoCommonApplication,
    /// What they have in common is blocked: the stripe is no way round it.
    #[error("the card has no application for this terminal that is not blocked (Book 1, 12.3)")]
    ApplicationBlocked,
    /// An object without which there is no transaction.
    #[error("the card did not give the mandatory data object {0} (Book 3, 7.2)")]
    DataMissing(Tag),
    /// An object came twice.
    #[error("the card gave the data object {0} twice (Book 3, 7.2)")]
    DataTwice(Tag),
    /// An object is malformed.
    #[error("the data object {0} of the card is malformed (Book 3, 7.5)")]
    DataMalformed(Tag),
    /// A response is malformed.
    #[error("the response to the command with INS {ins:02X} is malformed (Book 3, 6.5)")]
    ResponseMalformed {
        /// The command.
        ins: u8,
    },
    /// A command was refused that may not be.
    #[error("the card answered the command with INS {ins:02X} with {status:04X} (Book 3, 6.3.5)")]
    CommandRefused {
        /// The command.
        ins: u8,
        /// SW1 SW2.
        status: u16,
    },
    /// The card asks for more data than a command holds.
    #[error("the card asks for more than 255 bytes of data (Book 3, 5.4)")]
    CommandTooLong,
    /// The card gave a better cryptogram than it was asked for.
    #[error("the card gave a cryptogram that was not asked for (Book 3, 9.3)")]
    CryptogramUnexpected,
    /// The card left the slot.
    #[error("the card was removed")]
    CardRemoved,
    /// The card does not answer.
    #[error("the card does not answer")]
    CardMute,
    /// The cashier or the cardholder gave up.
    #[error("the transaction was cancelled")]
    Cancelled,
    /// A PIN was to be entered, and there is no PIN pad or it does not work.
    #[error("the PIN pad does not work")]
    PinPadBroken,
    /// Nobody typed.
    #[error("the PIN was not entered in time")]
    PinTimedOut,
    /// The caller reported an event that does not fit the action it was given.
    #[error("an event arrived that does not answer the action: a defect of the program that runs the kernel")]
    UnexpectedEvent,
    /// The caller's transaction is out of range.
    #[error(
        "the transaction data are out of range: amounts to 12 digits, other up to the amount, percent 1 to 99"
    )]
    TransactionInvalid,
}

/// How a transaction ended, with what a receipt and a journal need. Nothing in it is sensitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// Whether the magnetic stripe may be tried: the chip failed before an application was initiated.
    pub fallback: bool,
    /// What the issuer said.
    pub online: Online,
    /// How the cardholder was verified.
    pub cvm: Cvm,
    /// 95.
    pub tvr: [u8; 5],
    /// 9B.
    pub tsi: [u8; 2],
    /// 8A: the host's, or Y1, Z1, Y3, Z3.
    pub arc: Option<[u8; 2]>,
    /// The selected application.
    pub aid: Option<Aid>,
    /// Its name; empty if none was selected.
    pub label: Label,
    /// The last cryptogram; one whose signature is wrong does not count.
    pub cryptogram: Option<Cryptogram>,
    /// Five bytes for each issuer script (Book 4 Annex A5).
    pub script_results: Vec<[u8; 5]>,
}

impl Outcome {
    /// Whether the issuer approved what did not complete: the payment must be reversed.
    pub fn must_reverse(&self) -> bool {
        self.online == Online::Approved && self.decision != Decision::Approved
    }
}
