//! What the host does on purpose: rules that a tester sets while it runs.
//!
//! A rule belongs to a message type, 0200 if none is named, and stands until another replaces it or is used
//! `once`. A rule never makes a wrong message right: strict checks come first.

use std::time::Duration;

use iso8583::Mti;
use sim_control::rules::parse_time;

use crate::mangling::Mangling;

/// How to treat a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rule {
    /// As the issuer decides.
    #[default]
    Approve,
    /// Answer this code instead of an approval, and book nothing.
    Decline(String),
    /// Book, and never answer.
    Silent,
    /// Book, and answer after this time.
    Late(Duration),
    /// Book, and answer with one thing wrong.
    Wrong(Part),
    /// Book, and put the answer on the line as no host should.
    Mangled(Mangling),
    /// Close the connection before booking.
    DropBefore,
    /// Book, then close the connection without an answer.
    DropAfter,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// DE 64.
    Mac,
    /// DE 11.
    Stan,
    /// DE 4.
    Amount,
    /// DE 41.
    Terminal,
    /// The message type.
    Mti,
}

/// The rules in force, by message type.
pub type Rules = sim_control::rules::Rules<Mti, Rule>;

impl Rule {
    /// Reads a rule as it is typed.
    ///
    /// # Errors
    /// What may be written instead.
    pub fn parse(words: &[&str]) -> Result<Rule, String> {
        match words {
            ["approve"] => Ok(Rule::Approve),
            ["decline", code] if is_code(code) => Ok(Rule::Decline((*code).to_owned())),
            ["decline", ..] => {
                Err("decline takes an answer code of two letters or digits, not 00".to_owned())
            }
            ["silent"] => Ok(Rule::Silent),
            ["late", time] => parse_time(time).map(Rule::Late),
            ["wrong", "mac"] => Ok(Rule::Wrong(Part::Mac)),
            ["wrong", "stan"] => Ok(Rule::Wrong(Part::Stan)),
            ["wrong", "amount"] => Ok(Rule::Wrong(Part::Amount)),
            ["wrong", "mti"] => Ok(Rule::Wrong(Part::Mti)),
            ["wrong", "terminal"] => Ok(Rule::Wrong(Part::Terminal)),
            ["wrong", "truncated"] => Ok(Rule::Mangled(Mangling::Truncated)),
            ["wrong", "oversized"] => Ok(Rule::Mangled(Mangling::Oversized)),
            ["wrong", "garbage"] => Ok(Rule::Mangled(Mangling::Garbage)),
            ["repeat"] => Ok(Rule::Mangled(Mangling::Repeated)),
            ["drop", "before"] => Ok(Rule::DropBefore),
            ["drop", "after"] => Ok(Rule::DropAfter),
            _ => Err("a rule is approve, decline CODE, silent, late 40s, \
                      wrong mac|stan|amount|mti|terminal|truncated|oversized|garbage, repeat, \
                      or drop before|after"
                .to_owned()),
        }
    }
}

fn is_code(code: &str) -> bool {
    code.len() == 2 && code != "00" && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_is_not_one_says_what_to_write() {
        for words in
            [&["decline", "00"][..], &["decline"], &["late", "40"], &["late", "601s"], &["wrong"], &[]]
        {
            assert!(Rule::parse(words).is_err(), "{words:?}");
        }
        assert_eq!(Rule::parse(&["late", "250ms"]), Ok(Rule::Late(Duration::from_millis(250))));
    }
}
