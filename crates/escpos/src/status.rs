//! What a printer says: automatic status (`GS a`), real-time status (`DLE EOT`), and the barrier (`GS r 1`).
//!
//! The three share one stream and differ by fixed bits: automatic status is four bytes of which the first is
//! `0xx1xx00`, real-time status one byte `0xx1xx10`, the barrier one byte `0xx0xxxx`.

/// The paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paper {
    /// Enough.
    #[default]
    Present,
    /// The near-end sensor sees the end of the roll.
    NearEnd,
    /// None.
    Out,
}

/// The state of a printer, from four bytes of automatic status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// It does not print.
    pub offline: bool,
    /// The cover is open.
    pub cover_open: bool,
    /// The cutter is stuck.
    pub cutter_error: bool,
    /// It must be switched off.
    pub unrecoverable: bool,
    /// It is too hot, and goes on by itself.
    pub overheated: bool,
    /// The paper.
    pub paper: Paper,
}

/// One thing that a printer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Automatic status.
    Status(Status),
    /// The answer to `GS r 1`: all that was sent before it is on paper.
    Barrier(Paper),
    /// The answer to `DLE EOT n`: its meaning depends on the question.
    RealTime(u8),
}

/// Splits a printer's bytes into events. It holds at most three bytes.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    first: Option<u8>,
    rest: Vec<u8>,
}

impl Parser {
    /// A parser at the beginning of a stream.
    #[must_use]
    pub fn new() -> Parser {
        Parser::default()
    }

    /// Takes the next byte, and returns what it completes. A byte that fits nothing is skipped.
    pub fn push(&mut self, byte: u8) -> Option<Event> {
        if let Some(first) = self.first {
            if byte & 0x90 == 0 {
                self.rest.push(byte);
                if let [second, third, _] = *self.rest {
                    *self = Parser::new();
                    return Some(Event::Status(status(first, second, third)));
                }
                return None;
            }
            // The status broke off: this byte begins something else.
            *self = Parser::new();
        }
        if byte & 0x93 == 0x10 {
            self.first = Some(byte);
            return None;
        }
        if byte & 0x93 == 0x12 {
            return Some(Event::RealTime(byte));
        }
        (byte & 0x90 == 0).then(|| Event::Barrier(paper(byte)))
    }
}

/// The paper, from the answer to `DLE EOT 4`. Bits 2 and 3: near end; bits 5 and 6: out.
#[must_use]
pub fn paper_now(byte: u8) -> Paper {
    if byte & 0x60 != 0 {
        Paper::Out
    } else if byte & 0x0C != 0 {
        Paper::NearEnd
    } else {
        Paper::Present
    }
}

fn status(first: u8, second: u8, third: u8) -> Status {
    Status {
        offline: first & 0x08 != 0,
        cover_open: first & 0x20 != 0,
        cutter_error: second & 0x08 != 0,
        unrecoverable: second & 0x20 != 0,
        overheated: second & 0x40 != 0,
        paper: paper(third),
    }
}

/// Bits 0 and 1: near end; bits 2 and 3: out.
fn paper(byte: u8) -> Paper {
    if byte & 0x0C != 0 {
        Paper::Out
    } else if byte & 0x03 != 0 {
        Paper::NearEnd
    } else {
        Paper::Present
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(bytes: &[u8]) -> Vec<Event> {
        let mut parser = Parser::new();
        bytes.iter().filter_map(|byte| parser.push(*byte)).collect()
    }

    #[test]
    fn a_barrier_between_two_status_reports_is_found() {
        let out = Status { offline: true, paper: Paper::Out, ..Status::default() };
        let got = events(&[0x18, 0, 0x0C, 0x0F, 0x0C, 0x10, 0, 0, 0x0F, 0x00]);
        let wanted = [
            Event::Status(out),
            Event::Barrier(Paper::Out),
            Event::Status(Status::default()),
            Event::Barrier(Paper::Present),
        ];
        assert_eq!(got, wanted);
    }

    #[test]
    fn a_status_that_breaks_off_does_not_swallow_the_next() {
        assert_eq!(
            events(&[0x10, 0, 0x10, 0, 0x03, 0]),
            [Event::Status(Status { paper: Paper::NearEnd, ..Status::default() })]
        );
    }

    #[test]
    fn noise_is_skipped() {
        assert_eq!(events(&[0xFF, 0x80, 0x12]), [Event::RealTime(0x12)]);
    }
}
