//! EMV Book 3 clause 10.2: read application data.

use tlv::{Tag, tags};
use zeroize::Zeroize;

use crate::apdu::{Command, OK, Response};
use crate::data::digits;
use crate::findings::Finding;
use crate::kernel::{Flow, Kernel, Pending, Progress};
use crate::objects::{Wiped, append, room};
use crate::outcome::Reason;
use crate::selection::template;

/// An AFL that lists more records than this is refused; cards have about ten.
const MAX_RECORDS: usize = 255;

/// Annex A: objects that the terminal decides by and that have one length, in bytes.
const FIXED: [(Tag, usize); 9] = [
    (tags::IAC_DEFAULT, 5),
    (tags::IAC_DENIAL, 5),
    (tags::IAC_ONLINE, 5),
    (tags::USAGE_CONTROL, 2),
    (tags::VERSION_ICC, 2),
    (tags::ISSUER_COUNTRY, 2),
    (tags::APPLICATION_CURRENCY, 2),
    (tags::LOWER_CONSECUTIVE_LIMIT, 1),
    (tags::UPPER_CONSECUTIVE_LIMIT, 1),
];

/// A record that the AFL lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    sfi: u8,
    number: u8,
    /// Whether it is covered by offline data authentication.
    signed: bool,
}

/// The records to read, and what offline data authentication covers.
pub(crate) struct Reading {
    records: Vec<Record>,
    /// How many of them have been read.
    done: usize,
    /// The static data to be authenticated so far.
    pub(crate) signed_data: Wiped,
    /// A signed record is not a template 70: authentication fails (clause 10.3).
    pub(crate) signed_data_malformed: bool,
}

impl Default for Reading {
    /// With room for what cards mostly have.
    fn default() -> Self {
        Self {
            records: Vec::with_capacity(32),
            done: 0,
            signed_data: room(1024),
            signed_data_malformed: false,
        }
    }
}

impl Reading {
    /// Clause 10.2: begins with the records that the AFL lists. `None` if it is malformed.
    fn begin(&mut self, afl: &[u8]) -> Option<()> {
        (self.done, self.signed_data_malformed) = (0, false);
        self.signed_data.zeroize();
        parse_afl(afl, &mut self.records)
    }

    /// Clause 10.3: of files 1 to 10 the value of the template is covered, of others all of the record.
    fn add_signed(&mut self, record: Record, inner: Option<&[u8]>, whole: &[u8]) {
        let Some(inner) = inner else {
            self.signed_data_malformed = true;
            return;
        };
        let covered = if record.sfi <= 10 { inner } else { whole };
        append(&mut self.signed_data, covered);
    }
}

impl Kernel {
    pub(crate) fn read_application_data(&mut self) -> Progress {
        let afl = self.data.get(tags::AFL).ok_or(Reason::DataMissing(tags::AFL))?;
        if self.data.array::<2>(tags::AIP).is_none() {
            return Err(Reason::DataMissing(tags::AIP));
        }
        self.reading.begin(afl).ok_or(Reason::DataMalformed(tags::AFL))?;
        self.note(Finding::Records(self.reading.records.len()));
        self.read_next_record()
    }

    fn read_next_record(&mut self) -> Progress {
        match self.reading.records.get(self.reading.done) {
            Some(record) => self.send(Command::read_record(record.sfi, record.number), Pending::ReadRecord),
            None => {
                self.check_mandatory_data()?;
                match self.transaction.flow {
                    Flow::Full => self.authenticate_data(),
                    Flow::Identify { pin } => self.identify(pin),
                }
            }
        }
    }

    pub(crate) fn on_record(&mut self, response: &Response) -> Progress {
        if response.status != OK {
            return Err(self.refused(response.status));
        }
        let record = *self.reading.records.get(self.reading.done).ok_or(Reason::UnexpectedEvent)?;
        self.reading.done += 1;
        let inner = template(&response.data, tags::RECORD_TEMPLATE);
        if record.signed {
            self.reading.add_signed(record, inner, &response.data);
        }
        match inner {
            Some(objects) => self.add_objects(objects)?,
            // Files above 10 are the scheme's or the issuer's, and may hold anything.
            None if record.sfi <= 10 && !record.signed => return Err(self.malformed()),
            None => {}
        }
        self.read_next_record()
    }

    /// Clause 7.2: the objects without which there is no transaction, and their formats.
    fn check_mandatory_data(&self) -> Result<(), Reason> {
        for tag in [tags::EXPIRATION_DATE, tags::PAN, tags::CDOL1, tags::CDOL2] {
            self.data.get(tag).ok_or(Reason::DataMissing(tag))?;
        }
        let pan = self.data.get(tags::PAN).and_then(digits);
        if !pan.is_some_and(|pan| (1..=19).contains(&pan.len())) {
            return Err(Reason::DataMalformed(tags::PAN));
        }
        let expiry = self.data.get(tags::EXPIRATION_DATE).and_then(digits);
        if expiry.is_none_or(|expiry| expiry.len() != 6) {
            return Err(Reason::DataMalformed(tags::EXPIRATION_DATE));
        }
        for tag in [tags::CDOL1, tags::CDOL2] {
            let list = tlv::Dol::new(self.data.get(tag).unwrap_or_default());
            list.total_length().map_err(|_| Reason::DataMalformed(tag))?;
        }
        self.check_formats()
    }

    /// Clause 7.5: an object in the wrong format is not as good as absent; it ends the transaction.
    fn check_formats(&self) -> Result<(), Reason> {
        for (tag, length) in FIXED {
            if self.data.get(tag).is_some_and(|value| value.len() != length) {
                return Err(Reason::DataMalformed(tag));
            }
        }
        if self.data.get(tags::EFFECTIVE_DATE).is_some_and(|date| !is_date(date)) {
            return Err(Reason::DataMalformed(tags::EFFECTIVE_DATE));
        }
        Ok(())
    }
}

/// BCD YYMMDD.
fn is_date(bcd: &[u8]) -> bool {
    let &[_, month, day] = bcd else { return false };
    digits(bcd).is_some_and(|digits| digits.len() == 6)
        && (0x01..=0x12).contains(&month)
        && (0x01..=0x31).contains(&day)
}

/// Clause 10.2: entries of four bytes: SFI, first record, last record, how many of them are signed.
fn parse_afl(afl: &[u8], records: &mut Vec<Record>) -> Option<()> {
    let (entries, []) = afl.as_chunks::<4>() else { return None };
    records.clear();
    for &[sfi, first, last, signed] in entries {
        let valid = sfi & 0x07 == 0 && (1..=30).contains(&(sfi >> 3)) && first >= 1 && last >= first;
        // In u16, as 1 to 255 are 255 records.
        if !valid || u16::from(signed) > u16::from(last - first) + 1 {
            return None;
        }
        records.extend((first..=last).map(|number| {
            let signed = number - first < signed;
            Record { sfi: sfi >> 3, number, signed }
        }));
        if records.len() > MAX_RECORDS {
            return None;
        }
    }
    (!records.is_empty()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_afl_lists_its_records_in_order_and_marks_the_signed_ones() {
        let mut records = Vec::new();
        parse_afl(&[0x08, 1, 2, 1, 0x18, 3, 3, 0], &mut records).unwrap();
        let expected = [(1, 1, true), (1, 2, false), (3, 3, false)];
        assert_eq!(records, expected.map(|(sfi, number, signed)| Record { sfi, number, signed }));
    }

    #[test]
    fn an_afl_that_breaks_clause_10_2_is_refused() {
        let cases: [&[u8]; 8] = [
            &[],
            &[0x08, 1, 1],
            &[0x00, 1, 1, 0],
            &[0xF8, 1, 1, 0],
            &[0x09, 1, 1, 0],
            &[0x08, 0, 1, 0],
            &[0x08, 2, 1, 0],
            &[0x08, 1, 2, 3],
        ];
        for afl in cases {
            assert_eq!(parse_afl(afl, &mut Vec::new()), None, "{afl:02X?}");
        }
        assert_eq!(parse_afl(&[0x08, 1, 255, 0, 0x10, 1, 255, 0], &mut Vec::new()), None);
    }
}
