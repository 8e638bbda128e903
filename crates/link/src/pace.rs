//! When an end sends again what was not answered: not while bytes of it are still leaving, nor while an answer may be arriving.

use std::time::Duration;

use crate::RESEND_AFTER;
use crate::frame::MAX_FRAME;

/// How fast a line carries bytes, in each direction. The default is the slowest line of the specification, a UART of 115,200 baud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long one byte takes.
    byte: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace::baud(115_200)
    }
}

impl Pace {
    /// A UART of this rate, with 8N1: ten bits for a byte.
    #[must_use]
    pub fn baud(rate: u32) -> Pace {
        Pace { byte: Duration::from_secs(10) / rate.max(1) }
    }

    /// How long `bytes` bytes take.
    #[must_use]
    pub fn time(self, bytes: usize) -> Duration {
        self.byte.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// How long the longest frame takes.
    pub(crate) fn longest(self) -> Duration {
        self.time(MAX_FRAME)
    }
}

/// When an end's patience with the other one is over.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    pub(crate) pace: Pace,
    /// When the last byte has left, but for those that are queued.
    gone: Duration,
    /// How many bytes were given to the line, nobody said when, since the time was told last.
    queued: usize,
    /// When to send again, and when at the latest, whatever seems to be arriving.
    resend: Duration,
    latest: Duration,
}

impl Patience {
    /// On a line of this pace.
    pub(crate) fn at(pace: Pace) -> Self {
        Self { pace, ..Self::default() }
    }

    /// Counts what is given to the line.
    pub(crate) fn give(&mut self, bytes: usize) {
        self.queued = self.queued.saturating_add(bytes);
    }

    /// What was given begins to leave now at the latest.
    pub(crate) fn leave(&mut self, now: Duration) {
        self.gone = self.gone.max(now) + self.pace.time(std::mem::take(&mut self.queued));
    }

    /// From now on an answer to what was given last is waited for. How long that takes to leave.
    pub(crate) fn begin(&mut self, now: Duration) -> Duration {
        self.leave(now);
        self.resend = self.gone + RESEND_AFTER;
        // Noise must not keep an end waiting longer than a frame does.
        self.latest = self.resend + self.pace.longest();
        self.gone.saturating_sub(now)
    }

    /// Whatever is waited for, it is for so long.
    pub(crate) fn until(&mut self, moment: Duration) {
        (self.resend, self.latest) = (moment, moment);
    }

    /// A part of a frame has come, which may be the answer or have it behind.
    pub(crate) fn arriving(&mut self, now: Duration) {
        self.resend = self.resend.max(self.latest.min(now + RESEND_AFTER));
    }

    /// When to send again.
    pub(crate) fn over(&self) -> Duration {
        self.resend
    }
}
