//! QRCPS Merchant-Presented Mode 3.2, 4.3 and 4.4: data objects as id, length and value.

use std::fmt;

use crate::error::Problem;

/// One data object, borrowed from the text that it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    /// Its id, 0 to 99.
    pub id: u8,
    /// Its value: 1 to 99 characters.
    pub value: &'a str,
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}{:02}{}", self.id, self.value.chars().count(), self.value)
    }
}

/// Iterates over the data objects of one level. After an error it ends.
#[derive(Clone, Debug)]
pub struct Objects<'a> {
    rest: &'a str,
}

impl<'a> Objects<'a> {
    /// The data objects of `text`: a whole code, or the value of a template.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// The first data object and what follows it; with a problem, the id where it was, if that could be read.
    fn split(text: &'a str) -> Result<(Object<'a>, &'a str), (Option<u8>, Problem)> {
        let (id, rest) = number(text).ok_or((None, Problem::BadId))?;
        let (length, rest) = number(rest).ok_or((Some(id), Problem::BadLength))?;
        if length == 0 {
            return Err((Some(id), Problem::BadLength));
        }
        let ends = rest.char_indices().map(|(position, _)| position).chain([rest.len()]);
        let end = ends.take(100).nth(usize::from(length)).ok_or((Some(id), Problem::Truncated))?;
        let (value, rest) = rest.split_at_checked(end).ok_or((Some(id), Problem::Truncated))?;
        Ok((Object { id, value }, rest))
    }
}

/// Two digits at the start of `text`.
fn number(text: &str) -> Option<(u8, &str)> {
    let (digits, rest) = text.split_at_checked(2)?;
    let decimal = digits.bytes().all(|byte| byte.is_ascii_digit());
    decimal.then(|| digits.parse().ok()).flatten().map(|number| (number, rest))
}

impl<'a> Iterator for Objects<'a> {
    type Item = Result<Object<'a>, (Option<u8>, Problem)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let found = Self::split(self.rest);
        self.rest = found.as_ref().map_or("", |(_, rest)| rest);
        Some(found.map(|(object, _)| object))
    }
}
