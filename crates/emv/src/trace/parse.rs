//! Reading a trace: line by line, bounded, with the number of the line in each error.

use super::{Answer, Exchange, HEADER, HostSaid, Remark, Trace, WITH_PIN, WITHOUT_DATA};
use crate::kernel::{Flow, PinResult, Transaction};

/// A trace with more lines than this is refused: a transaction has fewer than a hundred commands.
const MAX_LINES: usize = 4096;
/// The longest line: a response of 258 bytes with spaces between them.
const MAX_LINE: usize = 1024;
/// A command has 4 to 261 bytes (Book 1 clause 9.4), a response 2 to 258.
const COMMAND: core::ops::RangeInclusive<usize> = 4..=261;
const RESPONSE: core::ops::RangeInclusive<usize> = 2..=258;

/// What is wrong with a trace, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TraceError {
    /// From 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// A problem of one line.
type Parsed<T> = Result<T, String>;

impl Trace {
    /// Reads a trace.
    ///
    /// # Errors
    /// [`TraceError`] for the first line that is none of docs/emv-traces.md, or that holds a PIN.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut reading = Reading::new();
        let mut last = 0;
        for (index, text) in text.lines().enumerate() {
            last = index + 1;
            reading.line(last, text).map_err(|problem| TraceError { line: last, problem })?;
        }
        reading.finish().map_err(|problem| TraceError { line: last, problem })
    }
}

/// What has been read so far.
struct Reading {
    trace: Trace,
    /// A command that has no answer yet.
    command: Option<(usize, Vec<u8>)>,
    begun: bool,
    /// The lines of the header that have been read.
    known: Vec<String>,
}

impl Reading {
    fn new() -> Self {
        let transaction = Transaction {
            flow: Flow::Full,
            kind: 0x00,
            amount: 0,
            other: 0,
            currency: 0,
            currency_exponent: 2,
            date: [0; 3],
            time: [0; 3],
            unpredictable_number: [0; 4],
            random_percent: 99,
            sequence: 1,
            online_only: false,
            force_online: false,
        };
        let trace = Trace { transaction, parameters: vec![], exchanges: vec![], remarks: vec![] };
        Self { trace, command: None, begun: false, known: Vec::new() }
    }

    fn line(&mut self, number: usize, text: &str) -> Parsed<()> {
        if number > MAX_LINES || text.len() > MAX_LINE {
            return Err(format!(
                "a trace has at most {MAX_LINES} lines of at most {MAX_LINE} bytes: cut it down"
            ));
        }
        let text = text.trim();
        if !self.begun {
            self.begun = text == HEADER;
            return if self.begun { Ok(()) } else { Err(format!("a trace begins with {HEADER:?}")) };
        }
        let rest = text.get(1..).unwrap_or_default().trim();
        match text.chars().next() {
            None | Some('#') => Ok(()),
            Some('>') => self.command(number, rest),
            Some('<') => self.response(rest),
            Some('!') => self.remark(rest),
            Some(_) if self.has_card() => {
                Err("what the terminal knew stands before the first command".into())
            }
            Some(_) => self.header(text),
        }
    }

    fn has_card(&self) -> bool {
        self.command.is_some() || !self.trace.exchanges.is_empty()
    }

    fn command(&mut self, number: usize, text: &str) -> Parsed<()> {
        if self.command.is_some() {
            return Err("the command before has no answer: `< DATA`, `! mute` or `! removed`".into());
        }
        let command = match text.find('*') {
            None => octets(text, COMMAND)?,
            Some(at) => cut_off(text, at)?,
        };
        if WITH_PIN.contains(command.get(1).unwrap_or(&0)) && command.len() > WITHOUT_DATA {
            return Err(
                "the data of VERIFY and PIN CHANGE are written as **, two for a byte: no trace holds a PIN"
                    .into(),
            );
        }
        self.command = Some((number, command));
        Ok(())
    }

    fn response(&mut self, text: &str) -> Parsed<()> {
        let response = octets(text, RESPONSE)?;
        self.answer(Answer::Response(response)).ok_or("an answer follows a command".into())
    }

    fn answer(&mut self, answer: Answer) -> Option<()> {
        let (line, command) = self.command.take()?;
        self.trace.exchanges.push(Exchange { line, command, answer });
        Some(())
    }

    fn remark(&mut self, text: &str) -> Parsed<()> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let remark = match words.as_slice() {
            ["mute"] => return self.answer(Answer::Mute).ok_or("`! mute` answers a command".into()),
            ["removed"] if self.command.is_some() => {
                self.answer(Answer::Removed);
                return Ok(());
            }
            _ if self.command.is_some() => {
                return Err("the command before has no answer: `< DATA`, `! mute` or `! removed`".into());
            }
            ["removed"] => Remark::Removed,
            ["cancelled"] => Remark::Cancelled,
            ["choose", number] => Remark::Chosen(
                number
                    .parse::<usize>()
                    .ok()
                    .and_then(|number| number.checked_sub(1))
                    .ok_or("choose 1, 2 …")?,
            ),
            ["pin", "presented", status] => Remark::PinPresented(u16::from_be_bytes(array(status)?)),
            ["pin", result] => Remark::Pin(pin_result(result)?),
            ["host", "unreachable"] => Remark::HostUnreachable,
            ["host", "approve", parts @ ..] => Remark::Host(host(true, parts)?),
            ["host", "decline", parts @ ..] => Remark::Host(host(false, parts)?),
            _ => {
                return Err(
                    "unknown remark: mute, removed, cancelled, choose N, pin …, host … are known".into()
                );
            }
        };
        self.trace.remarks.push(remark);
        Ok(())
    }

    fn header(&mut self, text: &str) -> Parsed<()> {
        let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let value = value.trim();
        if self.known.iter().any(|known| known == key) {
            return Err(format!("{key} stands here twice"));
        }
        self.known.push(key.to_owned());
        let t = &mut self.trace.transaction;
        match key {
            "parameters" => self.trace.parameters = file_names(value)?,
            "flow" => t.flow = flow(value)?,
            "type" => [t.kind] = array(value)?,
            "amount" => t.amount = decimal(value)?,
            "other" => t.other = decimal(value)?,
            "currency" => t.currency = decimal(value)?,
            "exponent" => t.currency_exponent = decimal(value)?,
            "date" => t.date = array(&value.replace('-', ""))?,
            "time" => t.time = array(&value.replace(':', ""))?,
            "unpredictable-number" => t.unpredictable_number = array(value)?,
            "random-percent" => t.random_percent = decimal(value)?,
            "sequence" => t.sequence = decimal(value)?,
            "online-only" => t.online_only = yes_or_no(value)?,
            "force-online" => t.force_online = yes_or_no(value)?,
            _ => return Err(format!("unknown: {key:?}")),
        }
        Ok(())
    }

    fn finish(self) -> Parsed<Trace> {
        if !self.begun {
            return Err(format!("a trace begins with {HEADER:?}"));
        }
        if self.command.is_some() {
            return Err("the last command has no answer: `< DATA`, `! mute` or `! removed`".into());
        }
        for needed in ["amount", "currency", "date", "unpredictable-number"] {
            if !self.known.iter().any(|known| known == needed) {
                return Err(format!("{needed} is missing"));
            }
        }
        Ok(self.trace)
    }
}

/// Header and Lc of a command whose data are asterisks, two for each byte.
fn cut_off(text: &str, at: usize) -> Parsed<Vec<u8>> {
    let (clear, stars) = text.split_at_checked(at).unwrap_or_default();
    let header = octets(clear.trim(), WITHOUT_DATA..=WITHOUT_DATA)?;
    let count = header.last().copied().map(usize::from).unwrap_or_default();
    if !WITH_PIN.contains(header.get(1).unwrap_or(&0)) || stars != "**".repeat(count) {
        return Err("asterisks stand for the data of VERIFY or PIN CHANGE, two for each byte".into());
    }
    Ok(header)
}

fn octets(text: &str, length: core::ops::RangeInclusive<usize>) -> Parsed<Vec<u8>> {
    let digits: String = text.split_whitespace().collect();
    let bytes = hex::decode(digits).map_err(|_| "pairs of hex digits are wanted")?;
    if length.contains(&bytes.len()) {
        Ok(bytes)
    } else {
        Err(format!("{} bytes, where {} to {} are possible", bytes.len(), length.start(), length.end()))
    }
}

fn array<const N: usize>(text: &str) -> Parsed<[u8; N]> {
    octets(text, N..=N)?.try_into().map_err(|_| format!("{N} bytes in hex are wanted"))
}

fn decimal<T: core::str::FromStr>(text: &str) -> Parsed<T> {
    text.parse().map_err(|_| format!("{text:?} is not a number that fits"))
}

fn yes_or_no(text: &str) -> Parsed<bool> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("yes or no is wanted".into()),
    }
}

fn flow(text: &str) -> Parsed<Flow> {
    match text {
        "full" => Ok(Flow::Full),
        "identify" => Ok(Flow::Identify { pin: false }),
        "identify-pin" => Ok(Flow::Identify { pin: true }),
        _ => Err("the flow is full, identify or identify-pin".into()),
    }
}

fn pin_result(text: &str) -> Parsed<PinResult> {
    match text {
        "entered" => Ok(PinResult::Entered),
        "bypassed" => Ok(PinResult::Bypassed),
        "broken" => Ok(PinResult::PinPadBroken),
        "cancelled" => Ok(PinResult::Cancelled),
        "timeout" => Ok(PinResult::TimedOut),
        _ => {
            Err("a PIN is entered, bypassed, broken, cancelled or timeout; its digits have no place here"
                .into())
        }
    }
}

/// `arc=00`, and perhaps `code=123456` and `data=HEX`.
fn host(approved: bool, parts: &[&str]) -> Parsed<HostSaid> {
    let (mut arc, mut authorisation_code, mut field_55) = (None, None, Vec::new());
    for part in parts {
        match part.split_once('=') {
            Some(("arc", value)) => arc = value.as_bytes().try_into().ok(),
            Some(("code", value)) => {
                authorisation_code =
                    Some(value.as_bytes().try_into().map_err(|_| "a code has 6 characters")?);
            }
            Some(("data", value)) => field_55 = octets(value, 0..=255)?,
            _ => return Err(format!("{part:?} is none of arc=, code=, data=")),
        }
    }
    let arc = arc.ok_or("the host's response code is missing: arc= and two characters")?;
    Ok(HostSaid { approved, arc, authorisation_code, field_55 })
}

/// Names of files, which stand beside the trace or where the program looks for parameters.
fn file_names(text: &str) -> Parsed<Vec<String>> {
    let names: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if names.len() < 2 || names.iter().any(|name| name.contains('/') || name.starts_with('.')) {
        return Err("names of files without folders: terminal, applications, then CA keys".into());
    }
    Ok(names)
}
