//! What a host wants in the elements that ISO 8583 leaves to it, as data: text, with places in braces for the terminal to
//! fill in.
//!
//! ```toml
//! 60 = "{type}{batch}000"
//! 90 = "{mti}{stan}{sent}0000000000000000000000"
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Error, Place};

/// What the terminal fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// The message type of the request, four digits.
    Mti,
    /// The type of the message, as the profile has it.
    Type,
    /// The network management code, as the profile has it.
    Code,
    /// The batch, six digits.
    Batch,
    /// The STAN of the request, six digits.
    Stan,
    /// When the transaction was asked for, in UTC: `MMDDhhmmss`.
    Sent,
    /// The same in local time: `hhmmss`.
    Time,
    /// The same in local time: `MMDD`.
    Date,
    /// Who settles, three characters.
    Operator,
    /// DE 4 of the transaction, twelve digits.
    Amount,
    /// DE 49 of the transaction: ISO 4217, three digits.
    Currency,
    /// As [`Mti`](Fill::Mti), of the original.
    OriginalMti,
    /// As [`Batch`](Fill::Batch), of the original.
    OriginalBatch,
    /// As [`Stan`](Fill::Stan), of the original.
    OriginalStan,
    /// As [`Sent`](Fill::Sent), of the original.
    OriginalSent,
    /// DE 13 of the answer to the original.
    OriginalDate,
    /// DE 37 of the answer to the original.
    OriginalReference,
    /// DE 38 of the answer to the original.
    OriginalApproval,
}

impl Fill {
    const NAMES: [(&'static str, Fill); 18] = [
        ("mti", Fill::Mti),
        ("type", Fill::Type),
        ("code", Fill::Code),
        ("batch", Fill::Batch),
        ("stan", Fill::Stan),
        ("sent", Fill::Sent),
        ("time", Fill::Time),
        ("date", Fill::Date),
        ("operator", Fill::Operator),
        ("amount", Fill::Amount),
        ("currency", Fill::Currency),
        ("original.mti", Fill::OriginalMti),
        ("original.batch", Fill::OriginalBatch),
        ("original.stan", Fill::OriginalStan),
        ("original.sent", Fill::OriginalSent),
        ("original.date", Fill::OriginalDate),
        ("original.reference", Fill::OriginalReference),
        ("original.approval", Fill::OriginalApproval),
    ];
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Fill(Fill),
}

/// The elements of one kind of message, each with its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Layout(BTreeMap<u8, Vec<Part>>);

impl Layout {
    /// Whether one of the elements has this place.
    #[must_use]
    pub fn has(&self, place: Fill) -> bool {
        self.0.values().flatten().any(|part| *part == Part::Fill(place))
    }

    /// The elements and their contents, filled in by `fill`.
    pub fn fill(&self, fill: impl Fn(Fill) -> String) -> Vec<(u8, String)> {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Fill(place) => fill(*place),
        };
        self.0.iter().map(|(number, parts)| (*number, parts.iter().map(part).collect())).collect()
    }
}

impl TryFrom<BTreeMap<String, String>> for Layout {
    type Error = Error;

    fn try_from(raw: BTreeMap<String, String>) -> Result<Layout, Error> {
        let element = |(key, text): (&String, &String)| {
            let number = key.parse().ok().filter(|number| (2..=128).contains(number)).ok_or_else(|| {
                unusable(Place::Message, format!("`{key}`: data elements are numbered 2 to 128"))
            })?;
            Ok((number, parts(Place::Field(number), text)?))
        };
        raw.iter().map(element).collect::<Result<_, _>>().map(Layout)
    }
}

fn parts(at: Place, text: &str) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let known = after.split_once('}').and_then(|(name, after)| {
            let (_, fill) = Fill::NAMES.iter().find(|(known, _)| *known == name)?;
            Some((*fill, after))
        });
        let (fill, after) = known.ok_or_else(|| {
            let names = Fill::NAMES.map(|(name, _)| name).join("}, {");
            unusable(at, format!("`{text}`: between braces there can be {{{names}}}"))
        })?;
        parts.extend((!before.is_empty()).then(|| Part::Text(before.to_owned())));
        parts.push(Part::Fill(fill));
        rest = after;
    }
    parts.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
    Ok(parts)
}

fn unusable(at: Place, problem: String) -> Error {
    Error::Profile { at, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in_and_all_else_stays() {
        let layout: Layout = toml::from_str("60 = 'a{type}{batch}000'\n128 = ''").unwrap();
        let filled = layout.fill(|place| if place == Fill::Batch { "000001".into() } else { "22".into() });
        assert_eq!(filled, [(60, "a22000001000".to_owned()), (128, String::new())]);
    }

    #[test]
    fn a_place_that_nobody_knows_is_refused_with_those_that_there_are() {
        for wrong in ["60 = '{pan}'", "60 = '{batch'", "1 = 'x'", "DE60 = 'x'"] {
            let error = toml::from_str::<Layout>(wrong).unwrap_err().to_string();
            assert!(error.contains("{batch}") || error.contains("2 to 128"), "{wrong}: {error}");
        }
    }
}
