//! A sale's 0200 with 14 data elements, packed and unpacked, each beside its floor: a copy of its bytes. The allocator is
//! watched, so what is not said to allocate does not. `cargo bench -p iso8583`

#![expect(clippy::expect_used, reason = "a benchmark may stop at the first surprise")]

use divan::{AllocProfiler, Bencher, black_box};
use iso8583::{Builder, Host, Mti, Profile};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// As long as the field 55 of a card that sends all that an acquirer asks for.
const CHIP_DATA: [u8; 145] = [0x9F; 145];

fn main() {
    divan::main();
}

fn codec() -> Profile {
    let host = include_str!("../../../config/hosts/unionpay-direct.toml");
    toml::from_str::<Host>(host).expect("the profile that ships").codec
}

fn pack(codec: &Profile, out: &mut [u8; 512]) -> usize {
    let mut sale = Builder::new(codec, Mti(0x0200));
    sale.text(3, "000000").number(4, 1234).number(11, 7).text(22, "051").number(23, 1).text(25, "00");
    sale.bytes(35, &[0x5A; 24]).text(41, "12345678").text(42, "123456789012345").text(49, "156");
    sale.text(53, "2600000000000000").bytes(55, &CHIP_DATA).text(60, "22000001000601").bytes(64, &[0; 8]);
    sale.pack(out).expect("a message that fits")
}

#[divan::bench]
fn pack_14_fields(bencher: Bencher) {
    let (codec, mut out) = (codec(), [0; 512]);
    bencher.bench_local(|| pack(black_box(&codec), black_box(&mut out)));
}

/// Checked as a whole, and each element's content looked at.
#[divan::bench]
fn unpack_14_fields(bencher: Bencher) {
    let (codec, mut out) = (codec(), [0; 512]);
    let length = pack(&codec, &mut out);
    let bytes = out.get(..length).expect("what was packed");
    bencher.bench_local(|| {
        let message = codec.parse(black_box(bytes)).expect("what was packed");
        message.fields().map(|value| black_box(value).len()).sum::<usize>()
    });
}

/// The bytes of the same message, copied once.
#[divan::bench]
fn floor(bencher: Bencher) {
    let (mut message, mut out) = ([0; 512], [0; 512]);
    let length = pack(&codec(), &mut message);
    bencher.bench_local(|| {
        let bytes = message.get(..black_box(length)).expect("what was packed");
        out.get_mut(..length).expect("as long").copy_from_slice(bytes);
        black_box(&mut out).len()
    });
}
