//! The addresses of the host, and which of them is called first.

use std::time::Duration;

use tokio::time::Instant;

/// The addresses in the owner's order. One that stood in for those before it is called first for a while; then the owner's
/// order counts again.
#[derive(Debug)]
pub(super) struct Addresses {
    all: Vec<String>,
    first_again: Duration,
    /// Which address stands in, and until when.
    stand_in: Option<(usize, Instant)>,
}

impl Addresses {
    /// `first_again` is how long an address may stand in for the first.
    pub(super) fn new(all: Vec<String>, first_again: Duration) -> Addresses {
        Addresses { all, first_again, stand_in: None }
    }

    /// In which order to call them, each with its number.
    pub(super) fn in_order(&self, now: Instant) -> Vec<(usize, String)> {
        let preferred = self.stand_in.filter(|(_, until)| now < *until).map(|(number, _)| number);
        let numbered = || self.all.iter().cloned().enumerate();
        let (mut order, others): (Vec<_>, Vec<_>) =
            numbered().partition(|(number, _)| Some(*number) == preferred);
        order.extend(others);
        order
    }

    /// Notes that the address `number` answered.
    pub(super) fn answered(&mut self, number: usize, now: Instant) {
        match self.stand_in {
            _ if number == 0 => self.stand_in = None,
            // Its time runs from when it began to stand in.
            Some((known, until)) if known == number && now < until => {}
            _ => self.stand_in = Some((number, now + self.first_again)),
        }
    }

    /// When the first is to be tried again; `None` while that is the one in use.
    pub(super) fn first_again_at(&self) -> Option<Instant> {
        self.stand_in.map(|(_, until)| until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn order(addresses: &Addresses, now: Instant) -> Vec<usize> {
        addresses.in_order(now).into_iter().map(|(number, _)| number).collect()
    }

    #[test]
    fn the_address_that_answered_is_called_first_for_a_time_and_then_the_first_one_again() {
        let now = Instant::now();
        let mut addresses = Addresses::new(["a", "b", "c"].map(str::to_string).to_vec(), 5 * MINUTE);
        assert_eq!(order(&addresses, now), [0, 1, 2]);
        addresses.answered(1, now);
        assert_eq!(order(&addresses, now + 4 * MINUTE), [1, 0, 2]);
        addresses.answered(1, now + 4 * MINUTE);
        assert_eq!(order(&addresses, now + 5 * MINUTE), [0, 1, 2], "its time was not prolonged");
        addresses.answered(2, now + 5 * MINUTE);
        assert_eq!(order(&addresses, now + 6 * MINUTE), [2, 0, 1]);
        addresses.answered(0, now + 6 * MINUTE);
        assert_eq!((order(&addresses, now), addresses.first_again_at()), (vec![0, 1, 2], None));
    }
}
