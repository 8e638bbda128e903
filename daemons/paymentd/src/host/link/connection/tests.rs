use iso8583::Builder;
use tokio::io::DuplexStream;

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

fn profile() -> Arc<iso8583::Host> {
    let text = include_str!("../../../../../../config/hosts/unionpay-direct.toml");
    Arc::new(toml::from_str(text).unwrap())
}

/// Both ends of a connection: the terminal's, and what the host reads and writes.
fn pair() -> (Connection<DuplexStream>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(4096);
    (Connection::new(ours, profile()), theirs)
}

fn message(mti: u16, stan: u64, terminal: &str) -> Vec<u8> {
    let profile = profile();
    let mut message = Builder::new(&profile.codec, Mti(mti));
    message.number(11, stan).text(41, terminal).text(39, "00");
    packed(&message)
}

fn packed(message: &Builder<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    let length = message.pack(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

fn frames(messages: &[Vec<u8>]) -> Vec<u8> {
    let framing = &profile().framing;
    messages.iter().flat_map(|message| framing.encode(End::Host, message).unwrap()).collect()
}

#[tokio::test]
async fn the_answer_is_the_one_with_the_type_the_stan_and_the_terminal_of_the_request() {
    let (mut connection, mut host) = pair();
    let answer = message(0x0210, 7, "12345678");
    let others = [
        message(0x0210, 6, "12345678"),
        message(0x0410, 7, "12345678"),
        message(0x0210, 7, "87654321"),
        answer.clone(),
        answer.clone(),
    ];
    host.write_all(&frames(&others)).await.unwrap();
    let got = connection.exchange(&message(0x0200, 7, "12345678"), LIMIT).await.unwrap();
    assert_eq!(got, answer);
    assert!(connection.is_sound());
    // Its duplicate is behind it still, and is not the answer to the next request.
    let next = message(0x0210, 8, "12345678");
    host.write_all(&frames(std::slice::from_ref(&next))).await.unwrap();
    assert_eq!(connection.exchange(&message(0x0200, 8, "12345678"), LIMIT).await.unwrap(), next);
}

#[tokio::test]
async fn an_answer_in_pieces_is_put_together_also_across_a_wait_that_was_given_up() {
    let (mut connection, mut host) = pair();
    let answer = message(0x0210, 7, "12345678");
    let bytes = frames(std::slice::from_ref(&answer));
    let (head, tail) = bytes.split_at(9);
    host.write_all(head).await.unwrap();
    assert!(!connection.has_ended().await);
    host.write_all(tail).await.unwrap();
    assert_eq!(connection.exchange(&message(0x0200, 7, "12345678"), LIMIT).await.unwrap(), answer);
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_request_was_given_up_is_not_used_again() {
    let (mut connection, mut host) = pair();
    host.write_all(&frames(&[message(0x0210, 6, "12345678")])).await.unwrap();
    let failed = connection.exchange(&message(0x0200, 7, "12345678"), LIMIT).await;
    assert!(matches!(failed, Err(HostError::NoAnswer(_))), "{failed:?}");
    assert!(!connection.is_sound());
}

#[tokio::test]
async fn a_host_that_sends_nothing_but_answers_to_others_is_given_up() {
    let (mut connection, mut host) = pair();
    let flood = frames(&vec![message(0x0210, 6, "12345678"); MOST_STRAYS]);
    let request = message(0x0200, 7, "12345678");
    let (failed, _) = tokio::join!(connection.exchange(&request, LIMIT), host.write_all(&flood));
    assert!(matches!(failed, Err(HostError::NoAnswer(_))), "{failed:?}");
}

#[tokio::test]
async fn a_host_that_has_gone_is_noticed_before_a_request_leaves() {
    let (mut connection, mut host) = pair();
    assert!(!connection.has_ended().await);
    // What came late is dropped, and is no end.
    host.write_all(&frames(&[message(0x0210, 6, "12345678")])).await.unwrap();
    assert!(!connection.has_ended().await);
    drop(host);
    assert!(connection.has_ended().await);
    assert!(!connection.is_sound());
}
