//! A whole contact transaction with DDA, field 55, and the RSA public operation, each beside other crates or a floor. The allocator is
//! watched, so what is not said to allocate does not. `cargo bench -p emv`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark may stop at the first surprise"
)]

use std::sync::Arc;

use divan::{AllocProfiler, Bencher, black_box};
use emv::rsa::PublicKey;
use emv::{Action, Config, Decision, Event, FIELD_55, Flow, HostAnswer, Kernel, PinResult, Transaction};
use num_bigint::BigUint;

#[allow(dead_code, unreachable_pub, reason = "the card of the tests")]
#[path = "../src/tests/card.rs"]
mod card;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// The shipped terminal with the card's CA key.
fn config() -> Arc<Config> {
    let terminal = include_str!("../../../config/emv/terminal.toml");
    let applications = include_str!("../../../config/emv/aids.toml");
    Arc::new(Config::from_toml_parts(terminal, applications, &[&card::capk_toml()]).expect("what ships"))
}

fn transaction() -> Transaction {
    Transaction {
        flow: Flow::Full,
        kind: 0x00,
        amount: 1234,
        other: 0,
        currency: 156,
        currency_exponent: 2,
        date: [0x26, 0x06, 0x01],
        time: [0x12, 0x00, 0x00],
        unpredictable_number: [1, 2, 3, 4],
        random_percent: 50,
        sequence: 7,
        online_only: false,
        force_online: false,
    }
}

/// 91, issuer authentication data.
const ISSUER_DATA: [u8; 12] = [0x91, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0x30, 0x30];

/// Runs to the end with what `answer` says for the card.
fn run<'r>(kernel: &mut Kernel, mut answer: impl FnMut(&[u8]) -> &'r [u8]) -> Decision {
    let host = HostAnswer { approved: true, arc: *b"00", authorisation_code: None, field_55: &ISSUER_DATA };
    let mut action = kernel.start();
    loop {
        action = match action {
            Action::Transmit(command) => {
                let response = answer(command);
                kernel.step(Event::Response(response))
            }
            Action::EnterOnlinePin => kernel.step(Event::Pin(PinResult::Entered)),
            Action::GoOnline => kernel.step(Event::Host(host)),
            Action::Complete(outcome) => return outcome.decision,
            other => panic!("{other:?}"),
        };
    }
}

/// The card's responses in their order: 14 of them. With 9F63, field 55 has 145 bytes.
fn recorded() -> Vec<Vec<u8>> {
    let more = card::tlv("9F63", &[0x30; 8]);
    let mut card = card::Personalisation { more, ..card::Personalisation::default() }.card();
    let mut responses: Vec<&'static [u8]> = Vec::new();
    let mut kernel = Kernel::new(config(), transaction());
    let decision = run(&mut kernel, |command| {
        responses.push(card.answer(command).leak());
        responses[responses.len() - 1]
    });
    assert_eq!((decision, responses.len()), (Decision::Approved, 14));
    responses.into_iter().map(<[u8]>::to_vec).collect()
}

fn finished(responses: &[Vec<u8>]) -> Kernel {
    let mut kernel = Kernel::new(config(), transaction());
    let mut next = responses.iter();
    run(&mut kernel, |_| next.next().expect("one for each command"));
    kernel
}

/// From the selection of the application to the second GENERATE AC, keys of 1024, 1024 and 768 bits with the exponent 3.
mod transaction_with_dda {
    use super::*;

    #[divan::bench]
    fn kernel(bencher: Bencher) {
        let (config, responses) = (config(), recorded());
        bencher.with_inputs(|| Kernel::new(config.clone(), transaction())).bench_local_refs(|kernel| {
            let mut next = responses.iter();
            run(kernel, |_| next.next().expect("one for each command"))
        });
    }

    /// What it reserves before the card is asked.
    #[divan::bench]
    fn memory(bencher: Bencher) {
        let config = config();
        bencher.bench_local(|| Kernel::new(config.clone(), transaction()));
    }

    /// Its three public operations, by `num-bigint`.
    #[divan::bench]
    fn rsa_of_num_bigint(bencher: Bencher) {
        bencher.bench_local(|| [128, 128, 96].map(|length| raise(&[0xC5; 248][..length], &[3])));
    }
}

fn raise(modulus: &[u8], exponent: &[u8]) -> BigUint {
    let big = BigUint::from_bytes_be;
    let base = vec![0x5A; modulus.len()];
    big(black_box(&base)).modpow(&big(exponent), &big(black_box(modulus)))
}

mod field_55_of_145_bytes {
    use super::*;

    #[divan::bench]
    fn build(bencher: Bencher) {
        let kernel = finished(&recorded());
        let mut room = [0; emv::MAX_FIELD_55];
        bencher.bench_local(|| kernel.write_field_55(black_box(FIELD_55), &mut room).expect("it fits").len());
    }

    /// Each object is looked at.
    #[divan::bench]
    fn parse(bencher: Bencher) {
        let field_55 = finished(&recorded()).field_55(FIELD_55).expect("it fits");
        assert_eq!(field_55.len(), 145);
        bencher.bench_local(|| {
            let objects = tlv::Reader::new(black_box(&field_55));
            objects.map(|object| object.expect("what was built").value.len()).sum::<usize>()
        });
    }

    /// The bytes of it, copied once.
    #[divan::bench]
    fn floor(bencher: Bencher) {
        let (field_55, mut out) = ([0x9F; 145], [0; 145]);
        bencher.bench_local(|| {
            out.copy_from_slice(black_box(&field_55));
            black_box(&mut out).len()
        });
    }
}

/// A key of 1,984 bits, that comes as bytes and is used once, as a card's does.
mod rsa_1984 {
    use aws_lc_rs::signature::{RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RsaPublicKeyComponents};

    use super::*;

    const MODULUS: [u8; 248] = [0xC5; 248];
    const SIGNATURE: [u8; 248] = [0x5A; 248];
    const EXPONENTS: [&[u8]; 2] = [&[3], &[1, 0, 1]];

    #[divan::bench(args = [0, 1])]
    fn kernel(bencher: Bencher, exponent: usize) {
        bencher.bench_local(|| {
            let key = PublicKey::new(&[black_box(&MODULUS)], EXPONENTS[exponent]).expect("not too long");
            key.open(black_box(&SIGNATURE)).is_some()
        });
    }

    /// Its verification of PKCS #1: that signature is no message with recovery, but the work is the same.
    #[divan::bench(args = [0, 1])]
    fn aws_lc(bencher: Bencher, exponent: usize) {
        let scheme = &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
        bencher.bench_local(|| {
            let key = RsaPublicKeyComponents { n: black_box(MODULUS.as_slice()), e: EXPONENTS[exponent] };
            key.verify(scheme, &[], black_box(&SIGNATURE)).is_ok()
        });
    }

    #[divan::bench(args = [0, 1])]
    fn num_bigint(bencher: Bencher, exponent: usize) {
        bencher.bench_local(|| raise(&MODULUS, EXPONENTS[exponent]));
    }

    /// What the kernel did before: numbers on the heap, the exponent as secret as a private one.
    #[divan::bench(args = [0, 1])]
    fn crypto_bigint_boxed(bencher: Bencher, exponent: usize) {
        use crypto_bigint::{BoxedUint, Odd};
        bencher.bench_local(|| {
            let number = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, 1984).expect("it fits");
            let modulus: Odd<BoxedUint> = number(black_box(&MODULUS)).to_odd().expect("odd");
            let exponent = BoxedUint::from_be_slice(EXPONENTS[exponent], 32).expect("it fits");
            number(black_box(&SIGNATURE)).pow_mod(&exponent, &modulus)
        });
    }
}
