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
#[cfg(test)]
mod diagram;
mod dictionary;
mod parts;
mod script;

use serde::{Deserialize, Serialize};

pub(crate) use advice::Advice;
pub(crate) use parts::{Acceptor, Answer, Card, Order, Original, Request, Sum, Totals};
pub(crate) use script::Script;

use crate::services::{Class, Service};

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
}

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
words!(Reversal { Pending => "pending", Acknowledged => "acknowledged" });

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
        Step::Answered | Step::Uploaded => State::Answered,
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
        (State::Answered, Step::Uploaded) => class == Class::Settlement,
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

/// A transaction, as its events made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    /// Its number in the journal; 0 until it is there.
    #[serde(skip)]
    pub(crate) id: i64,
    pub(crate) request: Request,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) original: Option<Original>,
    /// Milliseconds since 1970.
    pub(crate) created: i64,
    /// Milliseconds since 1970; 0 until final.
    #[serde(default)]
    pub(crate) finished: i64,
    pub(crate) state: State,
    /// The limit that it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) over_limit: Option<String>,
    /// The supervisor who approved it in spite of that; empty where none had to, or has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) approver: String,
    #[serde(default)]
    pub(crate) outcome: Option<Outcome>,
    /// Why it ended so, for a person.
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) stan: u32,
    #[serde(default)]
    pub(crate) batch: u32,
    #[serde(default)]
    pub(crate) acceptor: Acceptor,
    #[serde(default)]
    pub(crate) card: Card,
    #[serde(default)]
    pub(crate) chip_data: String,
    /// Of a sale that was approved offline: what has become of its advice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<Advice>,
    /// Where the issuer had the card run scripts: whether the host was told what became of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) script: Option<Script>,
    /// What the QR gateway calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) order: Option<Order>,
    /// Those of the batch that this transaction closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) totals: Option<Totals>,
    #[serde(default)]
    pub(crate) answer: Answer,
    /// How many transactions of that batch the host has taken, where it wanted each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uploaded: Option<u32>,
    #[serde(default)]
    pub(crate) reversal: Option<Reversal>,
    /// DE 39 of the reversal.
    #[serde(default)]
    pub(crate) reversal_reason: String,
    #[serde(default)]
    pub(crate) receipt_job: String,
}

impl Transaction {
    /// A transaction that was just asked for.
    pub(crate) fn new(request: Request, original: Option<Original>, now: i64) -> Transaction {
        Transaction {
            id: 0,
            request,
            original,
            created: now,
            finished: 0,
            state: State::Created,
            over_limit: None,
            approver: String::new(),
            outcome: None,
            reason: String::new(),
            stan: 0,
            batch: 0,
            acceptor: Acceptor::default(),
            card: Card::default(),
            chip_data: String::new(),
            advice: None,
            script: None,
            order: None,
            totals: None,
            answer: Answer::default(),
            uploaded: None,
            reversal: None,
            reversal_reason: String::new(),
            receipt_job: String::new(),
        }
    }

    /// Has it, which was just asked for and is over `limit`, wait for a supervisor.
    pub(crate) fn ask_approval(&mut self, limit: String) {
        (self.state, self.over_limit) = (State::Approval, Some(limit));
    }

    /// What it does: what was asked for, made exact by what it is asked of.
    pub(crate) fn service(&self) -> Service {
        let service = self.request.service;
        self.original.as_ref().map_or(service, |original| original.turn(service))
    }

    /// In minor units: what was asked for, or all that the original holds.
    pub(crate) fn amount(&self) -> u64 {
        match &self.original {
            Some(original) if self.request.amount == 0 => original.amount,
            _ => self.request.amount,
        }
    }

    /// In how many instalments it, or what it builds on, is paid; 0 for at once.
    pub(crate) fn instalments(&self) -> u8 {
        self.original.as_ref().map_or(self.request.instalments, |original| original.instalments)
    }

    /// Whether its card is not there, and its number is keyed: what builds on such a sale is such a transaction, too.
    pub(crate) fn is_moto(&self) -> bool {
        self.original.as_ref().map_or(self.request.moto, |original| original.moto)
    }

    pub(crate) fn is_final(&self) -> bool {
        self.state == State::Final
    }

    /// What `event` makes of it; `Err` says why the event can't happen now.
    pub(crate) fn apply(&mut self, event: &Event, now: i64) -> Result<(), String> {
        let class = self.service().class();
        let fits = match event {
            Event::Finished { outcome, reversal, .. } => {
                (*outcome == Outcome::Reversed) == reversal.is_some()
            }
            Event::ReversalAcknowledged { .. } => self.reversal == Some(Reversal::Pending),
            Event::ScriptTold { .. } => self.script == Some(Script::Pending),
            event => self.advice_allows(event),
        };
        let after = event.step().filter(|_| fits).and_then(|step| next(class, self.state, step));
        let after = after.ok_or_else(|| {
            format!("a {} that is {} can't have {event:?}", self.service().as_str(), self.state.as_str())
        })?;
        match event {
            Event::Created { .. } => {}
            Event::OverCardLimit { limit, card } => {
                let before = self.over_limit.take().map(|before| format!("{before}; ")).unwrap_or_default();
                self.over_limit = Some(before + limit);
                self.card.clone_from(card);
            }
            Event::SupervisorApproved { by } => self.approver.clone_from(by),
            Event::Authorized { stan, batch, acceptor, card, chip_data, totals } => {
                (self.stan, self.batch, self.totals) = (*stan, *batch, *totals);
                self.acceptor.clone_from(acceptor);
                self.card.clone_from(card);
                self.chip_data.clone_from(chip_data);
            }
            Event::ApprovedOffline { stan, batch, acceptor, card, chip_data } => {
                (self.stan, self.batch) = (*stan, *batch);
                self.acceptor.clone_from(acceptor);
                self.card.clone_from(card);
                self.chip_data.clone_from(chip_data);
                (self.outcome, self.finished) = (Some(Outcome::Approved), now);
                self.advice = Some(Advice::Stored);
            }
            Event::Ordered { stan, batch, order } => {
                (self.stan, self.batch, self.order) = (*stan, *batch, Some(order.clone()));
            }
            Event::Answered { answer } => self.answer.clone_from(answer),
            Event::Uploaded { transactions } => self.uploaded = Some(*transactions),
            Event::Finished { outcome, reason, card, answer, reversal } => {
                (self.outcome, self.finished) = (Some(*outcome), now);
                self.reason.clone_from(reason);
                if let Some(card) = card {
                    self.keep_card(card);
                    self.script = (!card.script_data.is_empty()).then_some(Script::Pending);
                }
                if let Some(answer) = answer {
                    self.answer.clone_from(answer);
                }
                if let Some(reason) = reversal {
                    self.reversal = Some(Reversal::Pending);
                    self.reversal_reason.clone_from(reason);
                }
            }
            Event::AdviceSent => self.advice = Some(Advice::Sent),
            Event::AdviceAcknowledged { answer } => {
                self.advice = Some(Advice::Acknowledged);
                self.answer.clone_from(answer);
            }
            Event::AdviceRefused { reason } => {
                self.advice = Some(Advice::Refused);
                self.reason.clone_from(reason);
            }
            Event::AdviceWithdrawn { .. } => self.advice = Some(Advice::Withdrawn),
            Event::ReversalAcknowledged { .. } => self.reversal = Some(Reversal::Acknowledged),
            Event::ScriptTold { code } => self.script = Some(Script::answered(code)),
            Event::ReceiptQueued { job } => self.receipt_job.clone_from(job),
        }
        self.state = after;
        Ok(())
    }

    /// What the card said last counts; what it did not say again stays.
    fn keep_card(&mut self, card: &Card) {
        let token = std::mem::take(&mut self.card.token);
        self.card.clone_from(card);
        if self.card.token.is_empty() {
            self.card.token = token;
        }
    }

    /// How a transaction that was open when the terminal went down has to end; `None` when it is final, or goes on.
    pub(crate) fn recover(&self, no_answer: &str) -> Option<Event> {
        const WAITING: &str = "the terminal restarted before a supervisor approved it";
        const BEFORE: &str = "the terminal restarted before the host was asked";
        const DURING: &str = "the terminal restarted before it was done";
        match (self.state, self.service().class()) {
            (State::Final, _)
            | (State::Authorizing | State::Answered, Class::Settlement | Class::CodeReturn) => None,
            (State::Approval, _) => Some(Event::finished(Outcome::Declined, WAITING)),
            (State::Created, _) => Some(Event::finished(Outcome::Failed, BEFORE)),
            (_, Class::Inquiry | Class::Record) => Some(Event::finished(Outcome::Failed, DURING)),
            (_, Class::Code) => Some(Event::cancelled_at_gateway(DURING)),
            (_, Class::Money) => Some(Event::Finished {
                outcome: Outcome::Reversed,
                reason: DURING.to_string(),
                card: None,
                answer: None,
                reversal: Some(no_answer.to_string()),
            }),
        }
    }

    /// Whether the QR gateway has still to acknowledge its cancel.
    pub(crate) fn is_cancelled_at_gateway(&self) -> bool {
        self.reversal == Some(Reversal::Pending) && self.service().class() == Class::Code
    }

    /// Whether its end closes the batch.
    pub(crate) fn closes_batch(&self) -> bool {
        self.service() == Service::Settlement && self.outcome == Some(Outcome::Approved)
    }

    /// Whether a receipt has still to be handed to the printer.
    pub(crate) fn wants_receipt(&self) -> bool {
        self.outcome == Some(Outcome::Approved) && self.request.print && self.receipt_job.is_empty()
    }
}

#[cfg(test)]
mod tests;
