//! A transaction: its states, and the events that lead from one to the next.
//!
//! ```text
//! created ──▶ authorizing ──▶ answered ──▶ final
//!   ▲└──────────────┴───────────────────────▲
//! approval ─────────────────────────────────┘
//! ```
//!
//! Each event is durable before what follows from it is done. `Authorized` comes before the first byte of the
//! request leaves: from then on the outcome at the host is *unknown*, and a timeout does not change that: it is never a
//! decline. What moves money leaves the unknown through an answer, or through a reversal that is repeated until the host
//! acknowledges it; a settlement is asked for again until it is answered; where no money moves, nothing came of it. For
//! money of wallets the QR gateway is the host, and its cancel the reversal. A sale that card and terminal approve offline is
//! final at once, and the host is told of it by an advice (`advice.rs`).
//! [`next`] is the whole machine; `docs/transaction-states.md` is drawn from it.

mod advice;
mod body;
#[cfg(test)]
mod diagram;
mod dictionary;
mod parts;
mod script;

use serde::{Deserialize, Serialize};

pub(crate) use advice::Advice;
pub(crate) use body::Transaction;
pub(crate) use parts::{Acceptor, Answer, Card, CertificatesSent, Order, Original, Request, Sum, Totals};
pub(crate) use script::Script;

use crate::services::Class;

/// Where a transaction is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// Asked for; the host knows nothing of it.
    #[default]
    Created,
    /// Asked for, and over a limit: it waits for a supervisor. The host knows nothing of it.
    Approval,
    /// The request may have reached the host: what it holds is unknown.
    Authorizing,
    /// The host approved; what the terminal has to do is not done.
    Answered,
    /// Ended, with an outcome.
    Final,
}

/// How a transaction ended. Exactly one of these, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It stands, on both sides.
    Approved,
    /// The host, the card or the terminal's rules refused.
    Declined,
    /// Called off before the host was asked.
    Cancelled,
    /// It came to nothing: before the host was asked, or without any money in it.
    Failed,
    /// The host was asked and the terminal does not stand by it: a reversal takes it back.
    Reversed,
}

/// What has become of the reversal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reversal {
    /// To be sent, and sent again until the host acknowledges it.
    Pending,
    /// The host knows.
    Acknowledged,
    /// The QR gateway knows, and a part of the customer's money stays with the merchant, for a person to give back.
    RestKept,
}

/// The code of a cancel after which a part of the customer's money stays.
pub(crate) const REST_KEPT: &str = "rest-kept";

macro_rules! words {
    ($type:ident { $($variant:ident => $text:literal),* $(,)? }) => {
        impl $type {
            /// The word that the API and the journal use.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $($type::$variant => $text),* }
            }
        }
    };
}

words!(State {
    Created => "created",
    Approval => "approval",
    Authorizing => "authorizing",
    Answered => "answered",
    Final => "final",
});
words!(Outcome {
    Approved => "approved",
    Declined => "declined",
    Cancelled => "cancelled",
    Failed => "failed",
    Reversed => "reversed",
});
words!(Reversal { Pending => "pending", Acknowledged => "acknowledged", RestKept => "rest-kept" });

impl State {
    pub(crate) const ALL: [State; 5] =
        [State::Created, State::Approval, State::Authorizing, State::Answered, State::Final];
}

impl Outcome {
    pub(crate) const ALL: [Outcome; 5] =
        [Outcome::Approved, Outcome::Declined, Outcome::Cancelled, Outcome::Failed, Outcome::Reversed];
}

/// An event, reduced to what decides on the next state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    OverCardLimit,
    SupervisorApproved,
    Authorized,
    Answered,
    Uploaded,
    CertificateSent,
    ApprovedOffline,
    Finished(Outcome),
    AdviceSent,
    AdviceAcknowledged,
    AdviceRefused,
    AdviceWithdrawn,
    ReversalAcknowledged,
    ScriptTold,
    ReceiptQueued,
}

/// The state after `step` in a transaction of `class`; `None` where the step can't happen.
pub(crate) fn next(class: Class, state: State, step: Step) -> Option<State> {
    use Outcome::{Approved, Cancelled, Declined, Failed, Reversed};
    let after = match step {
        Step::OverCardLimit => State::Approval,
        Step::SupervisorApproved => State::Created,
        Step::Authorized => State::Authorizing,
        Step::Answered | Step::Uploaded | Step::CertificateSent => State::Answered,
        Step::ApprovedOffline | Step::Finished(_) | Step::ReversalAcknowledged | Step::ReceiptQueued => {
            State::Final
        }
        Step::ScriptTold => State::Final,
        Step::AdviceSent | Step::AdviceAcknowledged | Step::AdviceRefused | Step::AdviceWithdrawn => {
            State::Final
        }
    };
    let possible = match (state, step) {
        // The card is there by then, and may leave.
        (State::Approval, Step::Finished(Failed)) => class == Class::Money,
        (State::Approval, Step::SupervisorApproved | Step::Finished(Declined | Cancelled)) => true,
        (State::Created, Step::OverCardLimit) => class == Class::Money,
        (State::Created, Step::Authorized) => class != Class::Record,
        // The host was never asked: nothing to approve, unless it is never asked, and nothing to take back.
        (State::Created, Step::Finished(Declined | Cancelled | Failed)) => true,
        (State::Created, Step::Finished(Approved)) => class == Class::Record,
        (State::Created, Step::ApprovedOffline) => class == Class::Money,
        (State::Authorizing, Step::Answered) => !matches!(class, Class::Code | Class::CodeReturn),
        (State::Authorizing, Step::Finished(Declined)) => true,
        // Nothing is left to be done after the gateway's answer.
        (State::Authorizing, Step::Finished(Approved)) => matches!(class, Class::Code | Class::CodeReturn),
        // The host may have booked it: it can't just be forgotten, unless there is no money in it.
        (State::Authorizing, Step::Finished(Reversed)) => matches!(class, Class::Money | Class::Code),
        (State::Authorizing, Step::Finished(Failed)) => class == Class::Inquiry,
        (State::Answered, Step::Uploaded | Step::CertificateSent) => class == Class::Settlement,
        (State::Answered, Step::Finished(Approved)) => true,
        (State::Answered, Step::Finished(Reversed)) => class == Class::Money,
        (State::Answered, Step::Finished(Declined)) => class == Class::Settlement,
        (State::Answered, Step::Finished(Failed)) => class == Class::Inquiry,
        (State::Final, Step::ReversalAcknowledged) => matches!(class, Class::Money | Class::Code),
        (
            State::Final,
            Step::AdviceSent | Step::AdviceAcknowledged | Step::AdviceRefused | Step::AdviceWithdrawn,
        ) => class == Class::Money,
        (State::Final, Step::ScriptTold) => matches!(class, Class::Money | Class::Inquiry),
        (State::Final, Step::ReceiptQueued) => true,
        _ => false,
    };
    possible.then_some(after)
}

/// For serde: 0 is no batch.
fn is_none(batch: &u32) -> bool {
    *batch == 0
}

/// Something that happened to a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// It was asked for.
    Created {
        request: Request,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        original: Option<Original>,
        /// The open batch, of what the host never hears of; others get theirs with the trace number.
        #[serde(default, skip_serializing_if = "is_none")]
        batch: u32,
        /// The limit that it is over, for a supervisor to approve.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        over_limit: Option<String>,
    },
    /// It is over a limit for one card, which is known now; a supervisor has to approve it.
    OverCardLimit { limit: String, card: Card },
    /// The supervisor with this name approved it, though it is over a limit.
    SupervisorApproved { by: String },
    /// The host is going to be asked. `chip_data` is DE 55 as sent, in hex, for the reversal; `totals` are those of the batch
    /// that is to be closed.
    Authorized {
        stan: u32,
        batch: u32,
        acceptor: Acceptor,
        card: Card,
        chip_data: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        totals: Option<Totals>,
    },
    /// The QR gateway is going to be asked, under these numbers.
    Ordered { stan: u32, batch: u32, order: Order },
    /// Card and terminal approved it offline, under these numbers; `chip_data` has the transaction certificate, for the advice.
    ApprovedOffline { stan: u32, batch: u32, acceptor: Acceptor, card: Card, chip_data: String },
    /// The host approved.
    Answered { answer: Answer },
    /// The host has taken so many transactions of the batch's upload.
    Uploaded { transactions: u32 },
    /// The host was handed the certificate of this transaction of the batch, and answered with this code (DE 39); without one it did not
    /// answer.
    CertificateSent { of: i64, code: String },
    /// It ended. `reversal` says with which reason (DE 39) the host is told that it does not stand.
    Finished {
        outcome: Outcome,
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        card: Option<Card>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Answer>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reversal: Option<String>,
    },
    /// The advice is going to be sent: from here on the host may know of the sale.
    AdviceSent,
    /// The host has booked the sale.
    AdviceAcknowledged { answer: Answer },
    /// The host does not pay for the sale.
    AdviceRefused { reason: String },
    /// The sale was voided by this key before its advice was sent.
    AdviceWithdrawn { by: String },
    /// The host acknowledged the reversal with this code (DE 39).
    ReversalAcknowledged { code: String },
    /// The host was told what became of the issuer's scripts, and answered with this code (DE 39).
    ScriptTold { code: String },
    /// The receipt was handed to the printer as this job.
    ReceiptQueued { job: String },
}

impl Event {
    /// An end that the host has no part in.
    pub(crate) fn finished(outcome: Outcome, reason: impl Into<String>) -> Event {
        Event::Finished { outcome, reason: reason.into(), card: None, answer: None, reversal: None }
    }

    /// Approved, with what there is to know of it.
    pub(crate) fn approved(answer: Answer) -> Event {
        Event::Finished {
            outcome: Outcome::Approved,
            reason: String::new(),
            card: None,
            answer: Some(answer),
            reversal: None,
        }
    }

    /// The same end, with what the card said last.
    pub(crate) fn with_card(self, said: impl Into<Option<Card>>) -> Event {
        match self {
            Event::Finished { outcome, reason, card, answer, reversal } => {
                Event::Finished { outcome, reason, card: said.into().or(card), answer, reversal }
            }
            other => other,
        }
    }

    /// A payment by code that does not stand: the gateway is told to cancel it, whatever it holds.
    pub(crate) fn cancelled_at_gateway(reason: impl Into<String>) -> Event {
        Event::Finished {
            outcome: Outcome::Reversed,
            reason: reason.into(),
            card: None,
            answer: None,
            reversal: Some(String::new()),
        }
    }

    fn step(&self) -> Option<Step> {
        Some(match self {
            Event::Created { .. } => return None,
            Event::OverCardLimit { .. } => Step::OverCardLimit,
            Event::SupervisorApproved { .. } => Step::SupervisorApproved,
            Event::Authorized { .. } | Event::Ordered { .. } => Step::Authorized,
            Event::ApprovedOffline { .. } => Step::ApprovedOffline,
            Event::Answered { .. } => Step::Answered,
            Event::Uploaded { .. } => Step::Uploaded,
            Event::CertificateSent { .. } => Step::CertificateSent,
            Event::Finished { outcome, .. } => Step::Finished(*outcome),
            Event::AdviceSent => Step::AdviceSent,
            Event::AdviceAcknowledged { .. } => Step::AdviceAcknowledged,
            Event::AdviceRefused { .. } => Step::AdviceRefused,
            Event::AdviceWithdrawn { .. } => Step::AdviceWithdrawn,
            Event::ReversalAcknowledged { .. } => Step::ReversalAcknowledged,
            Event::ScriptTold { .. } => Step::ScriptTold,
            Event::ReceiptQueued { .. } => Step::ReceiptQueued,
        })
    }
}

#[cfg(test)]
mod tests;
