//! What a terminal and its host do with keys, each beside its floor: the ciphers that it can't do without, by a public
//! crate (`des`, `aes`), with fresh keys. `cargo bench -p keys`

#![expect(clippy::expect_used, reason = "a benchmark may stop at the first surprise")]

use divan::{Bencher, black_box};
use keys::dukpt::{aes, tdes};
use keys::key_block::{self, Destination, Request, Version};
use keys::{Algorithm, Attributes, Exportability, Key, Mode, Pan, Pin, TdesKey, Usage};

fn main() {
    divan::main();
}

fn key(usage: Usage, algorithm: Algorithm, mode: Mode, length: usize) -> Key {
    let attributes = Attributes::new(usage, algorithm, mode).exportable(Exportability::Trusted);
    Key::new(attributes, &vec![0x5A; length]).expect("a key of this length")
}

/// The derivation of a transaction key with ten one bits from the initial key, as the host does it.
mod tdes_dukpt_10_bits {
    use super::*;

    #[divan::bench]
    fn derivation(bencher: Bencher) {
        let initial = key(Usage::InitialDukpt, Algorithm::Tdes, Mode::Derive, 16);
        let serial = tdes::KeySerialNumber::new([0xFF, 0xFF, 0x98, 0x76, 0x54, 0x32, 0x10, 0xFF, 0xF8, 0x00]);
        bencher.bench_local(|| tdes::transaction(black_box(&initial), black_box(serial)));
    }

    /// 20 keys and 20 blocks of DES.
    #[divan::bench]
    fn floor(bencher: Bencher) {
        use cipher::{Array, BlockCipherEncrypt, KeyInit};
        bencher.bench_local(|| {
            let mut block = Array([0x5A; 8]);
            for _ in 0..20 {
                des::Des::new(&black_box(block)).encrypt_block(&mut block);
            }
            block
        });
    }
}

/// The derivation of an AES-128 derivation key with sixteen one bits from the initial key.
mod aes_128_dukpt_16_bits {
    use super::*;

    #[divan::bench]
    fn derivation(bencher: Bencher) {
        let initial = key(Usage::InitialDukpt, Algorithm::Aes, Mode::Derive, 16);
        let serial = aes::KeySerialNumber { id: [7; 8], counter: 0xFFFF_0000 };
        bencher.bench_local(|| aes::transaction(black_box(&initial), black_box(serial)));
    }

    /// 16 keys and 16 blocks of AES-128.
    #[divan::bench]
    fn floor(bencher: Bencher) {
        use cipher::{Array, BlockCipherEncrypt, KeyInit};
        bencher.bench_local(|| {
            let mut block = Array([0x5A; 16]);
            for _ in 0..16 {
                ::aes::Aes128::new(&black_box(block)).encrypt_block(&mut block);
            }
            block
        });
    }
}

/// A version D block with an AES-128 key under AES-256, its length hidden.
mod key_block_d {
    use super::*;

    fn protection() -> Key {
        key(Usage::KeyBlockProtection, Algorithm::Aes, Mode::Both, 32)
    }

    fn write(protection: &Key, key: &Key, block: &mut String) -> keys::Result<()> {
        let destination = Destination::Receiver(Exportability::Never);
        let request = Request { version: Version::D, destination, optionals: &[], hide_length: true };
        key_block::wrap(protection, key, &request, &[0x5A; 32], block)
    }

    #[divan::bench]
    fn unwrap(bencher: Bencher) {
        let (protection, mut block) = (protection(), String::new());
        write(&protection, &key(Usage::Data, Algorithm::Aes, Mode::Both, 16), &mut block).expect("a block");
        bencher
            .bench_local(|| key_block::unwrap(black_box(&protection), black_box(block.as_bytes())).is_ok());
    }

    #[divan::bench]
    fn wrap(bencher: Bencher) {
        let (protection, mut block) = (protection(), String::new());
        let key = key(Usage::Data, Algorithm::Aes, Mode::Both, 16);
        bencher.bench_local(|| write(black_box(&protection), black_box(&key), &mut block));
    }

    /// 3 keys and 20 blocks of AES-256: protection key, two derived keys; four CMACs of derivation data, the payload, its CMAC.
    #[divan::bench]
    fn floor(bencher: Bencher) {
        use cipher::{Array, BlockCipherEncrypt, KeyInit};
        bencher.bench_local(|| {
            let mut block = Array([0x5A; 16]);
            for blocks in [8, 3, 9] {
                let cipher = ::aes::Aes256::new(&black_box(Array([0x5A; 32])));
                for _ in 0..blocks {
                    cipher.encrypt_block(&mut block);
                }
            }
            block
        });
    }
}

/// A PIN block of format 0, its key's schedule included.
mod pin_block_format_0 {
    use super::*;

    fn pin_and_pan() -> (Pin, Pan) {
        (Pin::new("1234").expect("a PIN"), Pan::new("6217001234567890").expect("a PAN"))
    }

    #[divan::bench]
    fn plain_key(bencher: Bencher) {
        let (key, (pin, pan)) = (TdesKey::new([0x5A; 16]), pin_and_pan());
        bencher.bench_local(|| keys::pin_block::encipher(black_box(&key), black_box(&pin), black_box(&pan)));
    }

    #[divan::bench]
    fn key_with_attributes(bencher: Bencher) {
        let (key, (pin, pan)) =
            (key(Usage::PinEncryption, Algorithm::Tdes, Mode::Encrypt, 16), pin_and_pan());
        let format = keys::pin_block::Format::Iso0(&pan);
        bencher.bench_local(|| keys::pin_block::encrypt(black_box(&key), format, black_box(&pin), &[0; 16]));
    }

    /// A key and a block of TDES.
    #[divan::bench]
    fn floor(bencher: Bencher) {
        use cipher::{Array, BlockCipherEncrypt, KeyInit};
        bencher.bench_local(|| {
            let mut block = Array([0x5A; 8]);
            des::TdesEde2::new(&black_box(Array([0x5A; 16]))).encrypt_block(&mut block);
            block
        });
    }
}
