//! What fills the places in a profile's `[elements]`.

use iso8583::{Builder, Fill, Layout, Mti};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::transaction::Original;

/// What one message is about.
pub(super) struct Filling<'a> {
    /// Of the request.
    pub(super) mti: Mti,
    /// The type of the message, and the network management code, as the profile has them.
    pub(super) kind: &'a str,
    pub(super) code: &'a str,
    pub(super) batch: u32,
    pub(super) stan: u32,
    /// When it was asked for, in milliseconds since 1970.
    pub(super) at: i64,
    pub(super) operator: &'a str,
    /// DE 4 and DE 49 of the transaction.
    pub(super) amount: u64,
    pub(super) currency: &'a str,
    /// What it builds on, and under which message type that was asked for.
    pub(super) original: Option<(&'a Original, Mti)>,
}

impl<'a> Filling<'a> {
    /// A message without a transaction.
    pub(super) fn network(mti: Mti, kind: &'a str, code: &'a str) -> Filling<'a> {
        let at = Timestamp::now().as_millisecond();
        Filling {
            mti,
            kind,
            code,
            batch: 0,
            stan: 0,
            at,
            operator: "",
            amount: 0,
            currency: "",
            original: None,
        }
    }

    /// The elements of `layout`.
    pub(super) fn fill(&self, layout: &Layout) -> Vec<(u8, String)> {
        layout.fill(|place| self.content(place))
    }

    fn content(&self, place: Fill) -> String {
        let original = |content: &dyn Fn(&Original, Mti) -> String| {
            self.original.map(|(original, mti)| content(original, mti)).unwrap_or_default()
        };
        match place {
            Fill::Mti => self.mti.to_string(),
            Fill::Type => self.kind.to_string(),
            Fill::Code => self.code.to_string(),
            Fill::Batch => format!("{:06}", self.batch),
            Fill::Stan => format!("{:06}", self.stan),
            Fill::Sent => sent(self.at),
            Fill::Time => zoned(self.at, TimeZone::system()).strftime("%H%M%S").to_string(),
            Fill::Date => zoned(self.at, TimeZone::system()).strftime("%m%d").to_string(),
            Fill::Operator => format!("{:<3}", self.operator),
            Fill::Amount => format!("{:012}", self.amount),
            Fill::Currency => self.currency.to_string(),
            Fill::OriginalMti => original(&|_, mti| mti.to_string()),
            Fill::OriginalBatch => original(&|one, _| format!("{:06}", one.batch)),
            Fill::OriginalStan => original(&|one, _| format!("{:06}", one.stan)),
            Fill::OriginalSent => original(&|one, _| sent(one.created)),
            Fill::OriginalDate => original(&|one, _| one.answer.date.clone()),
            Fill::OriginalReference => original(&|one, _| one.answer.reference.clone()),
            Fill::OriginalApproval => original(&|one, _| one.answer.approval.clone()),
        }
    }
}

/// Puts filled elements into a message.
pub(super) fn put<'m>(message: &mut Builder<'m>, elements: &'m [(u8, String)]) {
    for (number, content) in elements {
        message.filled(*number, content);
    }
}

/// Transmission date and time, ISO 8583 DE 7: `MMDDhhmmss` of UTC.
fn sent(at: i64) -> String {
    zoned(at, TimeZone::UTC).strftime("%m%d%H%M%S").to_string()
}

/// The journal has no times that are out of range.
fn zoned(at: i64, zone: TimeZone) -> Zoned {
    Timestamp::from_millisecond(at).unwrap_or_default().to_zoned(zone)
}
