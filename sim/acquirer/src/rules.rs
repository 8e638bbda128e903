//! What the host does on purpose: rules that a tester sets while it runs.
//!
//! A rule belongs to a message type, 0200 if none is named, and stands until another replaces it or is used
//! `once`. A rule never makes a wrong message right: strict checks come first.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use iso8583::Mti;

use crate::mangling::Mangling;

/// The longest delay of an answer.
const LONGEST: Duration = Duration::from_secs(600);

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

/// The rules in force.
#[derive(Debug, Default)]
pub struct Rules {
    standing: BTreeMap<Mti, Rule>,
    once: BTreeMap<Mti, VecDeque<Rule>>,
}

impl Rules {
    /// Sets what holds for `mti` from now on; forgets what was to hold once.
    pub fn set(&mut self, mti: Mti, rule: Rule) {
        self.once.remove(&mti);
        self.standing.insert(mti, rule);
    }

    /// Adds a rule for one message of type `mti`; several are used up in order.
    pub fn add_once(&mut self, mti: Mti, rule: Rule) {
        self.once.entry(mti).or_default().push_back(rule);
    }

    /// The rule for a message of type `mti` that has arrived.
    pub fn take(&mut self, mti: Mti) -> Rule {
        let once = self.once.get_mut(&mti).and_then(VecDeque::pop_front);
        once.or_else(|| self.standing.get(&mti).cloned()).unwrap_or_default()
    }

    /// The rules, for a person.
    #[must_use]
    pub fn describe(&self) -> String {
        let standing = self.standing.iter().map(|(mti, rule)| format!("{mti}: {rule:?}"));
        let waiting = self.once.iter().filter(|(_, rules)| !rules.is_empty());
        let once = waiting.map(|(mti, rules)| format!("{mti} once: {rules:?}"));
        let all: Vec<String> = standing.chain(once).collect();
        if all.is_empty() { "no rules: the issuer decides".to_owned() } else { all.join("; ") }
    }
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

fn parse_time(text: &str) -> Result<Duration, String> {
    let number = |digits: &str| digits.parse::<u64>().ok();
    let time = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => number(digits).map(Duration::from_millis),
        (None, Some(digits)) => number(digits).map(Duration::from_secs),
        (None, None) => None,
    };
    let time = time.filter(|time| *time <= LONGEST);
    time.ok_or_else(|| "write a time such as 40s or 500ms, at most 600s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALE: Mti = Mti(0x0200);

    #[test]
    fn rules_for_once_are_used_in_order_before_the_standing_one() {
        let mut rules = Rules::default();
        assert_eq!(rules.take(SALE), Rule::Approve);
        rules.set(SALE, Rule::Silent);
        rules.add_once(SALE, Rule::DropBefore);
        rules.add_once(SALE, Rule::DropAfter);
        assert_eq!(rules.take(Mti(0x0400)), Rule::Approve);
        let taken: Vec<Rule> = (0..3).map(|_| rules.take(SALE)).collect();
        assert_eq!(taken, [Rule::DropBefore, Rule::DropAfter, Rule::Silent]);
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
