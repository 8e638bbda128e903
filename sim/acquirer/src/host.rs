//! One request in, one reaction out: checks, rules and the answer. No sockets here.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use iso8583::{Builder, Message, Mti};
use jiff::{SignedDuration, Zoned};
use tokio::sync::watch;

use crate::base_key::BaseKey;
use crate::dialect::Dialect;
use crate::issuer::Issuer;
use crate::ledger::{Entry, Key, Ledger, State};
use crate::mangling::Mangling;
use crate::parameters::{self, Parameters};
use crate::request::{self, APPROVED, MALFUNCTION, Refusal};
use crate::rules::{Damage, Part, Rule, Rules, targets};
use crate::scripts::Sealed;
use crate::service::{Form, Service};
use crate::working_keys::WorkingKeys;
use crate::{echo_test, reversal, scripts, settlement, sign_on, transaction};

/// Sign-on.
pub(crate) const SIGN_ON: Mti = Mti(0x0800);
/// Pre-authorisation, its increment and its cancellation.
pub(crate) const AUTHORISATION: Mti = Mti(0x0100);
/// Sale, completion, their voids, balance inquiry.
pub(crate) const FINANCIAL: Mti = Mti(0x0200);
/// Refund, tip adjustment.
pub(crate) const ADVICE: Mti = Mti(0x0220);
/// Batch upload.
pub(crate) const UPLOAD: Mti = Mti(0x0320);
/// Echo test.
pub(crate) const ECHO: Mti = Mti(0x0820);
/// Reversal.
pub(crate) const REVERSAL: Mti = Mti(0x0400);
/// Settlement.
pub(crate) const SETTLEMENT: Mti = Mti(0x0500);

/// Results of issuer scripts.
pub(crate) const SCRIPTS: Mti = Mti(0x0620);

/// All that this host takes.
pub(crate) const REQUESTS: [Mti; 9] =
    [AUTHORISATION, FINANCIAL, ADVICE, UPLOAD, REVERSAL, SETTLEMENT, SCRIPTS, SIGN_ON, ECHO];

/// DE 32 of every answer: who this acquirer is.
const INSTITUTION: &str = "00010344";
/// How far ahead the clock of an answer is that is, by rule, wrong.
const WRONG_CLOCK: SignedDuration = SignedDuration::from_hours(2);
/// DE 41 of an answer that is, by rule, for another terminal.
const ANOTHER_TERMINAL: &str = "99999999";

/// The acquirer: what it knows and what it has booked.
#[derive(Debug)]
pub struct Acquirer {
    pub(crate) profile: Arc<iso8583::Host>,
    pub(crate) dialect: Dialect,
    pub(crate) tmk: keys::Key,
    pub(crate) issuer: Issuer,
    /// What is booked.
    pub ledger: Ledger,
    /// What it does on purpose.
    pub rules: Rules,
    /// The script that goes with the next answer to a card, where a tester wants one.
    pub script: Option<Sealed>,
    /// What it has for the terminals' EMV kernels.
    pub parameters: Parameters,
    pub(crate) sessions: HashMap<String, WorkingKeys>,
    /// The key of terminals that have one for each transaction.
    pub base_key: Option<BaseKey>,
    /// The keys of the request that is being handled, from that key.
    once: Option<WorkingKeys>,
    /// Answers that, by rule, come behind that to the next reversal.
    held: Vec<Vec<u8>>,
    /// Counts restarts.
    restarts: watch::Sender<u64>,
    /// Counts connections that shook hands.
    pub(crate) connections: u64,
}

/// What happens on the connection after a request.
#[derive(Debug)]
pub struct Reaction {
    /// The messages to send, in order.
    pub answers: Vec<Vec<u8>>,
    /// How long to wait before.
    pub delay: Duration,
    /// What happens to it on the line.
    pub mangling: Option<Mangling>,
    /// Whether the connection is closed instead.
    pub close: bool,
    /// The digit of the header that says what is due.
    pub due: u8,
    /// For the log: what was decided and why.
    pub note: String,
}

/// What the answer to a request says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: String,
    pub(crate) reason: String,
    pub(crate) approval: Option<String>,
    pub(crate) rrn: Option<String>,
    /// The sums of a batch, and what this host says of them.
    pub(crate) settlement: Vec<(u8, String)>,
    /// DE 54.
    pub(crate) balance: Option<String>,
    /// DE 55.
    pub(crate) chip: Option<Vec<u8>>,
    /// DE 62.
    pub(crate) private: Option<Vec<u8>>,
}

impl Answer {
    pub(crate) fn new(code: &str, reason: impl Into<String>) -> Answer {
        let (code, reason) = (code.to_owned(), reason.into());
        let (approval, rrn, settlement, balance, chip, private) = Default::default();
        Answer { code, reason, approval, rrn, settlement, balance, chip, private }
    }
}

impl Acquirer {
    /// An acquirer that speaks the dialect of `profile` and shares `tmk` with its terminals, a
    /// [master key](crate::working_keys::master_key) of the profile.
    #[must_use]
    pub fn new(profile: iso8583::Host, tmk: keys::Key, issuer: Issuer, ledger: Ledger) -> Acquirer {
        Acquirer {
            dialect: Dialect::of(&profile),
            profile: Arc::new(profile),
            tmk,
            issuer,
            ledger,
            rules: Rules::default(),
            script: None,
            parameters: Parameters::default(),
            sessions: HashMap::new(),
            base_key: None,
            once: None,
            held: Vec::new(),
            restarts: watch::Sender::default(),
            connections: 0,
        }
    }

    /// Forgets what a restart forgets: connections, working keys, answers that were not sent. The ledger stays.
    pub fn restart(&mut self) {
        self.sessions.clear();
        self.held.clear();
        self.restarts.send_modify(|count| *count += 1);
    }

    /// For who has to notice a restart.
    #[must_use]
    pub fn restarts(&self) -> watch::Receiver<u64> {
        self.restarts.subscribe()
    }

    /// The dialect that it speaks.
    #[must_use]
    pub fn profile(&self) -> &Arc<iso8583::Host> {
        &self.profile
    }

    /// Takes one request, received at `now`.
    ///
    /// # Errors
    /// Why the bytes are no request that could be answered; the connection is to be closed.
    pub fn handle(&mut self, bytes: &[u8], now: &Zoned) -> Result<Reaction, String> {
        let profile = Arc::clone(&self.profile);
        let message = profile.codec.parse(bytes).map_err(|error| error.to_string())?;
        let mti = message.mti();
        if !REQUESTS.contains(&mti) {
            let taken = REQUESTS.map(|mti| mti.to_string()).join(", ");
            return Err(format!("MTI {mti}: this host takes {taken}"));
        }
        let rule = self.rules.take(&targets(mti));
        if rule == Rule::DropBefore || rule == Rule::RestartBefore {
            return Ok(self.hang_up(&rule, format!("{mti}: connection closed before booking, by rule")));
        }
        let outcome = match self.take_keys(&message) {
            Ok(()) => self.carry_out(&message, &rule, now),
            Err(refusal) => Err(refusal),
        };
        let answer = outcome.unwrap_or_else(|refusal| self.refuse(&message, refusal));
        let note = format!("{mti} STAN {}: {} {}", echo(&message, 11), answer.code, answer.reason);
        if rule == Rule::DropAfter || rule == Rule::RestartAfter {
            return Ok(
                self.hang_up(&rule, format!("{note}; connection closed instead of an answer, by rule"))
            );
        }
        let packed = self.pack(&message, &answer, &rule, now).map_err(|error| error.to_string())?;
        let mut answers = match rule {
            Rule::Silent => Vec::new(),
            Rule::AfterReversal => {
                self.held.push(packed);
                Vec::new()
            }
            Rule::Stray => {
                let stray = self.pack(&message, &answer, &Rule::Wrong(Part::Stan), now);
                vec![stray.map_err(|error| error.to_string())?, packed]
            }
            _ => vec![packed],
        };
        if mti == REVERSAL && !answers.is_empty() {
            answers.append(&mut self.held);
        }
        let delay = if let Rule::Late(delay) = rule { delay } else { Duration::ZERO };
        let mangling = if let Rule::Mangled(mangling) = rule { Some(mangling) } else { None };
        let due = if mti == SIGN_ON { self.parameters.due_digit() } else { 0 };
        Ok(Reaction { answers, delay, mangling, close: false, due, note })
    }

    fn carry_out(&mut self, message: &Message<'_>, rule: &Rule, now: &Zoned) -> Result<Answer, Refusal> {
        match message.mti() {
            SIGN_ON | ECHO if parameters::is_one(self, message) => parameters::answer(self, message, rule),
            SIGN_ON | ECHO if echo_test::is_one(self, message) => echo_test::echo_test(self, message, rule),
            SIGN_ON => sign_on::sign_on(self, message, rule),
            ECHO => echo_test::echo_test(self, message, rule),
            REVERSAL => reversal::reversal(self, message, rule),
            SETTLEMENT => settlement::settle(self, message, rule),
            SCRIPTS => scripts::told(self, message, rule),
            UPLOAD => settlement::upload(self, message, rule),
            _ => transaction::transaction(self, message, rule, now),
        }
    }

    fn hang_up(&mut self, rule: &Rule, note: String) -> Reaction {
        if matches!(rule, Rule::RestartBefore | Rule::RestartAfter) {
            self.restart();
        }
        Reaction { answers: Vec::new(), delay: Duration::ZERO, mangling: None, close: true, due: 0, note }
    }

    /// The working keys of the terminal that sent `message`.
    pub(crate) fn keys(&self, message: &Message<'_>) -> Option<&WorkingKeys> {
        if self.dialect == Dialect::P2pe { self.once.as_ref() } else { self.sessions.get(&echo(message, 41)) }
    }

    /// Takes the keys that `message` says it was made with, where this dialect has keys for each transaction.
    fn take_keys(&mut self, message: &Message<'_>) -> Result<(), Refusal> {
        self.once = None;
        if self.dialect == Dialect::P2pe && ![SIGN_ON, ECHO].contains(&message.mti()) {
            let base = self.base_key.as_mut();
            let base =
                base.ok_or_else(|| Refusal::new(MALFUNCTION, "this host has no base derivation key"))?;
            self.once = Some(base.take(message)?);
        }
        Ok(())
    }

    /// Books `entry`, or refuses the request if the ledger's file cannot be written.
    pub(crate) fn book(&mut self, entry: Entry) -> Result<(), Refusal> {
        self.book_all(vec![entry])
    }

    /// Books all `entries`, or refuses the request.
    pub(crate) fn book_all(&mut self, entries: Vec<Entry>) -> Result<(), Refusal> {
        let failed =
            |error: io::Error| Refusal::new(MALFUNCTION, format!("the ledger cannot be written: {error}"));
        self.ledger.record(entries).map_err(failed)
    }

    /// Notes a refused message in the ledger, without using its STAN up.
    fn refuse(&mut self, message: &Message<'_>, mut refusal: Refusal) -> Answer {
        refusal.code = self.dialect.code(&refusal.code).to_owned();
        let batch = self.dialect.said_batch(message);
        let key = Key { terminal: echo(message, 41), batch, stan: echo(message, 11) };
        let mut entry = new_entry(message, key, State::Refused, &refusal);
        entry.service = Form::of_request(self.dialect, message).map_or(Service::Unknown, |form| form.service);
        // The request is refused either way, so the failure only goes to the log.
        match self.book(entry) {
            Ok(()) => Answer::new(&refusal.code, refusal.reason),
            Err(failure) => Answer::new(&refusal.code, format!("{}; {}", refusal.reason, failure.reason)),
        }
    }

    /// Numbers for an approval: DE 38 and DE 37, neither ever given before.
    pub(crate) fn references(&self, now: &Zoned) -> (String, String) {
        let number = self.ledger.next_number() % 1_000_000;
        (format!("{number:06}"), format!("{}{number:06}", now.strftime("%y%m%d")))
    }

    fn pack(
        &self,
        request: &Message<'_>,
        answer: &Answer,
        rule: &Rule,
        now: &Zoned,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let wrong = |part| *rule == Rule::Wrong(part);
        let mti = if wrong(Part::Mti) { other_answer(request.mti()) } else { request.mti().answer() };
        let now = if wrong(Part::Clock) { &(now + WRONG_CLOCK) } else { now };
        let (time, date) = (now.strftime("%H%M%S").to_string(), now.strftime("%m%d").to_string());
        let rrn = answer.rrn.clone().unwrap_or_else(|| self.references(now).1);
        let mut builder = Builder::new(&self.profile.codec, mti);
        for number in [3, 4, 7, 11, 25, 41, 42, 49, 60, 70] {
            builder.echo(number, request.get(number));
        }
        builder.text(12, &time).text(13, &date).text(32, INSTITUTION).text(37, &rrn).text(39, &answer.code);
        if let Some(approval) = &answer.approval {
            builder.text(38, approval);
        }
        for (number, content) in &answer.settlement {
            builder.text(*number, content);
        }
        if let Some(balance) = &answer.balance {
            builder.text(54, balance);
        }
        if let Some(chip) = &answer.chip {
            builder.bytes(55, chip);
        }
        if let Some(private) = &answer.private {
            builder.bytes(62, private);
        }
        if let Some(stan) = request.get(11).filter(|_| wrong(Part::Stan)) {
            builder.number(11, (stan.to_u64()? + 1) % 1_000_000);
        }
        if let Some(amount) = request.get(4).filter(|_| wrong(Part::Amount)) {
            builder.number(4, (amount.to_u64()? + 1) % 1_000_000_000_000);
        }
        if wrong(Part::Terminal) {
            builder.text(41, ANOTHER_TERMINAL);
        }
        if let Rule::Wrong(Part::Element(number, Damage::Missing)) = rule {
            builder.unset(*number);
        }
        let is_open = [SIGN_ON, ECHO].contains(&request.mti()) && !parameters::is_one(self, request);
        let keys = self.keys(request).filter(|_| !is_open);
        if keys.is_some() {
            builder.empty_mac();
        }
        let mut packed = vec![0; self.profile.framing.max_bytes];
        let length = builder.pack(&mut packed)?;
        packed.truncate(length);
        if let Rule::Wrong(Part::Element(number, Damage::Changed)) = rule {
            change(&self.profile.codec, &mut packed, *number)?;
        }
        if let Some(keys) = keys {
            let parsed = self.profile.codec.parse(&packed)?;
            let mut mac = keys.mac(parsed.mac_input(parsed.mac_number())?)?;
            if wrong(Part::Mac) {
                // Where they are eight hex digits, they still are, each of them another one.
                mac = mac.map(|digit| if digit == b'0' { b'1' } else { b'0' });
            }
            self.profile.codec.set_mac(&mut packed, &mac)?;
        }
        Ok(packed)
    }
}

/// Changes the last bit of an element, which stays of its class: of a digit, a letter or a byte; nothing where it is not there.
fn change(codec: &iso8583::Profile, message: &mut [u8], number: u8) -> Result<(), iso8583::Error> {
    let parsed = codec.parse(message)?;
    let Some(value) = parsed.get(number) else { return Ok(()) };
    let bytes = value.bytes();
    let last = (bytes.as_ptr().addr() + bytes.len()).checked_sub(message.as_ptr().addr() + 1);
    if let Some(byte) = last.and_then(|last| message.get_mut(last)) {
        *byte ^= 1;
    }
    Ok(())
}

/// An entry for `message`; what it lacks stays empty.
pub(crate) fn new_entry(message: &Message<'_>, key: Key, state: State, refusal: &Refusal) -> Entry {
    Entry {
        terminal: key.terminal,
        merchant: echo(message, 42),
        batch: key.batch,
        stan: key.stan,
        sent: echo(message, 7),
        mti: message.mti().to_string(),
        service: Service::Unknown,
        original: None,
        amount: request::amount(message).unwrap_or(0),
        instalments: 0,
        moto: false,
        currency: echo(message, 49),
        masked_pan: String::new(),
        approval: None,
        rrn: None,
        date: None,
        state,
        code: refusal.code.clone(),
        reason: refusal.reason.clone(),
        card: None,
        atc: None,
        script: String::new(),
        certificate: String::new(),
        uploaded: false,
        settled: false,
    }
}

/// What an approved entry says.
pub(crate) fn approved() -> Refusal {
    Refusal::new(APPROVED, "approved")
}

fn echo(message: &Message<'_>, number: u8) -> String {
    message.get(number).map(|value| value.text()).unwrap_or_default()
}

/// The type of an answer to something else.
fn other_answer(request: Mti) -> Mti {
    if request == FINANCIAL { REVERSAL.answer() } else { FINANCIAL.answer() }
}
