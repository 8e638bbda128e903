//! What the terminal's owner allows of a service: `[limits.SERVICE]` of `paymentd.toml`.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::Deserialize;
use service::{Error, Result};

use crate::services::Service;
use crate::transaction::Transaction;

/// An hour, in milliseconds.
const HOUR: i64 = 3_600_000;

/// Each service's limits; one that is not here has none.
pub(crate) type LimitsByService = BTreeMap<Service, Limits>;

/// All that the owner limits.
#[derive(Debug, Clone)]
pub(crate) struct OwnerLimits {
    pub(crate) by_service: LimitsByService,
    /// Of sales with a keyed card, besides those of all sales.
    pub(crate) moto: Limits,
}

/// Limits that a transaction has to keep to.
#[derive(Debug, Clone)]
pub(crate) struct Applied<'a> {
    /// The section of `paymentd.toml`.
    section: String,
    pub(crate) limits: &'a Limits,
    /// What counts: these services.
    pub(crate) services: [Service; 2],
    /// Whether transactions with a keyed card alone count.
    pub(crate) moto: bool,
}

impl OwnerLimits {
    /// Those that `transaction` has to keep to.
    pub(crate) fn of(&self, transaction: &Transaction) -> impl Iterator<Item = Applied<'_>> {
        let service = transaction.service();
        let of = |section, services| {
            let limits = self.by_service.get(&section)?;
            let section = format!("limits.{}", section.as_str());
            Some(Applied { section, limits, services, moto: false })
        };
        // Money that goes back is one thing to the owner, whichever way it goes.
        let refunds = matches!(service, Service::Refund | Service::CodeRefund);
        let refund = refunds.then(|| of(Service::Refund, [Service::Refund, Service::CodeRefund]));
        let own = (service != Service::Refund).then(|| of(service, [service; 2]));
        let moto = transaction.is_moto() && service == Service::Sale;
        let moto = moto.then(|| Applied {
            section: "moto.limits".to_string(),
            limits: &self.moto,
            services: [service; 2],
            moto: true,
        });
        own.flatten().into_iter().chain(refund.flatten()).chain(moto)
    }
}

/// What becomes of a transaction that is over a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OverLimit {
    /// It is not begun, or declined when the card is read.
    #[default]
    Refuse,
    /// It waits for a supervisor (`approval.rs`).
    Supervisor,
}

/// The limits of one service. Sums count what was approved or is under way, also where it was voided later. Days are those
/// of the local calendar.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// The most of one transaction, in minor units.
    pub(crate) transaction: Option<u64>,
    /// The most of a day, in minor units.
    pub(crate) day: Option<u64>,
    /// The most of a day for one app, in minor units.
    pub(crate) app_day: Option<u64>,
    /// The most of a day for one card, in minor units.
    pub(crate) card_day: Option<u64>,
    /// The most transactions of the last hour.
    pub(crate) per_hour: Option<u32>,
    /// What becomes of one that is over any of these.
    pub(crate) over_limit: OverLimit,
}

/// What was done before, since the day and the hour began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// In minor units.
    pub(crate) day: u64,
    /// Of the same app, in minor units.
    pub(crate) app_day: u64,
    /// Transactions.
    pub(crate) hour: u32,
}

impl Limits {
    pub(crate) const NONE: Limits = Limits {
        transaction: None,
        day: None,
        app_day: None,
        card_day: None,
        per_hour: None,
        over_limit: OverLimit::Refuse,
    };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::NONE
    }
}

impl Applied<'_> {
    /// Whether `amount` minor units more are within all limits that can be told before a card is read.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] with the limit and what is left of it.
    pub(crate) fn check(&self, amount: u64, done: Done) -> Result<()> {
        let sums = [
            ("transaction", self.limits.transaction, 0),
            ("day", self.limits.day, done.day),
            ("app_day", self.limits.app_day, done.app_day),
        ];
        for (name, limit, done) in sums {
            self.check_sum(name, limit, done, amount)?;
        }
        match self.limits.per_hour {
            Some(most) if done.hour >= most => {
                let problem = format!("{}.per_hour: {most} in an hour; try again later", self.section);
                Err(Error::LimitExceeded(problem))
            }
            _ => Ok(()),
        }
    }

    /// Whether `amount` minor units more are within the limit for a card that had `done` today.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`], likewise.
    pub(crate) fn check_card(&self, amount: u64, done: u64) -> Result<()> {
        self.check_sum("card_day", self.limits.card_day, done, amount)
    }

    fn check_sum(&self, name: &str, limit: Option<u64>, done: u64, amount: u64) -> Result<()> {
        let Some(limit) = limit else { return Ok(()) };
        let left = limit.saturating_sub(done);
        if amount <= left {
            return Ok(());
        }
        let section = &self.section;
        Err(Error::LimitExceeded(format!("{section}.{name}: of {limit} minor units {left} are left")))
    }
}

/// When the local day of `now` began; both in milliseconds since 1970.
pub(crate) fn day_of(now: i64) -> i64 {
    let time = Timestamp::from_millisecond(now).unwrap_or(Timestamp::UNIX_EPOCH);
    let day = time.to_zoned(TimeZone::system()).start_of_day();
    day.map_or(now, |day| day.timestamp().as_millisecond())
}

/// When the local day began that was so many days before that of `now`; both in milliseconds since 1970.
pub(crate) fn days_before(now: i64, days: u16) -> i64 {
    let time = Timestamp::from_millisecond(now).unwrap_or(Timestamp::UNIX_EPOCH);
    let day = time.to_zoned(TimeZone::system()).start_of_day();
    let before = day.and_then(|day| day.checked_sub(i64::from(days).days()));
    before.map_or(now, |day| day.timestamp().as_millisecond())
}

/// An hour before `now`, in milliseconds since 1970.
pub(crate) fn hour_before(now: i64) -> i64 {
    now.saturating_sub(HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_reached_exactly_and_named_when_it_is_passed() {
        let limits = Limits {
            transaction: Some(100),
            day: Some(250),
            app_day: Some(150),
            card_day: Some(120),
            per_hour: Some(3),
            over_limit: OverLimit::Refuse,
        };
        let services = [Service::Sale; 2];
        let applied = |limits| Applied { section: "limits.sale".to_string(), limits, services, moto: false };
        let (none, limits) = (Limits::default(), applied(&limits));
        let done = |day, app_day, hour| Done { day, app_day, hour };
        limits.check(100, done(150, 50, 2)).unwrap();
        limits.check_card(100, 20).unwrap();
        for (amount, done, named) in [
            (101, done(0, 0, 0), "sale.transaction"),
            (100, done(151, 0, 0), "sale.day: of 250 minor units 99 are left"),
            (100, done(0, 51, 0), "sale.app_day"),
            (1, done(0, 0, 3), "sale.per_hour"),
            (1, done(u64::MAX, 0, 0), "sale.day: of 250 minor units 0 are left"),
        ] {
            let refused = limits.check(amount, done).unwrap_err().to_string();
            assert!(refused.contains(named), "{refused}");
        }
        assert!(limits.check_card(100, 21).is_err());
        applied(&none).check(u64::MAX, done(1, 1, 1)).unwrap();
    }
}
