//! The card's part of a transaction, as `cardd` plays it: what it says, and what it is told.

use std::collections::HashMap;
use std::time::Duration;

use client::card::{CardPaymentProxy, CardTransactionProxy};
use client::{Dictionary, get};
use futures_util::StreamExt as _;
use iso8583::CardFlow;
use zbus::message::Type as MessageType;
use zbus::{Array, Connection, MatchRule, MessageStream, OwnedVariant};

use crate::desk::CHOOSE_APPLICATION;
use crate::host::OnlineCard;
use crate::transaction::{Card, Transaction};

/// The card's last commands take a second; a card daemon that needs longer is stuck.
const END_LIMIT: Duration = Duration::from_secs(30);

/// What the card's side says.
#[derive(Debug)]
pub(crate) enum CardEvent {
    /// A step, for the cardholder and the app.
    Progress(String, Dictionary),
    /// The customer is to choose one of these applications of the card.
    Choice(Vec<String>, Dictionary),
    /// The host has to decide.
    Online(Box<OnlineCard>),
    /// The end of the card's part.
    Completed(Box<CardEnd>),
    /// The card daemon went away.
    Gone,
}

/// How the card's part ended.
#[derive(Debug, Clone)]
pub(crate) struct CardEnd {
    /// `approved`, `declined`, `cancelled` or `failed`.
    pub(crate) outcome: String,
    /// Why, for a person.
    pub(crate) reason: String,
    pub(crate) card: Card,
    /// DE 55.
    pub(crate) chip_data: Vec<u8>,
    /// Where the card approved without the host: track 2, sealed for the terminal's storage.
    pub(crate) stored_track2: Option<Vec<u8>>,
}

/// One EMV transaction at the card daemon.
pub(crate) struct CardSession {
    proxy: CardTransactionProxy<'static>,
    signals: MessageStream,
    gone: tokio::task::JoinHandle<()>,
    scripts: bool,
}

/// How a card is asked.
pub(crate) struct Way<'a> {
    /// What the profile says of the service.
    pub(crate) service: &'a iso8583::Service,
    /// Whether it may be approved without the host.
    pub(crate) offline: bool,
    /// Whether the host takes a card that is swiped.
    pub(crate) stripe: bool,
    /// Whether what leaves of it is protected with the keys of DUKPT, and not with the working keys.
    pub(crate) dukpt: bool,
    /// Whether the security code of a card whose number is keyed is asked for.
    pub(crate) security_code: bool,
    /// Whether the host wants to know what became of the issuer's scripts.
    pub(crate) scripts: bool,
}

impl CardSession {
    /// Begins the card's part of `transaction`, as `way` says. `when` is local time, `YYMMDDhhmmss`.
    pub(crate) async fn start(
        bus: &Connection,
        card: &CardPaymentProxy<'static>,
        transaction: &Transaction,
        way: Way<'_>,
        when: &str,
    ) -> zbus::Result<CardSession> {
        let counter = u32::try_from(transaction.id.rem_euclid(99_999_999)).unwrap_or_default();
        let owner =
            zbus::fdo::DBusProxy::new(bus).await?.get_name_owner("org.smartpos.Card".try_into()?).await?;
        // Listening begins before the transaction does, so that nothing it says is missed.
        let rule = MatchRule::builder()
            .msg_type(MessageType::Signal)
            .sender(owner.as_str())
            .interface("org.smartpos.CardTransaction1")
            .build()?;
        let signals = MessageStream::for_match_rule(rule, bus, None).await?;
        let Way { service, offline, stripe, dukpt, security_code, scripts } = way;
        let mut options = match service.card {
            _ if transaction.is_moto() => HashMap::from([
                ("type", transaction.service().as_str().into()),
                ("keyed", true.into()),
                ("security_code", security_code.into()),
            ]),
            CardFlow::Full => {
                HashMap::from([("type", transaction.service().as_str().into()), ("offline", offline.into())])
            }
            CardFlow::Identify | CardFlow::None => {
                HashMap::from([("type", transaction.service().as_str().into()), ("pin", service.pin.into())])
            }
        };
        if transaction.request.choose_application && !transaction.is_moto() {
            options.insert("choose_application", true.into());
        }
        if stripe && !transaction.is_moto() {
            options.insert("stripe", true.into());
        }
        if dukpt {
            options.insert("protection", "dukpt".into());
        }
        let currency = &transaction.request.currency;
        let path = card.start(transaction.amount(), currency, when, counter, options).await?;
        let proxy = client::proxy_at::<CardTransactionProxy>(bus, path).await?;
        let connection = bus.clone();
        let gone = tokio::spawn(async move {
            if let Err(error) = service::bus::vanished(&connection, owner).await {
                log::warn!("the card daemon can't be watched: {error}");
            }
        });
        Ok(CardSession { proxy, signals, gone, scripts })
    }

    /// What the card's side says next.
    pub(crate) async fn next(&mut self) -> CardEvent {
        loop {
            let message = tokio::select! {
                message = self.signals.next() => message,
                _ = &mut self.gone => None,
            };
            let Some(Ok(message)) = message else { return CardEvent::Gone };
            let header = message.header();
            if header.path() != Some(self.proxy.inner().path()) {
                continue;
            }
            let event = match header.member().map(|member| member.as_str()) {
                Some("Progress") => {
                    message.body().deserialize().map(|(step, details)| progress(step, details))
                }
                Some("OnlineRequested") => message.body().deserialize().map(|card| online_card(&card)),
                Some("Completed") => message
                    .body()
                    .deserialize()
                    .map(|(outcome, result)| completed(outcome, &result, self.scripts)),
                _ => continue,
            };
            return event.unwrap_or_else(|error| {
                log::error!("the card daemon said something that can't be read: {error}");
                CardEvent::Gone
            });
        }
    }

    /// Waits for the end of the card's part; `None` if the card daemon goes away, or says nothing for too long.
    pub(crate) async fn end(&mut self) -> Option<CardEnd> {
        tokio::time::timeout(END_LIMIT, self.until_end()).await.ok().flatten()
    }

    /// Waits for the end, however long that takes; `None` if the card daemon goes away.
    pub(crate) async fn until_end(&mut self) -> Option<CardEnd> {
        loop {
            match self.next().await {
                CardEvent::Completed(end) => return Some(*end),
                CardEvent::Gone => return None,
                CardEvent::Progress(..) | CardEvent::Choice(..) | CardEvent::Online(_) => {}
            }
        }
    }

    /// Calls the card's part off; its end still comes.
    pub(crate) async fn cancel(&self) {
        if let Err(error) = self.proxy.cancel().await {
            log::warn!("the card daemon does not cancel: {error}");
        }
    }

    /// Tells which of the card's applications the customer chose.
    pub(crate) async fn choose_application(&self, index: u32) {
        // One that is late does no harm: the card's side says how it ended.
        if let Err(error) = self.proxy.choose_application(index).await {
            log::warn!("the card daemon takes no choice: {error}");
        }
    }

    /// Hands the host's answer to the card.
    pub(crate) async fn authorise(&self, code: &str, issuer_data: &[u8]) -> zbus::Result<()> {
        self.proxy.authorise(code, issuer_data).await
    }

    /// Tells the card that the host can't be reached.
    pub(crate) async fn unable_to_go_online(&self) -> zbus::Result<()> {
        self.proxy.unable_to_go_online().await
    }
}

impl Drop for CardSession {
    fn drop(&mut self) {
        self.gone.abort();
    }
}

fn progress(step: String, details: Dictionary) -> CardEvent {
    if step != CHOOSE_APPLICATION {
        return CardEvent::Progress(step, details);
    }
    let names = get::<&Array<'_>>(&details, "applications").map(|names| {
        names.iter().map(|name| <&str>::try_from(name).unwrap_or_default().to_string()).collect()
    });
    CardEvent::Choice(names.unwrap_or_default(), details)
}

fn online_card(values: &Dictionary) -> CardEvent {
    let pin_block = bytes(values, "pin_block");
    CardEvent::Online(Box::new(OnlineCard {
        card: card(values),
        key_serial: bytes(values, "key_serial").unwrap_or_default(),
        sealed_track2: bytes(values, "sealed_track2").unwrap_or_default(),
        pin_block,
        chip_data: bytes(values, "chip_data").unwrap_or_default(),
    }))
}

/// `scripts`: the host is told of them.
fn completed(outcome: String, values: &Dictionary, scripts: bool) -> CardEvent {
    let mut card = card(values);
    if !scripts {
        card.script_data.clear();
    }
    CardEvent::Completed(Box::new(CardEnd {
        outcome,
        reason: text(values, "reason"),
        card,
        chip_data: bytes(values, "chip_data").unwrap_or_default(),
        stored_track2: bytes(values, "stored_track2"),
    }))
}

fn card(values: &Dictionary) -> Card {
    Card {
        masked_pan: text(values, "masked_pan"),
        token: text(values, "token"),
        pan_sequence: get::<u8>(values, "pan_sequence"),
        entry_mode: text(values, "entry_mode"),
        aid: text(values, "aid"),
        label: text(values, "label"),
        cvm: text(values, "cvm"),
        tvr: text(values, "tvr"),
        tsi: text(values, "tsi"),
        cryptogram: text(values, "cryptogram"),
        script_data: bytes(values, "script_data").map(hex::encode).unwrap_or_default(),
        certificate: String::new(),
    }
}

fn text(values: &Dictionary, key: &str) -> String {
    get::<&str>(values, key).unwrap_or_default().to_string()
}

fn bytes(values: &Dictionary, key: &str) -> Option<Vec<u8>> {
    let value: OwnedVariant = values.get(key)?.try_clone().ok()?;
    Vec::<u8>::try_from(value).ok()
}
