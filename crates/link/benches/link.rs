//! What a small exchange costs the processors of both ends together: a command APDU of 5 bytes and a response of 20, framed, carried, read
//! and answered, on an open line and on a protected one. `cargo bench -p link`

#![expect(clippy::expect_used, clippy::panic, reason = "a benchmark may stop at the first surprise")]

use std::time::Duration;

use divan::Bencher;
use link::{Happening, Host, Incoming, Module, Pace, Pairing, Protection, Request, Response};
use p256::SecretKey;

fn main() {
    divan::main();
}

const LIMIT: Duration = Duration::from_secs(5);
const NOW: Duration = Duration::from_secs(1);

/// Both ends of a session that is open.
fn session(protected: bool) -> (Host, Module) {
    let protection = |own: u8, peer: u8| {
        let peer = SecretKey::from_slice(&[peer; 32]).expect("a scalar").public_key().to_sec1_bytes();
        Protection::new(Pairing::new(&[own; 32], &peer).expect("a pairing"), [own; 32].into())
    };
    let (mut host, mut module) = if protected {
        let host = Host::protected(7, protection(1, 2), Pace::default(), NOW);
        (host, Module::protected(9, protection(2, 1)))
    } else {
        (Host::new(7, Pace::default(), NOW), Module::new(9))
    };
    // Its first word is that no session is open.
    while module.output().is_some() {}
    let hello = host.output().expect("a hello");
    module.receive(&hello, NOW);
    host.receive(&module.output().expect("a welcome"), NOW);
    assert!(matches!(host.happening(), Some(Happening::Opened(_))));
    (host, module)
}

fn exchange(host: &mut Host, module: &mut Module) {
    let request = Request::CardTransmit { slot: 0, command: vec![0, 0xB2, 1, 0x0C, 0].into() };
    host.request(&request, LIMIT, NOW).expect("a session");
    let asked = host.output().expect("a request");
    let incoming = module.receive(&asked, NOW);
    assert!(matches!(incoming.as_slice(), [Incoming::Request(_)]));
    module.respond(&Response::Data(vec![0x70; 20].into()));
    host.receive(&module.output().expect("a response"), NOW);
    match host.happening() {
        Some(Happening::Answered(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[divan::bench(args = [false, true])]
fn small_exchange(bencher: Bencher, protected: bool) {
    let (mut host, mut module) = session(protected);
    bencher.bench_local(|| exchange(&mut host, &mut module));
}
