//! `posctl tlv` and `posctl atr`: what bytes of a card say. They need no terminal.

use std::io::{self, Read as _};
use std::process::ExitCode;

use ccid::Atr;
use emv::words::words;
use serde_json::{Map, Value, json};
use tlv::{Definer, Element, Format, MAX_DEPTH, Tag, Tlv, element_of, is_sensitive, meanings, tags};

use crate::error::Error;
use crate::{Outcome, output};

/// More digits than any message of a card or host has.
const MAX_INPUT: u64 = 1 << 20;

/// Prints data objects as a tree.
pub(crate) fn data_objects(hex: &[String], card: Option<Definer>, as_json: bool) -> Outcome {
    let bytes = input(hex)?;
    let forest = Forest::read(&bytes, 0);
    let card = card.or_else(|| forest.payment_system());
    if as_json {
        output::line(&Value::Array(forest.in_json(card)).to_string())?;
    } else {
        let mut lines = Vec::new();
        forest.lines(card, 0, &mut lines);
        output::line(&lines.join("\n"))?;
    }
    match forest.fault() {
        None => Ok(ExitCode::SUCCESS),
        Some(fault) => Err(Error::Refused(format!("not all of this is BER-TLV: {fault}"))),
    }
}

/// Prints what an answer to reset says.
pub(crate) fn answer_to_reset(hex: &[String], as_json: bool) -> Outcome {
    let atr = Atr::parse(&input(hex)?).map_err(|error| Error::Refused(error.to_string()))?;
    let words = atr.words();
    output::line(&if as_json {
        json!({
            "protocols": atr.protocols(),
            "convention": if atr.inverse { "inverse" } else { "direct" },
            "contactless": atr.contactless,
            "historical": digits(&atr.historical),
            "words": words,
        })
        .to_string()
    } else {
        words.join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The bytes of the command line, or of stdin for `-`; spaces and line ends don't matter.
fn input(hex: &[String]) -> Result<Vec<u8>, Error> {
    let mut text = hex.concat();
    if text == "-" {
        text.clear();
        let read = io::stdin().take(MAX_INPUT).read_to_string(&mut text);
        read.map_err(|error| Error::File(format!("stdin: {error}")))?;
    }
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let octet = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let (pairs, odd) = digits.as_chunks();
    let only_digits = digits.iter().all(u8::is_ascii_hexdigit) && odd.is_empty() && !digits.is_empty();
    let bytes: Option<Vec<u8>> = pairs.iter().map(octet).collect();
    bytes
        .filter(|_| only_digits)
        .ok_or_else(|| Error::Usage("pairs of hex digits are wanted, such as 9F0206…".to_owned()))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Data objects of one level, and what ends them too early.
struct Forest<'a> {
    trees: Vec<Tree<'a>>,
    fault: Option<tlv::Error>,
}

struct Tree<'a> {
    object: Tlv<'a>,
    within: Forest<'a>,
}

impl<'a> Forest<'a> {
    fn read(bytes: &'a [u8], depth: usize) -> Self {
        let mut forest = Self { trees: Vec::new(), fault: None };
        if depth > MAX_DEPTH {
            forest.fault = (!bytes.is_empty()).then_some(tlv::Error::TooDeep);
            return forest;
        }
        for object in tlv::Reader::new(bytes) {
            match object {
                Ok(object) => {
                    let inner = if object.tag.is_constructed() { object.value } else { &[] };
                    forest.trees.push(Tree { object, within: Self::read(inner, depth + 1) });
                }
                Err(error) => forest.fault = Some(error),
            }
        }
        forest
    }

    /// The first fault, from the outside in.
    fn fault(&self) -> Option<tlv::Error> {
        self.fault.or_else(|| self.trees.iter().find_map(|tree| tree.within.fault()))
    }

    /// Whose card it is, by the first name of an application in it.
    fn payment_system(&self) -> Option<Definer> {
        self.trees.iter().find_map(|Tree { object, within }| match object.tag {
            tags::DF_NAME | tags::ADF_NAME | tags::AID => Definer::of_application(object.value),
            _ => within.payment_system(),
        })
    }

    fn lines(&self, card: Option<Definer>, depth: usize, lines: &mut Vec<String>) {
        let indent = "  ".repeat(depth);
        for Tree { object, within } in &self.trees {
            let Tlv { tag, value } = object;
            let head = format!("{indent}{tag} {}", name(*tag, card));
            lines.push(match shown(object, card) {
                _ if tag.is_constructed() && !is_sensitive(*tag) => format!("{head} ({})", value.len()),
                Some(shown) => format!("{head} ({}): {shown}", value.len()),
                None => format!("{head} ({}): not shown", value.len()),
            });
            if !is_sensitive(*tag) {
                lines.extend(words(*tag, value, card).into_iter().map(|line| format!("{indent}    {line}")));
                within.lines(card, depth + 1, lines);
            }
        }
        if let Some(fault) = self.fault {
            lines.push(format!("{indent}… {fault}"));
        }
    }

    fn in_json(&self, card: Option<Definer>) -> Vec<Value> {
        let one = |Tree { object, within }: &Tree<'_>| {
            let Tlv { tag, value } = object;
            let mut told = Map::new();
            let mut tell = |key: &str, value: Value| drop(told.insert(key.to_owned(), value));
            tell("tag", tag.to_string().into());
            tell("name", name(*tag, card).into());
            tell("length", value.len().into());
            if is_sensitive(*tag) {
                tell("shown", false.into());
            } else if tag.is_constructed() {
                tell("objects", within.in_json(card).into());
            } else {
                tell("value", digits(value).into());
                let said = words(*tag, value, card);
                if !said.is_empty() {
                    tell("words", said.into());
                }
            }
            Value::Object(told)
        };
        let mut told: Vec<Value> = self.trees.iter().map(one).collect();
        told.extend(self.fault.map(|fault| json!({ "fault": fault.to_string() })));
        told
    }
}

/// What the tag is called; where nothing says whose card it is, by each payment system.
fn name(tag: Tag, card: Option<Definer>) -> String {
    if let Some(element) = card.and_then(|card| element_of(card, tag)) {
        return element.name.to_owned();
    }
    let of = |element: &Element| match element.definer {
        Definer::Books => element.name.to_owned(),
        definer => format!("{} ({definer})", element.name),
    };
    let names: Vec<String> = meanings(tag).map(of).collect();
    if names.is_empty() { "unknown".to_owned() } else { names.join(" or ") }
}

/// The value: text where it is one. `None` if it may not be shown.
fn shown(object: &Tlv<'_>, card: Option<Definer>) -> Option<String> {
    if is_sensitive(object.tag) {
        return None;
    }
    let known = card.map_or_else(|| meanings(object.tag).next(), |card| element_of(card, object.tag));
    let textual = matches!(
        known.map(|element| element.format),
        Some(Format::Alphabetic | Format::Alphanumeric | Format::AlphanumericSpecial)
    );
    let text = str::from_utf8(object.value).ok().filter(|text| !text.chars().any(char::is_control));
    Some(match text {
        Some(text) if textual && !text.is_empty() => format!("{} {text:?}", digits(object.value)),
        _ => digits(object.value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(hex: &str) -> (String, String) {
        let bytes = input(&[hex.to_owned()]).unwrap();
        let forest = Forest::read(&bytes, 0);
        let mut lines = Vec::new();
        let card = forest.payment_system();
        forest.lines(card, 0, &mut lines);
        (lines.join("\n"), Value::Array(forest.in_json(card)).to_string())
    }

    #[test]
    fn a_response_is_shown_as_a_tree_with_names_and_words() {
        let (text, json) = tree("6F 19 84 08 A000000333010101 A5 0D 50 08 556E696F6E506179 87 01 81");
        let expected = "\
6F File Control Information (FCI) Template (25)
  84 Dedicated File (DF) Name (8): A000000333010101
  A5 File Control Information (FCI) Proprietary Template (13)
    50 Application Label (8): 556E696F6E506179 \"UnionPay\"
    87 Application Priority Indicator (1): 81
        priority 1, only with confirmation of the cardholder";
        assert_eq!(text, expected);
        assert!(json.contains(r#""words":["priority 1"#), "{json}");
    }

    #[test]
    fn a_pan_is_never_shown_wherever_it_stands() {
        let (text, json) = tree("70 13 5A 08 6228480000001234 9F6B 04 62284800 95 01 00 00");
        assert!(!text.contains("6228") && !json.contains("6228"), "{text} {json}");
        assert!(text.contains("5A Application Primary Account Number (PAN) (8): not shown"), "{text}");
        assert!(
            text.contains("Card CVM Limit (UnionPay) or Card CVM Limit (Visa) or Track 2 Data"),
            "{text}"
        );
    }

    #[test]
    fn what_ends_too_early_is_shown_up_to_there() {
        let (text, json) = tree("9505 0000000000 70 05 5A 08");
        assert!(text.starts_with("95 Terminal Verification Results (5): 0000000000"), "{text}");
        assert!(text.ends_with("… the bytes end within a data object"), "{text}");
        assert!(json.contains("fault"));
        assert!(matches!(input(&["5G".to_owned()]), Err(Error::Usage(_))));
        assert!(input(&["5A0".to_owned()]).is_err() && input(&[String::new()]).is_err());
    }
}
