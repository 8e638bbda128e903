//! Store-and-forward: sales that card and terminal approve without the host, within the owner's limits, and the advices that tell
//! it, in order, before anything else goes online.

use serde::Deserialize;

use super::Teller;
use crate::card::CardEnd;
use crate::desk::Ticket;
use crate::host::{HostError, Link};
use crate::journal::{JournalError, Waiting};
use crate::services::Service;
use crate::transaction::{Event, Outcome, Transaction};
use crate::{approval, now};

/// An hour, in milliseconds.
const HOUR: u64 = 3_600_000;

/// `[offline]` of `paymentd.toml`: how much may wait for the host. Beyond it the terminal is online only.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Offline {
    /// How many sales; 0 is none.
    pub(crate) count: u32,
    /// What they come to, in minor units.
    pub(crate) sum: u64,
    /// How long the oldest one may have waited for others to join it, in hours.
    pub(crate) age_h: u32,
}

impl Default for Offline {
    fn default() -> Offline {
        Offline { count: 0, sum: 0, age_h: 24 }
    }
}

impl Offline {
    /// Whether `amount` minor units more may join what waits, at the time `now`. A clock that stands before the oldest one has
    /// been wrong, and tells no age.
    fn allows(&self, waiting: &Waiting, amount: u64, now: i64) -> bool {
        let age = now.abs_diff(waiting.oldest);
        waiting.count < self.count
            && waiting.sum.saturating_add(amount) <= self.sum
            && (waiting.count == 0 || age < u64::from(self.age_h).saturating_mul(HOUR))
    }
}

impl Teller {
    /// Whether `transaction` may be approved without the host: it is a plain sale with a card, within the limits, the host takes advices, and
    /// the secure module keeps cards for them.
    pub(crate) async fn may_go_offline(&self, transaction: &Transaction) -> bool {
        let plain = transaction.service() == Service::Sale
            && transaction.instalments() == 0
            && !transaction.is_moto();
        let waiting = *self.waiting.borrow();
        if !plain
            || self.host.offline().is_none()
            || !self.offline.allows(&waiting, transaction.amount(), now())
        {
            return false;
        }
        self.card.key_check_value("store").await.is_ok_and(|value| !value.is_empty())
    }

    /// Takes the card's approval for the sale, durably, and then acts on it; returns how the transaction ends where it can't.
    pub(crate) async fn take_offline(
        &mut self,
        ticket: &Ticket,
        end: CardEnd,
    ) -> Result<Option<Event>, JournalError> {
        let mut transaction = ticket.transaction();
        let declined = |card, reason: String| {
            let card = Some(card);
            Some(Event::Finished { outcome: Outcome::Declined, reason, card, answer: None, reversal: None })
        };
        let Some(track2) = end.stored_track2 else {
            let reason = "the card approved offline, which this terminal does not take".to_string();
            return Ok(declined(end.card, reason));
        };
        let chip_data = hex::encode(&end.chip_data);
        if let Err(error) = self.host.check_advice(&transaction, &end.card, &chip_data) {
            return Ok(declined(end.card, format!("the host could not be told of it: {error}")));
        }
        // The token is there before the end where a supervisor has approved this very card.
        let approved = !transaction.card.token.is_empty();
        if !approved && let Some(over) = self.over_card_limit(&transaction, &end.card).await? {
            // The card has decided, and may leave.
            let never = std::future::pending();
            if let Some(refused) = approval::of_card(self, ticket, &end.card, over, never).await? {
                return Ok(Some(refused.with_card(end.card)));
            }
            transaction = ticket.transaction();
        }
        let acceptor = self.host.acceptor();
        let card = (end.card, chip_data);
        self.journal.approve_offline(&mut transaction, acceptor, card, &track2, now()).await?;
        self.note_waiting().await?;
        self.end(ticket, transaction).await?;
        Ok(None)
    }

    /// Tells the host of every sale that waits, oldest first.
    pub(super) async fn send_advices(&mut self, link: &mut Link) -> Result<(), HostError> {
        while self.has_stored() {
            let Some((mut sale, track2)) = self.journal.send_advice(now()).await? else { break };
            self.show(&sale).await;
            let answer = self.host.advise(link, &sale, &track2).await?;
            match &answer {
                Ok(_) => log::info!(stan = sale.stan; "the host acknowledged an offline sale"),
                Err(reason) => log::error!(stan = sale.stan; "an offline sale is lost: {reason}"),
            }
            self.journal.end_advice(&mut sale, &Event::advised(answer), now()).await?;
            self.show(&sale).await;
            self.note_waiting().await?;
        }
        self.note_waiting().await?;
        Ok(())
    }

    /// Ends what the host never hears of, once a supervisor has approved it.
    pub(super) async fn end_record(&mut self, ticket: &Ticket) -> Result<(), JournalError> {
        let mut transaction = ticket.transaction();
        self.journal.record_approved(&mut transaction, now()).await?;
        self.end(ticket, transaction).await
    }

    /// Takes note of a sale that `void` has withdrawn.
    pub(super) async fn note_withdrawn(&mut self, void: &Transaction) -> Result<(), JournalError> {
        let Some(original) = void.original.as_ref().filter(|_| void.service() == Service::OfflineVoid) else {
            return Ok(());
        };
        self.show(&self.journal.by_id(original.id).await?).await;
        self.note_waiting().await
    }

    /// Shows what has become of a transaction that has ended, where it is still shown.
    pub(super) async fn show(&self, transaction: &Transaction) {
        if let Some(shown) = self.desk.find(transaction.id) {
            shown.update(transaction.clone()).await;
        }
    }

    /// Whether the host has still to be told of a sale.
    pub(super) fn has_stored(&self) -> bool {
        self.waiting.borrow().count > 0
    }

    /// Looks up what waits, and shows it.
    pub(super) async fn note_waiting(&self) -> Result<(), JournalError> {
        self.waiting.send_replace(self.journal.waiting().await?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_reached_exactly_and_a_clock_that_was_wrong_tells_no_age() {
        let limits = Offline { count: 2, sum: 100, age_h: 1 };
        let hour = i64::try_from(HOUR).unwrap();
        let waiting = |count, sum| Waiting { count, sum, oldest: 10 * hour, ..Waiting::default() };
        assert!(limits.allows(&waiting(1, 40), 60, 11 * hour - 1));
        assert!(!limits.allows(&waiting(1, 40), 61, 10 * hour), "sum");
        assert!(!limits.allows(&waiting(2, 40), 1, 10 * hour), "count");
        assert!(!limits.allows(&waiting(1, 40), 1, 11 * hour), "age");
        assert!(!limits.allows(&waiting(1, 40), 1, 8 * hour), "the clock went back");
        assert!(limits.allows(&Waiting::default(), 100, 11 * hour), "nothing waits");
        assert!(!Offline::default().allows(&Waiting::default(), 0, 0), "off by default");
    }
}
