use super::*;

/// SELECT, and what a card answers.
const COMMAND: [u8; 7] = [0, 0xA4, 4, 0, 1, 7, 0];
const ANSWER: [u8; 4] = [0x6F, 0x00, 0x90, 0x00];

fn line() -> Line {
    Line::new(32, 261)
}

fn bytes(pcb: u8, field: &[u8]) -> Vec<u8> {
    block(pcb, field, 0).data.to_vec()
}

fn sent(next: Result<Next>) -> Vec<u8> {
    match next {
        Ok(Next::Send(block)) => block.data.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn done(next: Result<Next>) -> Vec<u8> {
    match next {
        Ok(Next::Done(response)) => response.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_block_has_the_bytes_of_the_standard() {
    // ISO/IEC 7816-3 annex: NAD 00, PCB of I(0,0), LEN, INF, LRC.
    let first = line().begin(&COMMAND);
    assert_eq!(*first.data, [0, 0, 7, 0, 0xA4, 4, 0, 1, 7, 0, 0x07 ^ 0xA4 ^ 4 ^ 1 ^ 7]);
}

#[test]
fn numbers_alternate_from_one_command_to_the_next() {
    let mut line = line();
    for (ours, cards) in [(0x00, 0x00), (0x40, 0x40), (0x00, 0x00)] {
        assert_eq!(line.begin(&COMMAND).data[1], ours);
        assert_eq!(done(line.take(Some(&bytes(cards, &ANSWER)))), ANSWER);
    }
}

#[test]
fn both_ends_chain_what_is_longer_than_a_field() {
    let mut line = Line::new(4, 261);
    assert_eq!(*line.begin(&COMMAND).data, bytes(0x20, &[0, 0xA4, 4, 0]));
    assert_eq!(sent(line.take(Some(&bytes(0x90, &[])))), bytes(0x40, &[1, 7, 0]));
    assert_eq!(sent(line.take(Some(&bytes(0x20, &ANSWER[..1])))), bytes(0x90, &[]));
    assert_eq!(sent(line.take(Some(&bytes(0x60, &ANSWER[1..2])))), bytes(0x80, &[]));
    assert_eq!(done(line.take(Some(&bytes(0x00, &ANSWER[2..])))), ANSWER);
}

#[test]
fn a_card_gets_time_and_another_field_size() {
    let mut line = line();
    line.begin(&[0; 40]);
    let Ok(Next::Send(time)) = line.take(Some(&bytes(0xC3, &[5]))) else { panic!("no answer") };
    assert_eq!((time.bwi, time.data.to_vec()), (5, bytes(0xE3, &[5])));
    assert_eq!(sent(line.take(Some(&bytes(0xC1, &[3])))), bytes(0xE1, &[3]));
    assert_eq!(sent(line.take(Some(&bytes(0x90, &[])))), bytes(0x60, &[0; 3]), "parts have 3 bytes now");
}

#[test]
fn a_block_that_was_spoilt_is_asked_for_again_and_a_lost_one_sent_again() {
    let mut line = line();
    let first = line.begin(&COMMAND).data;
    let mut spoilt = bytes(0x00, &ANSWER);
    spoilt[3] ^= 1;
    assert_eq!(sent(line.take(Some(&spoilt))), bytes(0x81, &[]));
    assert_eq!(sent(line.take(None)), bytes(0x82, &[]));
    assert_eq!(sent(line.take(Some(&bytes(0x80, &[])))), first.to_vec());
    assert_eq!(done(line.take(Some(&bytes(0x00, &ANSWER)))), ANSWER);
}

#[test]
fn a_card_that_lost_track_is_resynchronised_and_the_command_is_not_repeated() {
    let mut line = line();
    line.begin(&COMMAND);
    for _ in 0..3 {
        sent(line.take(None));
    }
    assert_eq!(sent(line.take(None)), bytes(0xC0, &[]));
    assert_eq!(line.take(Some(&bytes(0xE0, &[]))), Err(Error::Resynchronised));
    assert_eq!(line.begin(&COMMAND).data[1], 0x00, "both ends begin anew");
    assert_eq!(done(line.take(Some(&bytes(0x00, &ANSWER)))), ANSWER);
}

#[test]
fn a_card_that_says_nothing_more_is_mute() {
    let mut line = line();
    line.begin(&COMMAND);
    let answers = (0..20).take_while(|_| line.take(None).is_ok()).count();
    assert_eq!(answers, 6, "three times the block, three times RESYNCH");
    assert_eq!(line.take(None), Err(Error::Mute));
}

#[test]
fn a_field_size_is_told_again_until_the_card_has_it() {
    let mut line = line();
    assert_eq!(*line.tell_ifsd(254).data, bytes(0xC1, &[254]));
    assert_eq!(sent(line.take(Some(&bytes(0xE1, &[32])))), bytes(0xC1, &[254]), "another size is no answer");
    assert_eq!(done(line.take(Some(&bytes(0xE1, &[254])))), []);
}

#[test]
fn a_card_that_gives_up_or_never_ends_ends_the_command() {
    let mut line = line();
    line.begin(&COMMAND);
    assert!(matches!(line.take(Some(&bytes(0xC2, &[]))), Err(Error::Card(_))));
    line.begin(&COMMAND);
    let waits = (0..5000).take_while(|_| line.take(Some(&bytes(0xC3, &[1]))).is_ok()).count();
    assert_eq!(waits, usize::from(MOST_BLOCKS));
}
