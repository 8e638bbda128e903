//! Which transaction may build on which. The terminal's own rules are in its payment daemon; these are the host's, made
//! from UnionPay's conventions without a look at those.

use iso8583::Message;

use crate::card_request::CardRequest;
use crate::dialect::Dialect;
use crate::ledger::{Entry, Ledger, Original, State};
use crate::request::{self, INVALID, NO_ORIGINAL, Refusal, WRONG_AMOUNT};
use crate::service::Service;

/// How much more than what is held may be taken, in percent of it.
const MOST_COMPLETED: u64 = 115;
/// The most that a tip may be, in percent of the sale.
const MOST_TIP: u64 = 30;

/// A request that builds on an original.
pub(crate) struct Successor<'a> {
    pub(crate) request: &'a CardRequest<'a>,
    /// The name of the card that was read, or of that of the original.
    pub(crate) card: &'a str,
}

/// The transaction that `message` names by the element that its dialect has for it, 37 and 38.
///
/// # Errors
/// Code 25 if there is none, or if the elements speak of different ones.
pub(crate) fn find<'l>(
    dialect: Dialect,
    ledger: &'l Ledger,
    message: &Message<'_>,
) -> Result<&'l Entry, Refusal> {
    let original = dialect.named(ledger, message)?;
    let no = |what: String| Refusal::new(NO_ORIGINAL, what);
    for (number, known) in [(37, &original.rrn), (38, &original.approval)] {
        if known.as_deref() != Some(request::text(message, number)?.as_str()) {
            return Err(no(format!("DE {number}: not that of the original")));
        }
    }
    if request::text(message, 42)? != original.merchant {
        return Err(no("DE 42: the original is another merchant's".to_owned()));
    }
    Ok(original)
}

impl Successor<'_> {
    /// Checks that it may build on `original`.
    ///
    /// # Errors
    /// Code 25 if that was never approved or is another card's, 12 if its state does not allow it, 64 for an amount
    /// that does not fit.
    pub(crate) fn check(&self, ledger: &Ledger, original: &Entry) -> Result<(), Refusal> {
        if original.state != State::Approved {
            return Err(Refusal::new(NO_ORIGINAL, "the original was not approved, or is reversed"));
        }
        if original.card.as_deref() != Some(self.card) {
            return Err(Refusal::new(NO_ORIGINAL, "the original was made with another card"));
        }
        self.check_kind(original)?;
        if self.request.in_instalments != (original.instalments > 0) {
            let how = if original.instalments > 0 { "in instalments" } else { "at once" };
            return Err(Refusal::new(INVALID, format!("DE 25: the original is paid {how}")));
        }
        if self.request.service != Service::TipAdjustment && self.request.moto != original.moto {
            let how = if original.moto { "keyed" } else { "read" };
            return Err(Refusal::new(INVALID, format!("DE 25: the card of the original was {how}")));
        }
        if !ledger.stands(original) {
            return Err(Refusal::new(INVALID, "the original was voided or cancelled already"));
        }
        match self.request.service {
            Service::Void | Service::CompletionVoid => self.check_void(ledger, original),
            Service::Refund => self.check_refund(ledger, original),
            Service::TipAdjustment => self.check_tip(ledger, original),
            _ => self.check_reservation(ledger, original),
        }
    }

    fn check_kind(&self, original: &Entry) -> Result<(), Refusal> {
        let fits: &[Service] = match self.request.service {
            Service::Void | Service::TipAdjustment => &[Service::Sale],
            Service::CompletionVoid => &[Service::Completion],
            Service::Refund => &[Service::Sale, Service::Completion],
            _ => &[Service::Preauthorisation],
        };
        if fits.contains(&original.service) {
            return Ok(());
        }
        Err(Refusal::new(INVALID, format!("a {} can't have a {}", original.service, self.request.service)))
    }

    fn check_void(&self, ledger: &Ledger, original: &Entry) -> Result<(), Refusal> {
        self.check_untouched(ledger, original)?;
        self.check_amount(original.amount)
    }

    fn check_tip(&self, ledger: &Ledger, original: &Entry) -> Result<(), Refusal> {
        self.check_untouched(ledger, original)?;
        self.check_limit(original.amount.saturating_mul(MOST_TIP) / 100, "may be given as a tip")
    }

    /// Neither settled nor refunded nor given a tip.
    fn check_untouched(&self, ledger: &Ledger, original: &Entry) -> Result<(), Refusal> {
        if original.settled || original.batch != self.request.key.batch {
            return Err(Refusal::new(INVALID, "the original is of another batch: refund it"));
        }
        if ledger.refunded(original) > 0 {
            return Err(Refusal::new(INVALID, "the original was refunded, in part or whole"));
        }
        if ledger.held(original) > original.amount {
            return Err(Refusal::new(INVALID, "the original got a tip already: refund it"));
        }
        Ok(())
    }

    fn check_refund(&self, ledger: &Ledger, original: &Entry) -> Result<(), Refusal> {
        let left = ledger.held(original).saturating_sub(ledger.refunded(original));
        if original.instalments > 0 {
            return self.check_amount(left);
        }
        self.check_limit(left, "are left of the original")
    }

    fn check_reservation(&self, ledger: &Ledger, original: &Entry) -> Result<(), Refusal> {
        if ledger.standing(&original.key(), Service::Completion).next().is_some() {
            return Err(Refusal::new(INVALID, "the original was completed already"));
        }
        let held = ledger.held(original);
        match self.request.service {
            Service::Completion => {
                self.check_limit(held.saturating_mul(MOST_COMPLETED) / 100, "may be completed")
            }
            Service::PreauthorisationCancel => self.check_amount(held),
            _ => Ok(()),
        }
    }

    fn check_amount(&self, expected: u64) -> Result<(), Refusal> {
        if self.request.amount == expected {
            return Ok(());
        }
        Err(Refusal::new(
            WRONG_AMOUNT,
            format!("DE 4: expected all of {expected}, got {}", self.request.amount),
        ))
    }

    fn check_limit(&self, most: u64, what: &str) -> Result<(), Refusal> {
        if self.request.amount <= most {
            return Ok(());
        }
        Err(Refusal::new(WRONG_AMOUNT, format!("DE 4: {most} {what}, got {}", self.request.amount)))
    }
}

/// How the ledger names it.
pub(crate) fn name(original: &Entry) -> Original {
    Original { batch: original.batch.clone(), stan: original.stan.clone() }
}
