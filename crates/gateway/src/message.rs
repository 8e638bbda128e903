//! `docs/host-qr-gateway.md`, Requests and Answers: the bodies, as types. A field that they do not have is refused.

use qr::wallet::PaymentCode;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::MAX_BODY;

/// The largest amount: twelve digits, as in DE 4.
pub const MAX_AMOUNT: u64 = 999_999_999_999;

/// What a terminal asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Charge the customer whose code was scanned.
    Pay(Pay),
    /// Give a code for the customer to scan.
    Prepare(Prepare),
    /// How does an order stand?
    Query(OrderNumber),
    /// Close an order, and give the money back if it was paid.
    Cancel(OrderNumber),
    /// Give back a part, or all, of what was paid.
    Refund(Refund),
    /// How does a refund stand?
    RefundQuery(RefundNumber),
}

/// `pay`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pay {
    /// The order's number, given by the terminal: it is charged at most once.
    pub order: String,
    /// In minor units, 1 to [`MAX_AMOUNT`].
    pub amount: u64,
    /// ISO 4217, three letters.
    pub currency: String,
    /// What the customer showed.
    #[serde(serialize_with = "show_code", deserialize_with = "read_code")]
    pub code: PaymentCode,
}

/// `prepare`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepare {
    /// The order's number, given by the terminal: it is charged at most once.
    pub order: String,
    /// In minor units, 1 to [`MAX_AMOUNT`].
    pub amount: u64,
    /// ISO 4217, three letters.
    pub currency: String,
}

/// `query` and `cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderNumber {
    /// The order's number.
    pub order: String,
}

/// `refund`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refund {
    /// The order's number.
    pub order: String,
    /// The refund's number, given by the terminal, unique within the order: it is given back at most once.
    pub refund: String,
    /// In minor units, 1 to [`MAX_AMOUNT`].
    pub amount: u64,
    /// ISO 4217, three letters.
    pub currency: String,
}

/// `refund-query`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefundNumber {
    /// The order's number.
    pub order: String,
    /// The refund's number.
    pub refund: String,
}

/// How an order stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderAnswer {
    /// The order's number.
    pub order: String,
    /// How it stands.
    pub outcome: OrderOutcome,
}

/// How an order stands. Paid, failed, closed and refunded do not change but by cancel and refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OrderOutcome {
    /// Nothing is known of it. It may still arrive: cancel it to be sure that it is not charged.
    Unknown {},
    /// The customer has yet to confirm, or to scan the code: ask again.
    Pending {
        /// The code that the customer is to scan, for an order that was prepared.
        #[serde(skip_serializing_if = "Option::is_none")]
        shown: Option<Shown>,
    },
    /// The money was taken.
    Paid(Payment),
    /// The money was taken, and some or all of it given back by refunds.
    Refunded {
        /// What was taken.
        payment: Payment,
        /// How much was given back, in minor units.
        refunded: u64,
    },
    /// Nothing was taken, and nothing will be.
    Failed {
        /// Why, for a person.
        reason: String,
    },
    /// Cancelled or expired: nothing is or will be taken.
    Closed {
        /// How much was given back by cancelling, in minor units.
        returned: u64,
    },
}

/// What was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// In minor units.
    pub amount: u64,
    /// ISO 4217, three letters.
    pub currency: String,
    /// The wallet that paid.
    pub wallet: String,
    /// The gateway's own number for it.
    pub reference: String,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// A code for the customer to scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The text of the QR symbol.
    pub code: String,
    /// Until when it can be paid, in seconds since 1970.
    pub valid_until: u64,
}

/// How a refund stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefundAnswer {
    /// The order's number.
    pub order: String,
    /// The refund's number.
    pub refund: String,
    /// How it stands.
    pub outcome: RefundOutcome,
}

/// How a refund stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RefundOutcome {
    /// Nothing is known of it.
    Unknown {},
    /// The wallet has yet to confirm: ask again.
    Pending {},
    /// The money was given back.
    Refunded {
        /// In minor units.
        amount: u64,
        /// The gateway's own number for it.
        reference: String,
        /// When, in seconds since 1970.
        at: u64,
    },
    /// Nothing was given back, and nothing will be under this number.
    Failed {
        /// Why, for a person.
        reason: String,
    },
}

/// A request that was refused: it had no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{error:?}: {reason}")]
pub struct Refusal {
    /// The kind.
    pub error: RefusalKind,
    /// Why, for a person.
    pub reason: String,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// A header field or the body is malformed, or has a field that it should not have.
    BadRequest,
    /// There is no such path.
    NotFound,
    /// The key is unknown, or the signature is not its own.
    BadSignature,
    /// The clocks differ by more than 300 s: set the clock.
    ClockSkew,
    /// The nonce was used before: sign again with another one.
    Replayed,
    /// The order or refund number is used for another amount, currency or code.
    NumberInUse,
    /// The code belongs to no wallet that is taken here.
    UnknownCode,
    /// The currency is not taken here.
    WrongCurrency,
    /// The refunds would be more than what was paid.
    RefundTooLarge,
    /// The order is not in a state that allows it.
    WrongState,
    /// The gateway cannot serve now: send again later.
    Unavailable,
}

impl RefusalKind {
    /// The HTTP status of such an answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::BadSignature | Self::ClockSkew | Self::Replayed => 401,
            Self::NotFound => 404,
            Self::NumberInUse | Self::WrongState | Self::RefundTooLarge => 409,
            Self::UnknownCode | Self::WrongCurrency => 422,
            Self::Unavailable => 503,
        }
    }

    /// Such a refusal, for this reason.
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Refusal {
        Refusal { error: self, reason: reason.into() }
    }
}

/// What a gateway answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `pay`, `prepare`, `query` and `cancel`.
    Order(OrderAnswer),
    /// To `refund` and `refund-query`.
    Refund(RefundAnswer),
    /// To anything.
    Refused(Refusal),
}

impl Request {
    /// Where it is sent.
    #[must_use]
    pub fn path(&self) -> &'static str {
        match self {
            Self::Pay(_) => "/v1/pay",
            Self::Prepare(_) => "/v1/prepare",
            Self::Query(_) => "/v1/query",
            Self::Cancel(_) => "/v1/cancel",
            Self::Refund(_) => "/v1/refund",
            Self::RefundQuery(_) => "/v1/refund-query",
        }
    }

    /// The order that it is about.
    #[must_use]
    pub fn order(&self) -> &str {
        match self {
            Self::Pay(Pay { order, .. })
            | Self::Prepare(Prepare { order, .. })
            | Self::Query(OrderNumber { order })
            | Self::Cancel(OrderNumber { order })
            | Self::Refund(Refund { order, .. })
            | Self::RefundQuery(RefundNumber { order, .. }) => order,
        }
    }

    /// The refund that it is about.
    #[must_use]
    pub fn refund(&self) -> Option<&str> {
        match self {
            Self::Refund(Refund { refund, .. }) | Self::RefundQuery(RefundNumber { refund, .. }) => {
                Some(refund)
            }
            _ => None,
        }
    }

    /// The amount and the currency that it names.
    #[must_use]
    pub fn money(&self) -> Option<(u64, &str)> {
        match self {
            Self::Pay(Pay { amount, currency, .. })
            | Self::Prepare(Prepare { amount, currency, .. })
            | Self::Refund(Refund { amount, currency, .. }) => Some((*amount, currency)),
            _ => None,
        }
    }

    /// The body to send.
    ///
    /// # Errors
    /// A value that is out of its range.
    pub fn body(&self) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        self.check()?;
        // Room for all from the start: growing would leave a copy of the customer's code behind.
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_BODY));
        let written = match self {
            Self::Pay(pay) => serde_json::to_writer(&mut *body, pay),
            Self::Prepare(prepare) => serde_json::to_writer(&mut *body, prepare),
            Self::Query(number) | Self::Cancel(number) => serde_json::to_writer(&mut *body, number),
            Self::Refund(refund) => serde_json::to_writer(&mut *body, refund),
            Self::RefundQuery(number) => serde_json::to_writer(&mut *body, number),
        };
        written.map_err(|error| RefusalKind::BadRequest.because(error.to_string()))?;
        Ok(body)
    }

    /// Reads the body of a request to `path`.
    ///
    /// # Errors
    /// [`RefusalKind::NotFound`] for another path, [`RefusalKind::BadRequest`] for another body.
    pub fn parse(path: &str, body: &[u8]) -> Result<Request, Refusal> {
        let request = match path {
            "/v1/pay" => Self::Pay(read(body)?),
            "/v1/prepare" => Self::Prepare(read(body)?),
            "/v1/query" => Self::Query(read(body)?),
            "/v1/cancel" => Self::Cancel(read(body)?),
            "/v1/refund" => Self::Refund(read(body)?),
            "/v1/refund-query" => Self::RefundQuery(read(body)?),
            _ => return Err(RefusalKind::NotFound.because("there is no such path")),
        };
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), Refusal> {
        let bad = |reason: &str| Err(RefusalKind::BadRequest.because(reason));
        if !is_number(self.order()) {
            return bad("order: expected 1 to 32 letters, digits, - or _");
        }
        if self.refund().is_some_and(|refund| !is_number(refund)) {
            return bad("refund: expected 1 to 32 letters, digits, - or _");
        }
        match self.money() {
            Some((amount, _)) if !(1..=MAX_AMOUNT).contains(&amount) => {
                bad("amount: expected 1 to 999999999999 minor units")
            }
            Some((_, currency)) if !is_currency(currency) => bad("currency: expected three capital letters"),
            _ => Ok(()),
        }
    }
}

impl Answer {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        if let Self::Refused(refusal) = self { refusal.error.status() } else { 200 }
    }

    /// The body to send.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn body(&self) -> serde_json::Result<Vec<u8>> {
        match self {
            Self::Order(body) => serde_json::to_vec(body),
            Self::Refund(body) => serde_json::to_vec(body),
            Self::Refused(body) => serde_json::to_vec(body),
        }
    }
}

/// A body as JSON, within its limit.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    if body.len() > MAX_BODY {
        return Err(RefusalKind::BadRequest.because("the body is longer than 8192 bytes"));
    }
    // The message of serde_json names fields and places; it may quote a wrong value, so only the place is kept.
    serde_json::from_slice(body).map_err(|error| {
        let place = format!("the body is not what this path takes, at column {}", error.column());
        RefusalKind::BadRequest.because(place)
    })
}

fn is_number(number: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=32).contains(&number.len()) && number.bytes().all(allowed)
}

fn is_currency(currency: &str) -> bool {
    currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn show_code<S: Serializer>(code: &PaymentCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.as_str())
}

fn read_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PaymentCode, D::Error> {
    let text = Zeroizing::new(String::deserialize(deserializer)?);
    PaymentCode::new(&text).map_err(D::Error::custom)
}
