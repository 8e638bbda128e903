//! `cargo xtask faults link`: the line to the secure module, with something going wrong at each byte of a session of each operation.
//!
//! Both ends of `crates/link` run in virtual time, on a protected line and on an open one. A run without a fault tells how many
//! bytes pass; then each of them is a case for each fault. In each case the call ends within its limit, with the right result or a typed
//! error; the module carries it out once at most; and the next call works.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use link::{Event, Happening, Host, Incoming, MAX_PAYLOAD, Module, Pace, Pairing, Protection, Request};

use crate::dice::Dice;
use crate::operations::{self, Operation};

/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How long a session may take to open, whatever happens to one piece of it.
const OPENING: Duration = Duration::from_secs(5);
/// After so long nothing is under way that a fault has begun.
const QUIET: Duration = Duration::from_secs(4);
/// How long a piece is on its way.
const LATENCY: Duration = Duration::from_millis(2);
/// Of a session with more bytes, not each is a case but those around the borders of its parts.
const LONG: usize = 4000;
/// How many bytes around a border are cases.
const EDGE: usize = 100;
/// More turns than any case takes: the ends would never come to rest.
const MOST_TURNS: usize = 5000;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// Some bytes are lost.
    Drop,
    /// The piece comes twice.
    Duplicate,
    /// The piece comes behind the next one.
    Reorder,
    /// The piece ends here.
    Truncate,
    /// A bit of the byte is another one.
    Flip,
    /// The piece comes later, and others before it.
    Delay,
    /// The host starts anew when the line has carried the byte.
    HostRestart,
    /// So does the module.
    ModuleRestart,
}

impl Fault {
    const ALL: [Fault; 8] = [
        Fault::Drop,
        Fault::Duplicate,
        Fault::Reorder,
        Fault::Truncate,
        Fault::Flip,
        Fault::Delay,
        Fault::HostRestart,
        Fault::ModuleRestart,
    ];

    fn name(self) -> &'static str {
        match self {
            Fault::Drop => "drop",
            Fault::Duplicate => "duplicate",
            Fault::Reorder => "reorder",
            Fault::Truncate => "truncate",
            Fault::Flip => "flip",
            Fault::Delay => "delay",
            Fault::HostRestart => "host-restart",
            Fault::ModuleRestart => "module-restart",
        }
    }
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Host,
    Module,
}

/// One thing that goes wrong: at a byte of what one end sends.
#[derive(Debug, Clone, Copy)]
struct Strike {
    fault: Fault,
    sender: Sender,
    byte: usize,
}

/// One case.
#[derive(Clone)]
struct Case {
    operation: Operation,
    protected: bool,
    strike: Strike,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Strike { fault, sender, byte } = self.strike;
        let line = if self.protected { "protected" } else { "open" };
        let sender = match sender {
            Sender::Host => "host",
            Sender::Module => "module",
        };
        write!(f, "{}/{line}/{}/{sender}-{byte}", self.operation.name, fault.name())
    }
}

/// Runs all cases whose name begins with `case`, or `sample` of them; the table, and the number of cases that failed.
///
/// # Errors
/// A run without a fault that fails, or a name that no case has.
pub(crate) fn run(seed: u64, case: &str, sample: Option<usize>) -> Result<(String, usize), String> {
    let ends = Ends::new()?;
    let mut cases = cases(&ends)?;
    cases.retain(|known| known.to_string().starts_with(case));
    if cases.is_empty() {
        return Err(format!("no case has a name that begins with `{case}`"));
    }
    let mut dice = Dice(seed);
    while sample.is_some_and(|sample| cases.len() > sample) {
        let index = dice.below(u64::try_from(cases.len()).unwrap_or(u64::MAX));
        cases.swap_remove(usize::try_from(index).unwrap_or_default());
    }
    let mut rows: BTreeMap<(bool, Fault), BTreeMap<&str, usize>> = BTreeMap::new();
    let (mut text, mut failed) = (String::new(), 0);
    for case in &cases {
        // What chance decides in a case hangs on its name, so that it is the same when the case is run alone.
        let name = case.to_string();
        let chance = name.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let outcome = ends.run(case, chance).unwrap_or_else(|problem| {
            failed += 1;
            text.push_str(&format!(
                "FAILED {name}\n  {problem}\n  cargo xtask faults link --seed {seed} --case {name}\n"
            ));
            "FAILED"
        });
        *rows.entry((case.protected, case.strike.fault)).or_default().entry(outcome).or_default() += 1;
    }
    for ((protected, fault), row) in rows {
        let cells: Vec<String> = row.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        let line = if protected { "protected" } else { "open" };
        text.push_str(&format!("{line:10} {:15} {}\n", fault.name(), cells.join(", ")));
    }
    text.push_str(&format!("{} cases, {failed} failed\n", cases.len()));
    Ok((text, failed))
}

/// Every fault at every byte of a session of every operation.
fn cases(ends: &Ends) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for operation in operations::all() {
        for protected in [false, true] {
            let mut faultless = Run::new(ends, protected, None, 0);
            faultless
                .call(&operation)
                .map_err(|error| format!("{}, without a fault: {error}", operation.name))?;
            for (sender, bytes) in
                [(Sender::Host, faultless.from_host), (Sender::Module, faultless.from_module)]
            {
                // In the middle of a long part one byte is like another.
                let step = if bytes > LONG { 61 } else { 1 };
                let places = (0..bytes)
                    .filter(|byte| byte % step == 0 || byte % MAX_PAYLOAD < EDGE || bytes - byte < EDGE);
                for (fault, byte) in
                    Fault::ALL.into_iter().flat_map(|fault| places.clone().map(move |byte| (fault, byte)))
                {
                    let strike = Strike { fault, sender, byte };
                    cases.push(Case { operation: operation.clone(), protected, strike });
                }
            }
        }
    }
    Ok(cases)
}

/// The pairing of both ends.
struct Ends {
    host: Pairing,
    module: Pairing,
}

impl Ends {
    fn new() -> Result<Ends, String> {
        let pair = |own: u8, other: &str| {
            let other = hex::decode(other).map_err(|error| error.to_string())?;
            Pairing::new(&[own; 32], &other).map_err(|error| error.to_string())
        };
        Ok(Ends { host: pair(1, operations::MODULE_PUBLIC)?, module: pair(2, operations::HOST_PUBLIC)? })
    }

    fn host(&self, protected: bool, start: u8, now: Duration) -> Host {
        let session = 0x0A0B + u32::from(start) * 0x100;
        let pace = Pace::default();
        match protected {
            true => {
                Host::protected(session, Protection::new(self.host.clone(), [start; 32].into()), pace, now)
            }
            false => Host::new(session, pace, now),
        }
    }

    fn module(&self, protected: bool, start: u8) -> Module {
        match protected {
            true => {
                Module::protected(start.into(), Protection::new(self.module.clone(), [!start; 32].into()))
            }
            false => Module::new(start.into()),
        }
    }

    /// What a case comes to.
    fn run(&self, case: &Case, chance: u64) -> Result<&'static str, String> {
        let mut run = Run::new(self, case.protected, Some(case.strike), chance);
        let outcome = run.call(&case.operation)?;
        if run.strike.is_some() {
            return Err("the fault did not strike".to_owned());
        }
        run.executed.clear();
        match run.call(&operations::next())? {
            "answered" => Ok(outcome),
            other => Err(format!("the next call was {other}")),
        }
    }
}

/// A piece of what an end sent, on its way.
struct Piece {
    at: Duration,
    to: Sender,
    bytes: Vec<u8>,
}

/// Both ends, and the line between them.
struct Run<'a> {
    ends: &'a Ends,
    protected: bool,
    host: Host,
    module: Module,
    starts: u8,
    now: Duration,
    line: Vec<Piece>,
    /// One that comes behind the next.
    held: Option<(Sender, Vec<u8>)>,
    strike: Option<Strike>,
    dice: Dice,
    from_host: usize,
    from_module: usize,
    executed: Vec<Request>,
    happenings: Vec<Happening>,
    /// Whether the one who called has gone with its host.
    orphaned: bool,
}

impl<'a> Run<'a> {
    fn new(ends: &'a Ends, protected: bool, strike: Option<Strike>, chance: u64) -> Run<'a> {
        Run {
            ends,
            protected,
            host: ends.host(protected, 0, Duration::ZERO),
            module: ends.module(protected, 0),
            starts: 0,
            now: Duration::ZERO,
            line: Vec::new(),
            held: None,
            strike,
            dice: Dice(chance),
            from_host: 0,
            from_module: 0,
            executed: Vec::new(),
            happenings: Vec::new(),
            orphaned: false,
        }
    }

    /// Makes a call, and lets everything that comes of it come to rest.
    fn call(&mut self, operation: &Operation) -> Result<&'static str, String> {
        self.until("a session", OPENING, |run| run.host.ready())?;
        self.orphaned = false;
        self.happenings.clear();
        self.host.request(&operation.request, LIMIT, self.now).map_err(|error| error.to_string())?;
        let ended = |run: &Run<'_>| run.orphaned || run.happenings.iter().any(is_end);
        self.until("the call to end", LIMIT, ended)?;
        self.rest(QUIET)?;
        self.check(operation)
    }

    /// Whether what happened is what may happen.
    fn check(&self, operation: &Operation) -> Result<&'static str, String> {
        let Operation { request, response, events, .. } = operation;
        let executed = self.executed.iter().filter(|executed| *executed == request).count();
        if executed > 1 {
            return Err(format!("the module carried it out {executed} times"));
        }
        let got: Vec<&Event> = self
            .happenings
            .iter()
            .filter_map(|what| match what {
                Happening::Event(event) => Some(event),
                _ => None,
            })
            .collect();
        if !got.iter().copied().eq(events.iter().take(got.len())) {
            return Err(format!("these events came: {got:?}"));
        }
        let reopened = self.happenings.iter().any(|what| matches!(what, Happening::Opened(_)));
        let ends: Vec<&Happening> = self.happenings.iter().filter(|what| is_end(what)).collect();
        match ends.as_slice() {
            [] if self.orphaned => Ok("gone with the host"),
            [Happening::Answered(answer)] if answer != response => Err(format!("the answer was {answer:?}")),
            [Happening::Answered(_)] if got.len() < events.len() && !reopened => {
                Err(format!("only these events came: {got:?}"))
            }
            [Happening::Answered(_)] if executed == 0 => {
                Err("it was answered and not carried out".to_owned())
            }
            [Happening::Answered(_)] => Ok("answered"),
            [Happening::Failed(link::Fault::Timeout)] => Ok("timed out"),
            [Happening::Failed(link::Fault::Restarted)] => Ok("restarted"),
            other => Err(format!("it ended with {other:?}")),
        }
    }

    /// Lets time pass until `condition` holds.
    fn until(
        &mut self,
        what: &str,
        limit: Duration,
        condition: impl Fn(&Run<'_>) -> bool,
    ) -> Result<(), String> {
        let latest = self.now + limit;
        for _ in 0..MOST_TURNS {
            self.exchange();
            if condition(self) {
                return Ok(());
            }
            if self.now >= latest {
                return Err(format!("waited {limit:?} for {what}: {:?}", self.happenings));
            }
            self.pass_time(latest);
        }
        Err(format!("the line never comes to rest; waited for {what}"))
    }

    fn rest(&mut self, length: Duration) -> Result<(), String> {
        let until = self.now + length;
        self.until("rest", length + LATENCY, |run| run.now >= until)
    }

    /// Goes to the next moment at which something happens, `latest` at the latest.
    fn pass_time(&mut self, latest: Duration) {
        let deadlines = [self.host.deadline(), self.module.deadline()];
        let arrivals = self.line.iter().map(|piece| piece.at);
        let next = arrivals.chain(deadlines.into_iter().flatten()).min().unwrap_or(latest);
        self.now = next.clamp(self.now, latest);
        let (due, later) = std::mem::take(&mut self.line).into_iter().partition(|piece| piece.at <= self.now);
        self.line = later;
        let due: Vec<Piece> = due;
        for Piece { to, bytes, .. } in due {
            match to {
                Sender::Host => self.host.receive(&bytes, self.now),
                Sender::Module => self.module_takes(&bytes),
            }
        }
        self.host.tick(self.now);
        self.module.tick(self.now);
    }

    fn module_takes(&mut self, bytes: &[u8]) {
        for incoming in self.module.receive(bytes, self.now) {
            let Incoming::Request(request) = incoming else { continue };
            if let Some(operation) = operations::all().into_iter().find(|known| known.request == request) {
                self.module.respond(&operation.response);
                for event in operation.events {
                    self.module.report(event, self.now);
                }
            }
            self.executed.push(request);
        }
    }

    /// Puts on the line what both ends have to send, and takes note of what happened.
    fn exchange(&mut self) {
        while let Some(bytes) = self.host.output() {
            self.send(Sender::Host, &bytes);
        }
        while let Some(bytes) = self.module.output() {
            self.send(Sender::Module, &bytes);
        }
        self.happenings.extend(std::iter::from_fn(|| self.host.happening()));
    }

    fn send(&mut self, sender: Sender, bytes: &[u8]) {
        let counted = match sender {
            Sender::Host => &mut self.from_host,
            Sender::Module => &mut self.from_module,
        };
        let begin = *counted;
        *counted += bytes.len();
        let struck =
            self.strike.filter(|strike| strike.sender == sender && strike.byte < begin + bytes.len());
        match struck {
            Some(strike) => {
                self.strike = None;
                self.hurt(strike, bytes, strike.byte.saturating_sub(begin));
            }
            None => {
                self.deliver(sender, bytes, LATENCY);
                if let Some((_, late)) = self.held.take_if(|(held, _)| *held == sender) {
                    self.deliver(sender, &late, LATENCY);
                }
            }
        }
    }

    /// Does to a piece what the case says, at the byte `place` of it.
    fn hurt(&mut self, strike: Strike, bytes: &[u8], place: usize) {
        let sender = strike.sender;
        let (before, after) = bytes.split_at_checked(place).unwrap_or((bytes, &[]));
        match strike.fault {
            Fault::Drop => {
                let lost = usize::try_from(1 + self.dice.below(8)).unwrap_or(1);
                let rest = after.get(lost..).unwrap_or_default();
                self.deliver(sender, &[before, rest].concat(), LATENCY);
            }
            Fault::Duplicate => self.deliver(sender, &bytes.repeat(2), LATENCY),
            Fault::Reorder => self.held = Some((sender, bytes.to_vec())),
            Fault::Truncate => self.deliver(sender, before, LATENCY),
            Fault::Flip => {
                let bit = 1_u8 << self.dice.below(8);
                let mut changed = bytes.to_vec();
                if let Some(byte) = changed.get_mut(place) {
                    *byte ^= bit;
                }
                self.deliver(sender, &changed, LATENCY);
            }
            Fault::Delay => {
                let late = Duration::from_millis(310 + self.dice.below(2500));
                self.deliver(sender, bytes, late);
            }
            Fault::HostRestart => {
                self.deliver(sender, before, LATENCY);
                self.starts += 1;
                self.host = self.ends.host(self.protected, self.starts, self.now);
                self.orphaned = true;
            }
            Fault::ModuleRestart => {
                self.deliver(sender, before, LATENCY);
                self.starts += 1;
                self.module = self.ends.module(self.protected, self.starts);
            }
        }
    }

    fn deliver(&mut self, sender: Sender, bytes: &[u8], latency: Duration) {
        let to = match sender {
            Sender::Host => Sender::Module,
            Sender::Module => Sender::Host,
        };
        self.line.push(Piece { at: self.now + latency, to, bytes: bytes.to_vec() });
    }
}

fn is_end(happening: &Happening) -> bool {
    matches!(happening, Happening::Answered(_) | Happening::Failed(_))
}
