//! EMV Book 1 clause 12: application selection.

use tlv::{Reader, Tag, find, tags};

use crate::apdu::{Command, OK, Response};
use crate::bytes::Bytes;
use crate::findings::Finding;
use crate::kernel::{Kernel, Pending, Progress, Wait};
use crate::names::{Aid, Label};
use crate::outcome::Reason;

/// Clause 12.2.2: the payment system environment.
const PSE: &[u8] = b"1PAY.SYS.DDF01";

/// SELECT is not supported: the card is blocked.
const FUNCTION_NOT_SUPPORTED: u16 = 0x6A81;
/// The application is blocked (selected file invalidated).
const BLOCKED: u16 = 0x6283;
/// There are no more records.
const RECORD_NOT_FOUND: u16 = 0x6A83;

/// Clause 11.3.4: what is taken from the answer of the selected application. All else is for records to say, under the rules of
/// those.
const FROM_FCI: [Tag; 7] = [
    tags::APPLICATION_LABEL,
    tags::APPLICATION_PRIORITY,
    tags::PDOL,
    tags::LANGUAGE_PREFERENCE,
    tags::CODE_TABLE_INDEX,
    tags::PREFERRED_NAME,
    tags::LOG_ENTRY,
];

/// A card with more occurrences of a partial name than this is not followed further.
const MAX_OCCURRENCES: u8 = 16;
/// A card with more applications than this shows only the first ones.
const MAX_CANDIDATES: usize = 32;

/// An application that both the card and the terminal have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The name on the card.
    pub aid: Aid,
    /// What to show to the cardholder.
    pub label: Label,
    /// 1 is the highest, 15 the lowest; 0 if the card gave none.
    pub priority: u8,
    /// Whether the cardholder must confirm even a single application.
    pub confirmation: bool,
    /// Which of the terminal's applications it is.
    pub(crate) application: usize,
}

/// The candidate list, and what was selected from it.
pub(crate) struct Selection {
    candidates: Vec<Candidate>,
    selected: Option<Candidate>,
    /// An application that the terminal accepts is blocked.
    blocked: bool,
    /// 5F2D of the card's directory.
    languages: Bytes<8>,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            candidates: Vec::with_capacity(MAX_CANDIDATES),
            selected: None,
            blocked: false,
            languages: Bytes::default(),
        }
    }
}

impl Selection {
    pub(crate) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// 5F2D of the card's directory; empty if that has none.
    pub(crate) fn languages(&self) -> &[u8] {
        &self.languages
    }

    pub(crate) fn selected(&self) -> Option<&Candidate> {
        self.selected.as_ref()
    }

    fn add(&mut self, candidate: Candidate) {
        let known = self.candidates.iter().any(|other| other.aid == candidate.aid);
        if !known && self.candidates.len() < MAX_CANDIDATES {
            self.candidates.push(candidate);
        }
    }
}

impl Kernel {
    /// Clause 12.3.2: the card's own directory first.
    pub(crate) fn select_pse(&mut self) -> Progress {
        self.send(Command::select(PSE, false), Pending::SelectPse)
    }

    pub(crate) fn on_pse(&mut self, response: &Response) -> Progress {
        if response.status == FUNCTION_NOT_SUPPORTED {
            return Err(Reason::CardBlocked);
        }
        let sfi =
            (response.status == OK).then(|| find(&response.data, tags::SFI)).and_then(Result::ok).flatten();
        let languages = (response.status == OK).then(|| find(&response.data, tags::LANGUAGE_PREFERENCE));
        if let Some(languages) = languages.and_then(Result::ok).flatten().and_then(Bytes::copy) {
            self.selection.languages = languages;
        }
        match sfi {
            Some(&[sfi @ 1..=10]) => self.read_directory(sfi, 1),
            _ => self.select_listed(0),
        }
    }

    fn read_directory(&mut self, sfi: u8, record: u8) -> Progress {
        self.send(Command::read_record(sfi, record), Pending::ReadDirectory { sfi, record })
    }

    pub(crate) fn on_directory_record(&mut self, sfi: u8, record: u8, response: &Response) -> Progress {
        if response.status == RECORD_NOT_FOUND && !self.selection.candidates.is_empty() {
            return self.choose();
        }
        if response.status == OK
            && self.add_directory_entries(&response.data).is_some()
            && let Some(next) = record.checked_add(1)
        {
            return self.read_directory(sfi, next);
        }
        // An empty or broken directory counts for nothing (clause 12.3.2): ask for each AID instead.
        self.selection.candidates.clear();
        self.select_listed(0)
    }

    /// Clause 12.2.3: one record holds one or more application templates. `None` if it is malformed.
    fn add_directory_entries(&mut self, record: &[u8]) -> Option<()> {
        let record = template(record, tags::RECORD_TEMPLATE)?;
        for entry in Reader::new(record) {
            let entry = entry.ok()?;
            if entry.tag != tags::APPLICATION_TEMPLATE {
                continue;
            }
            let aid = child(entry.value, tags::ADF_NAME)?;
            let candidate = aid.and_then(|aid| self.candidate(aid, self.accepted(aid)?, entry.value));
            if let Some(candidate) = candidate {
                self.selection.add(candidate);
            }
        }
        Some(())
    }

    /// Clause 12.3.3: the terminal's list of AIDs, one after the other.
    fn select_listed(&mut self, index: usize) -> Progress {
        match self.config.applications.get(index) {
            Some(application) => {
                let command = Command::select(&application.aid, false);
                self.send(command, Pending::SelectListed { index, occurrence: 0 })
            }
            None => self.choose(),
        }
    }

    pub(crate) fn on_listed(&mut self, index: usize, occurrence: u8, response: &Response) -> Progress {
        if response.status == FUNCTION_NOT_SUPPORTED && occurrence == 0 {
            return Err(Reason::CardBlocked);
        }
        let found = response.status == OK || matches!(response.sw1(), 0x62 | 0x63);
        let name = find(&response.data, tags::DF_NAME).ok().flatten();
        // Without its name it is the one that was asked for.
        self.selection.blocked |= response.status == BLOCKED && name.is_none();
        let (Some(name), true, Some(application)) = (name, found, self.config.applications.get(index)) else {
            return self.select_listed(index + 1);
        };
        let exact = name == application.aid;
        let partial = application.partial && name.starts_with(&application.aid);
        let again = Command::select(&application.aid, true);
        let usable = response.status == OK && (5..=16).contains(&name.len());
        self.selection.blocked |= response.status == BLOCKED && (exact || partial);
        if usable && (exact || partial) {
            let inner = find(&response.data, tags::FCI_PROPRIETARY).ok().flatten().unwrap_or_default();
            if let Some(candidate) = self.candidate(name, index, inner) {
                self.selection.add(candidate);
            }
        }
        if partial && !exact && occurrence < MAX_OCCURRENCES {
            return self.send(again, Pending::SelectListed { index, occurrence: occurrence + 1 });
        }
        self.select_listed(index + 1)
    }

    /// Which of the terminal's applications a name on the card belongs to: an exact match before a partial one.
    fn accepted(&self, aid: &[u8]) -> Option<usize> {
        let applications = &self.config.applications;
        (5..=16).contains(&aid.len()).then_some(())?;
        let exact = applications.iter().position(|application| application.aid == aid);
        exact.or_else(|| applications.iter().position(|ours| ours.partial && aid.starts_with(&ours.aid)))
    }

    /// `None` if the name is too long.
    fn candidate(&self, aid: &[u8], application: usize, objects: &[u8]) -> Option<Candidate> {
        let priority =
            child(objects, tags::APPLICATION_PRIORITY).flatten().and_then(|value| value.first().copied());
        let priority = priority.unwrap_or_default();
        let latin_1 = self.config.terminal.shows_latin_1();
        let own = || self.config.applications.get(application).map(|ours| Label::new(&ours.name));
        Some(Candidate {
            aid: Aid::new(aid)?,
            label: label(objects, latin_1).or_else(own).unwrap_or_default(),
            priority: priority & 0x0F,
            confirmation: priority & 0x80 != 0,
            application,
        })
    }

    /// Clause 12.4: final selection. Also where a candidate that failed leads back to; it is off the list by then.
    pub(crate) fn choose(&mut self) -> Progress {
        self.note(Finding::Candidates(self.selection.candidates.len()));
        let candidates = &mut self.selection.candidates;
        // No priority comes last; the order of the list decides between equals.
        candidates.sort_by_key(|candidate| if candidate.priority == 0 { 16 } else { candidate.priority });
        let several = candidates.len() > 1 && self.config.terminal.cardholder_choice;
        let unasked = candidates.iter().position(|candidate| !candidate.confirmation);
        match unasked {
            _ if candidates.is_empty() && self.selection.blocked => Err(Reason::ApplicationBlocked),
            _ if candidates.is_empty() => Err(Reason::NoCommonApplication),
            Some(index) if !several => self.select_chosen(index),
            _ => Ok(Wait::Choice),
        }
    }

    pub(crate) fn select_chosen(&mut self, index: usize) -> Progress {
        if index >= self.selection.candidates.len() {
            return Err(Reason::UnexpectedEvent);
        }
        let candidate = self.selection.candidates.remove(index);
        self.data.forget_card();
        let command = Command::select(&candidate.aid, false);
        self.selection.selected = Some(candidate);
        self.send(command, Pending::SelectFinally)
    }

    pub(crate) fn on_final_select(&mut self, response: &Response) -> Progress {
        if response.status == OK && self.take_fci(&response.data).is_some() {
            self.note(Finding::ApplicationSelected);
            return self.initiate();
        }
        self.selection.selected = None;
        self.selection.blocked |= response.status == BLOCKED;
        self.choose()
    }

    /// Clause 11.3.4: what the selected application says of itself. `None` if it is malformed or another's.
    fn take_fci(&mut self, response: &[u8]) -> Option<()> {
        let fci = template(response, tags::FCI_TEMPLATE)?;
        let name = child(fci, tags::DF_NAME)??;
        let proprietary = child(fci, tags::FCI_PROPRIETARY)??;
        if self.aid() != Some(name) {
            return None;
        }
        self.data.set_fci(tags::DF_NAME, name).ok()?;
        for object in Reader::new(proprietary) {
            let object = object.ok()?;
            if FROM_FCI.contains(&object.tag) {
                self.data.set_fci(object.tag, object.value).ok()?;
            }
        }
        let latin_1 = self.config.terminal.shows_latin_1();
        if let (Some(label), Some(selected)) = (label(proprietary, latin_1), &mut self.selection.selected) {
            selected.label = label;
        }
        Some(())
    }
}

/// The value of the template that the response consists of.
pub(crate) fn template(response: &[u8], tag: Tag) -> Option<&[u8]> {
    let mut objects = Reader::new(response);
    let first = objects.next()?.ok()?;
    (first.tag == tag && objects.next().is_none()).then_some(first.value)
}

/// The object with this tag on this level; the outer `None` if the level is malformed.
pub(crate) fn child(objects: &[u8], tag: Tag) -> Option<Option<&[u8]>> {
    let mut found = None;
    for object in Reader::new(objects) {
        let object = object.ok()?;
        if object.tag == tag && found.is_none() {
            found = Some(object.value);
        }
    }
    Some(found)
}

/// Clause 12.4: the preferred name if its code table is ISO/IEC 8859-1 and the terminal has that, else the label, whose characters are common
/// to all tables (Annex B).
fn label(objects: &[u8], latin_1: bool) -> Option<Label> {
    let latin_1 = latin_1 && child(objects, tags::CODE_TABLE_INDEX)? == Some(&[0x01]);
    let preferred = child(objects, tags::PREFERRED_NAME)?.filter(|_| latin_1);
    let bytes = preferred.or(child(objects, tags::APPLICATION_LABEL)?)?;
    let shown = bytes.get(..16).unwrap_or(bytes).trim_ascii();
    let characters = || shown.iter().map(|&byte| char::from(byte));
    (!shown.is_empty() && !characters().any(char::is_control)).then(|| Label::from_characters(characters()))
}
