//! What the gateway and its customers do on purpose, as a tester says while they run.

use std::time::Duration;

use sim_control::rules::parse_time;

/// The operations, as the last part of their path.
pub const OPERATIONS: [&str; 6] = ["pay", "prepare", "query", "cancel", "refund", "refund-query"];

/// The rules in force, by operation.
pub type Rules = sim_control::rules::Rules<&'static str, Rule>;

/// How to treat a request. A rule never makes a wrong request right: strict checks come first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rule {
    /// As it is.
    #[default]
    Truthful,
    /// Book, and never answer.
    Silent,
    /// Book, and answer after this time.
    Late(Duration),
    /// Book, and answer with a body that is no answer, rightly signed.
    Garbage,
    /// Book, and answer with a signature that is wrong.
    WrongSignature,
    /// Book, and answer with the answer to the request before, once more.
    Replay,
    /// Book, and answer twice with the same bytes, as where a line brings the answer twice.
    Repeat,
    /// Do it twice, as where a line brings the request twice.
    Twice,
    /// Close the connection before booking.
    DropBefore,
    /// Book, then close the connection without an answer.
    DropAfter,
    /// Start anew before booking: what was seen is forgotten.
    RestartBefore,
    /// Book, then start anew without an answer.
    RestartAfter,
}

impl Rule {
    /// Reads an operation, if one is named, and a rule as they are typed.
    ///
    /// # Errors
    /// What may be written instead.
    pub fn parse(words: &[&str]) -> Result<(&'static str, Rule), String> {
        let named = words.first().and_then(|word| OPERATIONS.into_iter().find(|name| name == word));
        let words = if named.is_some() { words.get(1..).unwrap_or_default() } else { words };
        let rule = match words {
            ["truthful"] => Rule::Truthful,
            ["silent"] => Rule::Silent,
            ["late", time] => Rule::Late(parse_time(time)?),
            ["garbage"] => Rule::Garbage,
            ["wrong", "signature"] => Rule::WrongSignature,
            ["replay"] => Rule::Replay,
            ["repeat"] => Rule::Repeat,
            ["twice"] => Rule::Twice,
            ["restart", "before"] => Rule::RestartBefore,
            ["restart", "after"] => Rule::RestartAfter,
            ["drop", "before"] => Rule::DropBefore,
            ["drop", "after"] => Rule::DropAfter,
            _ => {
                return Err("a rule is [OPERATION] truthful, silent, late 40s, garbage, wrong signature, \
                            replay, repeat, twice, drop before|after, or restart before|after"
                    .to_owned());
            }
        };
        Ok((named.unwrap_or("pay"), rule))
    }
}

/// What customers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum User {
    /// They pay at once.
    #[default]
    Pays,
    /// They refuse.
    Declines,
    /// They pay so long after they were asked, or not before a tester says.
    Waits(Option<Duration>),
}

impl User {
    /// Reads what customers do as it is typed.
    ///
    /// # Errors
    /// What may be written instead.
    pub fn parse(words: &[&str]) -> Result<User, String> {
        match words {
            ["pays"] => Ok(User::Pays),
            ["declines"] => Ok(User::Declines),
            ["waits"] => Ok(User::Waits(None)),
            ["waits", time] => Ok(User::Waits(Some(parse_time(time)?))),
            _ => Err("customers can: pays, declines, waits, waits 40s".to_owned()),
        }
    }
}
