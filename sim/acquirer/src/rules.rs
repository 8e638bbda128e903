//! What the host does on purpose: rules that a tester sets while it runs.
//!
//! A rule belongs to a message type, or to any request with a card if none is named, and stands until another replaces
//! it or is used `once`. A rule never makes a wrong message right: strict checks come first.

use std::fmt;
use std::time::Duration;

use iso8583::Mti;
use sim_control::rules::parse_time;

use crate::host::{ADVICE, AUTHORISATION, FINANCIAL, REQUESTS};
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
    /// Start anew before booking.
    RestartBefore,
    /// Book, then start anew without an answer.
    RestartAfter,
    /// Book, and answer right behind the answer to the next reversal.
    AfterReversal,
    /// Book, and answer for another STAN first.
    Stray,
    /// Find that the totals of a settlement differ, whatever they are.
    Unbalanced,
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
    /// DE 12 and 13.
    Clock,
    /// Any element, with a MAC that is right.
    Element(u8, Damage),
}

/// What is wrong with an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It is not there.
    Missing,
    /// The last bit of its content is another one.
    Changed,
}

/// What a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Any request of a cardholder: 0100, 0200, 0220.
    Card,
    /// Messages of one type.
    Of(Mti),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Card => f.write_str("any with a card"),
            Target::Of(mti) => mti.fmt(f),
        }
    }
}

/// The rules in force.
pub type Rules = sim_control::rules::Rules<Target, Rule>;

/// What rules a message of type `mti` falls under: those for its type, then those for any.
pub(crate) fn targets(mti: Mti) -> Vec<Target> {
    let any = [AUTHORISATION, FINANCIAL, ADVICE].contains(&mti).then_some(Target::Card);
    [Some(Target::Of(mti)), any].into_iter().flatten().collect()
}

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
            ["wrong", "clock"] => Ok(Rule::Wrong(Part::Clock)),
            ["wrong", number, damage @ ("missing" | "changed")] => {
                let number = number.parse().ok().filter(|number| (2..=127).contains(number));
                let number = number.ok_or("data elements are numbered 2 to 127")?;
                let damage = if *damage == "missing" { Damage::Missing } else { Damage::Changed };
                Ok(Rule::Wrong(Part::Element(number, damage)))
            }
            ["wrong", "truncated"] => Ok(Rule::Mangled(Mangling::Truncated)),
            ["wrong", "oversized"] => Ok(Rule::Mangled(Mangling::Oversized)),
            ["wrong", "garbage"] => Ok(Rule::Mangled(Mangling::Garbage)),
            ["repeat"] => Ok(Rule::Mangled(Mangling::Repeated)),
            ["drop", "before"] => Ok(Rule::DropBefore),
            ["drop", "after"] => Ok(Rule::DropAfter),
            ["restart", "before"] => Ok(Rule::RestartBefore),
            ["restart", "after"] => Ok(Rule::RestartAfter),
            ["after", "reversal"] => Ok(Rule::AfterReversal),
            ["stray"] => Ok(Rule::Stray),
            ["unbalanced"] => Ok(Rule::Unbalanced),
            _ => Err("a rule is approve, decline CODE, silent, late 40s, after reversal, \
                      wrong mac|stan|amount|mti|terminal|clock|truncated|oversized|garbage, wrong ELEMENT \
                      missing|changed, repeat, stray, \
                      drop before|after, restart before|after, or for 0500 unbalanced"
                .to_owned()),
        }
    }

    /// Reads a rule as it is typed, behind the message type that it is for, if any.
    ///
    /// # Errors
    /// What may be written instead.
    pub fn parse_for(words: &[&str]) -> Result<(Target, Rule), String> {
        let named = REQUESTS.into_iter().find(|mti| words.first() == Some(&mti.to_string().as_str()));
        match (named, words) {
            (Some(mti), [_, rule @ ..]) => Ok((Target::Of(mti), Rule::parse(rule)?)),
            (_, rule) => Ok((Target::Card, Rule::parse(rule)?)),
        }
    }

    /// Reads rules with semicolons between them.
    ///
    /// # Errors
    /// What may be written instead of the first that is wrong.
    pub fn parse_script(text: &str) -> Result<Vec<(Target, Rule)>, String> {
        let rules = text.split(';').map(|rule| rule.split_whitespace().collect::<Vec<_>>());
        rules.filter(|words| !words.is_empty()).map(|words| Rule::parse_for(&words)).collect()
    }
}

fn is_code(code: &str) -> bool {
    code.len() == 2 && code != "00" && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_once_are_used_in_order_before_the_standing_ones_and_named_types_before_any() {
        let mut rules = Rules::default();
        assert_eq!(rules.take(&targets(FINANCIAL)), Rule::Approve);
        rules.set(Target::Card, Rule::Silent);
        rules.set(Target::Of(ADVICE), Rule::Stray);
        rules.add_once(Target::Card, Rule::DropBefore);
        rules.add_once(Target::Card, Rule::DropAfter);
        rules.add_once(Target::Of(FINANCIAL), Rule::RestartAfter);
        assert_eq!(rules.take(&targets(Mti(0x0400))), Rule::Approve);
        let taken: Vec<Rule> = (0..4).map(|_| rules.take(&targets(FINANCIAL))).collect();
        assert_eq!(taken, [Rule::RestartAfter, Rule::DropBefore, Rule::DropAfter, Rule::Silent]);
        assert_eq!(
            (rules.take(&targets(ADVICE)), rules.take(&targets(AUTHORISATION))),
            (Rule::Stray, Rule::Silent)
        );
    }

    #[test]
    fn a_script_is_rules_with_semicolons_between_them() {
        let script = Rule::parse_script("silent; 0400 drop before;0500 unbalanced;").unwrap();
        let expected = [
            (Target::Card, Rule::Silent),
            (Target::Of(Mti(0x0400)), Rule::DropBefore),
            (Target::Of(Mti(0x0500)), Rule::Unbalanced),
        ];
        assert_eq!(script, expected);
        for wrong in ["silent; 0300 silent", "0400", "silent 0400"] {
            assert!(Rule::parse_script(wrong).is_err(), "{wrong}");
        }
    }

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
