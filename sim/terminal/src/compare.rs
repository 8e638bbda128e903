//! Whether the terminal's journal and the host's ledger tell the same story.
//!
//! Transactions are matched by batch and STAN (DE 60.2, DE 11). An approved one must be approved on the other side
//! with the same service, amount, instalments, currency, card, original, DE 38 and DE 37, so that the money which both sides have moved
//! is the same sum, too. A reversed one is one that the host does not hold as
//! approved, and whose reversal it has acknowledged. One that was approved offline stands as its advice does. What is not final is a disagreement: compare when all is settled. What
//! goes through the QR gateway is compared with its ledger (`codes`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use client::{Dictionary, get};
use serde::Deserialize;

use crate::config::CURRENCY;
use crate::error::{Error, Result};

/// What names a transaction on both sides: batch and STAN.
pub type Number = (String, String);

/// How a transaction stands on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The money moves.
    Approved,
    /// The issuer or the card refused.
    Declined,
    /// Taken back, and the other side knows.
    Reversed,
    /// It came to nothing: nothing was booked.
    Nothing,
    /// Not settled yet; the text says how far it is.
    Open(String),
}

/// One transaction as one side has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `None` where nothing was ever sent to the host.
    pub number: Option<Number>,
    /// How it stands.
    pub standing: Standing,
    /// What was booked.
    pub booking: Booking,
}

/// What must be the same on both sides of an approved transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    /// The service, in the words of the API.
    pub service: String,
    /// The transaction that it builds on.
    pub original: Option<Number>,
    /// In minor units.
    pub amount: u64,
    /// In how many instalments it is paid; 0 for at once.
    pub instalments: u32,
    /// ISO 4217, numeric.
    pub currency: String,
    /// First six and last four digits.
    pub masked_pan: String,
    /// DE 38; empty where there is none.
    pub approval: String,
    /// DE 37; empty where there is none.
    pub reference: String,
    /// The results of issuer scripts, in hex; empty where none were told. `None` where the host refused them: then it may have them
    /// from an answer that was lost, or not.
    pub scripts: Option<String>,
}

/// One thing on which the two sides differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Which transaction of the host's; `None` where it has no number there.
    pub number: Option<Number>,
    /// What differs.
    pub problem: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.number {
            Some((batch, stan)) => write!(f, "batch {batch} STAN {stan}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

/// Services that move no money at the host: cash never reaches it, a settlement is about transactions, and a balance that
/// was told and not heard is nobody's loss; a sale that is voided before its advice is sent is nobody's either.
const NO_MONEY: [&str; 4] = ["balance", "cash", "settlement", "offline-void"];

/// Reads a transaction as `org.smartpos.Payment1` lists it.
///
/// # Errors
/// When it lacks its state, amount or currency.
pub fn from_journal(transaction: &Dictionary) -> Result<Entry> {
    let text = |key: &str| get::<&str>(transaction, key).unwrap_or_default().to_owned();
    let lacks = |key: &str| Error::Records(format!("a transaction of the journal has no `{key}`"));
    let standing = match (text("state").as_str(), text("outcome").as_str(), text("reversal").as_str()) {
        ("", _, _) => return Err(lacks("state")),
        ("final", _, "pending") => Standing::Open("its reversal is not acknowledged".to_owned()),
        ("final", ..) if NO_MONEY.contains(&text("type").as_str()) => Standing::Nothing,
        ("final", ..) if text("script") == "pending" => {
            Standing::Open("the results of its scripts are not acknowledged".to_owned())
        }
        ("final", "approved", _) => match text("advice").as_str() {
            "" | "acknowledged" => Standing::Approved,
            "withdrawn" => Standing::Nothing,
            "refused" => Standing::Declined,
            advice => Standing::Open(format!("its advice is {advice}")),
        },
        ("final", "declined", _) => Standing::Declined,
        ("final", "reversed", _) => Standing::Reversed,
        ("final", _, _) => Standing::Nothing,
        (state, _, _) => Standing::Open(format!("it is {state}")),
    };
    let letters = text("currency");
    if letters.is_empty() {
        return Err(lacks("currency"));
    }
    let (known, numeric) = CURRENCY;
    let named = |batch: &str, stan: &str| {
        Some((text(batch), text(stan))).filter(|(batch, stan)| !batch.is_empty() && !stan.is_empty())
    };
    let number = named("batch", "stan");
    let booking = Booking {
        service: text("type"),
        original: named("original_batch", "original_stan"),
        amount: get(transaction, "amount").ok_or_else(|| lacks("amount"))?,
        instalments: get(transaction, "instalments").unwrap_or_default(),
        currency: if letters == known { numeric.to_owned() } else { letters },
        masked_pan: text("masked_pan"),
        approval: text("approval"),
        reference: text("reference"),
        scripts: (text("script") != "refused").then(|| script_results(&text("script_data"))),
    };
    Ok(Entry { number, standing, booking })
}

/// What stands as DF31 in what the issuer is told of its scripts; all in hex.
fn script_results(data: &str) -> String {
    let bytes = hex::decode(data).unwrap_or_default();
    let results = tlv::find(&bytes, tlv::Tag::new(0xDF31));
    results.ok().flatten().map(hex::encode).unwrap_or_default()
}

/// Reads the data of `simctl ledger`.
///
/// # Errors
/// When it is no array of ledger entries.
pub fn from_ledger(data: &serde_json::Value) -> Result<Vec<Entry>> {
    let lines = Vec::<LedgerLine>::deserialize(data)
        .map_err(|error| Error::Records(format!("the host's ledger can't be understood: {error}")))?;
    Ok(lines.into_iter().map(Entry::from).collect())
}

#[derive(Deserialize)]
struct LedgerLine {
    batch: String,
    stan: String,
    amount: u64,
    #[serde(default)]
    instalments: u32,
    currency: String,
    masked_pan: String,
    approval: Option<String>,
    rrn: Option<String>,
    state: LedgerState,
    service: String,
    original: Option<LedgerOriginal>,
    #[serde(default)]
    script: String,
    #[serde(default)]
    certificate: String,
    #[serde(default)]
    settled: bool,
}

#[derive(Deserialize)]
struct LedgerOriginal {
    batch: String,
    stan: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum LedgerState {
    Approved,
    Declined,
    Reversed,
    Refused,
}

impl From<LedgerLine> for Entry {
    fn from(line: LedgerLine) -> Entry {
        Entry {
            number: Some((line.batch, line.stan)),
            standing: match line.state {
                _ if NO_MONEY.contains(&line.service.as_str()) => Standing::Nothing,
                LedgerState::Approved if line.settled && line.certificate == "due" => {
                    Standing::Open("its batch is closed, and its certificate never came".to_owned())
                }
                LedgerState::Approved => Standing::Approved,
                LedgerState::Declined => Standing::Declined,
                LedgerState::Reversed => Standing::Reversed,
                LedgerState::Refused => Standing::Nothing,
            },
            booking: Booking {
                service: line.service,
                original: line.original.map(|original| (original.batch, original.stan)),
                amount: line.amount,
                instalments: line.instalments,
                currency: line.currency,
                masked_pan: line.masked_pan,
                approval: line.approval.unwrap_or_default(),
                reference: line.rrn.unwrap_or_default(),
                scripts: Some(if line.script == "sent" { String::new() } else { line.script }),
            },
        }
    }
}

/// All on which `journal` and `ledger` differ; nothing when they agree.
#[must_use]
pub fn compare(journal: &[Entry], ledger: &[Entry]) -> Vec<Disagreement> {
    let mut found = Vec::new();
    for entry in journal.iter().filter(|entry| entry.number.is_none()) {
        match &entry.standing {
            Standing::Nothing | Standing::Declined => {}
            standing => found.push(Disagreement {
                number: None,
                problem: format!(
                    "a transaction without a STAN: the terminal has it as {standing:?}, and never sent it"
                ),
            }),
        }
    }
    let journal = by_number(journal);
    let ledger = by_number(ledger);
    let numbers: BTreeSet<&Number> = journal.keys().chain(ledger.keys()).copied().collect();
    for number in numbers {
        let sides = (
            journal.get(number).map_or(&[][..], Vec::as_slice),
            ledger.get(number).map_or(&[][..], Vec::as_slice),
        );
        let problem = match sides {
            ([ours], []) => differ(ours, None),
            ([ours], [theirs]) => differ(ours, Some(theirs)),
            ([], [theirs]) => alone_at_host(theirs),
            (ours, theirs) => Some(format!(
                "it is {} times in the journal and {} times in the ledger",
                ours.len(),
                theirs.len()
            )),
        };
        found.extend(problem.map(|problem| Disagreement { number: Some(number.clone()), problem }));
    }
    found
}

/// What the host refused was not booked and used up no number, so it is no entry of the comparison.
fn by_number(entries: &[Entry]) -> BTreeMap<&Number, Vec<&Entry>> {
    let mut map: BTreeMap<&Number, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        if let Some(number) = entry.number.as_ref().filter(|_| entry.standing != Standing::Nothing) {
            map.entry(number).or_default().push(entry);
        }
    }
    map
}

fn differ(ours: &Entry, theirs: Option<&Entry>) -> Option<String> {
    use Standing::{Approved, Declined, Nothing, Open, Reversed};
    let host = theirs.map_or(&Nothing, |entry| &entry.standing);
    match (&ours.standing, host) {
        (Open(how), _) => Some(format!("the terminal is not done: {how}")),
        (Approved, Approved) => theirs.and_then(|theirs| differ_in_booking(&ours.booking, &theirs.booking)),
        (Reversed, Reversed | Declined | Nothing) | (Declined, Declined | Nothing) => None,
        (ours, host) => Some(format!("the terminal has it as {ours:?}, the host as {host:?}")),
    }
}

fn differ_in_booking(ours: &Booking, theirs: &Booking) -> Option<String> {
    let amounts = (ours.amount.to_string(), theirs.amount.to_string());
    let instalments = (ours.instalments.to_string(), theirs.instalments.to_string());
    let originals = (format!("{:?}", ours.original), format!("{:?}", theirs.original));
    let at_host = theirs.scripts.clone().unwrap_or_default();
    let scripts = (ours.scripts.clone().unwrap_or_else(|| at_host.clone()), at_host);
    [
        ("service", &ours.service, &theirs.service),
        ("original", &originals.0, &originals.1),
        ("amount", &amounts.0, &amounts.1),
        ("instalments", &instalments.0, &instalments.1),
        ("currency", &ours.currency, &theirs.currency),
        ("card", &ours.masked_pan, &theirs.masked_pan),
        ("DE 38", &ours.approval, &theirs.approval),
        ("DE 37", &ours.reference, &theirs.reference),
        ("the results of scripts", &scripts.0, &scripts.1),
    ]
    .into_iter()
    .find(|(_, ours, theirs)| ours != theirs)
    .map(|(field, ours, theirs)| format!("{field} is `{ours}` at the terminal and `{theirs}` at the host"))
}

/// A sale that the terminal does not know may only be one that no money moved for.
fn alone_at_host(theirs: &Entry) -> Option<String> {
    (theirs.standing == Standing::Approved)
        .then(|| "the host has it as approved, the terminal does not know it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(stan: &str, standing: Standing) -> Entry {
        Entry {
            number: Some(("000001".to_owned(), stan.to_owned())),
            standing,
            booking: Booking {
                service: "sale".to_owned(),
                original: None,
                amount: 1234,
                instalments: 0,
                currency: "156".to_owned(),
                masked_pan: "621700******0007".to_owned(),
                approval: "A00001".to_owned(),
                reference: "000000000001".to_owned(),
                scripts: Some(String::new()),
            },
        }
    }

    #[test]
    fn the_same_story_has_no_disagreement() {
        use Standing::{Approved, Declined, Nothing, Reversed};
        let journal = [
            entry("1", Approved),
            entry("2", Declined),
            entry("3", Reversed),
            entry("4", Reversed),
            Entry { number: None, ..entry("", Nothing) },
        ];
        // STAN 3 never reached the host; STAN 1 was refused once, then taken.
        let ledger = [entry("1", Nothing), entry("1", Approved), entry("2", Declined), entry("4", Reversed)];
        assert_eq!(compare(&journal, &ledger), []);
    }

    #[test]
    fn money_that_only_one_side_knows_of_is_a_disagreement() {
        use Standing::{Approved, Declined, Reversed};
        for (ours, theirs) in [
            (Some(Approved), None),
            (None, Some(Approved)),
            (Some(Approved), Some(Reversed)),
            (Some(Reversed), Some(Approved)),
            (Some(Declined), Some(Approved)),
            (Some(Approved), Some(Declined)),
        ] {
            let journal: Vec<Entry> = ours.iter().map(|standing| entry("7", standing.clone())).collect();
            let ledger: Vec<Entry> = theirs.iter().map(|standing| entry("7", standing.clone())).collect();
            let found = compare(&journal, &ledger);
            assert_eq!(found.len(), 1, "{ours:?} {theirs:?}");
            assert!(found[0].to_string().contains("STAN 7"), "{}", found[0]);
        }
    }

    #[test]
    fn money_taken_twice_is_a_disagreement() {
        let approved = entry("1", Standing::Approved);
        let found = compare(std::slice::from_ref(&approved), &[approved.clone(), approved.clone()]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn an_approval_that_differs_in_any_field_is_a_disagreement() {
        let ours = entry("1", Standing::Approved);
        let wrong: [fn(&mut Booking); 9] = [
            |booking| booking.service = "refund".to_owned(),
            |booking| booking.original = Some(("000001".to_owned(), "000002".to_owned())),
            |booking| booking.amount = 1235,
            |booking| booking.instalments = 12,
            |booking| booking.currency = "840".to_owned(),
            |booking| booking.masked_pan.clear(),
            |booking| booking.approval.clear(),
            |booking| booking.reference.clear(),
            |booking| booking.scripts = Some("20".to_owned()),
        ];
        for change in wrong {
            let mut theirs = ours.clone();
            change(&mut theirs.booking);
            assert_eq!(compare(std::slice::from_ref(&ours), &[theirs]).len(), 1);
        }
    }

    #[test]
    fn what_moves_no_money_at_the_host_is_not_compared() {
        for service in NO_MONEY {
            let entry = Dictionary::from([
                ("type".to_owned(), text(service)),
                ("state".to_owned(), text("final")),
                ("outcome".to_owned(), text("approved")),
                ("amount".to_owned(), zbus::OwnedVariant::from(1234_u64)),
                ("currency".to_owned(), text("CNY")),
                ("batch".to_owned(), text("000001")),
                ("stan".to_owned(), text("000009")),
            ]);
            assert_eq!(compare(&[from_journal(&entry).unwrap()], &[]), []);
        }
    }

    #[test]
    fn what_is_not_settled_is_a_disagreement() {
        let pending = Dictionary::from([
            ("state".to_owned(), text("final")),
            ("outcome".to_owned(), text("reversed")),
            ("reversal".to_owned(), text("pending")),
            ("amount".to_owned(), zbus::OwnedVariant::from(1234_u64)),
            ("currency".to_owned(), text("CNY")),
            ("batch".to_owned(), text("000001")),
            ("stan".to_owned(), text("000009")),
        ]);
        let entry = from_journal(&pending).unwrap();
        assert_eq!(entry.booking.currency, "156");
        assert_eq!(compare(&[entry], &[]).len(), 1);
    }

    fn text(value: &str) -> zbus::OwnedVariant {
        zbus::Variant::from(value).try_into_owned().unwrap()
    }

    #[test]
    fn a_ledger_is_read_as_simctl_gives_it() {
        let data = serde_json::json!([{
            "terminal": "12345678", "merchant": "898100012345678", "batch": "000001", "stan": "000001", "mti": "0200",
            "amount": 1234, "currency": "156", "masked_pan": "621700******0007", "approval": "A00001",
            "rrn": "000000000001", "state": "approved", "code": "00", "reason": "", "service": "sale",
            "original": { "batch": "000001", "stan": "000009" }, "settled": false
        }]);
        let mut expected = entry("000001", Standing::Approved);
        expected.number = Some(("000001".to_owned(), "000001".to_owned()));
        expected.booking.original = Some(("000001".to_owned(), "000009".to_owned()));
        assert_eq!(from_ledger(&data).unwrap(), [expected]);
        assert!(from_ledger(&serde_json::json!([{ "stan": 1 }])).is_err());
    }

    #[test]
    fn an_offline_sale_stands_as_its_advice_does() {
        for (advice, standing) in [
            ("stored", Standing::Open("its advice is stored".to_owned())),
            ("sent", Standing::Open("its advice is sent".to_owned())),
            ("acknowledged", Standing::Approved),
            ("refused", Standing::Declined),
            ("withdrawn", Standing::Nothing),
        ] {
            let sale = Dictionary::from([
                ("type".to_owned(), text("sale")),
                ("state".to_owned(), text("final")),
                ("outcome".to_owned(), text("approved")),
                ("advice".to_owned(), text(advice)),
                ("amount".to_owned(), zbus::OwnedVariant::from(1234_u64)),
                ("currency".to_owned(), text("CNY")),
            ]);
            assert_eq!(from_journal(&sale).unwrap().standing, standing, "{advice}");
        }
    }
}
