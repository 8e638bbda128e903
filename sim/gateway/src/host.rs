//! One admitted request in, one answer out: orders, customers and refunds. No sockets here.

use std::time::Duration;

use gateway::door::Admitted;
use gateway::message::{
    Answer, OrderAnswer, OrderOutcome, Pay, Payment, Prepare, Refund, RefundAnswer, RefundOutcome, Refusal,
    RefusalKind, Request, Shown,
};
use qr::mpm::{Builder, Initiation, id};
use qr::wallet::{PaymentCode, Wallets};
use sha2::{Digest, Sha256};

use crate::CURRENCY;
use crate::ledger::{self, Entry, Ledger, State};
use crate::rules::{Rules, User};

/// For how many seconds a code that is shown can be paid.
const VALID: u64 = 120;
/// The wallet with which customers pay a code that is shown.
const SCANNING_WALLET: &str = "unionpay";

/// The gateway: what it knows and what it has booked.
#[derive(Debug)]
pub struct Gateway {
    /// What is booked.
    pub ledger: Ledger,
    /// What it does on purpose.
    pub rules: Rules,
    /// What its customers do.
    pub user: User,
    wallets: Wallets,
}

impl Gateway {
    /// A gateway that takes the codes of these wallets.
    #[must_use]
    pub fn new(wallets: Wallets, ledger: Ledger) -> Gateway {
        Gateway { ledger, rules: Rules::default(), user: User::default(), wallets }
    }

    /// Answers a request that was let in `now` after 1970.
    pub fn answer(&mut self, admitted: &Admitted, now: Duration) -> Answer {
        let (terminal, order) = (admitted.key.as_str(), admitted.request.order());
        let answer = self.settle(terminal, order, now).and_then(|()| match &admitted.request {
            Request::Pay(pay) => self.pay(terminal, pay, now),
            Request::Prepare(prepare) => self.prepare(terminal, prepare, now),
            Request::Query(_) => Ok(self.order_answer(terminal, order)),
            Request::Cancel(_) => self.cancel(terminal, order, now),
            Request::Refund(refund) => self.refund(terminal, refund, now),
            Request::RefundQuery(query) => Ok(self.refund_answer(terminal, order, &query.refund)),
        });
        answer.unwrap_or_else(|refusal| self.refuse(admitted, refusal, now))
    }

    /// A code of `wallet` that a customer shows at the time `now`: no two are the same.
    pub fn customer_code(&self, wallet: &str, now: Duration) -> Option<String> {
        let wallet = self.wallets.get(wallet)?;
        let (prefix, digits) = (wallet.prefixes.from.to_string(), wallet.digits.from);
        let rest = digits.checked_sub(prefix.len())?;
        // The digits that change most come last and are kept.
        let time = format!("{:0>rest$}", now.as_nanos());
        let kept = time.get(time.len().checked_sub(rest)?..)?;
        Some(format!("{prefix}{kept}"))
    }

    /// A customer scans the code of an order that is shown, and pays it; the order's number.
    ///
    /// # Errors
    /// Why it can't be paid.
    pub fn scan(&mut self, code: &str, now: Duration) -> Result<String, String> {
        let is_it = |entry: &&Entry| entry.shown.as_ref().is_some_and(|(shown, _)| shown == code);
        let Some(mut entry) = self.ledger.entries().iter().find(is_it).cloned() else {
            return Err("no order has shown this code".to_owned());
        };
        let expired = entry.shown.as_ref().is_some_and(|(_, valid_until)| *valid_until < now.as_secs());
        if entry.state != State::Pending || expired {
            return Err(format!("order {} can't be paid any more: {}", entry.order, entry.reason));
        }
        self.paid(&mut entry, now);
        let order = entry.order.clone();
        self.book(entry).map_err(|refusal| refusal.reason)?;
        Ok(order)
    }

    /// Somebody gives money of an order back in the gateway's own office: `amount` minor units, or all that is left.
    ///
    /// # Errors
    /// Why it can't be given back.
    pub fn give_back(&mut self, order: &str, amount: Option<u64>, now: Duration) -> Result<u64, String> {
        let is_it = |entry: &&Entry| entry.order == order && entry.state == State::Paid;
        let Some(mut entry) = self.ledger.entries().iter().find(is_it).cloned() else {
            return Err(format!("there is no paid order {order}"));
        };
        let left = entry.amount.saturating_sub(entry.refunded());
        let amount = amount.unwrap_or(left);
        if amount == 0 || amount > left {
            return Err(format!("{left} of {} are left to give back", entry.amount));
        }
        let (reference, at) = (self.reference(), now.as_secs());
        let refund = format!("office-{}", entry.refunds.len());
        entry.refunds.push(ledger::Refund { refund, amount, reference, at });
        self.book(entry).map_err(|refusal| refusal.reason)?;
        Ok(amount)
    }

    fn paid(&self, entry: &mut Entry, now: Duration) {
        entry.wallet.get_or_insert_with(|| SCANNING_WALLET.to_owned());
        (entry.state, entry.reason) = (State::Paid, "paid".to_owned());
        (entry.reference, entry.paid_at) = (Some(self.reference()), Some(now.as_secs()));
    }

    fn pay(&mut self, terminal: &str, pay: &Pay, now: Duration) -> Result<Answer, Refusal> {
        let code = (pay.code.masked(), digest(&pay.code));
        let mut entry = new_entry(terminal, &pay.order, "pay", (pay.amount, &pay.currency), now);
        (entry.code, entry.digest) = code;
        if self.is_repeated(&entry)? {
            return Ok(self.order_answer(terminal, &pay.order));
        }
        let owner = self.wallets.owner(&pay.code);
        let owner = owner.map_err(|error| RefusalKind::UnknownCode.because(error.to_string()))?;
        let owner = owner.ok_or_else(|| RefusalKind::UnknownCode.because("no wallet here has such codes"))?;
        entry.wallet = Some(owner.to_owned());
        self.book(entry)?;
        self.settle(terminal, &pay.order, now)?;
        Ok(self.order_answer(terminal, &pay.order))
    }

    fn prepare(&mut self, terminal: &str, prepare: &Prepare, now: Duration) -> Result<Answer, Refusal> {
        let money = (prepare.amount, prepare.currency.as_str());
        let mut entry = new_entry(terminal, &prepare.order, "prepare", money, now);
        if !self.is_repeated(&entry)? {
            let code = self.merchant_code(prepare.amount);
            let code = code.map_err(|error| RefusalKind::BadRequest.because(error.to_string()))?;
            entry.shown = Some((code, now.as_secs() + VALID));
            self.book(entry)?;
        }
        Ok(self.order_answer(terminal, &prepare.order))
    }

    /// An EMV code for one payment, which a wallet would look up at the gateway by its number.
    fn merchant_code(&self, amount: u64) -> qr::Result<String> {
        let number = self.ledger.next_number().to_string();
        Builder::new(Initiation::Dynamic)
            .template(26, &[(0, "example.smartpos.sim"), (1, &number)])
            .put(id::CATEGORY, "5411")
            .put(id::CURRENCY, "156")
            .amount(amount, 2)
            .put(id::COUNTRY, "CN")
            .put(id::NAME, "TEST SHOP")
            .put(id::CITY, "BEIJING")
            .finish()
    }

    /// Whether the order is known already, and by the same request. One that was closed before it arrived is known.
    fn is_repeated(&self, new: &Entry) -> Result<bool, Refusal> {
        let Some(known) = self.ledger.find(&new.terminal, &new.order) else {
            let taken = new.currency == CURRENCY;
            let wrong = || RefusalKind::WrongCurrency.because(format!("only {CURRENCY} is taken here"));
            return taken.then_some(false).ok_or_else(wrong);
        };
        let same = |entry: &Entry| {
            (entry.operation.clone(), entry.amount, entry.currency.clone(), entry.digest.clone())
        };
        let used =
            || RefusalKind::NumberInUse.because("another amount, currency or code has this order number");
        (known.operation == "cancel" || same(known) == same(new)).then_some(true).ok_or_else(used)
    }

    fn cancel(&mut self, terminal: &str, order: &str, now: Duration) -> Result<Answer, Refusal> {
        let known = self.ledger.find(terminal, order).cloned();
        let mut entry = known.unwrap_or_else(|| new_entry(terminal, order, "cancel", (0, CURRENCY), now));
        match entry.state {
            State::Paid if !entry.refunds.is_empty() => {
                return Err(RefusalKind::WrongState.because("an order with refunds cannot be cancelled"));
            }
            State::Paid | State::Pending => {
                (entry.state, entry.reason) = (State::Closed, "cancelled".to_owned());
                self.book(entry)?;
            }
            State::Failed | State::Closed | State::Refused => {}
        }
        Ok(self.order_answer(terminal, order))
    }

    fn refund(&mut self, terminal: &str, refund: &Refund, now: Duration) -> Result<Answer, Refusal> {
        let wrong_state = || RefusalKind::WrongState.because("the order is not paid");
        let known = self.ledger.find(terminal, &refund.order).filter(|entry| entry.state == State::Paid);
        let mut entry = known.cloned().ok_or_else(wrong_state)?;
        if refund.currency != entry.currency {
            return Err(RefusalKind::WrongCurrency.because("the order was paid in another currency"));
        }
        match entry.refunds.iter().find(|known| known.refund == refund.refund) {
            Some(known) if known.amount != refund.amount => {
                return Err(RefusalKind::NumberInUse.because("another amount has this refund number"));
            }
            Some(_) => {}
            None => {
                let left = entry.amount.saturating_sub(entry.refunded());
                if refund.amount > left {
                    let reason = format!("{left} of {} are left to give back", entry.amount);
                    return Err(RefusalKind::RefundTooLarge.because(reason));
                }
                let (number, reference) = (refund.refund.clone(), self.reference());
                let at = now.as_secs();
                entry.refunds.push(ledger::Refund { refund: number, amount: refund.amount, reference, at });
                self.book(entry)?;
            }
        }
        Ok(self.refund_answer(terminal, &refund.order, &refund.refund))
    }

    /// Lets the customer of an order that is pending act, if the time has come.
    fn settle(&mut self, terminal: &str, order: &str, now: Duration) -> Result<(), Refusal> {
        let known = self.ledger.find(terminal, order).filter(|entry| entry.state == State::Pending);
        let Some(mut entry) = known.cloned() else { return Ok(()) };
        let waited = now.saturating_sub(Duration::from_millis(entry.started_ms));
        if entry.shown.as_ref().is_some_and(|(_, valid_until)| *valid_until < now.as_secs()) {
            (entry.state, entry.reason) = (State::Closed, "the code expired".to_owned());
        } else {
            match self.user {
                User::Declines => {
                    (entry.state, entry.reason) = (State::Failed, "the customer refused".to_owned());
                }
                User::Waits(None) => return Ok(()),
                User::Waits(Some(time)) if waited < time => return Ok(()),
                User::Pays | User::Waits(Some(_)) => self.paid(&mut entry, now),
            }
        }
        self.book(entry)
    }

    fn order_answer(&self, terminal: &str, order: &str) -> Answer {
        let outcome = self.ledger.find(terminal, order).map_or(OrderOutcome::Unknown {}, outcome);
        Answer::Order(OrderAnswer { order: order.to_owned(), outcome })
    }

    fn refund_answer(&self, terminal: &str, order: &str, refund: &str) -> Answer {
        let known = self.ledger.find(terminal, order).map(|entry| entry.refunds.as_slice());
        let known = known.unwrap_or_default().iter().find(|known| known.refund == refund);
        let outcome = known.map_or(RefundOutcome::Unknown {}, |known| RefundOutcome::Refunded {
            amount: known.amount,
            reference: known.reference.clone(),
            at: known.at,
        });
        Answer::Refund(RefundAnswer { order: order.to_owned(), refund: refund.to_owned(), outcome })
    }

    /// Notes a refused request in the ledger, without using its number up.
    fn refuse(&mut self, admitted: &Admitted, refusal: Refusal, now: Duration) -> Answer {
        let (request, operation) = (&admitted.request, admitted.request.path().trim_start_matches("/v1/"));
        let money = request.money().unwrap_or((0, CURRENCY));
        let mut entry = new_entry(&admitted.key, request.order(), operation, money, now);
        (entry.state, entry.reason) = (State::Refused, refusal.reason.clone());
        // The request is refused either way.
        let _ = self.ledger.record(entry);
        Answer::Refused(refusal)
    }

    fn book(&mut self, entry: Entry) -> Result<(), Refusal> {
        self.ledger.record(entry).map_err(|error| {
            RefusalKind::Unavailable.because(format!("the ledger cannot be written: {error}"))
        })
    }

    /// A number for a payment or a refund that no other has.
    fn reference(&self) -> String {
        format!("QR{:014}", self.ledger.next_number())
    }
}

fn outcome(entry: &Entry) -> OrderOutcome {
    let payment = || Payment {
        amount: entry.amount,
        currency: entry.currency.clone(),
        wallet: entry.wallet.clone().unwrap_or_default(),
        reference: entry.reference.clone().unwrap_or_default(),
        at: entry.paid_at.unwrap_or_default(),
    };
    match entry.state {
        State::Pending => {
            let shown = entry.shown.clone().map(|(code, valid_until)| Shown { code, valid_until });
            OrderOutcome::Pending { shown }
        }
        State::Paid if entry.refunds.is_empty() => OrderOutcome::Paid(payment()),
        State::Paid => OrderOutcome::Refunded { payment: payment(), refunded: entry.refunded() },
        State::Failed | State::Refused => OrderOutcome::Failed { reason: entry.reason.clone() },
        State::Closed => {
            let returned = if entry.paid_at.is_some() { entry.amount } else { 0 };
            OrderOutcome::Closed { returned }
        }
    }
}

fn new_entry(terminal: &str, order: &str, operation: &str, money: (u64, &str), now: Duration) -> Entry {
    Entry {
        terminal: terminal.to_owned(),
        order: order.to_owned(),
        operation: operation.to_owned(),
        amount: money.0,
        currency: money.1.to_owned(),
        wallet: None,
        code: String::new(),
        digest: String::new(),
        reference: None,
        state: State::Pending,
        reason: "the customer has yet to confirm".to_owned(),
        started_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        paid_at: None,
        shown: None,
        refunds: Vec::new(),
    }
}

fn digest(code: &PaymentCode) -> String {
    hex::encode(Sha256::digest(code.as_str()))
}
