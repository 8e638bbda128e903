//! A card that goes wrong in one response: the kernel ends, and approves only what the card certified.

use proptest::prelude::*;

use super::card::{Card, Personalisation};
use super::{ALL_WELL, config_with, run_until_end, transaction};
use crate::{CryptogramKind, Decision, Kernel};

/// One way in which a card may go wrong.
#[derive(Clone, Debug)]
enum Mutation {
    Truncate(usize),
    Flip(usize, u8),
    Status(u16),
    Replace(Vec<u8>),
}

impl Mutation {
    fn apply(&self, mut response: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Truncate(length) => response.truncate(*length),
            Self::Flip(position, mask) => {
                let position = position % response.len();
                response[position] ^= mask;
            }
            Self::Status(status) => {
                response.truncate(response.len() - 2);
                response.extend(status.to_be_bytes());
            }
            Self::Replace(noise) => response.clone_from(noise),
        }
        response
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (0..300_usize).prop_map(Mutation::Truncate),
        (0..300_usize, 1..=255_u8).prop_map(|(position, mask)| Mutation::Flip(position, mask)),
        any::<u16>().prop_map(Mutation::Status),
        proptest::collection::vec(any::<u8>(), 0..60).prop_map(Mutation::Replace),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_card_that_answers_anything_at_any_step_never_hangs_the_kernel(at in 0..14_usize, mutation in mutation()) {
        static CARD: std::sync::LazyLock<Vec<(Vec<u8>, Vec<u8>)>> =
            std::sync::LazyLock::new(|| Personalisation::default().card().answers);
        let mut card = Card { answers: CARD.clone(), ..Card::default() };
        let index = at % card.answers.len();
        let (_, response) = &mut card.answers[index];
        *response = mutation.apply(response.clone());
        let mut kernel = Kernel::new(config_with(|toml| toml), transaction());
        let ended = run_until_end(&mut kernel, &mut card, ALL_WELL);
        let (outcome, _) = ended.expect("the transaction ends");
        let certified = outcome.cryptogram.is_some_and(|cryptogram| cryptogram.kind == CryptogramKind::Tc);
        prop_assert_eq!(outcome.decision == Decision::Approved, certified);
    }
}
