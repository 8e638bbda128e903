//! What tells the dialects that this host speaks from each other: which elements each message has, and what is in those that
//! ISO 8583 leaves to the host. It is made from their pages in docs/, not from the terminal's profiles.

use iso8583::Message;
use jiff::civil::DateTime;

use crate::base_key::SERIAL;
use crate::history::{Sum, Totals};
use crate::ledger::{Entry, Key, Ledger};
use crate::request::{self, FORMAT, INVALID, NO_ORIGINAL, Refusal, UNKNOWN_TERMINAL, WRONG_MAC};

/// What follows the time in DE 90: neither institution is named.
const NO_INSTITUTIONS: &str = "0000000000000000000000";

/// A dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// docs/host-unionpay-direct.md.
    UnionPay,
    /// docs/host-iso8583-1987.md.
    Iso1987,
    /// docs/host-p2pe-dukpt.md: the one before with a key for each transaction.
    P2pe,
}

/// What both ends of a settlement say of the sums.
pub(crate) struct Sums {
    /// What the terminal says; nothing where it is more than the elements can say.
    pub(crate) totals: Option<Totals>,
    /// What the answer repeats of it.
    said: Vec<(u8, String)>,
}

impl Dialect {
    /// The dialect of the profile with this name.
    pub(crate) fn of(profile: &iso8583::Host) -> Dialect {
        match profile.name.as_str() {
            "iso8583-1987-ascii" => Dialect::Iso1987,
            "p2pe-dukpt" => Dialect::P2pe,
            _ => Dialect::UnionPay,
        }
    }

    /// The answer code that this dialect has for what is `code` in UnionPay's.
    pub(crate) fn code(self, code: &str) -> &str {
        match (self, code) {
            (Dialect::UnionPay, code) => code,
            (_, WRONG_MAC) => "63",
            (_, UNKNOWN_TERMINAL) => "58",
            (_, code) => code,
        }
    }

    /// In each request of a transaction, besides its MAC.
    pub(crate) fn transaction(self) -> Vec<u8> {
        match self {
            Dialect::UnionPay => vec![3, 11, 25, 41, 42, 49, 60],
            Dialect::Iso1987 => vec![3, 7, 11, 12, 13, 25, 41, 42, 49, 60],
            Dialect::P2pe => self.with_serial(Dialect::Iso1987.transaction()),
        }
    }

    /// The elements of another dialect, and the key serial number.
    fn with_serial(self, mut elements: Vec<u8>) -> Vec<u8> {
        elements.push(SERIAL);
        elements
    }

    /// Where an original is named.
    pub(crate) fn original(self) -> [u8; 3] {
        [37, 38, self.names_original()]
    }

    /// The element that names what is reversed, and the original of what builds on one.
    pub(crate) fn names_original(self) -> u8 {
        match self {
            Dialect::UnionPay => 61,
            Dialect::Iso1987 | Dialect::P2pe => 90,
        }
    }

    /// In each network management message.
    pub(crate) fn network(self) -> Vec<u8> {
        match self {
            Dialect::UnionPay => vec![11, 41, 42, 60],
            Dialect::Iso1987 | Dialect::P2pe => vec![7, 11, 41, 42, 70],
        }
    }

    /// In each settlement, besides its MAC.
    pub(crate) fn settlement(self) -> Vec<u8> {
        match self {
            Dialect::UnionPay => vec![11, 41, 42, 48, 49, 60, 63],
            Dialect::Iso1987 => vec![7, 11, 41, 42, 49, 60, 70, 74, 76, 86, 88],
            Dialect::P2pe => self.with_serial(Dialect::Iso1987.settlement()),
        }
    }

    /// In each message of an upload, besides its MAC.
    pub(crate) fn upload(self) -> Vec<u8> {
        match self {
            Dialect::UnionPay => vec![11, 41, 42, 48, 49, 60],
            Dialect::Iso1987 => vec![7, 11, 41, 42, 48, 49, 60, 70],
            Dialect::P2pe => self.with_serial(Dialect::Iso1987.upload()),
        }
    }

    /// Whether this host gets the cards' certificates before a batch is closed.
    pub(crate) fn has_certificates(self) -> bool {
        self == Dialect::UnionPay
    }

    /// Whether the network management code of `message` is `code`.
    pub(crate) fn has_code(self, message: &Message<'_>, code: &str) -> bool {
        match self {
            Dialect::UnionPay => message.get(60).is_some_and(|value| value.text().ends_with(code)),
            Dialect::Iso1987 | Dialect::P2pe => message.get(70).is_some_and(|value| value.is(code)),
        }
    }

    /// The batch of `message`, if its type, its network management code and its time are right; empty where the message is of
    /// none.
    ///
    /// # Errors
    /// Code 30.
    pub(crate) fn batch(self, message: &Message<'_>, kind: &str, code: &str) -> Result<String, Refusal> {
        if self == Dialect::UnionPay {
            return request::batch(message, kind, code);
        }
        if message.get(70).is_some() && !self.has_code(message, code) {
            return Err(Refusal::new(FORMAT, format!("DE 70: expected {code}")));
        }
        let sent = request::text(message, 7)?;
        // Any leap year does.
        if DateTime::strptime("%Y%m%d%H%M%S", format!("2000{sent}")).is_err() {
            return Err(Refusal::new(FORMAT, format!("DE 7: {sent} is no moment")));
        }
        let batch = message.get(60).map(|value| value.text()).unwrap_or_default();
        if !batch.is_empty() && batch.len() != 6 {
            return Err(Refusal::new(
                FORMAT,
                format!("DE 60: expected six digits of the batch, got {batch}"),
            ));
        }
        Ok(batch)
    }

    /// The batch that a message is of, whatever else is wrong with it.
    pub(crate) fn said_batch(self, message: &Message<'_>) -> String {
        let content = message.get(60).map(|value| value.text()).unwrap_or_default();
        match self {
            Dialect::UnionPay => content.get(2..8).unwrap_or_default().to_owned(),
            Dialect::Iso1987 | Dialect::P2pe => content,
        }
    }

    /// The transaction that `message` names as its original.
    ///
    /// # Errors
    /// Code 30 for what names nothing, 25 if it is not there.
    pub(crate) fn named<'l>(self, ledger: &'l Ledger, message: &Message<'_>) -> Result<&'l Entry, Refusal> {
        let terminal = request::text(message, 41)?;
        let no = |what: String| Refusal::new(NO_ORIGINAL, what);
        if self != Dialect::UnionPay {
            let [mti, stan, sent] = original_data(message)?;
            let rrn = request::text(message, 37)?;
            let mut entries = ledger.entries().iter();
            let is_it = |entry: &&Entry| {
                let same = [&entry.terminal, &entry.mti, &entry.stan] == [&terminal, &mti, &stan];
                same && entry.sent == sent && entry.rrn.as_ref() == Some(&rrn)
            };
            return entries.find(is_it).ok_or_else(|| no("DE 90: no such transaction is booked".to_owned()));
        }
        let content = request::text(message, 61)?;
        let wrong =
            || Refusal::new(FORMAT, "DE 61: expected 16 digits: batch, STAN and MMDD of the original");
        let (batch, rest) = content.split_at_checked(6).ok_or_else(wrong)?;
        let (stan, date) = rest.split_at_checked(6).filter(|(_, date)| date.len() == 4).ok_or_else(wrong)?;
        let key = Key { terminal, batch: batch.to_owned(), stan: stan.to_owned() };
        let original =
            ledger.find(&key).ok_or_else(|| no(format!("DE 61: no transaction of {key} is booked")))?;
        if original.date.as_deref() != Some(date) {
            return Err(no("DE 61: the date is not that of the original's answer".to_owned()));
        }
        Ok(original)
    }

    /// The STAN of what the reversal `message` of a request with the type `mti` in `batch` names.
    ///
    /// # Errors
    /// Code 30 for what names nothing, or another request than the other elements.
    pub(crate) fn reversed(self, message: &Message<'_>, mti: &str, batch: &str) -> Result<String, Refusal> {
        if self != Dialect::UnionPay {
            let [original, stan, sent] = original_data(message)?;
            if original != mti || sent != request::text(message, 7)? {
                return Err(Refusal::new(FORMAT, "DE 90: expected the MTI and DE 7 of the request"));
            }
            return Ok(stan);
        }
        let named = request::text(message, 61)?;
        let wrong =
            || Refusal::new(FORMAT, "DE 61: expected 12 digits, the batch and the STAN of the request");
        let (said, stan) = named.split_at_checked(6).filter(|(_, stan)| stan.len() == 6).ok_or_else(wrong)?;
        if said != batch {
            let reason = format!("DE 61: expected batch {batch} as in DE 60, got {said}");
            return Err(Refusal::new(FORMAT, reason));
        }
        Ok(stan.to_owned())
    }

    /// The type of the request that the reversal `message` names, where it says one.
    pub(crate) fn reversed_mti(self, message: &Message<'_>) -> Option<String> {
        let content = message.get(90).filter(|_| self != Dialect::UnionPay)?.text();
        content.get(..4).map(str::to_owned)
    }

    /// The sums that a settlement says.
    ///
    /// # Errors
    /// Code 30 for sums of another form, or such in foreign currency.
    pub(crate) fn sums(self, message: &Message<'_>) -> Result<Sums, Refusal> {
        if self == Dialect::UnionPay {
            let content = request::text(message, 48)?;
            return packed_sums(&content);
        }
        let said = [74, 76, 86, 88].map(|number| Ok((number, request::text(message, number)?)));
        let said = said.into_iter().collect::<Result<Vec<_>, Refusal>>()?;
        let [credits, debits, credit, debit] = [74, 76, 86, 88].map(|number| {
            message.require(number).and_then(|value| value.to_u64()).map_err(request::format_error)
        });
        let totals = Totals {
            debit: Sum { amount: debit?, count: debits? },
            credit: Sum { amount: credit?, count: credits? },
        };
        Ok(Sums { totals: Some(totals), said })
    }

    /// What the answer to a settlement says: the sums, and whether they are the ledger's.
    pub(crate) fn verdict(self, sums: Sums, balanced: bool) -> Vec<(u8, String)> {
        let verdict = if balanced { "1" } else { "2" };
        let mut said = sums.said;
        match (self, said.first_mut()) {
            (Dialect::UnionPay, Some((_, content))) => {
                // Nothing in foreign currency is always right.
                *content = format!("{content}{verdict}{:030}1", 0);
            }
            _ => said.push((66, verdict.to_owned())),
        }
        said
    }
}

/// DE 90: message type, STAN and DE 7 of the original.
fn original_data(message: &Message<'_>) -> Result<[String; 3], Refusal> {
    let content = request::text(message, 90)?;
    let part = |from, to| content.get(from..to).unwrap_or_default().to_owned();
    if content.get(20..) != Some(NO_INSTITUTIONS) {
        return Err(Refusal::new(INVALID, "DE 90: expected no institutions in its last 22 digits"));
    }
    Ok([part(0, 4), part(4, 10), part(10, 20)])
}

/// DE 48: twice debit amount 12, count 3, credit amount 12, count 3, and a 0 for the verdict; the second time nothing.
fn packed_sums(content: &str) -> Result<Sums, Refusal> {
    const HALF: usize = 31;
    let wrong =
        || Refusal::new(FORMAT, "DE 48: expected twice 30 digits of sums and a 0, the second ones zeros");
    let (domestic, foreign) =
        content.split_at_checked(HALF).filter(|(_, foreign)| foreign.len() == HALF).ok_or_else(wrong)?;
    let sums = domestic.strip_suffix('0').ok_or_else(wrong)?;
    if foreign.bytes().any(|digit| digit != b'0') {
        return Err(wrong());
    }
    let sum = |at: usize| {
        let amount = sums.get(at..at + 12)?.parse().ok()?;
        let count = sums.get(at + 12..at + 15)?.parse().ok()?;
        Some(Sum { amount, count })
    };
    let totals = sum(0).zip(sum(15)).map(|(debit, credit)| Totals { debit, credit });
    Ok(Sums { totals, said: vec![(48, sums.to_owned())] })
}
