//! A recorded transaction as a text file (docs/emv-traces.md): what the terminal knew, what it sent to the card, what the
//! card, the PIN pad and the host answered.
//!
//! [`Trace::parse`] reads one, its `Display` writes one, [`replay`](crate::replay::replay) runs one without a card. What a
//! VERIFY or a PIN CHANGE carried is in no trace: a file that has it is refused.

mod parse;
#[cfg(test)]
mod tests;

use core::fmt;

use crate::kernel::{Flow, PinResult, Transaction};

pub use parse::TraceError;

/// The first line of a trace.
const HEADER: &str = "smartpos-emv-trace 1";
/// INS of the commands that carry a PIN: VERIFY, and PIN CHANGE/UNBLOCK (Book 3 clauses 6.5.10 and 6.5.12).
const WITH_PIN: [u8; 2] = [0x20, 0x24];
/// Their header and Lc.
const WITHOUT_DATA: usize = 5;

/// A recorded transaction.
#[derive(Clone)]
pub struct Trace {
    /// What the terminal knew before the card.
    pub transaction: Transaction,
    /// The names of the files that the kernel was configured with: terminal, applications, and any number with CA keys.
    /// Empty where the trace does not say.
    pub parameters: Vec<String>,
    /// What was sent to the card, in its order.
    pub exchanges: Vec<Exchange>,
    /// What cardholder, cashier and host said, in its order.
    pub remarks: Vec<Remark>,
}

/// A command and what the card answered. Its `Debug` shows no data, since a real card's are its cardholder's.
#[derive(Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The line of the command in the file, from 1; 0 where there is no file.
    pub line: usize,
    /// The command as it was sent, GET RESPONSE and repetitions included; of one that carries a PIN, header and Lc alone.
    pub command: Vec<u8>,
    /// The answer.
    pub answer: Answer,
}

/// What the card answered.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// Data, SW1, SW2.
    Response(Vec<u8>),
    /// Nothing.
    Mute,
    /// It was pulled out.
    Removed,
}

/// What came from elsewhere than the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The cardholder chose this application of the list, from 0.
    Chosen(usize),
    /// How the entry of a PIN ended.
    Pin(PinResult),
    /// A PIN was handed to the card: SW1 SW2 of its answer to VERIFY.
    PinPresented(u16),
    /// The host answered.
    Host(HostSaid),
    /// The host could not be reached.
    HostUnreachable,
    /// The card was pulled out while cardholder or host were waited for.
    Removed,
    /// The cashier or the cardholder gave up.
    Cancelled,
}

/// What the host answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSaid {
    /// Whether it approved.
    pub approved: bool,
    /// DE 39.
    pub arc: [u8; 2],
    /// DE 38.
    pub authorisation_code: Option<[u8; 6]>,
    /// DE 55.
    pub field_55: Vec<u8>,
}

impl Exchange {
    /// An exchange as it happened; what carried a PIN is cut off here.
    pub fn new(command: &[u8], answer: Answer) -> Self {
        let command = match command.split_at_checked(WITHOUT_DATA) {
            Some((header, _)) if carries_pin(command) => header,
            _ => command,
        };
        Self { line: 0, command: command.to_vec(), answer }
    }

    /// Whether the command is one that carries a PIN, of which nothing but the header is kept.
    pub fn is_cut_off(&self) -> bool {
        carries_pin(&self.command)
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.command.get(..4).unwrap_or_default();
        write!(f, "line {}: {}… ", self.line, hex::encode_upper(header))?;
        match &self.answer {
            Answer::Response(response) => write!(f, "<{} bytes>", response.len()),
            Answer::Mute => f.write_str("mute"),
            Answer::Removed => f.write_str("removed"),
        }
    }
}

fn carries_pin(command: &[u8]) -> bool {
    command.get(1).is_some_and(|ins| WITH_PIN.contains(ins))
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = &self.transaction;
        writeln!(f, "{HEADER}")?;
        if !self.parameters.is_empty() {
            writeln!(f, "parameters {}", self.parameters.join(" "))?;
        }
        let flow = match t.flow {
            Flow::Full => "full",
            Flow::Identify { pin: false } => "identify",
            Flow::Identify { pin: true } => "identify-pin",
        };
        let ([year, month, day], [hour, minute, second]) = (t.date, t.time);
        writeln!(f, "flow {flow}")?;
        writeln!(f, "type {:02X}", t.kind)?;
        writeln!(f, "amount {}", t.amount)?;
        writeln!(f, "other {}", t.other)?;
        writeln!(f, "currency {:03}", t.currency)?;
        writeln!(f, "exponent {}", t.currency_exponent)?;
        writeln!(f, "date {year:02X}-{month:02X}-{day:02X}")?;
        writeln!(f, "time {hour:02X}:{minute:02X}:{second:02X}")?;
        writeln!(f, "unpredictable-number {}", hex::encode_upper(t.unpredictable_number))?;
        writeln!(f, "random-percent {}", t.random_percent)?;
        writeln!(f, "sequence {}", t.sequence)?;
        writeln!(f, "online-only {}", yes(t.online_only))?;
        writeln!(f, "force-online {}\n", yes(t.force_online))?;
        self.remarks.iter().try_for_each(|remark| writeln!(f, "! {remark}"))?;
        self.exchanges.iter().try_for_each(|exchange| write!(f, "{exchange}"))
    }
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

impl fmt::Display for Exchange {
    /// Two lines. What is cut off is as many asterisks as it had digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "> {}", hex::encode_upper(&self.command))?;
        if let (true, Some(&count)) = (self.is_cut_off(), self.command.get(4)) {
            (0..count).try_for_each(|_| f.write_str("**"))?;
        }
        match &self.answer {
            Answer::Response(response) => writeln!(f, "\n< {}", hex::encode_upper(response)),
            Answer::Mute => writeln!(f, "\n! mute"),
            Answer::Removed => writeln!(f, "\n! removed"),
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen(index) => write!(f, "choose {}", index.saturating_add(1)),
            Self::Pin(PinResult::Entered) => f.write_str("pin entered"),
            Self::Pin(PinResult::Bypassed) => f.write_str("pin bypassed"),
            Self::Pin(PinResult::PinPadBroken) => f.write_str("pin broken"),
            Self::Pin(PinResult::Cancelled) => f.write_str("pin cancelled"),
            Self::Pin(PinResult::TimedOut) => f.write_str("pin timeout"),
            Self::PinPresented(status) => write!(f, "pin presented {status:04X}"),
            Self::Host(said) => {
                let approved = if said.approved { "approve" } else { "decline" };
                write!(f, "host {approved} arc={}", String::from_utf8_lossy(&said.arc))?;
                if let Some(code) = &said.authorisation_code {
                    write!(f, " code={}", String::from_utf8_lossy(code))?;
                }
                if !said.field_55.is_empty() {
                    write!(f, " data={}", hex::encode_upper(&said.field_55))?;
                }
                Ok(())
            }
            Self::HostUnreachable => f.write_str("host unreachable"),
            Self::Removed => f.write_str("removed"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}
