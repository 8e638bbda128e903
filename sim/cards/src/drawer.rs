//! The drawer that cards are taken from and put back into.

use std::collections::HashMap;

use crate::{Card, Error, load_with_atc};

/// A drawer with one card of each name. A card remembers its application transaction counter while it lies here:
/// an issuer takes a counter that comes twice for a replay.
#[derive(Debug, Clone)]
pub struct Drawer {
    first: u16,
    counters: HashMap<String, u16>,
}

impl Drawer {
    /// A new drawer. The issuer may know these cards from an earlier run, whose counters are forgotten: a counter that
    /// `random` chooses, with room above it, has hardly been used before.
    #[must_use]
    pub fn new(random: u32) -> Self {
        Self { first: u16::try_from(random & 0x7FFF).unwrap_or_default(), counters: HashMap::new() }
    }

    /// Takes a card out; `removed-early:N` chooses the APDU.
    ///
    /// # Errors
    /// As [`load`](crate::load).
    pub fn take(&self, name: &str) -> Result<Card, Error> {
        load_with_atc(name, self.counters.get(base(name)).copied().unwrap_or(self.first))
    }

    /// Puts a card back.
    pub fn put_back(&mut self, card: &Card) {
        self.counters.insert(base(&card.profile().name).to_owned(), card.atc());
    }
}

/// The card's name without its parameter: `removed-early:3` and `removed-early:4` are one card.
fn base(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_comes_back_goes_on_with_its_own_counter() {
        let mut drawer = Drawer::new(0xFFFF_0007);
        assert_eq!(drawer.take("visa").unwrap().atc(), 7);
        let used = load_with_atc("removed-early:3", 40).unwrap();
        drawer.put_back(&used);
        assert_eq!(drawer.take("removed-early:9").unwrap().atc(), 40);
        assert_eq!(drawer.take("visa").unwrap().atc(), 7);
    }
}
