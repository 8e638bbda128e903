//! EMV Book 3 clause 10.2: read application data.

use std::collections::VecDeque;

use tlv::tags;
use zeroize::Zeroizing;

use crate::apdu::{Command, OK, Response};
use crate::data::digits;
use crate::kernel::{Flow, Kernel, Pending, Progress};
use crate::outcome::Reason;
use crate::selection::template;

/// An AFL that lists more records than this is refused; cards have about ten.
const MAX_RECORDS: usize = 255;

/// A record that the AFL lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    sfi: u8,
    number: u8,
    /// Whether it is covered by offline data authentication.
    signed: bool,
}

/// The records to read, and what offline data authentication covers.
#[derive(Default)]
pub(crate) struct Reading {
    records: VecDeque<Record>,
    /// The static data to be authenticated so far.
    pub(crate) signed_data: Zeroizing<Vec<u8>>,
    /// A signed record is not a template 70: authentication fails (clause 10.3).
    pub(crate) signed_data_malformed: bool,
}

impl Reading {
    /// Clause 10.3: of files 1 to 10 the value of the template is covered, of others all of the record.
    fn add_signed(&mut self, record: Record, inner: Option<&[u8]>, whole: &[u8]) {
        let Some(inner) = inner else {
            self.signed_data_malformed = true;
            return;
        };
        let covered = if record.sfi <= 10 { inner } else { whole };
        // Not extended in place: a vector that moves leaves the PAN behind in freed memory.
        self.signed_data = Zeroizing::new([self.signed_data.as_slice(), covered].concat());
    }
}

impl Kernel {
    pub(crate) fn read_application_data(&mut self) -> Progress {
        let afl = self.data.get(tags::AFL).ok_or(Reason::DataMissing(tags::AFL))?;
        if self.data.array::<2>(tags::AIP).is_none() {
            return Err(Reason::DataMissing(tags::AIP));
        }
        let records = parse_afl(afl).ok_or(Reason::DataMalformed(tags::AFL))?;
        self.reading = Reading { records, ..Reading::default() };
        self.read_next_record()
    }

    fn read_next_record(&mut self) -> Progress {
        match self.reading.records.front() {
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
        let record = self.reading.records.pop_front().ok_or(Reason::UnexpectedEvent)?;
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
        Ok(())
    }
}

/// Clause 10.2: entries of four bytes: SFI, first record, last record, how many of them are signed.
fn parse_afl(afl: &[u8]) -> Option<VecDeque<Record>> {
    let (entries, []) = afl.as_chunks::<4>() else { return None };
    let mut records = VecDeque::new();
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
    (!records.is_empty()).then_some(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_afl_lists_its_records_in_order_and_marks_the_signed_ones() {
        let records = parse_afl(&[0x08, 1, 2, 1, 0x18, 3, 3, 0]).unwrap();
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
            assert_eq!(parse_afl(afl), None, "{afl:02X?}");
        }
        assert_eq!(parse_afl(&[0x08, 1, 255, 0, 0x10, 1, 255, 0]), None);
    }
}
