//! Book 3 clauses 5.4 (data object lists) and 10.2 (AFL), Book 4 Annexes A1 (terminal type) and A6 (response codes).

use tlv::{Definer, Dol, Tag, element, element_of, meanings};

/// What the tag is called on a card of this payment system, or everywhere; all its names if they differ.
fn name(tag: Tag, card: Option<Definer>) -> String {
    let known = card.map_or_else(|| element(tag), |card| element_of(card, tag));
    if let Some(element) = known {
        return element.name.to_owned();
    }
    let names: Vec<_> =
        meanings(tag).map(|element| format!("{}: {}", element.definer, element.name)).collect();
    if names.is_empty() { "unknown".to_owned() } else { names.join("; ") }
}

/// An entry a line: tag, length, name.
pub(super) fn data_objects(value: &[u8], card: Option<Definer>) -> Vec<String> {
    let line = |entry: Result<tlv::DolEntry, tlv::Error>| match entry {
        Ok(entry) => format!("{} ({}): {}", entry.tag, entry.length, name(entry.tag, card)),
        Err(error) => error.to_string(),
    };
    Dol::new(value).entries().map(line).collect()
}

/// A tag a line.
pub(super) fn tag_list(mut value: &[u8], card: Option<Definer>) -> Vec<String> {
    let mut lines = Vec::new();
    while !value.is_empty() {
        match Tag::parse(value) {
            Ok((tag, rest)) => {
                lines.push(format!("{tag}: {}", name(tag, card)));
                value = rest;
            }
            Err(error) => {
                lines.push(error.to_string());
                break;
            }
        }
    }
    lines
}

/// A file a line.
pub(super) fn file_locator(value: &[u8]) -> Vec<String> {
    let (entries, odd) = value.as_chunks();
    let mut lines: Vec<String> = entries
        .iter()
        .map(|&[file, first, last, signed]| {
            let file = file >> 3;
            if first == last {
                format!("file {file}, record {first}, {signed} signed")
            } else {
                format!("file {file}, records {first} to {last}, {signed} signed")
            }
        })
        .collect();
    if !odd.is_empty() {
        lines.push("the last entry is cut off".to_owned());
    }
    lines
}

/// Who runs it, where, and whether it can go online.
pub(super) fn terminal_type(value: &[u8]) -> Vec<String> {
    let &[kind] = value else { return Vec::new() };
    let owner = match kind >> 4 {
        1 => "financial institution",
        2 => "merchant",
        3 => "cardholder",
        _ => return Vec::new(),
    };
    let place = if matches!(kind & 0x0F, 4..=6) { "unattended" } else { "attended" };
    let line = match kind & 0x0F {
        1 | 4 => "online only",
        2 | 5 => "offline with online capability",
        3 | 6 => "offline only",
        _ => return Vec::new(),
    };
    vec![format!("{owner}, {place}, {line}")]
}

/// Which comes first, and whether the cardholder has to confirm.
pub(super) fn priority(value: &[u8]) -> Vec<String> {
    let &[indicator] = value else { return Vec::new() };
    let order = match indicator & 0x0F {
        0 => "no priority".to_owned(),
        order => format!("priority {order}"),
    };
    let confirmation = if indicator & 0x80 == 0 { "" } else { ", only with confirmation of the cardholder" };
    vec![format!("{order}{confirmation}")]
}

/// What the terminal itself puts there; a host's code is the host's to explain.
pub(super) fn response_code(value: &[u8]) -> Vec<String> {
    let words = match value {
        b"Y1" => "offline approved",
        b"Z1" => "offline declined",
        b"Y3" => "unable to go online, offline approved",
        b"Z3" => "unable to go online, offline declined",
        [a, b] if a.is_ascii_graphic() && b.is_ascii_graphic() => {
            return vec![format!("{}{} from the host", char::from(*a), char::from(*b))];
        }
        _ => return Vec::new(),
    };
    vec![words.to_owned()]
}
