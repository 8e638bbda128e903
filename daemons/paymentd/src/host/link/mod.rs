//! The line to the host: its addresses, the connection to one of them, and whether that still stands.
//!
//! Where the profile says so, one connection stays open between transactions. It is tested with an echo when it was
//! quiet for long, made again when it broke, and looked at before a request leaves on it. One transaction runs at a
//! time, so one connection is enough; a request that is given up closes its connection, and no later one can get its answer.

mod addresses;
mod backoff;
mod connection;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iso8583::{Builder, Message};
use jiff::Zoned;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use self::addresses::Addresses;
pub(super) use self::backoff::pause;
use self::connection::Connection;
use super::filling::{self, Filling};
use super::{HostError, clock, dialect, parse, tls};
use crate::config::Merchant;
use crate::terminal_parameters::TerminalParameters;

type Stream = TlsStream<TcpStream>;

/// The line to the host.
pub(crate) struct Line {
    profile: Arc<iso8583::Host>,
    tls: tls::Connector,
    merchant: Merchant,
    /// How long answers are waited for, where the owner says it.
    answer_timeout: Option<Duration>,
    /// What the host says of this terminal.
    said: watch::Receiver<TerminalParameters>,
    /// What the operator should know of the host's clock; empty where that is right.
    clock: watch::Sender<String>,
    state: Mutex<State>,
}

struct State {
    addresses: Addresses,
    /// The connection that waits for the next exchange.
    kept: Option<Connection<Stream>>,
    /// How often in a row no address answered.
    failures: usize,
    /// Echoes count by themselves: nothing is booked under their numbers.
    echo_stan: u32,
}

/// What a line is made of.
pub(super) struct Ends {
    pub(super) profile: Arc<iso8583::Host>,
    pub(super) tls: tls::Connector,
    pub(super) merchant: Merchant,
    /// The host's addresses, in the owner's order.
    pub(super) addresses: Vec<String>,
    pub(super) answer_timeout: Option<Duration>,
    pub(super) said: watch::Receiver<TerminalParameters>,
}

/// The use of a connection. Dropping it closes that, unless it is one that is kept.
pub(crate) struct Link {
    line: Arc<Line>,
    connection: Option<Connection<Stream>>,
}

impl Line {
    pub(super) fn new(ends: Ends) -> Line {
        let Ends { profile, tls, merchant, addresses, answer_timeout, said } = ends;
        let first_again = Duration::from_secs(profile.link.first_again_s.into());
        let addresses = Addresses::new(addresses, first_again);
        let state = State { addresses, kept: None, failures: 0, echo_stan: 0 };
        let clock = watch::Sender::default();
        Line { profile, tls, merchant, answer_timeout, said, clock, state: Mutex::new(state) }
    }

    /// How long an answer is waited for: as the owner says, else the host, else its profile.
    fn answer_timeout(&self) -> Duration {
        let profile = Duration::from_secs(self.profile.timeouts.answer_s.into());
        self.answer_timeout.unwrap_or_else(|| self.said.borrow().answer_timeout(profile))
    }

    /// A connection on which the next request can leave: the kept one if it stands, else a new one.
    pub(super) async fn open(self: &Arc<Line>) -> Result<Link, HostError> {
        if let Some(mut link) = self.kept() {
            if link.stands().await {
                return Ok(link);
            }
            log::info!("the connection that was kept had ended");
        }
        self.call().await
    }

    /// Keeps a connection open while nothing else is asked of the host, if the profile says so. It may be given up at any time.
    pub(crate) async fn tend(self: &Arc<Line>) -> Infallible {
        if !self.profile.link.persistent {
            return std::future::pending().await;
        }
        loop {
            match self.kept() {
                Some(link) => self.watch(link).await,
                None => self.call_again().await,
            }
        }
    }

    /// Watches a connection until it ends, is to be replaced, or has answered an echo.
    async fn watch(&self, mut link: Link) {
        let first_again = self.state().addresses.first_again_at();
        let echo_at = self.echo_after().map(|after| link.heard() + after);
        let Some(connection) = &mut link.connection else { return };
        tokio::select! {
            ended = connection.ended() => log::info!("the connection to the host ended: {ended}"),
            () = at(first_again) => link.connection = None,
            () = at(echo_at) => if let Err(error) = link.echo().await {
                log::warn!("the host does not answer an echo: {error}");
            }
        }
    }

    async fn call_again(self: &Arc<Line>) {
        let failures = self.state().failures;
        if let Some(failed) = failures.checked_sub(1) {
            tokio::time::sleep(pause(&self.profile.link.retry_s, failed)).await;
        }
        if let Err(error) = self.call().await {
            log::warn!("{error}");
        }
    }

    /// Calls one address after the other until one answers, and shakes hands.
    async fn call(self: &Arc<Line>) -> Result<Link, HostError> {
        let limit = Duration::from_secs(self.profile.timeouts.connect_s.into());
        let order = self.state().addresses.in_order(Instant::now());
        let mut failures = Vec::new();
        for (number, address) in order {
            match tokio::time::timeout(limit, self.tls.connect(&address)).await {
                Ok(Ok(stream)) => {
                    if !failures.is_empty() {
                        log::warn!("{}; {address} answered", failures.join("; "));
                    }
                    let mut state = self.state();
                    state.addresses.answered(number, Instant::now());
                    state.failures = 0;
                    let connection = Connection::new(stream, Arc::clone(&self.profile));
                    return Ok(Link { line: Arc::clone(self), connection: Some(connection) });
                }
                Ok(Err(error)) => failures.push(format!("{address}: {error}")),
                Err(_) => failures.push(format!("{address}: no connection in {limit:?}")),
            }
        }
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        Err(HostError::Unreachable(failures.join("; ")))
    }

    /// What the operator should know of the host's clock; empty where that is right.
    pub(super) fn clock(&self) -> watch::Receiver<String> {
        self.clock.subscribe()
    }

    /// Compares the host's clock, as an `answer` without a transaction tells it, with ours.
    pub(super) fn check_clock(&self, answer: &Message<'_>) {
        let limit_s = self.profile.sign_on.clock_limit_s;
        // An answer without the time says nothing of it.
        let Some(warning) = clock::warning(answer, Zoned::now().datetime(), limit_s) else { return };
        if !warning.is_empty() && self.clock.borrow().is_empty() {
            log::warn!("{warning}");
        }
        self.clock.send_replace(warning);
    }

    fn kept(self: &Arc<Line>) -> Option<Link> {
        let kept = self.state().kept.take();
        kept.map(|connection| Link { line: Arc::clone(self), connection: Some(connection) })
    }

    fn echo_after(&self) -> Option<Duration> {
        self.profile.link.echo.as_ref().map(|echo| Duration::from_secs(echo.after_s.into()))
    }

    fn next_echo_stan(&self) -> u32 {
        let mut state = self.state();
        state.echo_stan = state.echo_stan % 999_999 + 1;
        state.echo_stan
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// Sends `request` and returns the answer to it.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, HostError> {
        let limit = self.line.answer_timeout();
        self.exchange_within(request, limit).await
    }

    async fn exchange_within(&mut self, request: &[u8], limit: Duration) -> Result<Vec<u8>, HostError> {
        match &mut self.connection {
            Some(connection) => connection.exchange(request, limit).await,
            None => Err(HostError::Unreachable("the connection was given up".to_string())),
        }
    }

    /// Whether a request may leave on it. One that was quiet for longer than echoes are apart is asked.
    async fn stands(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        if connection.has_ended().await {
            return false;
        }
        let quiet = connection.heard().elapsed();
        match self.line.echo_after() {
            Some(after) if quiet >= after => self.echo().await.is_ok(),
            _ => true,
        }
    }

    async fn echo(&mut self) -> Result<(), HostError> {
        let profile = Arc::clone(&self.line.profile);
        let Some(echo) = &profile.link.echo else { return Ok(()) };
        let merchant = self.line.merchant.clone();
        // An echo belongs to no batch.
        let own = Filling::network(echo.mti, &echo.message_type, &echo.network_code)
            .fill(&profile.elements.network);
        let mut message = Builder::new(&profile.codec, echo.mti);
        message.number(11, self.line.next_echo_stan().into());
        message.text(41, &merchant.terminal).text(42, &merchant.merchant);
        filling::put(&mut message, &own);
        let limit = Duration::from_secs(profile.timeouts.connect_s.into());
        let answer = self.exchange_within(&dialect::pack(&message)?, limit).await?;
        self.line.check_clock(&parse(&profile, &answer)?);
        Ok(())
    }

    /// The header of the frame that an exchange was answered in.
    pub(super) fn header(&self) -> &[u8] {
        self.connection.as_ref().map_or(&[], Connection::header)
    }

    fn heard(&self) -> Instant {
        self.connection.as_ref().map_or_else(Instant::now, Connection::heard)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(Connection::is_sound)
            && self.line.profile.link.persistent
        {
            self.line.state().kept = Some(connection);
        }
    }
}

/// Waits until then; for ever where there is no such time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
