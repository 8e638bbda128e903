//! A transaction, as its events made it: the body that the journal keeps.

use serde::{Deserialize, Serialize};

use super::{
    Acceptor, Advice, Answer, Card, CertificatesSent, Event, Order, Original, Outcome, REST_KEPT, Request,
    Reversal, Script, State, Totals, next,
};
use crate::services::{Class, Service};

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
    /// How far it has got that batch's certificates, where it wants them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificates: Option<CertificatesSent>,
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
            certificates: None,
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
            Event::CertificateSent { of, code } => {
                let sent = self.certificates.get_or_insert_default();
                sent.last = *of;
                match code.as_str() {
                    "00" => sent.taken = sent.taken.saturating_add(1),
                    _ => sent.refused.push(*of),
                }
            }
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
            Event::ReversalAcknowledged { code } => {
                self.reversal =
                    Some(if code == REST_KEPT { Reversal::RestKept } else { Reversal::Acknowledged });
            }
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

    /// How much of its batch the host has taken: transactions and certificates.
    pub(crate) fn uploads(&self) -> u32 {
        let certificates = self.certificates.as_ref().map_or(0, |sent| sent.taken);
        self.uploaded.unwrap_or_default().saturating_add(certificates)
    }

    /// Whether a receipt has still to be handed to the printer.
    pub(crate) fn wants_receipt(&self) -> bool {
        self.outcome == Some(Outcome::Approved) && self.request.print && self.receipt_job.is_empty()
    }
}
