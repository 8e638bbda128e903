//! Closing a batch: 0500 with its sums, and 0320 with its transactions where the host's sums are others.

use std::sync::Arc;

use iso8583::{Builder, Message, Mti, Settlement};

use super::filling::{self, Filling};
use super::{Host, HostError, Link, dialect, parse, sums};
use crate::journal::BatchEntry;
use crate::services::Side;
use crate::transaction::{Answer, Transaction};

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
        let operator = match transaction.request.operator.as_str() {
            "" => settlement.operator.as_str(),
            operator => operator,
        };
        let filling = filling(&settlement, transaction, transaction.stan, &settlement.network_code);
        let own = Filling { operator, ..filling }.fill(&profile.elements.settlement);
        let told = sums::elements(settlement.sums, &transaction.totals.unwrap_or_default());
        let mut message = Builder::new(&profile.codec, settlement.mti);
        common(&mut message, transaction, transaction.stan);
        filling::put(&mut message, &told);
        filling::put(&mut message, &own);
        let serial = self.key_serial().await?;
        dialect::put_serial(&mut message, &profile, &serial);
        let request = dialect::pack(message.empty_mac())?;
        let answer = self.exchange(link, request).await?;
        let answer = parse(&profile, &answer)?;
        self.check_settlement(&answer, settlement.mti, transaction, transaction.stan).await?;
        let mut read = dialect::answer(&answer)?.answer;
        if read.code == "00" {
            read.balanced = sums::verdict(settlement.sums, &answer, &told)?;
        }
        Ok(read)
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
        let own = filling(&settlement, transaction, stan, code).fill(&profile.elements.upload);
        let mut message = Builder::new(&profile.codec, settlement.upload_mti);
        common(&mut message, transaction, stan);
        message.text(48, &content);
        filling::put(&mut message, &own);
        let serial = self.key_serial().await?;
        dialect::put_serial(&mut message, &profile, &serial);
        let request = dialect::pack(message.empty_mac())?;
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

/// What a message of the settlement is about.
fn filling<'a>(
    settlement: &'a Settlement,
    transaction: &'a Transaction,
    stan: u32,
    code: &'a str,
) -> Filling<'a> {
    let network = Filling::network(settlement.mti, &settlement.message_type, code);
    Filling { batch: transaction.batch, stan, at: transaction.created, ..network }
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
