//! The acquirer's host: reached over TLS, spoken to in a dialect that is data.

mod advice;
mod clock;
mod dialect;
mod downloads;
mod filling;
mod link;
mod module_key;
mod scripts;
mod settlement;
mod sums;
mod tls;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client::card::CardPaymentProxy;
use iso8583::Mti;
use tokio::sync::watch;

pub(crate) use advice::is_invalid;
pub(crate) use dialect::{HostAnswer, OnlineCard};
pub(crate) use link::{Line, Link};

use self::link::Ends;
use crate::config::{Host as HostConfig, Merchant};
use crate::downloads::Set;
use crate::journal::{Journal, JournalError};
use crate::terminal_parameters::TerminalParameters;
use crate::transaction::{Acceptor, Transaction};

/// Why the host did not give an answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    /// Nothing was sent: the host knows of nothing.
    #[error("the host can't be reached: {0}")]
    Unreachable(String),
    /// The request was sent; what became of it is unknown.
    #[error("the host did not answer: {0}")]
    NoAnswer(String),
    /// An answer came with a wrong message authentication code; what became of the request is unknown.
    #[error("the host's answer is not authentic: {0}")]
    BadMac(String),
    /// An answer came that is none to the request; what became of the request is unknown.
    #[error("the host's answer can't be used: {0}")]
    BadAnswer(String),
    /// The host refused to sign the terminal on.
    #[error("the host refused the sign-on with code {0}")]
    SignOnRefused(String),
    /// The host's profile does not have this service.
    #[error("the acquirer does not offer `{0}`")]
    NotOffered(&'static str),
    /// The secure module could not do its part.
    #[error("the secure card module: {0}")]
    Module(#[from] zbus::Error),
    /// The journal could not do its part.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A key serial number as long as any, to try out whether a message can be said.
const TRIAL_SERIAL: [u8; 12] = [0; 12];

/// The host, with all that is needed to speak to it.
pub(crate) struct Host {
    profile: Arc<iso8583::Host>,
    merchant: Merchant,
    /// Which terminal of which host this is.
    source: String,
    /// DE 49.
    currency: String,
    line: Arc<Line>,
    journal: Journal,
    card: CardPaymentProxy<'static>,
    signed_on: bool,
    /// The check value of the MAC key that the last sign-on brought.
    mac_check: Vec<u8>,
    /// What the last sign-on said that the host has for the terminal.
    due: Vec<Set>,
}

/// What the host is made of, besides its configuration.
pub(crate) struct Parts<'a> {
    pub(crate) profile: iso8583::Host,
    pub(crate) credentials: &'a Path,
    pub(crate) journal: Journal,
    pub(crate) card: CardPaymentProxy<'static>,
    /// What the host says of this terminal.
    pub(crate) said: watch::Receiver<TerminalParameters>,
}

impl Host {
    /// Gets ready to speak to the host; it is not called yet.
    pub(crate) fn new(config: &HostConfig, merchant: &Merchant, parts: Parts<'_>) -> Result<Host, String> {
        let Parts { profile, credentials, journal, card, said } = parts;
        if profile.offline.is_some() && profile.security.serial_field.is_some() {
            return Err(format!(
                "the host profile {}: sales approved offline wait under working keys, not under DUKPT; leave [offline] out",
                profile.name
            ));
        }
        if profile.moto.is_some() && profile.security.serial_field.is_some() {
            return Err(format!(
                "the host profile {}: a keyed card is sealed under working keys, not by DUKPT; leave [moto] out",
                profile.name
            ));
        }
        let currency = format!("{:03}", merchant.currency()?.code);
        let tls = tls::Connector::new(&config.server_name, credentials, config.client_key, card.clone())?;
        let profile = Arc::new(profile);
        let line = Line::new(Ends {
            profile: Arc::clone(&profile),
            tls,
            merchant: merchant.clone(),
            addresses: config.addresses(),
            answer_timeout: config.answer_timeout_ms.map(Duration::from_millis),
            said,
        });
        Ok(Host {
            source: merchant.at_host(&profile.name, &config.server_name),
            profile,
            merchant: merchant.clone(),
            currency,
            line: Arc::new(line),
            journal,
            card,
            signed_on: false,
            mac_check: Vec::new(),
            due: Vec::new(),
        })
    }

    /// Which terminal of which host this is.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Under whose name requests go out.
    pub(crate) fn acceptor(&self) -> Acceptor {
        Acceptor {
            terminal: self.merchant.terminal.clone(),
            merchant: self.merchant.merchant.clone(),
            currency: self.currency.clone(),
        }
    }

    /// What the host's dialect says of the transaction's service.
    pub(crate) fn described(&self, transaction: &Transaction) -> Result<&iso8583::Service, HostError> {
        dialect::described(&self.profile, transaction)
    }

    /// Whether the request, and its reversal, can be said in the host's dialect. Asked before the reversal is armed: one that
    /// could never be sent would hold up the terminal for ever.
    pub(crate) fn check(&self, transaction: &Transaction, card: &OnlineCard) -> Result<(), HostError> {
        let mut trial = transaction.clone();
        (trial.stan, trial.batch) = (1, 1);
        trial.acceptor = self.acceptor();
        trial.card = card.card.clone();
        trial.chip_data = hex::encode(&card.chip_data);
        trial.reversal_reason = self.no_answer_reason().to_string();
        let card = OnlineCard { key_serial: TRIAL_SERIAL.to_vec(), ..card.clone() };
        dialect::request(&self.profile, &trial, &card)?;
        dialect::reversal(&self.profile, &trial, &TRIAL_SERIAL)?;
        Ok(())
    }

    /// DE 39 of a reversal for `error`.
    pub(crate) fn reversal_reason(&self, error: &HostError) -> &str {
        match error {
            HostError::BadMac(_) => &self.profile.reversal.bad_mac,
            HostError::BadAnswer(_) => &self.profile.reversal.error,
            _ => &self.profile.reversal.no_answer,
        }
    }

    /// DE 39 of a reversal for a card that refused what the host had approved.
    pub(crate) fn card_refused_reason(&self) -> &str {
        &self.profile.reversal.error
    }

    /// DE 39 of a reversal for a request whose answer nobody knows.
    pub(crate) fn no_answer_reason(&self) -> &str {
        &self.profile.reversal.no_answer
    }

    /// How long to wait before trying a reversal for the `attempt`th time.
    pub(crate) fn reversal_delay(&self, attempt: usize) -> Duration {
        link::pause(&self.profile.timeouts.reversal_retry_s, attempt)
    }

    /// What the operator should know of the host's clock; empty where that is right.
    pub(crate) fn clock(&self) -> watch::Receiver<String> {
        self.line.clock()
    }

    /// The line to the host, to be tended while nothing is asked.
    pub(crate) fn line(&self) -> Arc<Line> {
        Arc::clone(&self.line)
    }

    /// Calls the host.
    pub(crate) async fn connect(&self) -> Result<Link, HostError> {
        self.line.open().await
    }

    /// Whether working keys have to be fetched before anything else.
    pub(crate) async fn needs_sign_on(&self) -> Result<bool, HostError> {
        if !self.signed_on || self.profile.sign_on.keys.is_none() {
            return Ok(!self.signed_on);
        }
        // Another module may be there than the one that got the keys, with older ones of its own.
        let check = self.card.key_check_value(&self.profile.security.mac_key).await?;
        Ok(check.is_empty() || check != self.mac_check)
    }

    /// Signs on: fetches working keys and hands them, enciphered as they are, to the secure module.
    pub(crate) async fn sign_on(&mut self, link: &mut Link) -> Result<(), HostError> {
        // Given up half-way, the host has new keys and the module has not: then it is to be done again.
        self.signed_on = false;
        let (stan, batch) = self.journal.next_stan().await?;
        let request = dialect::sign_on(&self.profile, &self.merchant, stan, batch)?;
        let answer = link.exchange(&request).await?;
        let profile = Arc::clone(&self.profile);
        let answer = parse(&profile, &answer)?;
        dialect::check_echo(&answer, Mti(0x0810), stan, &self.merchant.terminal, &self.merchant.merchant)?;
        let code = dialect::text(&answer, 39)?;
        if code != "00" {
            return Err(HostError::SignOnRefused(code));
        }
        self.line.check_clock(&answer);
        self.note_due(link.header());
        if let Some(download) = &profile.sign_on.keys {
            let keys = dialect::working_keys(download, &answer)?;
            let keys: Vec<(&str, &[u8], &[u8])> = keys
                .iter()
                .map(|(slot, key, check)| (slot.as_str(), key.as_slice(), check.as_slice()))
                .collect();
            self.card.load_working_keys(&keys, &download.under).await?;
            self.mac_check = self.card.key_check_value(&profile.security.mac_key).await?;
        }
        self.signed_on = true;
        log::info!("signed on");
        Ok(())
    }

    /// Asks the host for what `transaction` wants. Anything but an `Ok` leaves its outcome unknown, once this was called.
    pub(crate) async fn ask(
        &mut self,
        link: &mut Link,
        transaction: &Transaction,
        card: &OnlineCard,
    ) -> Result<HostAnswer, HostError> {
        let request = match self.profile.security.serial_field {
            // What has no card has keys of its own all the same.
            Some(_) if card.key_serial.is_empty() => {
                let card = OnlineCard { key_serial: self.key_serial().await?, ..card.clone() };
                dialect::request(&self.profile, transaction, &card)?
            }
            _ => dialect::request(&self.profile, transaction, card)?,
        };
        let mti = dialect::described(&self.profile, transaction)?.mti.answer();
        let answer = self.exchange(link, request).await?;
        let profile = Arc::clone(&self.profile);
        let message = parse(&profile, &answer)?;
        self.verify(&message).await?;
        dialect::check_card_echo(dialect::described(&profile, transaction)?, &message, mti, transaction)?;
        let answer = dialect::answer(&message)?;
        dialect::check_names(&profile, transaction, &answer)?;
        Ok(answer)
    }

    /// Tells the host that a transaction does not stand; the code of its acknowledgement.
    pub(crate) async fn reverse(
        &mut self,
        link: &mut Link,
        transaction: &Transaction,
    ) -> Result<String, HostError> {
        let request = dialect::reversal(&self.profile, transaction, &self.key_serial().await?)?;
        let answer = self.exchange(link, request).await?;
        let profile = Arc::clone(&self.profile);
        let message = parse(&profile, &answer)?;
        self.verify(&message).await?;
        let service = dialect::described(&profile, transaction)?;
        dialect::check_card_echo(service, &message, Mti(0x0410), transaction)?;
        let code = dialect::text(&message, 39)?;
        if self.profile.reversal.acknowledged.contains(&code) {
            return Ok(code);
        }
        Err(HostError::BadAnswer(format!("the reversal was answered with code {code}")))
    }

    /// That of the keys of the next DUKPT transaction, with which a message without a card is protected; empty where the keys
    /// are no such keys.
    async fn key_serial(&self) -> Result<Vec<u8>, HostError> {
        match self.profile.security.serial_field {
            Some(_) => Ok(self.card.next_dukpt_key().await?),
            None => Ok(Vec::new()),
        }
    }

    /// Whether cards have to be protected with the keys of DUKPT.
    pub(crate) fn wants_dukpt(&self) -> bool {
        self.profile.security.serial_field.is_some()
    }

    /// Whether the security code of a keyed card goes along.
    pub(crate) fn wants_security_code(&self) -> bool {
        self.profile.moto.as_ref().is_some_and(|moto| moto.security_code)
    }

    /// Whether `transaction` can be with a card that is swiped.
    pub(crate) fn takes_stripe(&self, transaction: &Transaction) -> bool {
        let service = transaction.service().as_str();
        self.profile
            .stripe
            .as_ref()
            .is_some_and(|stripe| stripe.services.iter().any(|offered| offered == service))
    }

    /// Signs `request` and returns what comes back.
    async fn exchange(&self, link: &mut Link, request: Vec<u8>) -> Result<Vec<u8>, HostError> {
        let request = self.authenticate(request).await?;
        link.exchange(&request).await
    }

    /// Replaces the empty MAC at the end of `message`.
    async fn authenticate(&self, mut message: Vec<u8>) -> Result<Vec<u8>, HostError> {
        let unusable = |error: iso8583::Error| HostError::BadAnswer(error.to_string());
        let parsed = self.profile.codec.parse(&message).map_err(unusable)?;
        let input = parsed.mac_input(parsed.mac_number()).map_err(unusable)?;
        let mac = self.card.mac(&self.profile.security.mac_key, input).await?;
        let mac = <[u8; 8]>::try_from(mac.as_slice())
            .map_err(|_| HostError::Module(zbus::Error::Failure("a MAC is not of 8 bytes".to_string())))?;
        self.profile.codec.set_mac(&mut message, &mac).map_err(unusable)?;
        Ok(message)
    }

    /// Checks the MAC. A host that could not check ours may have lost the keys: the next exchange signs on first.
    async fn verify(&mut self, message: &iso8583::Message<'_>) -> Result<(), HostError> {
        let code = dialect::text(message, 39)?;
        if self.profile.sign_on.again_on.contains(&code) {
            self.signed_on = false;
        }
        let number = message.mac_number();
        let Some(mac) = message.get(number) else {
            self.signed_on = false;
            return Err(HostError::BadMac(format!("no DE {number} with code {code}")));
        };
        let input = message.mac_input(number).map_err(|error| HostError::BadAnswer(error.to_string()))?;
        if self.card.verify_mac(&self.profile.security.mac_key, input, &mac.content()).await? {
            return Ok(());
        }
        Err(HostError::BadMac(format!("DE {number} does not fit")))
    }
}

fn parse<'a>(profile: &'a iso8583::Host, bytes: &'a [u8]) -> Result<iso8583::Message<'a>, HostError> {
    profile.codec.parse(bytes).map_err(|error| HostError::BadAnswer(error.to_string()))
}
