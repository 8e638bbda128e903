//! A transaction: its states, and the events that lead from one to the next.
//!
//! ```text
//! created ──▶ authorizing ──▶ answered ──▶ final
//!    └──────────────┴───────────────────────▲
//! ```
//!
//! Each event is durable before what follows from it is done. `Authorized` comes before the first byte of the
//! request leaves: from then on, until `Finished`, the outcome at the host is unknown, and a terminal that finds such a
//! transaction when it starts reverses it. A timeout is never a decline.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use service::options::Dictionary;
use service::request::Key;
use zbus::Variant;

/// Where a transaction is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// Asked for; the host knows nothing of it.
    #[default]
    Created,
    /// The request may have reached the host.
    Authorizing,
    /// The host approved; the card has the last word.
    Answered,
    /// Ended, with an outcome.
    Final,
}

/// How a transaction ended. Exactly one of these, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The money moves.
    Approved,
    /// The host or the card refused.
    Declined,
    /// Called off before the host was asked.
    Cancelled,
    /// It came to nothing before the host was asked.
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

macro_rules! text_of {
    ($type:ident { $($variant:ident => $text:literal),* $(,)? }) => {
        impl $type {
            /// The word that the API and the journal use.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $($type::$variant => $text),* }
            }
        }
    };
}

text_of!(State { Created => "created", Authorizing => "authorizing", Answered => "answered", Final => "final" });
text_of!(Outcome {
    Approved => "approved",
    Declined => "declined",
    Cancelled => "cancelled",
    Failed => "failed",
    Reversed => "reversed",
});
text_of!(Reversal { Pending => "pending", Acknowledged => "acknowledged" });

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Who asked, as the guard names them.
    pub(crate) owner: String,
    /// The caller's idempotency key.
    pub(crate) key: Key,
    /// In minor units of the currency.
    pub(crate) amount: u64,
    /// ISO 4217, three letters.
    pub(crate) currency: String,
    /// The merchant's own number, for the receipt.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) order: String,
    /// Whether a receipt is printed.
    pub(crate) print: bool,
}

/// Under whose name the host was asked. A reversal goes out under the same one, whatever the configuration says by then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Acceptor {
    /// DE 41.
    pub(crate) terminal: String,
    /// DE 42.
    pub(crate) merchant: String,
    /// DE 49: ISO 4217, three digits.
    pub(crate) currency: String,
}

/// What is known of the card; nothing of it is secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Card {
    pub(crate) masked_pan: String,
    pub(crate) pan_sequence: Option<u8>,
    /// DE 22.
    pub(crate) entry_mode: String,
    pub(crate) aid: String,
    pub(crate) label: String,
    /// `online-pin`, `signature`, `none` …
    pub(crate) cvm: String,
    pub(crate) tvr: String,
    pub(crate) tsi: String,
    /// The application cryptogram that the card gave last.
    pub(crate) cryptogram: String,
}

/// What the host answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    /// DE 39.
    pub(crate) code: String,
    /// DE 38.
    pub(crate) approval: String,
    /// DE 37.
    pub(crate) reference: String,
}

/// Something that happened to a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// It was asked for.
    Created { request: Request },
    /// The host is going to be asked. `chip_data` is DE 55 as sent, in hex, for the reversal.
    Authorized { stan: u32, batch: u32, acceptor: Acceptor, card: Card, chip_data: String },
    /// The host approved.
    Answered { answer: Answer },
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
    /// The host acknowledged the reversal with this code (DE 39).
    ReversalAcknowledged { code: String },
    /// The receipt was handed to the printer as this job.
    ReceiptQueued { job: String },
}

/// A transaction, as its events made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    /// Its number in the journal; 0 until it is there.
    #[serde(skip)]
    pub(crate) id: i64,
    pub(crate) request: Request,
    /// Milliseconds since 1970.
    pub(crate) created: i64,
    /// Milliseconds since 1970; 0 until final.
    #[serde(default)]
    pub(crate) finished: i64,
    pub(crate) state: State,
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
    #[serde(default)]
    pub(crate) answer: Answer,
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
    pub(crate) fn new(request: Request, now: i64) -> Transaction {
        Transaction {
            id: 0,
            request,
            created: now,
            finished: 0,
            state: State::Created,
            outcome: None,
            reason: String::new(),
            stan: 0,
            batch: 0,
            acceptor: Acceptor::default(),
            card: Card::default(),
            chip_data: String::new(),
            answer: Answer::default(),
            reversal: None,
            reversal_reason: String::new(),
            receipt_job: String::new(),
        }
    }

    /// What `event` makes of it; `Err` says why the event can't happen now.
    pub(crate) fn apply(&mut self, event: &Event, now: i64) -> Result<(), String> {
        match (self.state, event) {
            (State::Created, Event::Authorized { stan, batch, acceptor, card, chip_data }) => {
                (self.stan, self.batch) = (*stan, *batch);
                self.acceptor.clone_from(acceptor);
                self.card.clone_from(card);
                self.chip_data.clone_from(chip_data);
                self.state = State::Authorizing;
            }
            (State::Authorizing, Event::Answered { answer }) => {
                self.answer.clone_from(answer);
                self.state = State::Answered;
            }
            (State::Created | State::Authorizing | State::Answered, Event::Finished { .. }) => {
                self.finish(event, now)?;
            }
            (State::Final, Event::ReversalAcknowledged { .. })
                if self.reversal == Some(Reversal::Pending) =>
            {
                self.reversal = Some(Reversal::Acknowledged);
            }
            (State::Final, Event::ReceiptQueued { job }) => self.receipt_job.clone_from(job),
            (state, event) => return Err(format!("in state {} there can't be {event:?}", state.as_str())),
        }
        Ok(())
    }

    fn finish(&mut self, event: &Event, now: i64) -> Result<(), String> {
        let Event::Finished { outcome, reason, card, answer, reversal } = event else {
            return Err("only Finished ends a transaction".to_string());
        };
        let allowed = match (self.state, outcome) {
            // The host was never asked: nothing to approve, nothing to take back.
            (State::Created, Outcome::Approved | Outcome::Reversed) => false,
            // The host may have booked it: it can't just be forgotten.
            (State::Authorizing, Outcome::Approved | Outcome::Cancelled | Outcome::Failed) => false,
            (State::Answered, Outcome::Declined | Outcome::Cancelled | Outcome::Failed) => false,
            _ => true,
        };
        if !allowed || (*outcome == Outcome::Reversed) != reversal.is_some() {
            return Err(format!(
                "a transaction in state {} can't end {}",
                self.state.as_str(),
                outcome.as_str()
            ));
        }
        self.state = State::Final;
        self.outcome = Some(*outcome);
        self.finished = now;
        self.reason.clone_from(reason);
        if let Some(card) = card {
            self.card.clone_from(card);
        }
        if let Some(answer) = answer {
            self.answer.clone_from(answer);
        }
        if let Some(reason) = reversal {
            self.reversal = Some(Reversal::Pending);
            self.reversal_reason.clone_from(reason);
        }
        Ok(())
    }

    /// How a transaction that was open when the terminal went down has to end; `None` when it is final.
    pub(crate) fn recover(&self, no_answer: &str) -> Option<Event> {
        let (outcome, reason, reversal) = match self.state {
            State::Final => return None,
            State::Created => (Outcome::Failed, "the terminal restarted before the host was asked", None),
            State::Authorizing | State::Answered => {
                (Outcome::Reversed, "the terminal restarted before it was done", Some(no_answer.to_string()))
            }
        };
        Some(Event::Finished { outcome, reason: reason.to_string(), card: None, answer: None, reversal })
    }

    /// Whether a receipt has still to be handed to the printer.
    pub(crate) fn wants_receipt(&self) -> bool {
        self.outcome == Some(Outcome::Approved) && self.request.print && self.receipt_job.is_empty()
    }

    /// The transaction for its owner: everything known, nothing secret.
    pub(crate) fn to_dictionary(&self) -> Dictionary {
        let number = |number: u32| if number == 0 { String::new() } else { format!("{number:06}") };
        let mut values: HashMap<&str, Variant<'_>> = HashMap::from([
            ("type", "sale".into()),
            ("key", self.request.key.as_str().into()),
            ("owner", self.request.owner.as_str().into()),
            ("amount", self.request.amount.into()),
            ("currency", self.request.currency.as_str().into()),
            ("state", self.state.as_str().into()),
            ("created", self.created.into()),
        ]);
        if let Some(outcome) = self.outcome {
            values.insert("outcome", outcome.as_str().into());
            values.insert("finished", self.finished.into());
        }
        if let Some(reversal) = self.reversal {
            values.insert("reversal", reversal.as_str().into());
        }
        let texts = [
            ("order", self.request.order.clone()),
            ("reason", self.reason.clone()),
            ("stan", number(self.stan)),
            ("batch", number(self.batch)),
            ("masked_pan", self.card.masked_pan.clone()),
            ("entry_mode", self.card.entry_mode.clone()),
            ("aid", self.card.aid.clone()),
            ("label", self.card.label.clone()),
            ("cvm", self.card.cvm.clone()),
            ("tvr", self.card.tvr.clone()),
            ("tsi", self.card.tsi.clone()),
            ("cryptogram", self.card.cryptogram.clone()),
            ("response_code", self.answer.code.clone()),
            ("approval", self.answer.approval.clone()),
            ("reference", self.answer.reference.clone()),
            ("receipt_job", self.receipt_job.clone()),
        ];
        values.extend(
            texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key, text.into())),
        );
        values
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_string(), value.try_into_owned().ok()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sale() -> Transaction {
        let request = Request {
            owner: "dev.example.shop".to_string(),
            key: "order-1".parse().unwrap(),
            amount: 1234,
            currency: "CNY".to_string(),
            order: String::new(),
            print: true,
        };
        Transaction::new(request, 1)
    }

    fn finished(outcome: Outcome) -> Event {
        let reversal = (outcome == Outcome::Reversed).then(|| "98".to_string());
        Event::Finished { outcome, reason: String::new(), card: None, answer: None, reversal }
    }

    fn authorized() -> Event {
        Event::Authorized {
            stan: 1,
            batch: 1,
            acceptor: Acceptor::default(),
            card: Card::default(),
            chip_data: String::new(),
        }
    }

    #[test]
    fn a_sale_that_the_host_may_have_booked_never_ends_without_it() {
        for outcome in [Outcome::Failed, Outcome::Cancelled, Outcome::Approved] {
            let mut sale = sale();
            sale.apply(&authorized(), 2).unwrap();
            assert!(sale.apply(&finished(outcome), 3).is_err(), "{outcome:?}");
            assert_eq!(sale.state, State::Authorizing);
        }
    }

    #[test]
    fn a_sale_that_the_host_never_saw_is_neither_approved_nor_reversed() {
        for outcome in [Outcome::Approved, Outcome::Reversed] {
            assert!(sale().apply(&finished(outcome), 2).is_err(), "{outcome:?}");
        }
    }

    #[test]
    fn after_the_end_nothing_ends_it_again() {
        let mut sale = sale();
        sale.apply(&finished(Outcome::Cancelled), 2).unwrap();
        for outcome in [Outcome::Approved, Outcome::Failed, Outcome::Cancelled] {
            assert!(sale.apply(&finished(outcome), 3).is_err());
        }
    }

    #[test]
    fn what_is_open_after_a_restart_is_reversed_when_the_host_may_know_of_it() {
        let mut sale = sale();
        assert!(matches!(sale.recover("98"), Some(Event::Finished { outcome: Outcome::Failed, .. })));
        sale.apply(&authorized(), 2).unwrap();
        let end = sale.recover("98").unwrap();
        sale.apply(&end, 3).unwrap();
        assert_eq!((sale.outcome, sale.reversal), (Some(Outcome::Reversed), Some(Reversal::Pending)));
        assert_eq!(sale.recover("98"), None);
    }
}
