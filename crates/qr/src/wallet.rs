//! Whose code a customer shows: by its first two digits and its length, or by the AIDs of an EMV code.
//!
//! The table is configuration (`config/wallets.toml`): wallets change their ranges without asking us. Each code has at
//! most one owner, which is checked when the table is read.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::MAX_LENGTH;
use crate::cpm::ConsumerCode;
use crate::error::{Problem, Result};

/// The wallets that a terminal takes, by their names at the gateway and in the records.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, Wallet>")]
pub struct Wallets(BTreeMap<String, Wallet>);

/// How the codes of one wallet look.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wallet {
    /// The first two digits of its codes.
    pub prefixes: Range,
    /// How many digits its codes have.
    pub digits: Range,
    /// The AIDs of its EMV codes, in hex.
    #[serde(default)]
    pub aids: Vec<String>,
}

/// From one number to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The lowest.
    pub from: usize,
    /// The highest.
    pub to: usize,
}

impl Range {
    fn contains(self, number: usize) -> bool {
        (self.from..=self.to).contains(&number)
    }

    fn meets(self, other: Range) -> bool {
        self.from <= other.to && other.from <= self.to
    }

    fn is_within(self, low: usize, high: usize) -> bool {
        low <= self.from && self.from <= self.to && self.to <= high
    }
}

impl Wallet {
    fn check(&self, name: &str) -> std::result::Result<(), String> {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(format!("wallet `{name}`: a name is lower-case letters"));
        }
        if !self.prefixes.is_within(10, 99) {
            return Err(format!(
                "wallet `{name}`: prefixes are two digits, from 10 to 99, the lower one first"
            ));
        }
        if !self.digits.is_within(2, 64) {
            return Err(format!("wallet `{name}`: digits are from 2 to 64, the lower number first"));
        }
        match self.aids.iter().find(|aid| parse_aid(aid).is_none()) {
            Some(aid) => Err(format!("wallet `{name}`: AID `{aid}` is not 5 to 16 bytes in hex")),
            None => Ok(()),
        }
    }

    fn has(&self, code: &str) -> bool {
        let prefix = code.get(..2).and_then(|prefix| prefix.parse().ok());
        self.digits.contains(code.len()) && prefix.is_some_and(|prefix| self.prefixes.contains(prefix))
    }

    fn has_application(&self, code: &ConsumerCode) -> bool {
        let aids: Vec<Vec<u8>> = self.aids.iter().filter_map(|aid| parse_aid(aid)).collect();
        code.eligible(&aids).next().is_some()
    }

    fn overlaps(&self, other: &Wallet) -> bool {
        let ranges = self.prefixes.meets(other.prefixes) && self.digits.meets(other.digits);
        let both = |a: &String, b: &String| {
            let (a, b) = (a.to_ascii_uppercase(), b.to_ascii_uppercase());
            a.starts_with(&b) || b.starts_with(&a)
        };
        ranges || self.aids.iter().any(|a| other.aids.iter().any(|b| both(a, b)))
    }
}

impl TryFrom<BTreeMap<String, Wallet>> for Wallets {
    type Error = String;

    fn try_from(wallets: BTreeMap<String, Wallet>) -> std::result::Result<Self, String> {
        for (position, (name, wallet)) in wallets.iter().enumerate() {
            wallet.check(name)?;
            if let Some((other, _)) =
                wallets.iter().skip(position + 1).find(|(_, other)| wallet.overlaps(other))
            {
                return Err(format!("wallets `{name}` and `{other}` claim the same codes"));
            }
        }
        Ok(Wallets(wallets))
    }
}

impl Wallets {
    /// How the codes of the wallet with this name look.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Wallet> {
        self.0.get(name)
    }

    /// The name of the wallet whose code this is: digits by prefix and length, an EMV code by its ADF Names. `None` for
    /// a code that no wallet of the table has, or that two have.
    ///
    /// # Errors
    /// For an EMV code that is malformed.
    pub fn owner(&self, code: &PaymentCode) -> Result<Option<&str>> {
        let code = code.as_str();
        let emv = if ConsumerCode::is_one(code) { Some(ConsumerCode::parse(code)?) } else { None };
        let has = |wallet: &Wallet| match &emv {
            Some(emv) => wallet.has_application(emv),
            None => wallet.has(code),
        };
        let mut owners = self.0.iter().filter(|(_, wallet)| has(wallet)).map(|(name, _)| name.as_str());
        Ok(owners.next().filter(|_| owners.next().is_none()))
    }
}

fn parse_aid(aid: &str) -> Option<Vec<u8>> {
    hex::decode(aid).ok().filter(|aid| (5..=16).contains(&aid.len()))
}

/// What a customer shows to pay: digits, or the text of an EMV code. Whoever has it can charge the customer for as long
/// as it is valid, so it wipes itself and prints masked.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PaymentCode(String);

impl PaymentCode {
    /// A code as it was scanned.
    ///
    /// # Errors
    /// If it is neither digits nor in the form of an EMV code, or too long.
    pub fn new(text: &str) -> Result<Self> {
        if text.is_empty() || text.len() > MAX_LENGTH {
            return Err(Problem::Length { min: 1, max: MAX_LENGTH, got: text.len() }.at("code"));
        }
        if ConsumerCode::is_one(text) || text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Problem::Expected("digits, or an EMV code").at("code"))
        }
    }

    /// The clear code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The code as it may be shown and logged: two digits that name the wallet, and four to know it again by.
    #[must_use]
    pub fn masked(&self) -> String {
        let length = self.0.len();
        if ConsumerCode::is_one(&self.0) || length < 16 {
            return "*".repeat(length.min(16));
        }
        let shown = |(place, digit)| if place < 2 || place + 4 >= length { digit } else { '*' };
        self.0.chars().enumerate().map(shown).collect()
    }
}

impl fmt::Debug for PaymentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PaymentCode({})", self.masked())
    }
}
