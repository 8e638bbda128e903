//! The host's clock beside the terminal's: DE 12 and DE 13 of an answer are the host's local time.

use iso8583::Message;
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};

/// What to tell the operator where the host's clock and ours, `now` in local time, differ by more than `limit_s` seconds; empty
/// where they don't, and `None` where the answer tells no time.
pub(super) fn warning(answer: &Message<'_>, now: DateTime, limit_s: u32) -> Option<String> {
    let text = |field| answer.get(field).map(|value| value.text()).unwrap_or_default();
    let host = host_time(&text(12), &text(13), now)?;
    let apart = now.duration_since(host).abs();
    if apart <= SignedDuration::from_secs(limit_s.into()) {
        return Some(String::new());
    }
    let minutes = apart.as_mins();
    Some(format!(
        "the host's clock says {host}, ours {now}, {minutes} minutes apart: set the clock or its zone"
    ))
}

/// The moment that `hhmmss` and `MMDD` mean: they name no year, and it is the nearest one.
fn host_time(hhmmss: &str, mmdd: &str, now: DateTime) -> Option<DateTime> {
    let time = Time::strptime("%H%M%S", hhmmss).ok()?;
    let month: i8 = mmdd.get(..2)?.parse().ok()?;
    let day: i8 = mmdd.get(2..)?.parse().ok()?;
    let years = [now.year().saturating_sub(1), now.year(), now.year().saturating_add(1)];
    let moments =
        years.into_iter().filter_map(|year| Some(Date::new(year, month, day).ok()?.to_datetime(time)));
    moments.min_by_key(|moment| now.duration_since(*moment).abs())
}

#[cfg(test)]
mod tests {
    use jiff::civil::datetime;

    use super::*;

    #[test]
    fn the_year_that_the_host_does_not_say_is_the_nearest() {
        let at = |hhmmss, mmdd, now| host_time(hhmmss, mmdd, now).map(|moment| moment.to_string());
        let eve = datetime(2026, 12, 31, 23, 59, 50, 0);
        assert_eq!(at("000010", "0101", eve).unwrap(), "2027-01-01T00:00:10");
        assert_eq!(at("235959", "1231", datetime(2027, 1, 1, 0, 0, 5, 0)).unwrap(), "2026-12-31T23:59:59");
        assert_eq!(at("120000", "0229", datetime(2027, 2, 28, 0, 0, 0, 0)).unwrap(), "2028-02-29T12:00:00");
        for (time, date) in [("", ""), ("246000", "0101"), ("120000", "1301"), ("120000", "é1")] {
            assert_eq!(at(time, date, eve), None, "{time} {date}");
        }
    }
}
