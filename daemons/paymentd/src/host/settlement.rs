//! Closing a batch: 0500 with its sums, and 0320 with its transactions where the host's sums are others.

use std::sync::Arc;

use iso8583::{Builder, Message, Mti, Settlement};

use super::{Host, HostError, Link, dialect, parse};
use crate::journal::BatchEntry;
use crate::services::Side;
use crate::transaction::{Answer, Sum, Totals, Transaction};

/// The most that DE 48 can say of one side. A batch with more is told as this much: then the host finds it out of balance,
/// and has all of it uploaded.
const MOST: Sum = Sum { count: 999, amount: 999_999_999_999 };
/// Where the verdict on the domestic sums stands in DE 48: after two sums of 12 and 3 digits.
const VERDICT: usize = 30;

impl Host {
    /// How this host has batches closed.
    pub(crate) fn settlement(&self) -> Result<&Settlement, HostError> {
        self.profile.settlement.as_ref().ok_or(HostError::NotOffered("settlement"))
    }

    /// Asks whether the host's sums of the batch are those of `transaction`. It may be asked again.
    pub(crate) async fn reconcile(
        &mut self,
        link: &mut Link,
        transaction: &Transaction,
    ) -> Result<Answer, HostError> {
        let profile = Arc::clone(&self.profile);
        let settlement = self.settlement()?.clone();
        let sums = sums(&transaction.totals.unwrap_or_default());
        let operator = match transaction.request.operator.as_str() {
            "" => settlement.operator.as_str(),
            operator => operator,
        };
        let operator = format!("{operator:<3}");
        let batch = batch(&settlement, transaction.batch, &settlement.network_code);
        let mut message = Builder::new(&profile.codec, settlement.mti);
        common(&mut message, transaction, transaction.stan);
        message.text(48, &sums).text(60, &batch).text(63, &operator);
        let request = dialect::pack(message.bytes(64, &[0; 8]))?;
        let answer = self.exchange(link, request).await?;
        let answer = parse(&profile, &answer)?;
        self.check_settlement(&answer, settlement.mti, transaction, transaction.stan).await?;
        read_verdict(&answer, &sums)
    }

    /// Sends some of the batch's transactions, under a trace number of its own; `last` ends the upload. The host's code.
    pub(crate) async fn upload(
        &mut self,
        link: &mut Link,
        transaction: &Transaction,
        entries: &[BatchEntry],
        last: bool,
    ) -> Result<String, HostError> {
        let profile = Arc::clone(&self.profile);
        let settlement = self.settlement()?.clone();
        let (stan, _) = self.journal.next_stan().await?;
        let content = group(entries);
        let code = if last { &settlement.last_network_code } else { &settlement.network_code };
        let batch = batch(&settlement, transaction.batch, code);
        let mut message = Builder::new(&profile.codec, settlement.upload_mti);
        common(&mut message, transaction, stan);
        message.text(48, &content).text(60, &batch);
        let request = dialect::pack(message.bytes(64, &[0; 8]))?;
        let answer = self.exchange(link, request).await?;
        let answer = parse(&profile, &answer)?;
        self.check_settlement(&answer, settlement.upload_mti, transaction, stan).await?;
        dialect::text(&answer, 39)
    }

    async fn check_settlement(
        &mut self,
        answer: &Message<'_>,
        request: Mti,
        transaction: &Transaction,
        stan: u32,
    ) -> Result<(), HostError> {
        self.verify(answer).await?;
        let acceptor = &transaction.acceptor;
        dialect::check_echo(answer, request.answer(), stan, &acceptor.terminal, &acceptor.merchant)
    }
}

fn common<'m>(message: &mut Builder<'m>, transaction: &'m Transaction, stan: u32) {
    let acceptor = &transaction.acceptor;
    message.number(11, stan.into());
    message.text(41, &acceptor.terminal).text(42, &acceptor.merchant).text(49, &acceptor.currency);
}

/// DE 60: type, batch, network management code.
fn batch(settlement: &Settlement, batch: u32, code: &str) -> String {
    format!("{}{batch:06}{code}", settlement.message_type)
}

/// DE 48 of the 0500: debit, credit and a verdict that the host fills in; for domestic cards, then for foreign currency,
/// which this terminal does not take.
fn sums(totals: &Totals) -> String {
    let side = |sum: &Sum| format!("{:012}{:03}", sum.amount.min(MOST.amount), sum.count.min(MOST.count));
    format!("{}{}0{:031}", side(&totals.debit), side(&totals.credit), 0)
}

/// The verdict, if the host speaks of the same sums.
fn read_verdict(answer: &Message<'_>, sums: &str) -> Result<Answer, HostError> {
    let mut read = dialect::answer(answer)?.answer;
    if read.code != "00" {
        return Ok(read);
    }
    let content = dialect::text(answer, 48)?;
    let wrong = |what: &str| HostError::BadAnswer(format!("DE 48: {what}"));
    if content.len() != sums.len() || content.get(..VERDICT) != sums.get(..VERDICT) {
        return Err(wrong("these are not the sums of the request"));
    }
    read.balanced = match content.as_bytes().get(VERDICT) {
        Some(b'1') => Some(true),
        Some(b'2') => Some(false),
        Some(b'3') => None,
        _ => return Err(wrong("the host gave no verdict")),
    };
    Ok(read)
}

/// DE 48 of a 0320: how many, then of each the side, the trace number and the amount.
fn group(entries: &[BatchEntry]) -> String {
    let mut content = format!("{:02}", entries.len());
    for entry in entries {
        let side = match entry.side {
            Side::Debit => "00",
            Side::Credit => "01",
        };
        content.push_str(&format!("{side}{:06}{:012}", entry.stan, entry.amount));
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_have_62_digits_and_room_for_two_verdicts() {
        let (debit, credit) = (Sum { count: 2, amount: 1234 }, Sum { count: 1, amount: 34 });
        let totals = Totals { debit, credit, ..Totals::default() };
        let text = sums(&totals);
        assert_eq!(text.len(), 62);
        assert_eq!(&text[..31], "0000000012340020000000000340010");
        let debit = Sum { count: 1000, amount: u64::MAX };
        let totals = Totals { debit, ..Totals::default() };
        assert_eq!(sums(&totals).len(), 62, "however much it is");
    }
}
