//! `docs/host-qr-gateway.md`: the terminal's end. A request becomes bytes to send; what comes back becomes an answer, or
//! the reason why it is none. Where it is none, the outcome is unknown: query or cancel the order.

use zeroize::Zeroizing;

use crate::head::{Head, HeadError, Signed};
use crate::key::{KeyError, Sign, Verify};
use crate::message::{Answer, OrderOutcome, RefundOutcome, Refusal, Request, read};

/// A request on its way: what its answer must fit.
#[derive(Clone, Debug)]
pub struct Call {
    request: Request,
    nonce: String,
}

/// What to send: `POST`, this path, these header fields, this body.
pub struct Outgoing {
    /// The path, from the `/` on.
    pub path: &'static str,
    /// The header fields of the signature. `Content-Type` is `application/json`.
    pub head: Head,
    /// The body, byte for byte.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why a request cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// A value is out of its range.
    #[error(transparent)]
    Request(Refusal),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Why what came back is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The signature's fields are malformed or wrong.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// It answers another request.
    #[error("the answer is to another request")]
    AnotherRequest,
    /// It is authentic, but no answer to such a request.
    #[error("the answer is malformed: {0}")]
    Malformed(String),
    /// It is authentic, but says that another amount or currency was taken.
    #[error("the answer is about another amount or currency")]
    AnotherAmount,
}

impl Call {
    /// Makes a request of the terminal whose key has this name. `now` is in seconds since 1970; `nonce` is fresh and random,
    /// also for a request that is sent again.
    ///
    /// # Errors
    /// A value that is out of its range; a key that cannot be used.
    pub fn new(
        request: Request,
        key_name: &str,
        key: &dyn Sign,
        now: u64,
        nonce: [u8; 16],
    ) -> Result<(Call, Outgoing), CallError> {
        let body = request.body().map_err(CallError::Request)?;
        let (path, nonce) = (request.path(), hex::encode(nonce));
        let head = Head::sign(key_name, key, now, &nonce, Signed { line: "POST", path, body: &body })?;
        Ok((Call { request, nonce }, Outgoing { path, head, body }))
    }

    /// Reads what came back at `now` with this HTTP status.
    ///
    /// # Errors
    /// [`AnswerError`]: the outcome of the request is unknown then.
    pub fn answer(
        &self,
        status: u16,
        head: &Head,
        body: &[u8],
        key: &dyn Verify,
        now: u64,
    ) -> Result<Answer, AnswerError> {
        if head.nonce != self.nonce {
            return Err(AnswerError::AnotherRequest);
        }
        head.verify(key, now, Signed { line: &status.to_string(), path: self.request.path(), body })?;
        let malformed = |refusal: Refusal| AnswerError::Malformed(refusal.reason);
        let answer = match (status, self.request.refund()) {
            (200, None) => Answer::Order(read(body).map_err(malformed)?),
            (200, Some(_)) => Answer::Refund(read(body).map_err(malformed)?),
            _ => Answer::Refused(read(body).map_err(malformed)?),
        };
        self.fits(&answer, status)?;
        Ok(answer)
    }

    fn fits(&self, answer: &Answer, status: u16) -> Result<(), AnswerError> {
        let (order, refund, money) = (self.request.order(), self.request.refund(), self.request.money());
        let same = match answer {
            Answer::Order(answer) => answer.order == order,
            Answer::Refund(answer) => answer.order == order && Some(answer.refund.as_str()) == refund,
            Answer::Refused(refusal) => refusal.error.status() == status,
        };
        if !same {
            return Err(AnswerError::AnotherRequest);
        }
        let same_money = match (answer, money) {
            (Answer::Order(answer), Some(money)) => match &answer.outcome {
                OrderOutcome::Paid(payment) | OrderOutcome::Refunded { payment, .. } => {
                    (payment.amount, payment.currency.as_str()) == money
                }
                _ => true,
            },
            (Answer::Refund(answer), Some((asked, _))) => match answer.outcome {
                RefundOutcome::Refunded { amount, .. } => amount == asked,
                _ => true,
            },
            _ => true,
        };
        if same_money { Ok(()) } else { Err(AnswerError::AnotherAmount) }
    }
}
