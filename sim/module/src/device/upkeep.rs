//! What keeps the module well: its starts, its self-tests, its clock, and new firmware.

use std::time::{Duration, Instant};

use link::{Refusal, Request, Response, SelfTestResult};

use super::Device;
use crate::firmware::Update;
use crate::key_entry::KeyEntry;
use crate::{Refused, key_host, refused, self_test};

/// How often it tests itself at least.
const TEST_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

impl Device {
    /// Starts with new firmware, if there is some that waits for it.
    pub(crate) fn restart(&mut self) {
        if std::mem::take(&mut self.restarts) {
            self.start();
        }
    }

    pub(super) fn start(&mut self) {
        self.boot = self.boot.wrapping_add(1);
        self.opened();
        self.keys.end_dukpt();
        self.key_entry = KeyEntry::default();
        self.test();
    }

    /// Has the test `name` fail from now on, or none; the error is for the tester.
    pub(crate) fn fail(&mut self, name: Option<&str>) -> Result<(), String> {
        match name {
            Some(name) if !self_test::is_one(name) => Err(format!("there is no self-test {name}")),
            name => {
                self.failing = name.map(str::to_owned);
                Ok(())
            }
        }
    }

    /// A day goes by.
    #[cfg(test)]
    pub(crate) fn a_day_later(&mut self) {
        self.test_due = Instant::now();
    }

    /// Tests itself. A store that does not open has been tampered with.
    pub(super) fn test(&mut self) -> Vec<SelfTestResult> {
        self.test_due = Instant::now() + TEST_EVERY;
        let firmware = match self.keys.firmware() {
            Some(installed) => self.keys.image(installed.place).is_some_and(|file| installed.is_in(&file)),
            None => true,
        };
        let store = self.keys.test_store();
        let results = self_test::run(store.unwrap_or(false), firmware, self.failing.as_deref());
        let failed = results.iter().filter(|result| !result.passed).map(|result| result.name.clone());
        self.failed = failed.collect();
        if store.is_none() && !self.keys.wiped() {
            self.tamper();
        }
        results
    }

    /// What has to do with new firmware. What is wrong with an update ends it.
    pub(super) fn update(&mut self, request: Request) -> Result<Response, Refused> {
        let going_on = self.update.take();
        match (request, going_on) {
            (Request::BeginUpdate { .. } | Request::FinishUpdate, going_on) if self.is_busy() => {
                self.update = going_on;
                return refused(Refusal::Busy, "a card has power, or something is being entered at the pad");
            }
            (Request::BeginUpdate { manifest }, _) => {
                let update = Update::begin(&manifest, self.keys.firmware(), |place| self.keys.image(place));
                self.update = Some(update?);
            }
            (Request::UpdateData { offset, data }, Some(mut update)) => {
                update.take(offset, &data)?;
                self.update = Some(update);
            }
            (Request::FinishUpdate, Some(update)) => {
                self.keys.install(update.finish()?)?;
                self.restarts = true;
            }
            (Request::CancelUpdate, _) => {}
            _ => return refused(Refusal::Invalid, "no update was begun"),
        }
        Ok(Response::Done)
    }

    fn is_busy(&self) -> bool {
        self.pad.asks() || self.key_entry.asks() || self.has_power()
    }
}

/// What a module still does that failed a self-test.
pub(super) fn works_when_failed(request: &Request) -> bool {
    matches!(
        request,
        Request::Status
            | Request::SelfTest
            | Request::Clock
            | Request::BeginUpdate { .. }
            | Request::UpdateData { .. }
            | Request::FinishUpdate
            | Request::CancelUpdate
    )
}

/// The module's own clock, in milliseconds since 1970.
pub(super) fn clock() -> Result<u64, Refused> {
    let now = key_host::now()?.as_millis();
    u64::try_from(now).map_err(|_| (Refusal::NotSupported, "the module's clock is wrong".to_owned()))
}
