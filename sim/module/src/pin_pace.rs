//! No more PINs than one in 30 s on average (PCI PTS POI, DTR B: a PIN can't be found by entering all of them, one after the other).

use std::time::{Duration, Instant};

/// After each PIN that was enciphered there is one more to come after this time.
const EACH: Duration = Duration::from_secs(30);

/// How many PINs may be entered now.
pub(crate) struct PinPace {
    left: u32,
    most: u32,
    /// Since when the next one is on its way.
    since: Instant,
}

impl PinPace {
    /// `most` PINs may be entered at once: what a busy hour needs.
    pub(crate) fn new(most: u32, now: Instant) -> PinPace {
        PinPace { left: most, most, since: now }
    }

    /// How long there is to wait before a PIN may be entered; none for no time.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Duration> {
        while self.left < self.most && now.saturating_duration_since(self.since) >= EACH {
            self.left += 1;
            self.since += EACH;
        }
        if self.left == self.most {
            self.since = now;
        }
        (self.left == 0).then(|| EACH.saturating_sub(now.saturating_duration_since(self.since)))
    }

    /// A PIN was entered.
    pub(crate) fn entered(&mut self, now: Instant) {
        self.wait(now);
        self.left = self.left.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_pins_come_at_once_and_then_one_in_30_s_and_no_waiting_saves_up_more() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = PinPace::new(3, start);
        // Hours before the first one give no more than three.
        for _ in 0..3 {
            assert_eq!(pace.wait(at(10_000)), None);
            pace.entered(at(10_000));
        }
        assert_eq!(pace.wait(at(10_000)), Some(EACH));
        assert_eq!(pace.wait(at(10_029)), Some(Duration::from_secs(1)));
        assert_eq!(pace.wait(at(10_030)), None);
        pace.entered(at(10_045));
        assert_eq!(pace.wait(at(10_045)), Some(Duration::from_secs(15)));
        let entered = (10_045..13_645).filter(|second| {
            let may = pace.wait(at(*second)).is_none();
            if may {
                pace.entered(at(*second));
            }
            may
        });
        assert_eq!(entered.count(), 120, "in an hour");
    }
}
