//! 0620: what became of the scripts that the issuer had the card run. It has the numbers of its transaction, each time the same.

use std::sync::Arc;

use iso8583::Builder;

use super::filling::{self, Filling};
use super::{Host, HostError, Link, dialect, parse};
use crate::transaction::Transaction;

impl Host {
    /// Whether the host wants to know.
    pub(crate) fn wants_scripts(&self) -> bool {
        self.profile.scripts.is_some()
    }

    /// Whether the profile has words for what became of the scripts of `transaction`.
    pub(crate) fn takes_scripts_of(&self, transaction: &Transaction) -> bool {
        self.wants_scripts()
            && dialect::described(&self.profile, transaction).is_ok()
            && dialect::plan(&self.profile, transaction)
                .and_then(|plan| dialect::condition(&self.profile, transaction, plan.as_ref()).map(drop))
                .is_ok()
    }

    /// Tells the host what became of the scripts of `transaction`. Its code: that it knows, or does not want to; an error is no
    /// answer.
    pub(crate) async fn tell_scripts(
        &mut self,
        link: &mut Link,
        transaction: &Transaction,
    ) -> Result<String, HostError> {
        let profile = Arc::clone(&self.profile);
        let scripts = profile.scripts.as_ref().ok_or(HostError::NotOffered("script results"))?;
        let service = dialect::described(&profile, transaction)?;
        let plan = dialect::plan(&profile, transaction)?;
        let condition = dialect::condition(&profile, transaction, plan.as_ref())?;
        let numbers = Filling {
            batch: transaction.batch,
            stan: transaction.stan,
            at: transaction.created,
            ..Filling::network(scripts.mti, &scripts.message_type, &scripts.network_code)
        };
        let own =
            [numbers.fill(&profile.elements.network), numbers.fill(&profile.elements.reversal)].concat();
        let data = hex::decode(&transaction.card.script_data).unwrap_or_default();
        let serial = self.key_serial().await?;
        let mut message = Builder::new(&profile.codec, scripts.mti);
        dialect::common(&mut message, service, transaction, condition, plan.as_ref());
        for (number, content) in [(37, &transaction.answer.reference), (38, &transaction.answer.approval)] {
            if !content.is_empty() {
                message.text(number, content);
            }
        }
        message.bytes(55, &data);
        filling::put(&mut message, &own);
        dialect::put_serial(&mut message, &profile, &serial);
        let request = dialect::pack(message.empty_mac())?;
        let answer = self.exchange(link, request).await?;
        let answer = parse(&profile, &answer)?;
        self.verify(&answer).await?;
        dialect::check_card_echo(service, &answer, scripts.mti.answer(), transaction)?;
        let code = dialect::text(&answer, 39)?;
        if scripts.again.contains(&code) {
            return Err(HostError::BadAnswer(format!(
                "the results of a card's scripts were answered with code {code}"
            )));
        }
        Ok(code)
    }
}
