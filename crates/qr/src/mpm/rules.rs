//! QRCPS Merchant-Presented Mode 4.2 to 4.11, Tables 3.6 to 3.8 and 4.2 to 4.5: what each data object may be.

use std::ops::RangeInclusive;

use super::{Objects, id};
use crate::decimal::is_decimal;
use crate::error::{Problem, Result};

/// The format of a value (4.5).
enum Format {
    /// `N`: digits.
    Numeric,
    /// `ans`: the Common Character Set of EMV Book 4 Annex B.
    Alphanumeric,
    /// `S`: any characters that are not control characters.
    String,
    /// Data objects again, after these rules.
    Template(&'static [Row]),
}

/// What data objects with these ids may be.
struct Row {
    ids: RangeInclusive<u8>,
    format: Format,
    min: usize,
    max: usize,
    presence: Presence,
    check: fn(&str) -> bool,
    /// What `check` expects.
    expected: &'static str,
}

#[derive(PartialEq)]
enum Presence {
    Mandatory,
    Optional,
}
use Format::{Alphanumeric, Numeric, String as Text, Template};
use Presence::{Mandatory, Optional};

const fn row(
    ids: RangeInclusive<u8>,
    format: Format,
    min: usize,
    max: usize,
    presence: Presence,
    check: fn(&str) -> bool,
    expected: &'static str,
) -> Row {
    Row { ids, format, min, max, presence, check, expected }
}

const fn plain(ids: RangeInclusive<u8>, format: Format, min: usize, max: usize, presence: Presence) -> Row {
    row(ids, format, min, max, presence, |_| true, "")
}

/// Table 3.6.
static ROOT: &[Row] = &[
    row(0..=0, Numeric, 2, 2, Mandatory, |value| value == "01", "01"),
    row(1..=1, Numeric, 2, 2, Optional, |value| matches!(value, "11" | "12"), "11 or 12"),
    plain(2..=25, Alphanumeric, 1, 99, Optional),
    plain(26..=51, Template(IDENTIFIED), 1, 99, Optional),
    plain(52..=52, Numeric, 4, 4, Mandatory),
    plain(53..=53, Numeric, 3, 3, Mandatory),
    row(54..=54, Alphanumeric, 1, 13, Optional, is_amount, "an amount that is not zero, such as 98.73"),
    row(55..=55, Numeric, 2, 2, Optional, |value| matches!(value, "01" | "02" | "03"), "01, 02 or 03"),
    row(56..=56, Alphanumeric, 1, 13, Optional, is_amount, "a fee that is not zero, such as 9.85"),
    row(57..=57, Alphanumeric, 1, 5, Optional, is_percentage, "a percentage from 00.01 to 99.99"),
    row(58..=58, Alphanumeric, 2, 2, Mandatory, is_letters, "two letters"),
    plain(59..=59, Alphanumeric, 1, 25, Mandatory),
    plain(60..=60, Alphanumeric, 1, 15, Mandatory),
    plain(61..=61, Alphanumeric, 1, 10, Optional),
    plain(62..=62, Template(ADDITIONAL), 1, 99, Optional),
    plain(63..=63, Alphanumeric, 4, 4, Mandatory),
    plain(64..=64, Template(LANGUAGE), 1, 99, Optional),
    plain(65..=79, Text, 1, 99, Optional),
    plain(80..=99, Template(IDENTIFIED), 1, 99, Optional),
];

/// Tables 4.2, 4.4 and 4.5: a Globally Unique Identifier says what the rest means.
static IDENTIFIED: &[Row] =
    &[plain(0..=0, Alphanumeric, 1, 32, Mandatory), plain(1..=99, Text, 1, 99, Optional)];

/// Table 3.7.
static ADDITIONAL: &[Row] = &[
    plain(1..=8, Alphanumeric, 1, 25, Optional),
    row(9..=9, Alphanumeric, 1, 3, Optional, is_request, "each of A, M and E at most once"),
    plain(10..=49, Text, 1, 99, Optional),
    plain(50..=99, Template(IDENTIFIED), 1, 99, Optional),
];

/// Table 3.8.
static LANGUAGE: &[Row] = &[
    row(0..=0, Alphanumeric, 2, 2, Mandatory, is_letters, "two letters"),
    plain(1..=1, Text, 1, 25, Mandatory),
    plain(2..=2, Text, 1, 15, Optional),
    plain(3..=99, Text, 1, 99, Optional),
];

fn is_amount(value: &str) -> bool {
    is_decimal(value) && value.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}

/// At most two digits before and after the point, so that only zero is out of the range.
fn is_percentage(value: &str) -> bool {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    is_amount(value) && whole.len() <= 2 && fraction.len() <= 2
}

fn is_letters(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_request(value: &str) -> bool {
    value.chars().all(|letter| "AME".contains(letter) && value.matches(letter).count() == 1)
}

/// All rules but those of presence under the root.
pub(super) fn check(text: &str) -> Result<()> {
    check_level(text, ROOT, "")?;
    let ids: Vec<u8> = Objects::new(text).flatten().map(|object| object.id).collect();
    if ids.first() != Some(&id::FORMAT) {
        return Err(Problem::Misplaced("first").at("00"));
    }
    if ids.last() != Some(&id::CRC) {
        return Err(Problem::Misplaced("last").at("63"));
    }
    check_fees(text)
}

/// 4.7.7.1 and 4.7.8.1: each fee is there exactly if the indicator says so.
fn check_fees(text: &str) -> Result<()> {
    let value = |id| Objects::new(text).flatten().find(|object| object.id == id).map(|object| object.value);
    for (fee, indicator) in [(id::FEE_FIXED, "02"), (id::FEE_PERCENTAGE, "03")] {
        match (value(fee).is_some(), value(id::TIP) == Some(indicator)) {
            (true, false) => return Err(Problem::Unexpected.at(fee.to_string())),
            (false, true) => return Err(Problem::Missing.at(fee.to_string())),
            _ => {}
        }
    }
    Ok(())
}

/// 4.2.1.1 and 4.7.9.1.
pub(super) fn check_presence(text: &str) -> Result<()> {
    check_mandatory(text, ROOT, "")?;
    let accounts = id::FIRST_ACCOUNT..=id::LAST_ACCOUNT;
    if Objects::new(text).flatten().any(|object| accounts.contains(&object.id)) {
        Ok(())
    } else {
        Err(Problem::Missing.at("02 to 51"))
    }
}

/// The data objects of one level. `above` is the path of the template, empty for the root.
fn check_level(text: &str, rows: &[Row], above: &str) -> Result<()> {
    let mut seen = 0_u128;
    for object in Objects::new(text) {
        let object = object.map_err(|(id, problem)| match id {
            Some(id) => problem.at(path(above, id)),
            None => problem.at(if above.is_empty() { "code" } else { above }),
        })?;
        let bit = 1_u128 << object.id;
        if seen & bit != 0 {
            return Err(Problem::Repeated.at(path(above, object.id)));
        }
        seen |= bit;
        let row = rows.iter().find(|row| row.ids.contains(&object.id));
        let row = row.ok_or_else(|| Problem::Unexpected.at(path(above, object.id)))?;
        check_value(row, object.value, &path(above, object.id))?;
    }
    Ok(())
}

fn check_value(row: &Row, value: &str, path: &str) -> Result<()> {
    let got = value.chars().count();
    if !(row.min..=row.max).contains(&got) {
        return Err(Problem::Length { min: row.min, max: row.max, got }.at(path));
    }
    let all = |allowed: fn(char) -> bool, expected| {
        if value.chars().all(allowed) { Ok(()) } else { Err(Problem::Expected(expected).at(path)) }
    };
    match row.format {
        Numeric => all(|c| c.is_ascii_digit(), "digits")?,
        Alphanumeric => all(|c| matches!(c, ' '..='~'), "printable ASCII")?,
        Text => all(|c| !c.is_control(), "no control characters")?,
        Template(rows) => {
            check_level(value, rows, path)?;
            check_mandatory(value, rows, path)?;
        }
    }
    if (row.check)(value) { Ok(()) } else { Err(Problem::Expected(row.expected).at(path)) }
}

fn check_mandatory(text: &str, rows: &[Row], above: &str) -> Result<()> {
    for row in rows.iter().filter(|row| row.presence == Mandatory) {
        if !Objects::new(text).flatten().any(|object| row.ids.contains(&object.id)) {
            return Err(Problem::Missing.at(path(above, *row.ids.start())));
        }
    }
    Ok(())
}

fn path(above: &str, id: u8) -> String {
    if above.is_empty() { format!("{id:02}") } else { format!("{above}.{id:02}") }
}
