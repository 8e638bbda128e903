//! The head of the magnetic stripe, and the card that was swiped at it last.

use link::{Event, Refusal, SwipeResult, SwipedCard};
use sim_cards::Encoded;
use stripe::Swipe;

use crate::{Refused, refused};

/// The head. It reads one card, and only when it was armed for that.
#[derive(Default)]
pub(crate) struct Head {
    armed: bool,
    card: Option<Swipe>,
}

impl Head {
    /// Reads the next card that is swiped; the one before is wiped.
    pub(crate) fn arm(&mut self) {
        *self = Head { armed: true, card: None };
    }

    /// Wipes what was swiped, and reads no other card.
    pub(crate) fn forget(&mut self) {
        *self = Head::default();
    }

    /// A card is swiped; nothing comes of it where nobody waits for one.
    pub(crate) fn swipe(&mut self, card: &Encoded) -> Option<Event> {
        if !std::mem::take(&mut self.armed) {
            return None;
        }
        self.card = Swipe::read(&card.tracks()).ok();
        let result = if self.card.is_some() { SwipeResult::Read } else { SwipeResult::Unreadable };
        Some(Event::CardSwiped { result })
    }

    /// The card that was swiped.
    pub(crate) fn card(&self) -> Result<&Swipe, Refused> {
        match &self.card {
            Some(card) => Ok(card),
            None => refused(Refusal::NoCard, "no card was swiped"),
        }
    }

    /// What may be known of it.
    pub(crate) fn shown(&self) -> Result<SwipedCard, Refused> {
        let card = self.card()?;
        Ok(SwipedCard { masked_pan: card.pan().masked(), service_code: card.service_code().to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(name: &str) -> Encoded {
        sim_cards::profiles().find(|profile| profile.name == name).unwrap().swipe()
    }

    #[test]
    fn one_swipe_is_read_for_each_time_that_the_head_is_armed() {
        let (mut head, visa) = (Head::default(), encoded("visa"));
        let read = Some(Event::CardSwiped { result: SwipeResult::Read });
        assert_eq!(head.swipe(&visa), None, "nobody waits");
        assert!(head.card().is_err());
        head.arm();
        assert_eq!(head.swipe(&visa), read);
        assert_eq!(head.swipe(&encoded("mastercard")), None, "a second swipe");
        assert_eq!(head.shown().unwrap().masked_pan, "411111******0039");
        head.arm();
        assert!(head.card().is_err(), "the card before");
        head.forget();
        assert_eq!(head.swipe(&visa), None);
    }

    #[test]
    fn a_stripe_that_can_not_be_read_leaves_nothing_behind() {
        let mut head = Head::default();
        for name in ["stripe-damaged", "psam"] {
            head.arm();
            let unreadable = Event::CardSwiped { result: SwipeResult::Unreadable };
            assert_eq!(head.swipe(&encoded(name)), Some(unreadable), "{name}");
            assert!(head.card().is_err());
        }
    }
}
