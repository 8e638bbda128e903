//! EMV Book 3 clause 10.10 and Book 4 Annex A5: issuer-to-card script processing.

use std::collections::VecDeque;

use tlv::{Reader, Tlv, tags};
use zeroize::Zeroizing;

use crate::apdu::{Command, Response};
use crate::bits::{tsi, tvr};
use crate::kernel::{Kernel, Pending, Progress};

/// An issuer that sends more scripts than this is not followed further.
const MAX_SCRIPTS: usize = 16;

/// When a script runs: template 71 before the second GENERATE AC, 72 after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    BeforeSecondAc,
    AfterSecondAc,
}

struct Script {
    phase: Phase,
    identifier: [u8; 4],
    /// `None` if the template is malformed: it is not run.
    commands: Option<VecDeque<Zeroizing<Vec<u8>>>>,
    /// How many commands were sent.
    sent: u8,
}

/// The scripts that are still to run, and the results of those that have.
#[derive(Default)]
pub(crate) struct Scripts {
    waiting: VecDeque<Script>,
    running: Option<Script>,
    results: Vec<[u8; 5]>,
}

impl Scripts {
    /// The scripts in the host's field 55. If that is malformed, those before the fault.
    pub(crate) fn new(field_55: &[u8]) -> Self {
        let waiting = Reader::new(field_55).map_while(Result::ok).filter_map(Script::new).take(MAX_SCRIPTS);
        Self { waiting: waiting.collect(), ..Self::default() }
    }

    /// Five bytes for each script: result and sequence number, identifier.
    pub(crate) fn results(&self) -> &[[u8; 5]] {
        &self.results
    }

    fn next(&mut self, phase: Phase) -> Option<Script> {
        let index = self.waiting.iter().position(|script| script.phase == phase)?;
        self.waiting.remove(index)
    }
}

impl Script {
    fn new(template: Tlv<'_>) -> Option<Self> {
        let phase = match template.tag {
            tags::ISSUER_SCRIPT_1 => Phase::BeforeSecondAc,
            tags::ISSUER_SCRIPT_2 => Phase::AfterSecondAc,
            _ => return None,
        };
        let objects: Result<Vec<_>, _> = template.children().collect();
        let identifier = objects.as_ref().ok().and_then(|objects| {
            objects.iter().find(|object| object.tag == tags::ISSUER_SCRIPT_IDENTIFIER)?.value.try_into().ok()
        });
        let commands = objects.ok().map(|objects| {
            let commands = objects.iter().filter(|object| object.tag == tags::ISSUER_SCRIPT_COMMAND);
            commands.map(|command| Zeroizing::new(command.value.to_vec())).collect()
        });
        Some(Self { phase, identifier: identifier.unwrap_or_default(), commands, sent: 0 })
    }

    /// Book 4 Annex A5: high digit 0 not run, 1 failed, 2 successful; low digit which command failed, at most 15.
    fn result(&self, high: u8, low: u8) -> [u8; 5] {
        let [a, b, c, d] = self.identifier;
        [(high << 4) | low.min(0x0F), a, b, c, d]
    }
}

impl Kernel {
    pub(crate) fn run_scripts(&mut self, phase: Phase) -> Progress {
        while let Some(mut script) = self.scripts.next(phase) {
            self.mark_tsi(tsi::SCRIPT_PROCESSING);
            let Some(commands) = &mut script.commands else {
                self.script_failed(&script, 0, 0);
                continue;
            };
            match commands.pop_front() {
                None => self.script_done(&script),
                Some(command) => return self.send_script_command(script, &command),
            }
        }
        match phase {
            Phase::BeforeSecondAc => self.pass_on_decision(),
            Phase::AfterSecondAc => self.finish_completion(),
        }
    }

    fn send_script_command(&mut self, mut script: Script, bytes: &[u8]) -> Progress {
        script.sent = script.sent.saturating_add(1);
        match Command::coded(bytes) {
            Some(command) => {
                self.scripts.running = Some(script);
                self.send(Some(command), Pending::ScriptCommand)
            }
            None => {
                self.script_failed(&script, 1, script.sent);
                self.run_scripts(script.phase)
            }
        }
    }

    /// Clause 10.10: 90 00, and the warnings 62 and 63, let the script go on.
    pub(crate) fn on_script_response(&mut self, response: &Response) -> Progress {
        let Some(mut script) = self.scripts.running.take() else { return self.finish_completion() };
        if !matches!(response.sw1(), 0x90 | 0x62 | 0x63) {
            self.script_failed(&script, 1, script.sent);
            return self.run_scripts(script.phase);
        }
        match script.commands.as_mut().and_then(VecDeque::pop_front) {
            Some(command) => self.send_script_command(script, &command),
            None => {
                self.script_done(&script);
                self.run_scripts(script.phase)
            }
        }
    }

    /// The transaction breaks off: the script that was running has failed, those that wait are not run.
    pub(crate) fn abandon_scripts(&mut self) {
        if let Some(script) = self.scripts.running.take() {
            self.script_failed(&script, 1, script.sent);
        }
        while let Some(script) = self.scripts.waiting.pop_front() {
            self.script_failed(&script, 0, 0);
        }
    }

    fn script_done(&mut self, script: &Script) {
        self.add_script_result(script.result(2, 0));
    }

    fn script_failed(&mut self, script: &Script, high: u8, low: u8) {
        self.mark_tvr(match script.phase {
            Phase::BeforeSecondAc => tvr::SCRIPT_FAILED_BEFORE,
            Phase::AfterSecondAc => tvr::SCRIPT_FAILED_AFTER,
        });
        self.add_script_result(script.result(high, low));
    }

    fn add_script_result(&mut self, result: [u8; 5]) {
        self.scripts.results.push(result);
        // Annex A5 gives them no tag; this one is Visa's, and hosts of others know it, too.
        let all = self.scripts.results.concat();
        self.data.set(tags::visa::SCRIPT_RESULTS, &all);
    }
}
