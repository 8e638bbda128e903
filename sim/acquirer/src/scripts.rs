//! Issuer scripts: one that goes with an answer where a tester wants it, and 0620/0630, by which the terminal tells what became of it.

use iso8583::Message;
use sim_cards::seal_script;
use tlv::{Reader, Tag};

use crate::CURRENCY;
use crate::host::{Acquirer, Answer};
use crate::issuer::Verified;
use crate::ledger::{Entry, Key};
use crate::request::{self, APPROVED, DUPLICATE, FORMAT, INVALID, NO_ORIGINAL, Refusal};
use crate::rules::Rule;

/// What a script is called (9F18).
const IDENTIFIER: [u8; 4] = [0x53, 0x43, 0x52, 0x31];
/// PIN UNBLOCK (Book 3 clause 6.5.10): it hurts no card.
const COMMAND: [u8; 4] = [0x84, 0x24, 0, 0];
/// What a 0620 has besides what every request of a transaction has; DE 4 and 23 as its transaction.
const MANDATORY: [u8; 4] = [22, 55, 61, 64];
const OPTIONAL: [u8; 5] = [4, 23, 37, 38, 62];
/// What its DE 55 has, each once.
const TAGS: [u32; 11] = [0x9F33, 0x95, 0x9F37, 0x9F1E, 0x9F10, 0x9F26, 0x9F36, 0x82, 0x9F1A, 0x9A, RESULTS];
const RESULTS: u32 = 0xDF31;
const ATC: u32 = 0x9F36;

/// How a script is sealed for its card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// The card carries it out.
    Right,
    /// The card refuses it.
    Wrong,
}

impl Sealed {
    /// Reads how it is typed.
    ///
    /// # Errors
    /// What may be written instead.
    pub fn parse(word: &str) -> Result<Sealed, String> {
        match word {
            "right" => Ok(Sealed::Right),
            "wrong" => Ok(Sealed::Wrong),
            _ => Err("a script is right or wrong".to_owned()),
        }
    }
}

/// The script for the card of `entry`, as part of DE 55, once; nothing where a tester wants none.
pub(crate) fn take(host: &mut Acquirer, entry: &mut Entry, verified: Option<&Verified>) -> Vec<u8> {
    let (Some(sealed), Some(verified)) = (host.script, verified) else { return Vec::new() };
    let card = entry.card.as_deref().and_then(|name| host.issuer.named(name));
    let Some(card) = card else { return Vec::new() };
    let mut command = seal_script(card, verified.atc, verified.arqc, COMMAND);
    if sealed == Sealed::Wrong {
        command.last_mut().into_iter().for_each(|byte| *byte ^= 1);
    }
    let (mut content, mut template) = (Vec::new(), Vec::new());
    // A vector has room for everything.
    let _ = tlv::write(&mut content, Tag::new(0x9F18), &IDENTIFIER);
    let _ = tlv::write(&mut content, Tag::new(0x86), &command);
    let _ = tlv::write(&mut template, Tag::new(0x72), &content);
    host.script = None;
    "sent".clone_into(&mut entry.script);
    template
}

/// Takes what became of a script, once; told again, it is answered again.
pub(crate) fn told(host: &mut Acquirer, message: &Message<'_>, rule: &Rule) -> Result<Answer, Refusal> {
    request::check_elements(message, &[&MANDATORY[..], &host.dialect.transaction()].concat(), &OPTIONAL)?;
    request::check_terminal(message)?;
    request::check_mac(message, host.keys(message))?;
    let batch = host.dialect.batch(message, "00", "951")?;
    request::check_is(message, 49, CURRENCY, INVALID)?;
    let stan = request::text(message, 11)?;
    request::check_is(message, 61, &format!("{batch}{stan}"), FORMAT)?;
    let key = Key { terminal: request::text(message, 41)?, batch, stan };
    let known = host.ledger.find(&key).cloned();
    let known =
        known.ok_or_else(|| Refusal::new(NO_ORIGINAL, format!("no transaction of {key} is booked")))?;
    let data = message.require(55).map_err(request::format_error)?.content().into_owned();
    let results = check_data(&data, &known)?;
    if let Rule::Decline(code) = rule {
        return Err(Refusal::new(code, "declined by rule"));
    }
    match known.script.as_str() {
        "" => Err(Refusal::new(INVALID, "its answer had no script")),
        "sent" => {
            host.book(Entry { script: results, ..known })?;
            Ok(Answer::new(APPROVED, "the results of a script"))
        }
        told if told == results => Ok(Answer::new(APPROVED, "the results of a script, again")),
        _ => Err(Refusal::new(DUPLICATE, "other results of this script were told before")),
    }
}

/// The results in DE 55, if that is exactly what it should be.
fn check_data(data: &[u8], known: &Entry) -> Result<String, Refusal> {
    let wrong = |problem: &str| Refusal::new(FORMAT, format!("DE 55: {problem}"));
    let objects: Result<Vec<_>, _> = Reader::new(data).collect();
    let objects = objects.map_err(|error| wrong(&error.to_string()))?;
    let found =
        |tag: u32| objects.iter().find(|object| object.tag == Tag::new(tag)).map(|object| object.value);
    if objects.len() != TAGS.len() || TAGS.iter().any(|tag| found(*tag).is_none()) {
        return Err(wrong("expected 9F33 95 9F37 9F1E 9F10 9F26 9F36 82 9F1A 9A DF31, each once"));
    }
    if known.atc.map(|atc| atc.to_be_bytes().to_vec()).as_deref() != found(ATC) {
        return Err(wrong("tag 9F36: not that of the transaction"));
    }
    match found(RESULTS) {
        Some(results @ [_, identifier @ ..]) if identifier == IDENTIFIER => Ok(hex::encode(results)),
        _ => Err(wrong("tag DF31: expected the result of the one script that was sent")),
    }
}
