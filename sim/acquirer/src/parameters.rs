//! Parameters of the terminals' EMV kernel: 0820 lists what this host has, 0800 hands each record out, in the order of the list, and
//! says that all were taken. Those of the terminal itself are one record. What a tester changed is due, and the next sign-on says so.

use std::collections::HashMap;

use iso8583::Message;
use serde::Deserialize;
use tlv::{Reader, Tag, tags};

use crate::dialect::Dialect;
use crate::host::{Acquirer, Answer, ECHO, SIGN_ON};
use crate::request::{self, APPROVED, FORMAT, INVALID, Refusal};
use crate::rules::Rule;
use crate::terminal_values::TerminalValues;

/// Names in one message of a list: few, so that a terminal has to ask on.
const PAGE: usize = 4;
/// The names that a list has which never ends.
const ENDLESS: u8 = 0xFF;

/// What there are records of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Set {
    /// CA keys.
    Capks,
    /// Applications.
    Applications,
    /// What this host says of the terminal.
    Terminal,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    List,
    Record,
    End,
}

/// What is wrong on purpose with what is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The check sum of CA keys.
    CheckSum,
    /// The list never ends.
    Endless,
    /// The list has its first record twice.
    Twice,
    /// A record is another than that which was asked for.
    Other,
    /// A record ends too early.
    Cut,
}

/// What this host has for terminals.
#[derive(Debug)]
pub struct Parameters {
    capks: Vec<Vec<u8>>,
    applications: Vec<Vec<u8>>,
    /// What a tester took away, to be put back.
    revoked: Vec<Vec<u8>>,
    terminal: TerminalValues,
    due: Vec<Set>,
    wrong: Option<Wrong>,
    /// How many names and records each terminal was given.
    given: HashMap<(String, Set), Given>,
}

#[derive(Debug, Default)]
struct Given {
    names: usize,
    records: usize,
}

impl Default for Parameters {
    fn default() -> Parameters {
        let (revoked, due, wrong, given) = Default::default();
        Parameters {
            capks: sim_cards::capk_records(),
            applications: shipped_applications(),
            revoked,
            terminal: TerminalValues::default(),
            due,
            wrong,
            given,
        }
    }
}

impl Set {
    fn codes(self) -> &'static [(&'static str, Step)] {
        match self {
            Set::Capks => &[("372", Step::List), ("370", Step::Record), ("371", Step::End)],
            Set::Applications => &[("382", Step::List), ("380", Step::Record), ("381", Step::End)],
            Set::Terminal => &[("360", Step::Record)],
        }
    }
}

/// What `message` asks for, if it is about parameters.
fn asked(host: &Acquirer, message: &Message<'_>) -> Option<(Set, Step, &'static str)> {
    if host.dialect != Dialect::UnionPay {
        return None;
    }
    let steps = [Set::Capks, Set::Applications, Set::Terminal]
        .into_iter()
        .flat_map(|set| set.codes().iter().map(move |(code, step)| (set, *step, *code)));
    let mti = |step| if step == Step::List { ECHO } else { SIGN_ON };
    steps
        .filter(|(_, step, _)| mti(*step) == message.mti())
        .find(|(_, _, code)| host.dialect.has_code(message, code))
}

/// Whether `message` is about parameters.
pub(crate) fn is_one(host: &Acquirer, message: &Message<'_>) -> bool {
    asked(host, message).is_some()
}

/// Whether what a tester types behind `host` is about parameters.
pub(crate) fn are_meant(words: &[&str]) -> bool {
    matches!(words, ["capk" | "application" | "terminal" | "parameters", ..])
}

/// Answers a request about parameters.
pub(crate) fn answer(host: &mut Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    let no = || Refusal::new(INVALID, "DE 60: this is no code of parameters");
    let (set, step, code) = asked(host, message).ok_or_else(no)?;
    let mut mandatory = [host.dialect.network(), vec![64]].concat();
    if step != Step::End && set != Set::Terminal {
        mandatory.push(62);
    }
    request::check_elements(message, &mandatory, &[])?;
    request::check_terminal(message)?;
    host.dialect.batch(message, "00", code)?;
    request::check_mac(message, host.keys(message))?;
    if let Rule::Decline(code) = rule {
        return Err(Refusal::new(code, "declined by rule"));
    }
    let content = message.get(62).map(|value| value.content().into_owned()).unwrap_or_default();
    let terminal = request::text(message, 41)?;
    let mut answer = Answer::new(APPROVED, "parameters");
    answer.private = match step {
        Step::List => Some(host.parameters.list(terminal, set, &content)?),
        Step::Record if set == Set::Terminal => Some(host.parameters.hand_out_terminal()),
        Step::Record => Some(host.parameters.record(terminal, set, &content)?),
        Step::End => {
            host.parameters.end(terminal, set)?;
            None
        }
    };
    Ok(answer)
}

impl Parameters {
    /// The digit of the header that says what is due, one set at a time; 0 where nothing is.
    pub(crate) fn due_digit(&self) -> u8 {
        match self.due.first() {
            Some(Set::Capks) => 4,
            Some(Set::Applications) => 5,
            Some(Set::Terminal) => 1,
            None => 0,
        }
    }

    fn records(&self, set: Set) -> &[Vec<u8>] {
        match set {
            Set::Capks => &self.capks,
            Set::Applications => &self.applications,
            Set::Terminal => &[],
        }
    }

    fn hand_out_terminal(&mut self) -> Vec<u8> {
        self.due.retain(|due| *due != Set::Terminal);
        let mut values = self.terminal.hand_out();
        if self.wrong == Some(Wrong::Cut) {
            values.pop();
        }
        values
    }

    /// A page of the list. The request has `1`, and in two digits how many names the terminal was given.
    fn list(&mut self, terminal: String, set: Set, content: &[u8]) -> Result<Vec<u8>, Refusal> {
        let wrong = || Refusal::new(FORMAT, "DE 62: expected 1 and two digits, how many names were given");
        let count = str::from_utf8(content).ok().filter(|text| text.len() == 3);
        let count: usize = count
            .and_then(|text| text.strip_prefix('1'))
            .and_then(|text| text.parse().ok())
            .ok_or_else(wrong)?;
        let names: Vec<Vec<u8>> = self.records(set).iter().map(|record| listed(record)).collect();
        let endless = self.wrong == Some(Wrong::Endless);
        let given = self.given.entry((terminal, set)).or_default();
        if count != 0 && count != given.names {
            return Err(wrong());
        }
        let page: Vec<Vec<u8>> = match (self.wrong, names.first()) {
            (Some(Wrong::Endless), _) => (0..PAGE).map(|number| endless_name(count + number)).collect(),
            (Some(Wrong::Twice), Some(first)) if count == 0 => vec![first.clone(), first.clone()],
            _ => names.iter().skip(count).take(PAGE).cloned().collect(),
        };
        *given = Given { names: count + page.len(), records: 0 };
        let kind = match given.names {
            0 => b'0',
            _ if endless => b'2',
            names_given if names_given < names.len() => b'2',
            _ if count == 0 => b'1',
            _ => b'3',
        };
        Ok([vec![kind], page.concat()].concat())
    }

    /// The record that `name` names: the next one of the list, or once more the one before.
    fn record(&mut self, terminal: String, set: Set, name: &[u8]) -> Result<Vec<u8>, Refusal> {
        let records = self.records(set).to_vec();
        let given = self.given.entry((terminal, set)).or_default();
        let place = records.iter().position(|record| named(record) == name);
        let place = place.ok_or_else(|| Refusal::new(INVALID, "DE 62: there is no such record"))?;
        if given.names < records.len() || (place != given.records && place + 1 != given.records) {
            return Err(Refusal::new(
                INVALID,
                "DE 62: this record's turn has not come; ask for the list first",
            ));
        }
        given.records = place + 1;
        let mut record = records.get(place).cloned().unwrap_or_default();
        match self.wrong {
            Some(Wrong::CheckSum) => record.last_mut().into_iter().for_each(|byte| *byte ^= 1),
            Some(Wrong::Cut) => record.truncate(record.len() / 2),
            Some(Wrong::Other) => record = records.last().cloned().unwrap_or_default(),
            _ => {}
        }
        Ok([vec![b'1'], record].concat())
    }

    fn end(&mut self, terminal: String, set: Set) -> Result<(), Refusal> {
        let given = self.given.remove(&(terminal, set)).unwrap_or_default();
        if given.records != self.records(set).len() {
            return Err(Refusal::new(INVALID, "not all records were taken"));
        }
        self.due.retain(|due| *due != set);
        Ok(())
    }

    /// Carries out what a tester types behind `host`.
    ///
    /// # Errors
    /// What may be written instead.
    pub fn command(&mut self, words: &[&str]) -> Result<String, String> {
        match words {
            ["capk", "revoke", rid, index] => self.revoke(rid, index),
            ["capk", "add", rid, index] => self.put_back(rid, index),
            ["application", "floor", aid, amount] => self.set_floor(aid, amount),
            ["terminal", tag, text @ ..] => self.say(tag, &text.join(" ")),
            ["parameters", wrong @ ..] => self.misbehave(wrong),
            _ => Err("it is capk revoke|add RID INDEX, application floor AID AMOUNT, or terminal TAG TEXT"
                .to_owned()),
        }
    }

    fn revoke(&mut self, rid: &str, index: &str) -> Result<String, String> {
        let name = capk_name(rid, index)?;
        let place = self.capks.iter().position(|record| named(record) == name);
        let place = place.ok_or("this host has no such CA key")?;
        self.revoked.push(self.capks.remove(place));
        self.note_due(Set::Capks);
        Ok(format!("{} CA keys are left", self.capks.len()))
    }

    fn put_back(&mut self, rid: &str, index: &str) -> Result<String, String> {
        let name = capk_name(rid, index)?;
        let place = self.revoked.iter().position(|record| named(record) == name);
        self.capks.push(self.revoked.remove(place.ok_or("no such CA key was revoked")?));
        self.note_due(Set::Capks);
        Ok(format!("there are {} CA keys", self.capks.len()))
    }

    fn set_floor(&mut self, aid: &str, amount: &str) -> Result<String, String> {
        const FLOOR_LIMIT: [u8; 3] = [0x9F, 0x1B, 4];
        let aid = hex::decode(aid).map_err(|error| format!("{aid}: {error}"))?;
        let amount: u32 = amount.parse().map_err(|_| "an amount is in minor units".to_owned())?;
        let name = object(tags::AID, &aid);
        let record = self.applications.iter_mut().find(|record| named(record) == name);
        let record = record.ok_or("this host has no such application")?;
        let at = record.windows(3).position(|window| window == FLOOR_LIMIT).ok_or("it has no floor limit")?;
        let limit = record.get_mut(at + 3..at + 7).ok_or("its floor limit is cut")?;
        limit.copy_from_slice(&amount.to_be_bytes());
        self.note_due(Set::Applications);
        Ok(format!("the floor limit is {amount}"))
    }

    fn say(&mut self, tag: &str, text: &str) -> Result<String, String> {
        let said = self.terminal.set(tag, text)?;
        self.note_due(Set::Terminal);
        Ok(said)
    }

    fn misbehave(&mut self, words: &[&str]) -> Result<String, String> {
        self.wrong = match words {
            ["truthful"] => None,
            ["wrong", "check"] => Some(Wrong::CheckSum),
            ["endless"] => Some(Wrong::Endless),
            ["twice"] => Some(Wrong::Twice),
            ["other"] => Some(Wrong::Other),
            ["cut"] => Some(Wrong::Cut),
            _ => return Err("parameters are truthful, wrong check, endless, twice, other or cut".to_owned()),
        };
        Ok(format!("parameters are {}", words.join(" ")))
    }

    fn note_due(&mut self, set: Set) {
        if !self.due.contains(&set) {
            self.due.push(set);
        }
    }
}

fn object(tag: Tag, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A vector has room for everything.
    let _ = tlv::write(&mut bytes, tag, value);
    bytes
}

fn capk_name(rid: &str, index: &str) -> Result<Vec<u8>, String> {
    let value = |text: &str| hex::decode(text).map_err(|error| format!("{text}: {error}"));
    Ok([object(tags::AID, &value(rid)?), object(tags::CAPK_INDEX_TERMINAL, &value(index)?)].concat())
}

/// What names a record.
fn named(record: &[u8]) -> Vec<u8> {
    objects(record, &[tags::AID, tags::CAPK_INDEX_TERMINAL])
}

/// What a list says of it: its name, and the expiry of a CA key.
fn listed(record: &[u8]) -> Vec<u8> {
    objects(record, &[tags::AID, tags::CAPK_INDEX_TERMINAL, Tag::new(0xDF05)])
}

fn objects(record: &[u8], wanted: &[Tag]) -> Vec<u8> {
    let wanted = Reader::new(record).flatten().filter(|one| wanted.contains(&one.tag));
    wanted.flat_map(|one| object(one.tag, one.value)).collect()
}

fn endless_name(number: usize) -> Vec<u8> {
    let [.., high, low] = number.to_be_bytes();
    [object(tags::AID, &[0xA0, 0, ENDLESS, high, low]), object(tags::CAPK_INDEX_TERMINAL, &[1])].concat()
}

#[derive(Deserialize)]
struct ApplicationFile {
    application: Vec<Application>,
}

#[derive(Deserialize)]
struct Application {
    aid: String,
    partial: bool,
    version: String,
    floor_limit: u32,
    random_threshold: u32,
    random_target_percent: u8,
    random_max_percent: u8,
    tac_denial: String,
    tac_online: String,
    tac_default: String,
    ddol: String,
}

impl Application {
    /// As UnionPay's hosts send it, with what a terminal without contactless has no use for.
    fn record(&self) -> Vec<u8> {
        let hex = |text: &str| hex::decode(text).unwrap_or_default();
        let bcd = |percent: u8| vec![percent / 10 * 16 + percent % 10];
        let objects: [(u32, Vec<u8>); 16] = [
            (0x9F06, hex(&self.aid)),
            (0xDF01, vec![u8::from(!self.partial)]),
            (0x9F08, hex(&self.version)),
            (0xDF11, hex(&self.tac_default)),
            (0xDF12, hex(&self.tac_online)),
            (0xDF13, hex(&self.tac_denial)),
            (0x9F1B, self.floor_limit.to_be_bytes().to_vec()),
            (0xDF15, self.random_threshold.to_be_bytes().to_vec()),
            (0xDF16, bcd(self.random_max_percent)),
            (0xDF17, bcd(self.random_target_percent)),
            (0xDF14, hex(&self.ddol)),
            (0xDF18, vec![1]),
            (0x9F7B, vec![0; 6]),
            (0xDF19, vec![0; 6]),
            (0xDF20, vec![0; 6]),
            (0xDF21, vec![0; 6]),
        ];
        objects.iter().flat_map(|(tag, value)| object(Tag::new(*tag), value)).collect()
    }
}

/// The applications that are shipped with the terminal.
fn shipped_applications() -> Vec<Vec<u8>> {
    let file: Result<ApplicationFile, _> = toml::from_str(include_str!("../../../config/emv/aids.toml"));
    file.map(|file| file.application.iter().map(Application::record).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_names(parameters: &mut Parameters, set: Set) -> Vec<u8> {
        let mut kinds = Vec::new();
        let mut count = 0;
        while !matches!(kinds.last(), Some(b'0' | b'1' | b'3')) {
            let page = parameters.list("t".to_owned(), set, format!("1{count:02}").as_bytes()).unwrap();
            count += Reader::new(&page[1..]).flatten().filter(|one| one.tag == tags::AID).count();
            kinds.push(page[0]);
        }
        kinds
    }

    #[test]
    fn a_set_is_handed_out_in_order_and_ends_only_when_all_was_taken() {
        let mut parameters = Parameters::default();
        let name = |parameters: &Parameters, at: usize| named(&parameters.applications[at]);
        assert!(
            parameters.record("t".to_owned(), Set::Applications, &name(&parameters, 0)).is_err(),
            "no list yet"
        );
        assert_eq!(all_names(&mut parameters, Set::Applications), b"23");
        assert!(parameters.record("t".to_owned(), Set::Applications, &name(&parameters, 1)).is_err());
        for at in [0, 1, 1, 2, 3, 4] {
            let record =
                parameters.record("t".to_owned(), Set::Applications, &name(&parameters, at)).unwrap();
            assert_eq!(record[1..], parameters.applications[at]);
            let ended = parameters.given[&("t".to_owned(), Set::Applications)].records == 5;
            assert_eq!(ended, at == 4);
        }
        assert!(parameters.end("t".to_owned(), Set::Applications).is_ok());
        assert!(parameters.end("t".to_owned(), Set::Applications).is_err());
    }

    #[test]
    fn what_a_tester_changes_is_due_until_it_was_taken() {
        let mut parameters = Parameters::default();
        assert_eq!(parameters.due_digit(), 0);
        parameters.command(&["capk", "revoke", "A000000333", "01"]).unwrap_err();
        let index = hex::encode(&named(&parameters.capks[0])[11..]);
        let rid = hex::encode(&named(&parameters.capks[0])[3..8]);
        parameters.command(&["capk", "revoke", &rid, &index]).unwrap();
        assert_eq!((parameters.due_digit(), parameters.capks.len()), (4, 2));
        assert_eq!(all_names(&mut parameters, Set::Capks), b"1");
        for at in 0..2 {
            let name = named(&parameters.capks[at]);
            parameters.record("t".to_owned(), Set::Capks, &name).unwrap();
        }
        parameters.end("t".to_owned(), Set::Capks).unwrap();
        assert_eq!(parameters.due_digit(), 0);
        parameters.command(&["application", "floor", "A000000333010102", "6000"]).unwrap();
        assert_eq!(parameters.due_digit(), 5);
        assert!(!are_meant(&["approve"]));
    }
}
