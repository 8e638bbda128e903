//! Closing a batch: 0500 with its sums, 0320 with the cards' transaction certificates where the host wants them, and with its other
//! transactions where its sums are others.

use std::sync::Arc;

use iso8583::{Builder, Mti, Settlement};

use super::filling::{self, Filling};
use super::{Host, HostError, Link, dialect, parse, sums};
use crate::journal::BatchEntry;
use crate::services::{Service, Side};
use crate::transaction::{Answer, Transaction};

/// Byte 5 of the TVR (EMV Book 3, Annex C5).
const ISSUER_AUTHENTICATION_FAILED: u8 = 0x40;
/// The most that the end of an upload can say.
const MOST_COUNTED: u32 = 9999;

impl Host {
    /// How this host has batches closed.
    pub(crate) fn settlement(&self) -> Result<&Settlement, HostError> {
        self.profile.settlement.as_ref().ok_or(HostError::NotOffered("settlement"))
    }

    /// Whether the host wants the certificate of `transaction`, which it approved, and so did the card, with these results (TVR).
    pub(crate) fn wants_certificate_of(&self, transaction: &Transaction, tvr: &str) -> bool {
        let settlement = self.profile.settlement.as_ref();
        let service = matches!(transaction.service(), Service::Sale | Service::Preauthorisation);
        let results = hex::decode(tvr).unwrap_or_default();
        // Such an approval goes to the host in another form, which no public source explains.
        let issuer_failed = results.last().is_some_and(|byte| byte & ISSUER_AUTHENTICATION_FAILED != 0);
        service && !issuer_failed && settlement.is_some_and(|settlement| settlement.certificates.is_some())
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
        let answer = self.say(link, message, settlement.mti, (transaction, transaction.stan)).await?;
        let answer = parse(&profile, &answer)?;
        let mut read = dialect::answer(&answer)?.answer;
        if read.code == "00" {
            read.balanced = sums::verdict(settlement.sums, &answer, &told)?;
        }
        Ok(read)
    }

    /// Sends some of the batch's transactions; the host's code.
    pub(crate) async fn upload(
        &mut self,
        link: &mut Link,
        transaction: &Transaction,
        entries: &[BatchEntry],
    ) -> Result<String, HostError> {
        let code = self.settlement()?.network_code.clone();
        self.send_upload(link, transaction, &code, &group(entries)).await
    }

    /// Says that the host has all of the batch, and how much: transactions and certificates. The host's code.
    pub(crate) async fn end_upload(
        &mut self,
        link: &mut Link,
        transaction: &Transaction,
    ) -> Result<String, HostError> {
        let settlement = self.settlement()?;
        let code = match &settlement.certificates {
            Some(certificates) if transaction.answer.balanced == Some(true) => &certificates.end_network_code,
            _ => &settlement.end_network_code,
        };
        let code = code.clone();
        self.send_upload(link, transaction, &code, &format!("{:04}", transaction.uploads().min(MOST_COUNTED)))
            .await
    }

    /// Sends a message of the upload, under a trace number of its own; the host's code.
    async fn send_upload(
        &mut self,
        link: &mut Link,
        transaction: &Transaction,
        code: &str,
        content: &str,
    ) -> Result<String, HostError> {
        let profile = Arc::clone(&self.profile);
        let settlement = self.settlement()?.clone();
        let (stan, _) = self.journal.next_stan().await?;
        let filling = Filling { mti: settlement.upload_mti, ..filling(&settlement, transaction, stan, code) };
        let own = filling.fill(&profile.elements.upload);
        let mut message = Builder::new(&profile.codec, settlement.upload_mti);
        common(&mut message, transaction, stan);
        message.text(48, content);
        filling::put(&mut message, &own);
        let answer = self.say(link, message, settlement.upload_mti, (transaction, stan)).await?;
        code_of(&profile, &settlement, &answer)
    }

    /// Hands the host what the card of `sale` said last. The host's code: that it has it, or does not want it; an error is no
    /// answer.
    pub(crate) async fn send_certificate(
        &mut self,
        link: &mut Link,
        closing: &Transaction,
        sale: &Transaction,
    ) -> Result<String, HostError> {
        let profile = Arc::clone(&self.profile);
        let settlement = self.settlement()?.clone();
        let wanted =
            settlement.certificates.as_ref().ok_or(HostError::NotOffered("transaction certificates"))?;
        let code = if closing.answer.balanced == Some(true) { &wanted.balanced } else { &wanted.unbalanced };
        let filling = Filling {
            mti: settlement.upload_mti,
            amount: sale.amount(),
            currency: &sale.acceptor.currency,
            ..filling(&settlement, sale, sale.stan, code)
        };
        let own = filling.fill(&profile.elements.certificate);
        let data = hex::decode(&sale.card.certificate).unwrap_or_default();
        let mut message = Builder::new(&profile.codec, settlement.upload_mti);
        message.number(4, sale.amount()).number(11, sale.stan.into()).text(22, &sale.card.entry_mode);
        if let Some(sequence) = sale.card.pan_sequence {
            message.number(23, sequence.into());
        }
        message.text(41, &sale.acceptor.terminal).text(42, &sale.acceptor.merchant).bytes(55, &data);
        filling::put(&mut message, &own);
        let answer = self.say(link, message, settlement.upload_mti, (sale, sale.stan)).await?;
        code_of(&profile, &settlement, &answer)
    }

    /// Sends a message of the type `mti`, under the names and the trace number of `of`; its answer, checked.
    async fn say(
        &mut self,
        link: &mut Link,
        message: Builder<'_>,
        mti: Mti,
        (of, stan): (&Transaction, u32),
    ) -> Result<Vec<u8>, HostError> {
        let profile = Arc::clone(&self.profile);
        let serial = self.key_serial().await?;
        // From here on it borrows what is of this function, too.
        let mut message: Builder<'_> = message;
        dialect::put_serial(&mut message, &profile, &serial);
        let request = dialect::pack(message.empty_mac())?;
        let answer = self.exchange(link, request).await?;
        let read = parse(&profile, &answer)?;
        self.verify(&read).await?;
        dialect::check_echo(&read, mti.answer(), stan, &of.acceptor.terminal, &of.acceptor.merchant)?;
        Ok(answer)
    }
}

/// The code of an answer to an upload; one that means later is no answer.
fn code_of(profile: &iso8583::Host, settlement: &Settlement, answer: &[u8]) -> Result<String, HostError> {
    let code = dialect::text(&parse(profile, answer)?, 39)?;
    if settlement.again.contains(&code) {
        return Err(HostError::BadAnswer(format!("a part of the upload was answered with code {code}")));
    }
    Ok(code)
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
