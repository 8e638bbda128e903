//! 0220: the advice of a sale that was approved offline, with the card's transaction certificate.

use std::sync::Arc;

use iso8583::Builder;

use super::{Host, HostError, Link, dialect, filling, parse};
use crate::transaction::{Answer, Card, Transaction};

/// The longest sealed track 2 of any cipher, for a trial.
const LONGEST_TRACK: [u8; 40] = [0; 40];

impl Host {
    /// How the host is told of sales that were approved offline; `None` where it takes none.
    pub(crate) fn offline(&self) -> Option<&iso8583::Offline> {
        self.profile.offline.as_ref()
    }

    /// Whether the advice can be said in the host's dialect: one that could never be sent would hold up the terminal for ever.
    pub(crate) fn check_advice(
        &self,
        transaction: &Transaction,
        card: &Card,
        chip_data: &str,
    ) -> Result<(), HostError> {
        let mut trial = transaction.clone();
        (trial.stan, trial.batch) = (1, 1);
        trial.acceptor = self.acceptor();
        trial.card.clone_from(card);
        chip_data.clone_into(&mut trial.chip_data);
        self.advice(&trial, &LONGEST_TRACK).map(drop)
    }

    /// Tells the host of a sale that was approved offline, under the same numbers each time. Its answer, or why it does not
    /// pay; an error is no answer.
    pub(crate) async fn advise(
        &mut self,
        link: &mut Link,
        transaction: &Transaction,
        stored_track2: &[u8],
    ) -> Result<Result<Answer, String>, HostError> {
        let sealed = match self.card.reseal(stored_track2).await {
            Err(error) if is_invalid(&error) => {
                return Ok(Err(
                    "the secure card module can't open the stored card: it is another module's".to_string()
                ));
            }
            sealed => sealed?,
        };
        let request = self.advice(transaction, &sealed)?;
        let answer = self.exchange(link, request).await?;
        let profile = Arc::clone(&self.profile);
        let message = parse(&profile, &answer)?;
        self.verify(&message).await?;
        let offline = profile.offline.as_ref().ok_or(HostError::NotOffered("offline"))?;
        let mti = offline.advice.mti.answer();
        dialect::check_card_echo(&offline.advice, &message, mti, transaction)?;
        let answer = dialect::answer(&message)?.answer;
        match answer.code.as_str() {
            "00" => Ok(Ok(answer)),
            code if offline.again.iter().any(|again| again == code) => {
                Err(HostError::BadAnswer(format!("the advice was answered with code {code}")))
            }
            code => Ok(Err(format!("the host refused it with code {code}"))),
        }
    }

    /// Its MAC is still empty.
    fn advice(&self, transaction: &Transaction, sealed_track2: &[u8]) -> Result<Vec<u8>, HostError> {
        let offline = self.offline().ok_or(HostError::NotOffered("offline"))?;
        let own = dialect::filling(&self.profile, &offline.advice, transaction)?
            .fill(&self.profile.elements.request);
        let chip_data = hex::decode(&transaction.chip_data).unwrap_or_default();
        let mut message = Builder::new(&self.profile.codec, offline.advice.mti);
        dialect::common(&mut message, &offline.advice, transaction, &offline.advice.condition_code, None);
        message.bytes(35, sealed_track2);
        dialect::put_control(&mut message, self.profile.security.without_pin.as_deref());
        message.bytes(55, &chip_data);
        filling::put(&mut message, &own);
        dialect::pack(message.empty_mac())
    }
}

/// Whether the card daemon says that what it was handed is wrong, and will be.
pub(crate) fn is_invalid(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, _, _) if name.as_str() == "org.smartpos.Error.InvalidArgument")
}
