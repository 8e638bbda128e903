//! A clock that jumps in the middle of a transaction: after so many steps that the app was told of.

use std::collections::HashMap;
use std::time::Duration;

use client::get;
use client::payment::PaymentProxy;
use futures_util::{FutureExt as _, StreamExt as _};
use sim_terminal::Clock;
use smartpos_tests::{Shop, text};
use zbus::message::Type as MessageType;
use zbus::{MatchRule, Message, MessageStream};

/// How far it jumps, and that in milliseconds.
pub(crate) const JUMPS: [(&str, i64); 3] = [("+1d", DAY), ("-1d", -DAY), ("-1y", -365 * DAY)];
const DAY: i64 = 24 * 60 * 60 * 1000;
/// After so long without a step a clock that must be right is put right, as by a time server.
const PUT_RIGHT: Duration = Duration::from_secs(1);
/// No case takes longer.
const SLACK: i64 = 10 * 60 * 1000;

/// When a clock jumps, and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Jump {
    /// After so many steps; 0 is before the terminal is asked.
    pub(crate) steps: usize,
    /// As [`Clock::set`] takes it.
    pub(crate) offset: &'static str,
}

/// The steps of a transaction that an app is told of.
pub(crate) struct Steps {
    clock: Clock,
    jump: Option<Jump>,
    /// Whether somebody takes nothing from a terminal whose clock is wrong.
    needs_time: bool,
    signals: MessageStream,
    told: usize,
}

impl Steps {
    /// Those of the transaction that will have `key`, with the clock set right, or jumping at `jump`; `needs_time` puts it
    /// right again after a while.
    pub(crate) async fn of(
        shop: &Shop,
        key: &str,
        clock: Clock,
        jump: Option<Jump>,
        needs_time: bool,
    ) -> Result<Steps, String> {
        let failed = |error: zbus::Error| error.to_string();
        let rule = MatchRule::builder()
            .msg_type(MessageType::Signal)
            .path(shop.path(key))
            .member("StateChanged")
            .build()
            .map_err(failed)?;
        let signals = MessageStream::for_match_rule(rule, &shop.bus, None).await.map_err(failed)?;
        let steps = Steps { clock, jump, needs_time, signals, told: 0 };
        steps.jump_if_due()?;
        Ok(steps)
    }

    /// Follows them, and has the clock jump. It ends only with an error.
    pub(crate) async fn follow(&mut self) -> String {
        loop {
            let done = tokio::select! {
                next = self.signals.next() => self.count(next),
                () = tokio::time::sleep(PUT_RIGHT), if self.needs_time => self.put_right(),
            };
            if let Err(error) = done {
                return error;
            }
        }
    }

    /// How many there were. What follows does not happen at the wrong time where that would not be taken.
    pub(crate) fn told(&mut self) -> Result<usize, String> {
        while let Some(next) = self.signals.next().now_or_never() {
            self.count(next)?;
        }
        if self.needs_time {
            self.put_right()?;
        }
        Ok(self.told)
    }

    fn put_right(&self) -> Result<(), String> {
        self.clock.set("+0").map_err(|error| error.to_string())
    }

    fn count(&mut self, next: Option<zbus::Result<Message>>) -> Result<(), String> {
        next.ok_or("the app bus went away")?.map_err(|error| error.to_string())?;
        self.told += 1;
        self.jump_if_due()
    }

    fn jump_if_due(&self) -> Result<(), String> {
        match self.jump {
            Some(Jump { steps, offset }) if steps == self.told => {
                self.clock.set(offset).map_err(|error| error.to_string())
            }
            _ => Ok(()),
        }
    }
}

/// After a jump: the transaction `key` is still the newest, and where the clock had jumped before it began, its time shows it.
pub(crate) async fn check(operator: &PaymentProxy<'_>, key: &str, jump: Jump) -> Result<(), String> {
    let listed = operator.list_transactions(HashMap::new(), "", 1).await;
    let (listed, _) = listed.map_err(|error| error.to_string())?;
    let newest = listed.first().ok_or("the journal lists nothing")?;
    if text(newest, "key") != key {
        return Err(format!("after `{}`, {} is newer than {key}", jump.offset, text(newest, "key")));
    }
    let offset = JUMPS.iter().find(|(name, _)| *name == jump.offset).map_or(0, |(_, offset)| *offset);
    let created = get::<i64>(newest, "created").unwrap_or_default();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
    if jump.steps == 0 && (created - now - offset).abs() > SLACK {
        return Err("the clock did not jump: is libfaketime installed?".to_owned());
    }
    Ok(())
}
