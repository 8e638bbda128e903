//! Runs a recorded transaction through the kernel, without a card.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::kernel::{Action, Event, HostAnswer, Kernel, PinResult};
use crate::trace::{Answer, Exchange, Remark, Trace};
use crate::{Candidate, Config, Finding, Outcome};

/// More steps than any transaction has.
const MAX_STEPS: usize = 2048;
/// INS of SELECT.
const SELECT: u8 = 0xA4;

/// What came of a replay.
pub struct Replay {
    /// The kernel after the end, for the data of the transaction.
    pub kernel: Kernel,
    /// How it ended.
    pub outcome: Outcome,
    /// Each step, in its order.
    pub steps: Vec<Step>,
}

/// Something that the kernel asked for, what it was told, and what it made of that.
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    /// What was asked for.
    pub asked: Asked,
    /// Where the trace does not fit this kernel, in a sentence.
    pub difference: Option<String>,
    /// What was decided then.
    pub findings: Vec<Finding>,
}

/// What the kernel asked for.
#[derive(Clone, PartialEq, Eq)]
pub enum Asked {
    /// Nothing yet: the start.
    Start,
    /// An exchange with the card: the command that the kernel sent, and the one of the trace that answered it, if any.
    Card {
        /// What this kernel sent.
        command: Vec<u8>,
        /// What was recorded.
        recorded: Option<Exchange>,
    },
    /// An application to be chosen, and which was, from 0.
    Choice(usize),
    /// A PIN, and how its entry ended.
    Pin(PinResult),
    /// A PIN for the card itself, and SW1 SW2 of its answer to VERIFY.
    OfflinePin(u16),
    /// The host.
    Host,
}

/// Runs `trace` to its end. Where the kernel sends something else than was recorded, the answer to the recorded command with the
/// same header is taken, and the step says so; where there is none, the card is mute.
pub fn replay(config: Arc<Config>, trace: &Trace) -> Replay {
    let mut kernel = Kernel::new(config, trace.transaction.clone());
    kernel.record_findings();
    let mut recorded = Recorded::new(trace);
    let (mut asked, mut difference, mut seen) = (Asked::Start, None, 0);
    let mut steps = Vec::new();
    let mut told = recorded.after(kernel.start());
    loop {
        let findings = kernel.findings().get(seen..).unwrap_or_default().to_vec();
        seen += findings.len();
        steps.push(Step { asked, difference, findings });
        let (next, event) = match told {
            Told::End(outcome) => return Replay { kernel, outcome, steps },
            Told::Event { asked, difference, event } => ((asked, difference), event),
        };
        (asked, difference) = next;
        let event = if steps.len() < MAX_STEPS { event } else { Event::Cancelled };
        told = recorded.after(kernel.step(event));
    }
}

/// What is left of a trace.
struct Recorded<'t> {
    exchanges: VecDeque<&'t Exchange>,
    remarks: VecDeque<&'t Remark>,
}

/// What the kernel is told next.
enum Told<'t> {
    End(Outcome),
    Event { asked: Asked, difference: Option<String>, event: Event<'t> },
}

impl<'t> Recorded<'t> {
    fn new(trace: &'t Trace) -> Self {
        // The secure module talks to the card itself where a PIN is verified; the kernel hears of the result alone.
        let exchanges = trace.exchanges.iter().filter(|exchange| !exchange.is_cut_off()).collect();
        Self { exchanges, remarks: trace.remarks.iter().collect() }
    }

    fn after(&mut self, action: Action<'_>) -> Told<'t> {
        match action {
            Action::Complete(outcome) => Told::End(outcome.clone()),
            Action::Transmit(command) => self.card(command),
            Action::ChooseApplication(candidates) => self.choice(candidates),
            Action::EnterOnlinePin | Action::VerifyOfflinePin(_) => self.pin(),
            Action::GoOnline => self.host(),
        }
    }

    fn card(&mut self, command: &[u8]) -> Told<'t> {
        let (exchange, difference) = self.exchange(command);
        let event = match exchange.map(|exchange| &exchange.answer) {
            Some(Answer::Response(response)) => Event::Response(response),
            Some(Answer::Removed) => Event::CardRemoved,
            Some(Answer::Mute) | None => Event::TransmitFailed,
        };
        let asked = Asked::Card { command: command.to_vec(), recorded: exchange.cloned() };
        Told::Event { asked, difference, event }
    }

    /// The recorded exchange that answers `command`: the next one, or one out of its order, or one with the same header.
    fn exchange(&mut self, command: &[u8]) -> (Option<&'t Exchange>, Option<String>) {
        let same = self.exchanges.iter().position(|exchange| exchange.command == command);
        let header = |bytes: &[u8]| bytes.get(..4).map(<[u8]>::to_vec);
        let alike =
            || self.exchanges.iter().position(|exchange| header(&exchange.command) == header(command));
        let difference = match same.map_or_else(|| alike().map(|at| (at, false)), |at| Some((at, true))) {
            Some((0, true)) => return (self.exchanges.pop_front(), None),
            Some((at, same)) => {
                let exchange = self.exchanges.remove(at);
                let line = exchange.map_or(0, |exchange| exchange.line);
                let how = if same { "out of its order" } else { "with other data" };
                return (exchange, Some(format!("recorded {how}, in line {line}")));
            }
            None => "not recorded: the card is taken to be mute".to_owned(),
        };
        (None, Some(difference))
    }

    /// The next remark that `wanted` takes. One that ends the transaction is taken in any case.
    fn remark<T>(&mut self, wanted: impl Fn(&'t Remark) -> Option<T>) -> Result<Option<T>, Event<'t>> {
        match self.remarks.front().copied() {
            Some(Remark::Removed) => Err(Event::CardRemoved),
            Some(Remark::Cancelled) => Err(Event::Cancelled),
            Some(remark) => {
                let taken = wanted(remark);
                if taken.is_some() {
                    self.remarks.pop_front();
                }
                Ok(taken)
            }
            None => Ok(None),
        }
    }

    /// The recorded choice, or else the application that was selected next.
    fn choice(&mut self, candidates: &[Candidate]) -> Told<'t> {
        let chosen = self.remark(|remark| match remark {
            Remark::Chosen(index) => Some(*index),
            _ => None,
        });
        let next = self.exchanges.front().filter(|exchange| exchange.command.get(1) == Some(&SELECT));
        let name = next.and_then(|exchange| {
            let (&length, name) = exchange.command.get(4..)?.split_first()?;
            name.get(..length.into())
        });
        let selected = candidates.iter().position(|candidate| Some(&*candidate.aid) == name);
        let index = chosen.as_ref().ok().copied().flatten().or(selected);
        let difference = index.is_none().then(|| "no choice was recorded: the first is taken".to_owned());
        let index = index.unwrap_or_default();
        Told::Event {
            asked: Asked::Choice(index),
            difference,
            event: chosen.err().unwrap_or(Event::Chosen(index)),
        }
    }

    fn pin(&mut self) -> Told<'t> {
        if let Some(&Remark::PinPresented(status)) = self.remarks.front().copied() {
            self.remarks.pop_front();
            let asked = Asked::OfflinePin(status);
            return Told::Event { asked, difference: None, event: Event::PinPresented(status) };
        }
        let result = self.remark(|remark| match remark {
            Remark::Pin(result) => Some(*result),
            _ => None,
        });
        let missing = "no PIN entry was recorded: it is taken to be bypassed";
        let difference = matches!(result, Ok(None)).then(|| missing.to_owned());
        let entered = result.as_ref().ok().copied().flatten().unwrap_or(PinResult::Bypassed);
        Told::Event {
            asked: Asked::Pin(entered),
            difference,
            event: result.err().unwrap_or(Event::Pin(entered)),
        }
    }

    fn host(&mut self) -> Told<'t> {
        let said = self.remark(|remark| match remark {
            Remark::Host(said) => Some(Some(said)),
            Remark::HostUnreachable => Some(None),
            _ => None,
        });
        let missing = "no answer of a host was recorded: it is taken to be unreachable";
        let difference = matches!(said, Ok(None)).then(|| missing.to_owned());
        let event = match said {
            Err(event) => event,
            Ok(Some(Some(said))) => Event::Host(HostAnswer {
                approved: said.approved,
                arc: said.arc,
                authorisation_code: said.authorisation_code,
                field_55: &said.field_55,
            }),
            Ok(Some(None) | None) => Event::HostUnreachable,
        };
        Told::Event { asked: Asked::Host, difference, event }
    }
}
