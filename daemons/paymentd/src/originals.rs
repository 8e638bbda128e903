//! Which transaction may build on which: what UnionPay's terminal conventions say of originals, asked before anything is
//! begun, inside of the journal's own transaction, so that two requests at once can't both be told yes.

use service::{Error, Result};

use crate::limits::days_before;
use crate::services::{Service, Side};
use crate::transaction::{Advice, Original, Outcome, State, Transaction};

/// A transaction that builds on an original: what of it matters to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Successor {
    pub(crate) service: Service,
    /// In minor units.
    pub(crate) amount: u64,
    /// Whether it stands. One that has not ended yet is taken to stand: it may.
    pub(crate) open: bool,
}

/// What acquirer and owner allow of an original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The most of a reservation that may be completed, in percent.
    pub(crate) completion: u16,
    /// The most of a sale without tips that its tips may be, in percent.
    pub(crate) tip: u16,
    /// How many days back a sale may be that is refunded; 0 is any.
    pub(crate) refund_days: u16,
}

/// An original with all that built on it so far, failures left out.
#[derive(Debug)]
pub(crate) struct History<'a> {
    pub(crate) original: &'a Transaction,
    pub(crate) successors: &'a [Successor],
    /// Whether its batch is closed.
    pub(crate) settled: bool,
    /// In milliseconds since 1970.
    pub(crate) now: i64,
}

impl History<'_> {
    /// Whether `service` for `amount` may build on it; then, what the new transaction has to know of it.
    ///
    /// # Errors
    /// [`Error::WrongState`] with the original's state and what to do instead, [`Error::InvalidArgument`] for an amount.
    pub(crate) fn admit(&self, service: Service, amount: u64, bounds: Bounds) -> Result<Original> {
        self.check_stands()?;
        self.check_advice(service)?;
        match service {
            Service::Void | Service::CompletionVoid => self.check_void()?,
            Service::Refund => self.check_refund(amount, bounds.refund_days)?,
            Service::Increment => self.check_reservation("incremented")?,
            Service::PreauthorisationCancel => self.check_reservation("cancelled")?,
            Service::Completion => self.check_completion(amount, bounds.completion)?,
            Service::TipAdjustment => self.check_tip(amount, bounds.tip)?,
            _ => return Err(self.wrong_kind(service.as_str())),
        }
        Ok(Original {
            id: self.original.id,
            created: self.original.created,
            service: self.original.service(),
            amount: self.held(),
            instalments: self.original.request.instalments,
            moto: self.original.request.moto,
            batch: self.original.batch,
            stan: self.original.stan,
            stored: self.original.advice == Some(Advice::Stored),
            answer: self.original.answer.clone(),
            masked_pan: self.original.card.masked_pan.clone(),
            token: self.original.card.token.clone(),
            order: self.original.order.clone(),
        })
    }

    /// Its own amount, of a pre-authorisation with its increments, and of a sale with the tip that was added.
    fn held(&self) -> u64 {
        let added = self.sum_of(Service::Increment).saturating_add(self.sum_of(Service::TipAdjustment));
        self.original.amount().saturating_add(added)
    }

    fn sum_of(&self, service: Service) -> u64 {
        let amounts = self.successors.iter().filter(|one| one.service == service).map(|one| one.amount);
        amounts.fold(0, u64::saturating_add)
    }

    fn refunded(&self) -> u64 {
        self.sum_of(Service::Refund).saturating_add(self.sum_of(Service::CodeRefund))
    }

    fn has(&self, service: Service) -> bool {
        self.successors.iter().any(|one| one.service == service)
    }

    /// It was approved, nothing has undone it, and nothing is under way that might.
    fn check_stands(&self) -> Result<()> {
        let key = &self.original.request.key;
        let wrong = |problem: String| Err(Error::WrongState(format!("`{key}` {problem}")));
        if self.original.state != State::Final {
            return wrong(format!("is {} still; wait for its end", self.original.state.as_str()));
        }
        if self.original.outcome != Some(Outcome::Approved) {
            let outcome = self.original.outcome.map(Outcome::as_str).unwrap_or_default();
            return wrong(format!("was {outcome}: there is nothing to build on"));
        }
        if let Some(open) = self.successors.iter().find(|one| one.open) {
            return wrong(format!("has a {} under way; wait for its end", open.service.as_str()));
        }
        match self.successors.iter().find(|one| one.service.undoes()) {
            Some(_) if self.original.service() == Service::Preauthorisation => {
                wrong("was cancelled already".to_string())
            }
            Some(_) => wrong("was voided already".to_string()),
            None => Ok(()),
        }
    }

    /// What was approved offline can be voided until it is sent, and built upon when the host has it.
    fn check_advice(&self, service: Service) -> Result<()> {
        let problem = match self.original.advice {
            Some(Advice::Stored) if service == Service::Void => return Ok(()),
            Some(Advice::Stored | Advice::Sent) => {
                "was approved offline, and the host has still to acknowledge it: try again when it has"
            }
            Some(Advice::Refused) => {
                "was approved offline, and the acquirer refused it: there is nothing to undo"
            }
            _ => return Ok(()),
        };
        Err(Error::WrongState(format!("`{}` {problem}", self.original.request.key)))
    }

    fn check_void(&self) -> Result<()> {
        let key = &self.original.request.key;
        match self.original.service() {
            service if is_refundable(service) => {}
            Service::Preauthorisation => {
                let problem = "is a preauthorisation: cancel it with StartCancellation";
                return Err(Error::WrongState(format!("`{key}` {problem}")));
            }
            _ => return Err(self.wrong_kind("voided")),
        }
        if self.refunded() > 0 {
            return Err(Error::WrongState(format!("`{key}` was refunded already, in part or whole")));
        }
        if self.has(Service::TipAdjustment) {
            let problem = "got a tip afterwards: refund it with StartRefund";
            return Err(Error::WrongState(format!("`{key}` {problem}")));
        }
        if self.settled {
            return Err(Error::WrongState(format!("`{key}` is settled: refund it with StartRefund")));
        }
        Ok(())
    }

    fn check_tip(&self, amount: u64, percent: u16) -> Result<()> {
        if self.original.service() != Service::Sale {
            return Err(self.wrong_kind("given a tip"));
        }
        let key = &self.original.request.key;
        let wrong = |problem: &str| Err(Error::WrongState(format!("`{key}` {problem}")));
        if self.original.request.instalments > 0 {
            return wrong("is paid in instalments: sell the tip by itself with StartSale");
        }
        if self.settled {
            return wrong("is settled: sell the tip by itself with StartSale");
        }
        if self.has(Service::TipAdjustment) {
            return wrong("got a tip already");
        }
        if self.has(Service::Refund) {
            return wrong("was refunded already, in part or whole");
        }
        let tip = self.original.request.tip;
        let most = percent_of(self.original.amount().saturating_sub(tip), percent);
        let left = most.saturating_sub(tip.into());
        if u128::from(amount) > left {
            let problem =
                format!("tips are at most {percent} % of the sale: of that {left} minor units are left");
            return Err(Error::invalid("tip", problem));
        }
        Ok(())
    }

    fn check_refund(&self, amount: u64, days: u16) -> Result<()> {
        if !is_refundable(self.original.service()) {
            return Err(self.wrong_kind("refunded"));
        }
        if days > 0 && self.original.created < days_before(self.now, days) {
            let key = &self.original.request.key;
            return Err(Error::WrongState(format!(
                "`{key}` is more than {days} days old, and no longer refunded (refunds.days of paymentd.toml)"
            )));
        }
        let left = self.held().saturating_sub(self.refunded());
        if self.original.request.instalments > 0 && amount != left {
            let problem = format!("it is paid in instalments: refund all of its {left} minor units");
            return Err(Error::invalid("amount", problem));
        }
        if amount > left {
            return Err(Error::invalid(
                "amount",
                format!("of the original only {left} minor units are left"),
            ));
        }
        Ok(())
    }

    fn check_reservation(&self, verb: &str) -> Result<()> {
        if self.original.service() != Service::Preauthorisation {
            return Err(self.wrong_kind(verb));
        }
        if self.has(Service::Completion) {
            let key = &self.original.request.key;
            return Err(Error::WrongState(format!(
                "`{key}` was completed already: void its completion first"
            )));
        }
        Ok(())
    }

    fn check_completion(&self, amount: u64, percent: u16) -> Result<()> {
        self.check_reservation("completed")?;
        let most = percent_of(self.held(), percent);
        if u128::from(amount) > most {
            return Err(Error::invalid(
                "amount",
                format!("of this reservation at most {most} can be completed"),
            ));
        }
        Ok(())
    }

    fn wrong_kind(&self, verb: &str) -> Error {
        let (key, kind) = (&self.original.request.key, self.original.service().as_str());
        Error::WrongState(format!("`{key}` is a {kind}, which can't be {verb}"))
    }
}

fn percent_of(amount: u64, percent: u16) -> u128 {
    u128::from(amount).saturating_mul(percent.into()).checked_div(100).unwrap_or_default()
}

/// What took money, which can go back.
fn is_refundable(service: Service) -> bool {
    service.side() == Some(Side::Debit) || service.code_side() == Some(Side::Debit)
}
