//! The protected line against the vectors of `docs/secure-module-link.md`, and against who is on the wires.

use super::*;

const SPECIFICATION: &str = include_str!("../../../../docs/secure-module-link.md");
const SESSION: u32 = 0x0A0B;

/// The bytes of a row of the specification.
fn vector(name: &str) -> Vec<u8> {
    let (_, section) = SPECIFICATION.split_once("### Of a protected line").unwrap();
    let row = section.lines().find_map(|line| line.strip_prefix(&format!("| {name} | `"))).unwrap();
    hex::decode(row.trim_end_matches("` |")).unwrap()
}

fn pairing(own: &str, peer: &str) -> Pairing {
    Pairing::new(&vector(own).try_into().unwrap(), &vector(peer)).unwrap()
}

fn host() -> Pairing {
    pairing("host private key", "module public key")
}

fn module() -> Pairing {
    pairing("module private key", "host public key")
}

fn ephemeral(name: &str) -> SecretKey {
    SecretKey::from_slice(&vector(name)).unwrap()
}

/// Both ends of a session.
fn channels() -> (Channel, Channel) {
    let key = |name| Key::new(vector(name).try_into().unwrap());
    let (to, from) = (key("key of what the host sends"), key("key of what the module sends"));
    (Channel::new(SESSION, to.clone(), from.clone()), Channel::new(SESSION, from, to))
}

fn frame(kind: Kind, number: u16, payload: &[u8]) -> Frame {
    Frame { payload: payload.to_vec().into(), ..Frame::bare(kind, SESSION, number) }
}

#[test]
fn the_handshake_is_that_of_the_specification() {
    let (hello, welcome) = (vector("Hello payload"), vector("Welcome payload"));
    let (hello_fields, message) = hello.split_at(6);
    let (welcome_fields, answer) = welcome.split_at(9);
    let prologue = prologue(SESSION, hello_fields);
    let (end, said) = Initiator::new(&host(), ephemeral("host ephemeral private key"), &prologue);
    assert_eq!(said, message);
    let ephemeral = ephemeral("module ephemeral private key");
    let (said, theirs) = noise::respond(&module(), &ephemeral, &prologue, message, welcome_fields).unwrap();
    assert_eq!(said, answer);
    let (payload, ours) = end.finish(&host(), answer).unwrap();
    assert_eq!(payload, welcome_fields);
    for split in [ours, theirs] {
        assert_eq!(split.host.to_vec(), vector("key of what the host sends"));
        assert_eq!(split.module.to_vec(), vector("key of what the module sends"));
    }
}

#[test]
fn the_sealed_frames_are_those_of_the_specification_also_after_the_key_has_changed() {
    let (mut host, mut module) = channels();
    let request = frame(Kind::Request, 1, &[2, 0, 8]);
    let sealed = host.seal(&request).unwrap();
    assert_eq!(sealed.payload.to_vec(), vector("Request 1 payload"));
    assert_eq!(sealed.encode().unwrap().to_vec(), vector("frame of Request 1"));
    assert_eq!(module.open(&sealed), Some(request));
    let response = frame(Kind::Response, 1, &[2, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    let sealed = module.seal(&response).unwrap();
    assert_eq!(sealed.payload.to_vec(), vector("Response 1 payload"));
    assert_eq!(host.open(&sealed), Some(response));

    let request = frame(Kind::Request, 2, &[1]);
    host.sending.count = 0xFFFF;
    let sealed = host.seal(&request).unwrap();
    assert_eq!(sealed.payload.to_vec(), vector("Request 2 payload"));
    assert_eq!(module.open(&sealed), Some(request));
}

#[test]
fn what_was_changed_repeated_or_moved_is_dropped() {
    let (mut host, mut module) = channels();
    let first = host.seal(&frame(Kind::Request, 1, &[1])).unwrap();
    let second = host.seal(&frame(Kind::Request, 1, &[1])).unwrap();
    assert_ne!(first, second, "a frame that is sent again is sealed again");
    for place in 0..first.payload.len() {
        let mut changed = first.clone();
        changed.payload[place] ^= 0x80;
        assert_eq!(module.open(&changed), None, "{place}");
        changed.payload.truncate(place);
        assert_eq!(module.open(&changed), None, "{place}");
    }
    for moved in [
        Frame { kind: Kind::SealedEvent, ..first.clone() },
        Frame { kind: Kind::Request, ..first.clone() },
        Frame { number: 2, ..first.clone() },
    ] {
        assert_eq!(module.open(&moved), None, "{moved:?}");
    }
    let (_, mut elsewhere) = channels();
    elsewhere.session = 8;
    assert_eq!(elsewhere.open(&first), None, "in another session");
    assert_eq!(host.open(&second), None, "its own frame, echoed");
    assert!(module.open(&second).is_some());
    assert_eq!(module.open(&second), None, "again");
    assert_eq!(module.open(&first), None, "late");
}

#[test]
fn what_follows_lost_frames_is_opened_and_what_came_before_is_not_whatever_its_count_ends_in() {
    let (mut host, mut module) = channels();
    let request = frame(Kind::Request, 1, &[1]);
    let mut late = Vec::new();
    for step in [1, 2, 0x7FFF, 0xFFFE, 0xFFFF] {
        host.sending.count = module.receiving.count + step - 1;
        host.sending.key = module.receiving.key_for(host.sending.count).unwrap();
        let sealed = host.seal(&request).unwrap();
        assert_eq!(module.open(&sealed).as_ref(), Some(&request), "{step:#x} ahead");
        late.push(sealed);
        for late in &late {
            assert_eq!(module.open(late), None, "after {step:#x}");
        }
    }
}

#[test]
fn nobody_but_the_other_end_of_the_pairing_opens_a_session() {
    let entropy = |byte| Key::new([byte; 32]);
    let fields = [1, 1, 0, 0, 0, 2];
    let mut near = Protection::new(host(), entropy(1));
    let mut far = Protection::new(module(), entropy(2));
    let (end, hello) = near.hello(7, &fields);
    let stranger = pairing("host ephemeral private key", "module public key");
    let (_, strange) = Protection::new(stranger, entropy(1)).hello(7, &fields);
    assert!(far.welcome(7, &fields, &strange, b"welcome!!").is_none(), "a stranger's");
    assert!(far.welcome(8, &fields, &hello, b"welcome!!").is_none(), "of another session");
    assert!(far.welcome(7, &[1, 1, 0, 0, 0, 3], &hello, b"welcome!!").is_none(), "with other capabilities");
    assert!(far.welcome(7, &fields, b"", b"welcome!!").is_none(), "without a message");
    let (_, welcome) = far.welcome(7, &fields, &hello, b"welcome!!").unwrap();
    for place in 0..welcome.len() {
        let mut changed = welcome.clone();
        changed[place] ^= 1;
        assert!(near.welcomed(7, &end, b"welcome!!", &changed).is_none(), "{place}");
    }
    assert!(near.welcomed(7, &end, b"Welcome!!", &welcome).is_none(), "other fields");
    assert!(near.welcomed(7, &end, b"welcome!!", &welcome).is_some(), "the right one still counts");
    let (_, another) = near.hello(7, &fields);
    assert_ne!(another, hello, "each session has a new ephemeral key");
}
