//! The printer without its streams: a bounded buffer, a paper sensor, and the head behind them.

use std::collections::VecDeque;

use escpos::Font;

use crate::command::{Command, MAX_COMMAND, Step, next};
use crate::paper::{Head, Receipt};

/// What the buffer holds; a full one stops the stream, as a printer's handshake does.
pub const BUFFER: usize = MAX_COMMAND + 64 * 1024;
/// The faults that are kept.
const MAX_FAULTS: usize = 100;

/// What a printer does besides drawing.
#[derive(Debug)]
pub enum Output {
    /// Bytes for the host.
    Say(Vec<u8>),
    /// A receipt was cut off, or torn off.
    Done(Receipt),
    /// The receipt so far, at a barrier.
    SoFar(Receipt),
}

/// The printer.
#[derive(Debug)]
pub struct Machine {
    head: Head,
    buffer: VecDeque<u8>,
    /// The roll is at its end.
    pub paper_out: bool,
    /// The near-end sensor.
    pub near_end: bool,
    /// Dots of paper that are left, where the end was announced.
    pub paper_left: Option<usize>,
    /// Switched off line by a person.
    pub offline: bool,
    auto_status: bool,
    /// What was not understood, oldest first.
    pub faults: VecDeque<String>,
    /// Pulses at the drawer connector.
    pub drawer_pulses: u32,
}

impl Machine {
    /// A printer of `width` dots with a full roll.
    #[must_use]
    pub fn new(width: usize, font: Font) -> Machine {
        Machine {
            head: Head::new(width, font),
            buffer: VecDeque::new(),
            paper_out: false,
            near_end: false,
            paper_left: None,
            offline: false,
            auto_status: false,
            faults: VecDeque::new(),
            drawer_pulses: 0,
        }
    }

    /// How many bytes the buffer still takes.
    #[must_use]
    pub fn room(&self) -> usize {
        BUFFER.saturating_sub(self.buffer.len())
    }

    /// How many bytes wait to be printed.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Takes bytes from the host. A real-time command at their beginning passes the buffer.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<Output> {
        let mut output = Vec::new();
        let mut rest = bytes;
        while let [0x10, 0x04, kind @ 1..=4, after @ ..] = rest {
            output.push(Output::Say(vec![self.real_time(*kind)]));
            rest = after;
        }
        self.buffer.extend(rest);
        output.extend(self.run());
        output
    }

    /// Prints what is in the buffer, as far as paper and switches allow.
    pub fn run(&mut self) -> Vec<Output> {
        let mut output = Vec::new();
        while !self.paper_out && !self.offline {
            match next(self.buffer.make_contiguous(), self.head.chinese) {
                Step::Incomplete => break,
                Step::Fault(reason, length) => {
                    self.buffer.drain(..length.min(self.buffer.len()));
                    self.fault(reason);
                }
                Step::Command(command, length) => {
                    self.buffer.drain(..length.min(self.buffer.len()));
                    self.execute(command, &mut output);
                }
            }
        }
        output
    }

    /// Switches the power off and on: the buffer and all modes are lost, the paper stays.
    pub fn power_cycle(&mut self) {
        self.buffer.clear();
        self.head.forget();
        self.auto_status = false;
        self.offline = false;
    }

    /// The automatic status, if the host asked for it.
    #[must_use]
    pub fn status_change(&self) -> Option<Output> {
        self.auto_status.then(|| Output::Say(self.status()))
    }

    /// The receipt that is being printed.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        self.head.receipt()
    }

    fn execute(&mut self, command: Command, output: &mut Vec<Output>) {
        match &command {
            Command::Initialise => {
                self.auto_status = false;
                // Without a cutter, a new job means that a person tore the last one off.
                if self.receipt().dots.height() > 0 {
                    output.push(Output::Done(self.head.tear()));
                }
            }
            Command::AutoStatus(mask) => {
                self.auto_status = *mask != 0;
                output.extend(self.status_change());
            }
            Command::PaperStatus => {
                if self.receipt().dots.height() > 0 {
                    output.push(Output::SoFar(self.receipt().clone()));
                }
                output.push(Output::Say(vec![if self.near_end { 0x03 } else { 0x00 }]));
            }
            Command::RealTimeStatus(kind) => output.push(Output::Say(vec![self.real_time(*kind)])),
            Command::Cut(_) if self.receipt().dots.height() > 0 => {
                output.push(Output::Done(self.head.tear()))
            }
            Command::Drawer(_) => self.drawer_pulses = self.drawer_pulses.saturating_add(1),
            _ => {}
        }
        let before = self.receipt().dots.height();
        if let Err(reason) = self.head.execute(command) {
            self.fault(reason);
        }
        self.use_paper(self.receipt().dots.height().saturating_sub(before), output);
    }

    fn use_paper(&mut self, dots: usize, output: &mut Vec<Output>) {
        let Some(left) = self.paper_left else { return };
        self.paper_left = left.checked_sub(dots).filter(|left| *left > 0);
        if self.paper_left.is_none() {
            self.paper_out = true;
            output.extend(self.status_change());
        }
    }

    fn fault(&mut self, reason: String) {
        self.head.mark(&reason);
        if self.faults.len() >= MAX_FAULTS {
            self.faults.pop_front();
        }
        self.faults.push_back(reason);
    }

    fn paper_bits(&self) -> u8 {
        match (self.paper_out, self.near_end) {
            (true, _) => 0x0F,
            (false, true) => 0x03,
            (false, false) => 0x00,
        }
    }

    /// The four bytes of `GS a`.
    fn status(&self) -> Vec<u8> {
        let offline = if self.offline || self.paper_out { 0x08 } else { 0x00 };
        vec![0x10 | offline, 0x00, self.paper_bits(), 0x0F]
    }

    /// The byte of `DLE EOT kind`.
    fn real_time(&self, kind: u8) -> u8 {
        0x12 | match kind {
            1 if self.offline || self.paper_out => 0x08,
            2 if self.paper_out => 0x20,
            4 => (self.paper_bits() & 0x03) << 2 | (self.paper_bits() & 0x0C) << 3,
            _ => 0,
        }
    }
}
