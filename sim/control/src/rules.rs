//! What a host does on purpose: rules that a tester sets while it runs, each for one kind of message.
//!
//! A rule stands until another replaces it, or is used once.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{Debug, Display};
use std::time::Duration;

/// The longest delay of an answer.
const LONGEST: Duration = Duration::from_secs(600);

/// The rules in force, for messages of kind `K`.
#[derive(Debug)]
pub struct Rules<K, R> {
    standing: BTreeMap<K, R>,
    once: BTreeMap<K, VecDeque<R>>,
}

impl<K, R> Default for Rules<K, R> {
    fn default() -> Self {
        Rules { standing: BTreeMap::new(), once: BTreeMap::new() }
    }
}

impl<K: Ord + Display, R: Clone + Default + Debug> Rules<K, R> {
    /// Sets what holds for `kind` from now on; forgets what was to hold once.
    pub fn set(&mut self, kind: K, rule: R) {
        self.once.remove(&kind);
        self.standing.insert(kind, rule);
    }

    /// Adds a rule for one message of this kind; several are used up in order.
    pub fn add_once(&mut self, kind: K, rule: R) {
        self.once.entry(kind).or_default().push_back(rule);
    }

    /// The rule for a message that has arrived and is of all these `kinds`: what holds once comes before what stands,
    /// and the first kind before the others.
    pub fn take(&mut self, kinds: &[K]) -> R {
        let once = kinds.iter().find_map(|kind| self.once.get_mut(kind)?.pop_front());
        once.or_else(|| kinds.iter().find_map(|kind| self.standing.get(kind).cloned())).unwrap_or_default()
    }

    /// The rules, for a person.
    #[must_use]
    pub fn describe(&self) -> String {
        let standing = self.standing.iter().map(|(kind, rule)| format!("{kind}: {rule:?}"));
        let waiting = self.once.iter().filter(|(_, rules)| !rules.is_empty());
        let once = waiting.map(|(kind, rules)| format!("{kind} once: {rules:?}"));
        let all: Vec<String> = standing.chain(once).collect();
        if all.is_empty() { "no rules".to_owned() } else { all.join("; ") }
    }
}

/// Reads a time as it is typed: `40s` or `500ms`, at most 600 s.
///
/// # Errors
/// What may be written instead.
pub fn parse_time(text: &str) -> Result<Duration, String> {
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

    #[test]
    fn rules_for_once_are_used_in_order_before_the_standing_one() {
        let mut rules: Rules<&str, u8> = Rules::default();
        assert_eq!(rules.take(&["sale"]), 0);
        rules.set("sale", 3);
        rules.add_once("sale", 1);
        rules.add_once("sale", 2);
        assert_eq!(rules.take(&["reversal"]), 0);
        let taken: Vec<u8> = (0..4).map(|_| rules.take(&["sale"])).collect();
        assert_eq!(taken, [1, 2, 3, 3]);
    }

    #[test]
    fn a_time_has_a_unit_and_a_limit() {
        for text in ["40", "601s", "s", "-1s", ""] {
            assert!(parse_time(text).is_err(), "{text}");
        }
        assert_eq!(parse_time("250ms"), Ok(Duration::from_millis(250)));
    }
}
