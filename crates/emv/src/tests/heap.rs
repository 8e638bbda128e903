//! Memory is reserved before the card is asked, and none after that.

use super::*;

/// What the card answered in a transaction, in its order.
fn recorded(config: &Arc<Config>, mut answer: impl FnMut(&[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut responses = Vec::new();
    let mut kernel = Kernel::new(config.clone(), transaction());
    let record = |command: &[u8]| {
        responses.push(answer(command));
        responses[responses.len() - 1].clone()
    };
    let (outcome, _) = run_against(&mut kernel, record, ALL_WELL).unwrap();
    assert_eq!(outcome.decision, Decision::Approved);
    responses
}

/// How often the heap is asked in the same transaction.
fn allocations(config: &Arc<Config>, responses: &[Vec<u8>]) -> u64 {
    let mut kernel = Kernel::new(config.clone(), transaction());
    let mut responses = responses.iter();
    let measured = allocation_counter::measure(|| {
        let mut action = kernel.start();
        loop {
            action = match action {
                Action::Transmit(_) => kernel.step(Event::Response(responses.next().unwrap())),
                Action::EnterOnlinePin => kernel.step(Event::Pin(PinResult::Entered)),
                Action::GoOnline => kernel.step(Event::Host(APPROVED)),
                Action::Complete(outcome) => return assert_eq!(outcome.decision, Decision::Approved),
                other => panic!("{other:?}"),
            };
        }
    });
    measured.count_total
}

#[test]
fn a_transaction_needs_no_heap_once_the_card_is_asked() {
    let config = config_with(|toml| toml);
    for aip in ["3C00", "5C00", "0000"] {
        let mut card = with(|card| card.aip = aip);
        let responses = recorded(&config, |command| card.answer(command));
        assert_eq!(allocations(&config, &responses), 0, "{aip}");
    }
    let mut signer = combined::Signer::online();
    let responses = recorded(&config, |command| signer.answer(command));
    assert_eq!(allocations(&config, &responses), 0, "CDA");
}
