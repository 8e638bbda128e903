//! The QR gateway: `docs/host-qr-gateway.md` over HTTPS. What `crates/gateway` makes of a request is carried there, and
//! what comes back is an answer only if `crates/gateway` says so.

mod link;

use std::fs;
use std::path::Path;
use std::time::Duration;

use gateway::key::{RsaSigner, RsaVerifier};
use gateway::message::{
    Answer, OrderAnswer, OrderNumber, OrderOutcome, Refund, RefundAnswer, RefundOutcome, Refusal,
    RefusalKind, Request,
};
use gateway::terminal::Call;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::config::Gateway as Config;
use crate::transaction::{Order, REST_KEPT, Transaction};
use link::{Connector, Link};

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    /// Nothing was sent: the gateway knows of nothing.
    #[error("the QR gateway can't be reached: {0}")]
    Unreachable(String),
    /// The request was sent; what became of it is unknown.
    #[error("the QR gateway did not answer: {0}")]
    NoAnswer(String),
    /// The gateway refused the request, which had no effect. What an earlier one did is another question.
    #[error("the QR gateway refused: {}", .0.reason)]
    Refused(Refusal),
    /// The order is at a gateway that is not configured any more.
    #[error(
        "the order is at the QR gateway `{0}`, and [gateway] names another one; configure that one to end it"
    )]
    Elsewhere(String),
}

/// How an order stands for ever that was to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// It is closed: nothing was taken, or all was given back.
    Closed,
    /// It had failed.
    Failed,
    /// It was paid, and somebody else has given money of it back: so much is left, in minor units.
    Refunded { left: u64 },
}

/// The QR gateway, with all that is needed to speak to it.
pub(crate) struct QrGateway {
    config: Config,
    key: RsaSigner,
    gateway_key: RsaVerifier,
    connector: Connector,
    /// Kept from one request to the next, until one fails.
    link: Option<Link>,
}

impl QrGateway {
    /// Gets ready to speak to the gateway; it is not called yet. The folder of credentials holds `gateway-root-ca.pem`,
    /// `gateway-terminal-key.pem` and `gateway-public.pem`.
    pub(crate) fn new(config: &Config, credentials: &Path) -> Result<QrGateway, String> {
        let read = |name: &str| {
            let file = credentials.join(name);
            let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            Ok::<_, String>((file, Zeroizing::new(text)))
        };
        let (file, text) = read("gateway-terminal-key.pem")?;
        let key = RsaSigner::from_pem(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        let (file, text) = read("gateway-public.pem")?;
        let gateway_key =
            RsaVerifier::from_pem(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        let connector = Connector::new(&config.server_name, &credentials.join("gateway-root-ca.pem"))?;
        Ok(QrGateway { config: config.clone(), key, gateway_key, connector, link: None })
    }

    /// Its name in the configuration, by which the journal knows it.
    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    /// How long a customer is waited for.
    pub(crate) fn customer_limit(&self) -> Duration {
        Duration::from_millis(self.config.customer_limit_ms)
    }

    /// How long to wait before asking again how an order stands.
    pub(crate) fn query_interval(&self) -> Duration {
        Duration::from_millis(self.config.query_interval_ms)
    }

    /// How long to wait before trying for the `attempt`th time what is owed.
    pub(crate) fn retry_delay(&self, attempt: usize) -> Duration {
        let delays = &self.config.retry_s;
        Duration::from_secs(delays.get(attempt).or(delays.last()).copied().unwrap_or(60))
    }

    /// Makes sure that the gateway can be reached: asked before anything is at stake.
    pub(crate) async fn connect(&mut self) -> Result<(), GatewayError> {
        if self.link.as_ref().is_some_and(Link::is_open) {
            return Ok(());
        }
        let (address, limit) = (&self.config.address, self.answer_limit());
        let link = tokio::time::timeout(limit, self.connector.connect(address, &self.config.server_name))
            .await
            .map_err(|_| GatewayError::Unreachable(format!("{address}: no connection in {limit:?}")))?
            .map_err(|error| GatewayError::Unreachable(format!("{address}: {error}")))?;
        self.link = Some(link);
        Ok(())
    }

    /// Hangs up.
    pub(crate) fn disconnect(&mut self) {
        self.link = None;
    }

    /// How an order stands.
    pub(crate) async fn query(&mut self, order: &Order) -> Result<OrderOutcome, GatewayError> {
        self.order(Request::Query(OrderNumber { order: self.number(order)? })).await
    }

    /// Closes an order, whatever has become of it; how it stands now, when that is for ever.
    pub(crate) async fn cancel(&mut self, order: Option<&Order>) -> Result<Cancelled, GatewayError> {
        // What never had a number never reached the gateway.
        let Some(order) = order else { return Ok(Cancelled::Closed) };
        let outcome = match self.order(Request::Cancel(OrderNumber { order: self.number(order)? })).await {
            // Somebody else may have given money of it back: then it is open no more, and can't be closed.
            Err(GatewayError::Refused(refusal)) if refusal.error == RefusalKind::WrongState => {
                match self.query(order).await? {
                    refunded @ OrderOutcome::Refunded { .. } => refunded,
                    _ => return Err(GatewayError::Refused(refusal)),
                }
            }
            answered => answered?,
        };
        match outcome {
            OrderOutcome::Closed { .. } => Ok(Cancelled::Closed),
            OrderOutcome::Failed { .. } => Ok(Cancelled::Failed),
            OrderOutcome::Refunded { payment, refunded } => {
                Ok(Cancelled::Refunded { left: payment.amount.saturating_sub(refunded) })
            }
            other => Err(GatewayError::NoAnswer(format!("the order is not closed: {other:?}"))),
        }
    }

    /// Takes a payment back that does not stand, whatever has become of its order; a word for how that stands then.
    pub(crate) async fn take_back(&mut self, payment: &Transaction) -> Result<&'static str, GatewayError> {
        let order = payment.order.as_ref();
        let left = match self.cancel(order).await? {
            Cancelled::Closed => return Ok("closed"),
            Cancelled::Failed => return Ok("failed"),
            Cancelled::Refunded { left } => left,
        };
        let Some(order) = order.filter(|_| left > 0) else { return Ok("refunded") };
        // Nothing was sold for the rest either. The order's own number is that of no other refund of it.
        let rest = Order { refund: order.number.clone(), ..order.clone() };
        let kept = |reason: &str| {
            let (id, currency) = (payment.id, &payment.request.currency);
            log::error!(id; "{left} minor units of {currency} stay with the merchant, give them back at the gateway: {reason}");
            Ok(REST_KEPT)
        };
        match self.refund(&rest, left, &payment.request.currency).await {
            Ok(RefundOutcome::Refunded { .. }) => Ok("refunded"),
            // Nothing will ever be under this number.
            Ok(RefundOutcome::Failed { reason }) => kept(&reason),
            Err(GatewayError::Refused(refusal))
                if matches!(refusal.error, RefusalKind::NumberInUse | RefusalKind::RefundTooLarge) =>
            {
                kept("somebody gave another part of it back meanwhile")
            }
            Ok(other) => Err(GatewayError::NoAnswer(format!("the rest is not given back: {other:?}"))),
            Err(error) => Err(error),
        }
    }

    /// Gives `amount` minor units of an order back.
    pub(crate) async fn refund(
        &mut self,
        order: &Order,
        amount: u64,
        currency: &str,
    ) -> Result<RefundOutcome, GatewayError> {
        let (number, refund) = (self.number(order)?, order.refund.clone());
        let request = Refund { order: number, refund, amount, currency: currency.to_string() };
        match self.ask(Request::Refund(request)).await? {
            Answer::Refund(RefundAnswer { outcome, .. }) => Ok(outcome),
            _ => Err(GatewayError::NoAnswer("an answer about an order to a refund".to_string())),
        }
    }

    /// Asks for something that is answered with how an order stands.
    pub(crate) async fn order(&mut self, request: Request) -> Result<OrderOutcome, GatewayError> {
        match self.ask(request).await? {
            Answer::Order(OrderAnswer { outcome, .. }) => Ok(outcome),
            _ => Err(GatewayError::NoAnswer("an answer about a refund to an order".to_string())),
        }
    }

    /// The number of an order, if it is one of this gateway.
    fn number(&self, order: &Order) -> Result<String, GatewayError> {
        if order.gateway == self.config.name {
            return Ok(order.number.clone());
        }
        Err(GatewayError::Elsewhere(order.gateway.clone()))
    }

    fn answer_limit(&self) -> Duration {
        Duration::from_millis(self.config.answer_timeout_ms)
    }

    /// Sends `request` and returns the answer to it.
    async fn ask(&mut self, request: Request) -> Result<Answer, GatewayError> {
        self.connect().await?;
        let unsent = |error: &dyn std::fmt::Display| GatewayError::Unreachable(error.to_string());
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|error| unsent(&error))?;
        let made = Call::new(request, &self.config.key, &self.key, seconds(), nonce);
        let (call, outgoing) = made.map_err(|error| unsent(&error))?;
        // Taken, so that a connection on which something went wrong, or was given up, is not used again.
        let Some(mut link) = self.link.take() else { return Err(unsent(&"the connection was closed")) };
        let limit = self.answer_limit();
        let came = tokio::time::timeout(limit, link.exchange(&outgoing))
            .await
            .map_err(|_| GatewayError::NoAnswer(format!("nothing came in {limit:?}")))?
            .map_err(GatewayError::NoAnswer)?;
        let answer = call.answer(came.status, &came.head, &came.body, &self.gateway_key, seconds());
        match answer.map_err(|error| GatewayError::NoAnswer(error.to_string()))? {
            Answer::Refused(refusal) => Err(GatewayError::Refused(refusal)),
            answer => {
                self.link = Some(link);
                Ok(answer)
            }
        }
    }
}

/// Now, in seconds since 1970.
fn seconds() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}
